"""The kind that watches, changes, answers or refuses requests at each phase."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import ClassVar

from .deployments import Deployment
from .exchange import Attempt, ExchangeView
from .requests import GatewayRequest
from .responses import GatewayChunk, GatewayResponse
from .stage import ConfigT, Stage

__all__ = ["Aspect", "Interceptor"]


class Aspect(enum.StrEnum):
    """What an interceptor reads or writes; what nobody reads is never decoded."""

    META = "meta"
    REQUEST = "request"
    STREAM = "stream"


class Interceptor(Stage[ConfigT]):
    """Overrides any of the phases; the pipeline compiles one list per phase, so one that nobody overrides is free.

    The phases run in the order in which the configuration lists the interceptors on the way in, and in reverse on the
    way out. The closing phases (``after_attempt``, ``after_response``, ``on_settle``) run only for interceptors that
    were entered.
    """

    reads: ClassVar[frozenset[Aspect]] = frozenset({Aspect.META})
    writes: ClassVar[frozenset[Aspect]] = frozenset()

    skips: frozenset[str] = frozenset()
    """Overridden phases that an instance, by what its config asks for, does not need; set in its constructor."""

    repeats: bool = False
    """Whether it may ask for a request to be sent again (``ExchangeView.repeat``); set in its constructor."""

    settles_at_once: bool = False
    """Whether ``on_settle`` never waits for anything, which an instance may know once it is open."""

    async def before_request(
        self, exchange: ExchangeView, request: GatewayRequest
    ) -> GatewayRequest | GatewayResponse | None:
        """Look at a request before it is routed.

        Returns:
            None to leave it as it is; a changed request (``request.edited(...)``); or a response, which answers it.

        Raises:
            GatewayError: refuses it.
        """
        return None

    async def on_route(self, exchange: ExchangeView, deployments: Sequence[Deployment]) -> Sequence[Deployment]:
        """Narrow or reorder the candidates; none may be added."""
        return deployments

    async def before_attempt(self, exchange: ExchangeView, attempt: Attempt) -> bool:
        """Look at an attempt before it starts.

        False skips the deployment; ``attempt.error`` may then say why, which the caller is told where none is left.
        """
        return True

    async def after_attempt(self, exchange: ExchangeView, attempt: Attempt) -> None:
        """An attempt has ended; called exactly once for each that ``before_attempt`` let through."""

    def on_chunk(self, exchange: ExchangeView, chunk: GatewayChunk) -> GatewayChunk | None:
        """Look at a chunk: returned unchanged it goes down as it came; None withholds it."""
        return chunk

    def on_sent(self, exchange: ExchangeView, data: bytes) -> None:
        """Watch the bytes of a streamed answer as they go down, in the caller's wire format, terminal marker included.

        It is called with whole events, behind every ``on_chunk``; it needs no decoding, and changes nothing.
        """

    async def after_response(self, exchange: ExchangeView, response: GatewayResponse) -> GatewayResponse:
        """Look at a whole answer before it goes down."""
        return response

    async def on_settle(self, exchange: ExchangeView) -> None:
        """The exchange is over, whatever happened; called exactly once."""
