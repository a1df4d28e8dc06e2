"""Health, readiness, and the check of a router's configuration."""

from __future__ import annotations

import json

import pytest

from host.stand_ins import StandInPipeline, serving


@pytest.mark.parametrize("headers", [{}, {"host": "10.1.2.3:8080"}, {"host": "gw.svc"}, {"authorization": "Bearer no"}])
async def test_health_and_readiness_need_no_login_and_serve_any_host(headers):
    async with serving(StandInPipeline(keys=["sk"])) as served:
        for path in ("/health", "/ready"):
            assert (await served.ask(path, **headers)).status == 200
            head = await served.ask(path, method="HEAD", **headers)
            assert (head.status, head.body) == (200, b"")
        assert not served.pipeline.frames


async def test_readiness_follows_the_pipeline_and_health_does_not():
    async with serving(StandInPipeline()) as served:
        served.pipeline.ready = False
        assert (await served.ask("/ready")).status == 503
        assert (await served.ask("/health")).status == 200


async def test_a_draining_host_is_not_ready():
    async with serving(StandInPipeline()) as served:
        served.app.state.desk.draining = True
        assert (await served.ask("/ready")).status == 503


@pytest.mark.parametrize(
    ("problems", "answer"),
    [([], {"valid": True, "error": None}), (["a: b", "c: d"], {"valid": False, "error": "a: b\nc: d"})],
)
async def test_a_router_is_judged(problems, answer):
    async with serving(StandInPipeline()) as served:
        served.pipeline.problems = problems
        reply = await served.ask("/validate-router-config", json.dumps({"load-balance": {}}).encode())
    assert (reply.status, reply.json) == (200, answer)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b'{"a":NaN}'])
async def test_what_is_no_json_object_is_a_400(body):
    async with serving(StandInPipeline()) as served:
        assert (await served.ask("/validate-router-config", body)).status == 400
