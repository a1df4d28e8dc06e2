"""What stands at the end of a route: an ASGI application around a plain coroutine function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from starlette.types import Receive, Scope, Send

from .errors import RefusedError

if TYPE_CHECKING:
    from .calls import Call

__all__ = ["CALL_KEY", "Endpoint"]

CALL_KEY: Final = "llmgate.call"
"""Where the front leaves the ``Call`` in the ASGI scope."""


class Endpoint:
    """One address of a surface.

    Args:
        methods: The methods it answers; None for any.
        handler: Does the work.
        guarded: Whether pages of other sites are kept out while client authentication is off.
        always: Whether it answers however many requests are served at the moment.
    """

    def __init__(
        self,
        methods: Sequence[str] | None,
        handler: Callable[[Call], Awaitable[Any]],
        *,
        guarded: bool = True,
        always: bool = False,
    ) -> None:
        self.methods = None if methods is None else frozenset(methods)
        self.guarded = guarded
        self.always = always
        self._allow = ", ".join(methods or ())
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the ASGI signature
        """Serve one request whose ``Call`` the front has put into the scope; both channels are reached through it."""
        call: Call = scope[CALL_KEY]
        call.params = scope.get("path_params", {})
        if self.guarded:
            call.desk.guard.keep_foreign_pages_out(call.headers)
        if self.methods is not None and call.method not in self.methods:
            raise RefusedError(
                405,
                f"{call.method[:32]} is not served at {call.path[:200]}: use {self._allow}",
                code="method_not_allowed",
                headers={"allow": self._allow},
            )
        await self._handler(call)
