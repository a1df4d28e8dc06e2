"""Methods: the wrong one is a 405 that names the right one."""

from __future__ import annotations

import pytest

from host.stand_ins import CHAT, StandInPipeline, serving


@pytest.mark.parametrize(
    ("path", "method", "allow"),
    [
        ("/v1/chat/completions", "GET", "POST"),
        ("/v1/chat/completions", "HEAD", "POST"),
        ("/v1/chat/completions", "OPTIONS", "POST"),
        ("/router/a/chat/completions", "DELETE", "POST"),
        ("/v1/models", "POST", "GET, HEAD"),
        ("/router/a/v1/models", "PUT", "GET, HEAD"),
        ("/health", "POST", "GET, HEAD"),
        ("/validate-router-config", "GET", "POST"),
    ],
)
async def test_the_wrong_method_is_a_405_with_allow(path, method, allow):
    async with serving(StandInPipeline()) as served:
        reply = await served.ask(path, CHAT if method in {"POST", "PUT"} else None, method=method)
        assert (reply.status, reply.headers["allow"]) == (405, allow)
        assert not served.pipeline.frames
        if method != "HEAD":
            assert reply.error["code"] == "method_not_allowed"


@pytest.mark.parametrize("name", ["x_http_method_override", "x_method_override", "x_http_method"])
async def test_no_header_overrides_the_method(name):
    async with serving(StandInPipeline()) as served:
        reply = await served.ask("/v1/chat/completions", method="GET", **{name: "POST"})
        assert reply.status == 405


async def test_foreign_pages_are_kept_out_of_every_endpoint_but_health():
    async with serving(StandInPipeline()) as served:
        foreign = {"origin": "https://evil.example"}
        assert (await served.ask("/v1/chat/completions", CHAT, **foreign)).status == 403
        assert (await served.ask("/v1/models", host="evil.example")).status == 403
        assert (await served.ask("/validate-router-config", CHAT, sec_fetch_site="cross-site")).status == 403
        assert (await served.ask("/nowhere", **foreign)).status == 403
        assert (await served.ask("/health", **foreign)).status == 200
        preflight = await served.ask("/v1/chat/completions", method="OPTIONS", **foreign)
        assert preflight.status == 403
        assert not [header for header in preflight.headers if header.startswith("access-control")]
        assert not served.pipeline.frames
