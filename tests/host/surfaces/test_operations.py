"""Health, readiness, and the check of a router's configuration."""

from __future__ import annotations

import asyncio
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


async def test_a_router_is_looked_at_beside_the_requests_and_one_after_the_other():
    async with serving(StandInPipeline()) as served:
        inside, most, health = 0, 0, []

        def judge(router):
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            health.append(asyncio.run_coroutine_threadsafe(served.ask("/health"), loop).result(10).status)
            inside -= 1
            return []

        loop = asyncio.get_running_loop()
        served.pipeline.validate_router = judge
        replies = await asyncio.gather(*(served.ask("/validate-router-config", b"{}") for _ in range(5)))
    assert [reply.status for reply in replies] == [200] * 5
    assert (most, health) == (1, [200] * 5)


async def test_a_router_is_no_large_thing():
    async with serving(StandInPipeline()) as served:
        small, large = (b'{"a":"' + b"x" * size + b'"}' for size in (30_000, 40_000))
        assert (await served.ask("/validate-router-config", small)).status == 200
        reply = await served.ask("/validate-router-config", large)
    assert reply.status == 413
    assert "larger than 32768 bytes" in reply.error["message"]
    assert "one router as a JSON object" in reply.error["message"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b'{"a":NaN}'])
async def test_what_is_no_json_object_is_a_400(body):
    async with serving(StandInPipeline()) as served:
        assert (await served.ask("/validate-router-config", body)).status == 400
