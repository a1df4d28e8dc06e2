"""The ASGI application around a Pipeline: routes, lifespan, and the front that every request passes first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from llmgate.config.model import ServerConfig
from llmgate.spec import GatewayError

from .access_log import write_line
from .calls import Call, Desk, Stop
from .endpoints import CALL_KEY, Endpoint
from .errors import ClientLeftError, RefusedError
from .guard import Guard, authenticates
from .nearest import nearest_address
from .surfaces import (
    anthropic,
    bedrock,
    cohere,
    deployments,
    files,
    gemini,
    intake,
    media,
    ollama,
    openai,
    operations,
    pages,
    passthrough,
    realtime,
    records,
    responses,
    traces,
)
from .surfaces.targets import TARGET, TARGET_HEADER
from .surfaces.vendors import OWN_PATHS, host_name, vendor_hosts
from .upgrades import Upgrade

if TYPE_CHECKING:
    from llmgate.pipeline import Pipeline

__all__ = ["Front", "create_app"]

ROUTER: Final = "/router/"
OPENAI: Final = "/openai/"
DEPLOYMENTS: Final = "/openai/deployments/"


def create_app(pipeline: Pipeline, *, owns_pipeline: bool = True, server: ServerConfig | None = None) -> Starlette:
    """An ASGI application that serves a Pipeline.

    Args:
        pipeline: Does the work; other code may use the same one at the same time.
        owns_pipeline: Whether the application opens the pipeline at start-up and closes it at shutdown. An application
            that mounts this one passes False and does both itself: a mounted application's lifespan does not run.
        server: The host's settings; None takes the pipeline's configuration.
    """
    settings = server if server is not None else pipeline.config.server
    prefixes = (*openai.PREFIXES, *openai.MOUNTS, "")
    routes = [
        *gemini.routes(),
        *openai.routes(),
        *responses.routes(),
        *media.routes(prefixes),
        *files.routes((*prefixes, *anthropic.MOUNTS)),
        *deployments.routes(),
        *anthropic.routes(),
        *ollama.routes(),
        *cohere.routes(),
        *bedrock.routes(),
        *realtime.routes(),
        *operations.routes(),
        *records.routes(),
        *intake.routes(),
        *traces.routes(),
    ]
    exact = {route.path: route.endpoint for route in routes if "{" not in route.path}
    guard = Guard(
        settings,
        trusting=lambda: not authenticates(pipeline.config),
        known=[path.encode("ascii") for path in exact],
        hosts=vendor_hosts(settings.base_domain),
    )
    desk = Desk(pipeline, settings, guard)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        if not owns_pipeline:
            yield
            return
        async with pipeline:
            yield

    app = _Application(lambda router: Front(router, desk, exact, routes), routes=routes, lifespan=lifespan)
    app.router.redirect_slashes = False
    app.router.default = Endpoint(None, _Rest(routes))
    app.state.desk = desk
    return app


class _Application(Starlette):
    """Starlette, less the layer that answers for every other error: the front does, and it would wrap every send.

    Args:
        front: Makes what stands before the routes, behind any middleware that is added.
        **settings: Starlette's own.
    """

    def __init__(self, front: Callable[[ASGIApp], ASGIApp], **settings: Any) -> None:
        super().__init__(**settings)
        self._front = front

    def build_middleware_stack(self) -> ASGIApp:
        """The front before the routes, and what an embedding application adds before both."""
        handlers = {of: does for of, does in self.exception_handlers.items() if of not in (500, Exception)}
        app = self._front(ExceptionMiddleware(self.router, handlers=handlers, debug=self.debug))
        for middleware, args, kwargs in reversed(self.user_middleware):
            app = middleware(app, *args, **kwargs)
        return app


class Front:
    """The first and the last to see a request: checks it, finds its endpoint, answers for every error, logs it.

    Args:
        app: The routes.
        desk: Where requests are served.
        exact: Endpoints by paths without parameters, which need no regular expression.
        routes: All routes of ours.
    """

    def __init__(self, app: ASGIApp, desk: Desk, exact: Mapping[str, ASGIApp], routes: Sequence[Route]) -> None:
        self._app = app
        self._desk = desk
        self._exact = exact
        self._vendors = vendor_hosts(desk.settings.base_domain)
        self._sockets: Mapping[str, ASGIApp] = realtime.socket_routes()
        self._in_router = {
            route.path.removeprefix("/router/{router}/"): route.endpoint
            for route in routes
            if route.path.startswith("/router/{router}/") and route.path.count("{") == 1
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; the lifespan passes through."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "websocket":
            upgrade = Upgrade(scope, receive, send)
            await self._serve(upgrade.as_request(), upgrade.receive_request, upgrade.send_response, upgrade)
        else:
            await self._app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, upgrade: Upgrade | None = None) -> None:
        desk = self._desk
        call = Call(desk, scope, receive, send, upgrade)
        desk.enter(call)
        try:
            await self._answer(call, scope, receive, send)
        except ClientLeftError:
            call.stopped = call.stopped or Stop.LEFT
        except asyncio.CancelledError:
            if call.stopped is None:
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
        finally:
            call.reply.close()
            desk.leave(call)
            if desk.settings.access_log:
                write_line(call)
            scope.pop(CALL_KEY, None)
            call.reply.release()

    async def _answer(self, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        guard = self._desk.guard
        try:
            headers = guard.read_headers(scope)
            call.take_headers(headers)
            guard.admit(scope, headers)
            scope[CALL_KEY] = call
            if TARGET_HEADER in headers:  # goes before every path, also before those of an embedding application
                endpoint: ASGIApp = TARGET
            elif self._vendors and (vendor := self._vendors.get(host_name(headers))) and scope["path"] not in OWN_PATHS:
                endpoint = vendor
            else:
                endpoint = self._find(scope, upgrading=call.upgrade is not None)
            admission = self._desk.admission
            if admission.tight and admission.must_wait and not getattr(endpoint, "always", False):
                await self._desk.wait_turn(call)
            await endpoint(scope, receive, send)
        except GatewayError as error:
            call.note_refusal(error)
            await call.fail(error)
        except ClientLeftError:
            raise
        except Exception as failure:  # noqa: BLE001 - nothing may reach the server's own error page
            await call.crash(failure)

    def _find(self, scope: Scope, *, upgrading: bool) -> ASGIApp:
        """The endpoint of a path: the hot ones by name, the rest by Starlette's routes.

        A request for a WebSocket where none is served is a request without that wish (RFC 9110, section 7.8).
        """
        path: str = scope["path"]
        root: str = scope.get("root_path", "")
        if root and path.startswith(root):
            path = path[len(root) :]
        if len(path) > 1 and path[-1] == "/":
            path = path[:-1]
            scope["path"] = scope["path"][:-1]
        if path.startswith(OPENAI) and not path.startswith(DEPLOYMENTS) and self._desk.has_no_openai:
            # A client of Azure's writes its base so; where a provider has that name, it is the way to it alone.
            path = path[len(OPENAI) - 1 :]
            scope["path"] = root + path
        endpoint = (self._sockets.get(path) if upgrading else None) or self._exact.get(path)
        if endpoint is not None:
            return endpoint
        if path.startswith(ROUTER):
            router, _, rest = path[len(ROUTER) :].partition("/")
            if rest.startswith(OPENAI[1:]) and not rest.startswith(DEPLOYMENTS[1:]):  # and so within a router
                rest = rest[len(OPENAI) - 1 :]
                path = f"{ROUTER}{router}/{rest}"
                scope["path"] = root + path
            wanted = self._sockets.get(f"{ROUTER}{{router}}/{rest}") if upgrading else None
            endpoint = wanted or self._in_router.get(rest)
            if endpoint is not None and router:
                scope["path_params"] = {"router": router}
                return endpoint
        return self._app


def _is_rare(route: Route) -> bool:
    """Whether an address is too like a common one to be what a mistyped one meant: ``/router/ROUTER/v2/chat``."""
    return route.path.count("/") > 2 and route.endpoint in (ollama.CHAT, cohere.CHAT)


class _Rest:
    """Answers for every path that no route matches: plugins' pages, a provider's relay, else the route perhaps meant.

    It is no route of its own, so that routes which an embedding application adds go before it.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._paths = [route.path.replace("{model:path}", "{model}") for route in routes if not _is_rare(route)]

    async def __call__(self, call: Call) -> None:
        own = pages.find_pages(call)
        if own is not None:
            await pages.show(call, *own)
            return
        found = passthrough.find_provider(call)
        if found is not None:
            await passthrough.relay(call, *found)
            return
        near = nearest_address(call.path, self._paths)
        hint = f"did you mean {near}" if near else "the chat address is /v1/chat/completions"
        raise RefusedError(404, f"nothing is served at {call.path[:200]}: {hint}?", code="not_found")
