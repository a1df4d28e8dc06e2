"""Where sessions are served; what happens in them is tested through a running gateway in end_to_end/test_sockets.py."""

from __future__ import annotations

import pytest

from host.stand_ins import StandInPipeline, serving
from llmgate.host.surfaces import openai, realtime


def test_sessions_stand_at_every_address_of_the_openai_surface():
    expected = {f"{prefix}/{name}" for prefix in openai.PREFIXES for name in ("realtime", "responses")}
    assert expected <= set(realtime.socket_routes())
    assert "/as/openai/v1/realtime" in realtime.socket_routes()


def test_what_serves_nothing_else_is_a_route_that_says_so():
    routes = {route.path: route.endpoint for route in realtime.routes()}
    assert set(routes) == {path for path in realtime.socket_routes() if path.endswith("/realtime")}


@pytest.mark.parametrize("path", sorted(route.path for route in realtime.routes()))
async def test_a_plain_get_needs_a_key_first_and_then_an_upgrade(path):
    async with serving(StandInPipeline(keys=["sk-1"])) as served:
        path = path.format(router="main")
        assert (await served.ask(path)).status == 401
        reply = await served.ask(path, authorization="Bearer sk-1")
        assert reply.status == 426
        assert (await served.ask(path, method="POST", body=b"{}", authorization="Bearer sk-1")).status == 405
