"""The application as a whole: unknown paths, mounting, ownership, other servers' habits."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.routing import Mount

from host.stand_ins import ANSWER, CHAT, StandInPipeline, serving
from llmgate.host.app import create_app
from llmgate.host.errors import RefusedError


async def call(app, path="/v1/chat/completions", *, body=CHAT, scope=None):
    """One request as a bare ASGI server would make it."""
    sent = []
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        if messages:
            return messages.pop()
        await asyncio.Event().wait()
        return None

    async def send(message):
        sent.append(message)

    await app(
        {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "POST" if body else "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
            "client": None,
            "server": None,
        }
        | (scope or {}),
        receive,
        send,
    )
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("/v1/chat/completion", "/v1/chat/completions"),
        ("/v1/model", "/v1/models"),
        ("/ai/v1/chat/completions/x", "/ai/v1/chat/completions"),
        ("/healthz", "/health"),
        ("/router//", "path"),
        ("/router/my/chat", "/router/{router}/chat/completions"),
    ],
)
async def test_an_unknown_path_is_a_404_that_names_the_nearest(path, near):
    async with serving(StandInPipeline()) as served:
        reply = await served.ask(path)
    assert reply.status == (400 if "//" in path else 404)
    assert near in reply.error["message"]
    assert reply.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/V1/models", "/v1;x/models", "/v1/models;x", "/docs", "/openapi.json", "/admin"])
async def test_what_looks_like_a_route_is_none(path):
    async with serving(StandInPipeline()) as served:
        assert (await served.ask(path)).status == 404
        assert not served.pipeline.frames


@pytest.mark.parametrize(
    "path", ["/v1/models/../chat/completions", "/v1%2fmodels", "//v1/models", "/openai/http://evil/x", "/v1/models%00"]
)
async def test_a_path_that_can_be_read_in_two_ways_reaches_no_handler(path):
    async with serving(StandInPipeline()) as served:
        reply = await served.ask(path)
        assert reply.status == 400
        assert not served.pipeline.frames


async def test_the_query_and_identity_looking_headers_change_nothing():
    async with serving(StandInPipeline(keys=["sk"])) as served:
        for name in ("x_user", "x_forwarded_user", "x_admin", "cookie", "x_original_url", "x_rewrite_url", "forwarded"):
            reply = await served.ask("/v1/models?api_key=sk&key=sk", **{name: "/health"})
            assert reply.status == 401


async def test_an_application_that_mounts_it_shares_its_pipeline():
    pipeline = StandInPipeline()
    inner = create_app(pipeline, owns_pipeline=False)
    outer = Starlette(routes=[Mount("/llm", inner)])
    async with pipeline:
        assert await call(outer, "/llm/v1/chat/completions") == (200, ANSWER)
        assert await call(outer, "/llm/router/mine/v1/chat/completions/") == (200, ANSWER)
        assert (await call(outer, "/llm/v1/models/gpt-4o", body=b""))[0] == 404
        assert (await call(outer, "/llm/nowhere", body=b""))[0] == 404
        assert (await call(outer, "/llm/health", body=b""))[0] == 200
    assert [frame.request.router for frame in pipeline.frames[:2]] == [None, "mine"]


async def test_it_opens_only_a_pipeline_that_it_owns():
    for owns in (True, False):
        pipeline = StandInPipeline()
        app = create_app(pipeline, owns_pipeline=owns)
        async with app.router.lifespan_context(app):
            assert pipeline.ready is owns
        assert not pipeline.ready


async def test_routes_added_by_an_embedder_are_served():
    app = create_app(StandInPipeline(), owns_pipeline=False)

    async def extra(scope, receive, send):
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b"extra"})

    app.router.mount("/extra", extra)
    assert await call(app, "/extra/x", body=b"") == (299, b"extra")


async def test_a_websocket_is_refused():
    sent = []

    async def send(message):
        sent.append(message)

    app = create_app(StandInPipeline(), owns_pipeline=False)
    await app({"type": "websocket", "path": "/v1/models", "headers": []}, None, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_a_servers_own_cancellation_is_passed_on():
    async def forever(frame, request):
        await asyncio.Event().wait()

    pipeline = StandInPipeline(forever)
    app = create_app(pipeline, owns_pipeline=False)
    async with pipeline:
        task = asyncio.create_task(call(app))
        while not pipeline.frames or pipeline.frames[0].request is None:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert pipeline.frames[0].left == 1
    assert not app.state.desk.calls


async def test_the_quick_table_and_the_routes_agree():
    app = create_app(StandInPipeline(), owns_pipeline=False)
    front = app.build_middleware_stack()
    for route in app.routes:
        if "{" not in route.path:
            assert front._exact[route.path] is route.endpoint
    status, body = await call(app, "/router/a b/nowhere", body=b"")
    assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_path")


async def test_routes_and_middleware_of_an_embedder_work_as_in_any_starlette_application():
    async def teapot(request):
        raise HTTPException(418, "short and stout")

    class Marking:
        def __init__(self, app, mark):
            self.app, self.mark = app, mark

        async def __call__(self, scope, receive, send):
            scope["mark"] = self.mark
            await self.app(scope, receive, send)

    async def marked(request):
        return PlainTextResponse(request.scope["mark"])

    app = create_app(StandInPipeline(), owns_pipeline=False)
    app.add_route("/teapot", teapot)
    app.add_route("/marked", marked)
    app.add_middleware(Marking, mark="seen")
    app.add_exception_handler(ZeroDivisionError, lambda request, error: PlainTextResponse("by zero", 422))
    app.add_route("/zero", lambda request: 1 / 0)
    assert await call(app, "/teapot", body=b"") == (418, b"short and stout")
    assert await call(app, "/marked", body=b"") == (200, b"seen")
    assert await call(app, "/zero", body=b"") == (422, b"by zero")


async def test_foreign_pages_are_kept_out_as_the_configuration_of_the_moment_wants():
    pipeline = StandInPipeline()
    app = create_app(pipeline, owns_pipeline=False)
    guard = app.state.desk.guard
    with pytest.raises(RefusedError):
        guard.keep_foreign_pages_out({"host": "evil.example"})
    pipeline.config = StandInPipeline(keys=["sk"]).config
    guard.keep_foreign_pages_out({"host": "evil.example"})
