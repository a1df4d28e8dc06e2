"""Where applications send their traces by OTLP over HTTP: spans of calls to models become records."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import attrs
from starlette.routing import Route

from llmgate.host.calls import Call
from llmgate.host.endpoints import Endpoint
from llmgate.host.errors import RefusedError, error_headers
from llmgate.host.headers import Headers, header_value
from llmgate.host.reading import media_type
from llmgate.host.trace_bodies import JSON, PROTOBUF, answer, refusal, spans_in
from llmgate.pipeline.logged_calls import LoggedCall, RecentCalls, check_operation, record_call, record_id_of
from llmgate.pipeline.told_spans import Span, call_of
from llmgate.spec import GatewayError, Operation, PermissionDeniedError, Principal

from .intake import permit
from .openai import THREAD_BYTES

if TYPE_CHECKING:
    from llmgate.pipeline import ExchangeFrame

__all__ = ["MOST_CALLS", "Traces", "routes"]

SURFACE: Final = "otlp"
MOST_CALLS: Final = 10_000
"""Calls that one export may tell of; its other spans are not counted."""
_TOGETHER: Final = 64
"""Calls that are written down at the same time, for which the journal reaches the disk once."""
_BETWEEN: Final = 256
"""Spans after which other requests have their turn."""


def routes() -> Sequence[Route]:
    """The routes of this surface."""
    return [Route("/v1/traces", Endpoint(("POST",), Traces().take), name="traces")]


@attrs.define
class _Taken:
    """What has become of an export so far.

    Args:
        rejected: Spans that were not taken.
        reason: Why the first of them was not.
        calls: Those that are to be written down.
        seen: How many have been found.
    """

    rejected: int = 0
    reason: str = ""
    calls: list[LoggedCall] = attrs.field(factory=list)
    seen: int = 0

    def reject(self, reason: str) -> None:
        """Note one that is not taken."""
        self.rejected += 1
        self.reason = self.reason or reason


class Traces:
    """Takes what applications tell in spans, each call once."""

    def __init__(self) -> None:
        self._recent = RecentCalls()

    async def take(self, call: Call) -> None:
        """Record the calls of one export."""
        kind = _encoding(call)
        try:
            taken = await self._take(call, kind)
        except GatewayError as error:
            call.error_code = error.code
            body = refusal(kind, error.message)
            await call.reply.whole(error.http_status, [*_headers(call, kind), *error_headers(error)], body)
            return
        reason = f"{taken.reason} (the first of {taken.rejected} spans that were not taken)"
        await call.reply.whole(200, _headers(call, kind), answer(kind, taken.rejected, reason))

    async def _take(self, call: Call, kind: str) -> _Taken:
        async with call.exchange(Operation.RECORDS, SURFACE) as exchange:
            with call:
                permit(exchange.snapshot.config.records.ingest)
                body = await call.read()
                taken = _Taken()
                spans = spans_in(body, kind)
                if len(body) >= THREAD_BYTES:
                    # The first look takes JSON apart as a whole; a None before the first span means nothing.
                    spans = itertools.chain([await asyncio.to_thread(next, spans, None)], spans)
                for index, span in enumerate(spans):
                    self._sort(taken, span, exchange, call)
                    if len(taken.calls) >= _TOGETHER:
                        await self._keep(taken, exchange, call)
                    elif index % _BETWEEN == 0:
                        await asyncio.sleep(0)
                await self._keep(taken, exchange, call)
                return taken

    def _sort(self, taken: _Taken, span: Span | ValueError | None, exchange: ExchangeFrame, call: Call) -> None:
        """Find the call in a span, and whether it may be told of."""
        if span is None:
            return
        try:
            if isinstance(span, ValueError):
                raise span
            told = call_of(span, exchange.clock.now(), call.headers.get("host", ""))
            if told is None or told.told is None:
                return
            check_operation(exchange.view.principal, told.told.operation)
        except (ValueError, PermissionDeniedError) as error:
            taken.reject(str(error))
            return
        taken.seen += 1
        if taken.seen > MOST_CALLS:
            taken.reject(f"one export may tell of {MOST_CALLS} calls: send smaller ones")
        else:
            taken.calls.append(told)

    async def _keep(self, taken: _Taken, exchange: ExchangeFrame, call: Call) -> None:
        """Write down those that have been found; where one cannot be, the whole export is to be sent again."""
        calls, taken.calls = taken.calls, []
        principal = exchange.view.principal
        done = await asyncio.gather(*(self._record(call, told, principal) for told in calls), return_exceptions=True)
        for failure in done:
            if isinstance(failure, BaseException):
                raise failure

    async def _record(self, call: Call, told: LoggedCall, principal: Principal) -> None:
        record_id = record_id_of(principal, told.call_id)
        if not self._recent.add(record_id):
            return
        pipeline = call.desk.pipeline
        frame = pipeline.exchange(
            operation=Operation.RECORDS,
            principal=principal,
            surface=SURFACE,
            client_address=call.client_address,
            client_request_id=call.client_request_id,
        )
        agent = call.headers.get("user-agent")
        if agent:
            headers = {"user-agent": agent, **told.headers}
            told = attrs.evolve(told, headers=headers)
        try:
            async with frame:
                await record_call(frame, told, record_id)
        except BaseException:
            self._recent.forget(record_id)
            raise


def _encoding(call: Call) -> str:
    kind = media_type(call.headers)
    if kind in (JSON, PROTOBUF):
        return kind
    raise RefusedError(
        415,
        f"the content type is {kind[:80]!r}, but this address takes traces by OTLP: send them as {PROTOBUF} or {JSON}",
        code="unsupported_media_type",
    )


def _headers(call: Call, kind: str) -> Headers:
    return call.answer_headers([(b"content-type", header_value(kind))]) + call.parting()
