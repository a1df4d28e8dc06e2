"""Calls that an application made directly and tells afterwards: priced and recorded as if they had gone through.

Nobody is asked, nothing is routed and no limit is counted: what is told has happened. The record is that of the caller
who tells.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

import attrs

from llmgate.catalogue import parse_target, provider_row
from llmgate.catalogue.prices import VendorPrices
from llmgate.formats import FORMATS, get_format
from llmgate.spec import (
    Attempt,
    Deployment,
    Format,
    GatewayError,
    GatewayRequest,
    InvalidRequestError,
    Operation,
    Outcome,
    PermissionDeniedError,
    Principal,
    Provider,
    ProviderError,
    ProviderRow,
    TraceContext,
)

from .costs import cost_of
from .observing import format_at

if TYPE_CHECKING:
    from .frame import ExchangeFrame
    from .snapshot import Snapshot

__all__ = ["LoggedCall", "RecentCalls", "Told", "check_operation", "record_call", "record_id_of"]

_GUESSED: Final = (
    "openai-chat",
    "anthropic-messages",
    "openai-responses",
    "gemini-generate-content",
    "openai-embeddings",
)
"""Formats that an answer is tried in when the address does not tell, the commonest first."""
_STREAM: Final = "text/event-stream"
_MOST_RECENT: Final = 10_000
_ERROR: Final = 400
_LONGEST_MESSAGE: Final = 4096


@attrs.frozen
class Told:
    """What is known of a call without a look at its bodies, since whoever tells it has read them.

    Args:
        operation: What was asked for.
        outcome: What was seen of the answer.
        stream: Whether it was a stream.
        error: What went wrong; None where nothing did.
        trace: Its place in a distributed trace; None for that of the telling.
    """

    operation: Operation
    outcome: Outcome
    stream: bool = False
    error: str | None = None
    trace: TraceContext | None = None


@attrs.frozen
class LoggedCall:
    """One call as it is told.

    Args:
        url: Where it went; its host says which provider it was.
        provider: The provider by its name, where the address does not say; ``""`` for none.
        model: The model asked for.
        request: What was asked, as it was sent.
        status: The HTTP status of the answer; None where there was none, or nobody knows it.
        media_type: The content type of the answer.
        response: What was answered, as it came.
        started_at: Seconds since the epoch.
        duration: Seconds until the answer was over.
        first_content: Seconds until its first content; None where that is not known.
        headers: What the caller says of it, in the words of headers: ``helicone-user-id``, ``helicone-property-…``.
        call_id: The caller's own id of it, by which it is recorded once; ``""`` for none.
        told: What has been read of its bodies already; None to read them here.
    """

    url: str
    provider: str
    model: str
    request: bytes = attrs.field(repr=False)
    status: int | None
    media_type: str
    response: bytes = attrs.field(repr=False)
    started_at: float
    duration: float
    first_content: float | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    call_id: str = ""
    told: Told | None = None

    @property
    def stream(self) -> bool:
        """Whether the answer was a stream."""
        return self.media_type == _STREAM if self.told is None else self.told.stream

    @property
    def failed(self) -> bool:
        """Whether the answer was an error, or none came."""
        if self.told is not None:
            return self.told.error is not None
        return self.status is not None and self.status >= _ERROR


class RecentCalls:
    """The ids of calls that were told lately, so that one that is told twice is recorded once.

    Loggers that know a record by its id know it for good; this is for those that do not, and bounded.
    """

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def add(self, record_id: str) -> bool:
        """Note one; False where it was told before."""
        if record_id in self._ids:
            return False
        while len(self._ids) >= _MOST_RECENT:
            del self._ids[next(iter(self._ids))]
        self._ids[record_id] = None
        return True

    def forget(self, record_id: str) -> None:
        """Take one back that was not recorded after all."""
        self._ids.pop(record_id, None)


def record_id_of(principal: Principal, call_id: str) -> str:
    """The id of the record of a call: the same for the same caller and the same id of his, and for nobody else's."""
    said = "\0".join((principal.issuer, principal.id, call_id)).encode()
    raw = bytearray(hashlib.sha256(said).digest()[:16])
    raw[6], raw[8] = (raw[6] & 0x0F) | 0x80, (raw[8] & 0x3F) | 0x80  # version 8: made by a rule of one's own (RFC 9562)
    return str(uuid.UUID(bytes=bytes(raw)))


async def record_call(frame: ExchangeFrame, call: LoggedCall, record_id: str) -> None:
    """Make an exchange that of a call that is told; its record is written down before this returns.

    Args:
        frame: The exchange in which it is told, entered.
        call: The call.
        record_id: The id of its record.

    Raises:
        PermissionDeniedError: the caller may not ask for what he says he has.
        InvalidRequestError: its address is none.
        OverloadedError: its record cannot be written down.
    """
    exchange, snapshot = frame.exchange, frame.snapshot
    provider, path = _provider_of(call, snapshot)
    wire_format, outcome = _answer_of(call, provider, path)
    operation = wire_format.operation if call.told is None else call.told.operation
    check_operation(frame.view.principal, operation)
    exchange.id = record_id
    exchange.operation = operation
    if call.told is not None and call.told.trace is not None:
        exchange.trace = call.told.trace
    exchange.client_headers = {**_plain(exchange.client_headers), **call.headers}
    frame.capture = None if snapshot.capturing is None else snapshot.capturing.begin(exchange.client_headers)
    exchange.request = GatewayRequest(
        operation=operation,
        format=wire_format.name,
        body=call.request,
        model=call.model,
        stream=call.stream,
    )
    exchange.outcome, exchange.status, exchange.started_at = outcome, call.status, call.started_at
    exchange.started = frame.clock.monotonic() - call.duration
    if call.first_content is not None:
        exchange.first_content = exchange.started + call.first_content
    exchange.attempts.append(_attempt(frame, call, provider, outcome))
    if frame.capture is not None:
        frame.capture.answered(call.response, call.media_type)
    await frame.seal()


def check_operation(principal: Principal, operation: Operation) -> None:
    """Let a caller tell only of what he may ask for.

    Args:
        principal: Who tells.
        operation: Of what.

    Raises:
        PermissionDeniedError: he may not.
    """
    if not principal.may_ask_for(operation.value):
        raise PermissionDeniedError(
            f"this key may not ask for {operation.value}, so it has no such calls to tell of",
            code="operation_not_allowed",
        )


def _plain(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Of the headers of the telling itself those that say who tells."""
    return {name: value for name, value in headers.items() if name == "user-agent"}


def _attempt(frame: ExchangeFrame, call: LoggedCall, provider: Provider, outcome: Outcome) -> Attempt:
    exchange = frame.exchange
    attempt = Attempt(
        index=0,
        deployment=Deployment(id=f"{provider.name}/{call.model}", provider=provider, model=call.model),
        started=exchange.started,
        first_content=exchange.first_content,
        finished=exchange.started + call.duration,
        status=call.status,
        outcome=outcome,
    )
    if call.failed:
        attempt.error = exchange.error = _error(call, provider)
        exchange.first_content = attempt.first_content = None
        if outcome.usage is not None:
            attempt.cost_nano = cost_of(attempt, exchange)
        elif call.status is not None:
            attempt.cost_nano = 0
    elif frame.snapshot.config.prices.enabled:
        attempt.cost_nano = cost_of(attempt, exchange)
    return attempt


def _error(call: LoggedCall, provider: Provider) -> ProviderError:
    said = _words(call, provider)
    return ProviderError(said[:_LONGEST_MESSAGE], provider_name=provider.name, upstream_status=call.status)


def _words(call: LoggedCall, provider: Provider) -> str:
    """What the caller says went wrong, or the provider."""
    if call.told is not None and call.told.error is not None:
        return call.told.error
    for wire_format in _formats(provider, ""):
        try:
            found = wire_format.decode_error(call.status or 0, {}, call.response)
        except GatewayError:
            continue
        if found is not None and found.message:
            return found.message
    return f"the provider answered with the status {call.status}"


def _provider_of(call: LoggedCall, snapshot: Snapshot) -> tuple[Provider, str]:
    """The provider of a call, as configured where it is, and the path that was asked."""
    configured = snapshot.providers.get(call.provider)
    if configured is not None:
        return configured, _path_of(call.url)
    origin, _, rest = call.url.partition("://")
    if not rest:
        row = provider_row(call.provider)
        return _made(call.provider or "unknown", row, "", snapshot), ""
    try:
        target = parse_target(f"{origin}://{rest.partition('?')[0]}", path=_path_of(call.url))
    except ValueError as wrong:
        raise InvalidRequestError(f"providerRequest.url: {wrong}", param="providerRequest.url") from None
    known = provider_row(target.row) or provider_row(call.provider)
    name = known.name if known is not None else call.provider or target.host
    return snapshot.providers.get(name) or _made(name, known, target.origin, snapshot), target.path


def _made(name: str, row: ProviderRow | None, origin: str, snapshot: Snapshot) -> Provider:
    prices = snapshot.config.prices
    known = row or ProviderRow(name=name, title=name, base_url=origin, source="the caller")
    vendor = VendorPrices(name, row.name if row else None, None, prices.models, prices.imported)
    return Provider(
        name=name,
        row=known,
        base_url=known.base_url or origin,
        prices=vendor if prices.enabled else None,
    )


def _path_of(url: str) -> str:
    _, _, rest = url.partition("://")
    return "/" + rest.partition("/")[2].partition("?")[0]


def _answer_of(call: LoggedCall, provider: Provider, path: str) -> tuple[Format, Outcome]:
    """The wire format of a call and what its answer tells; where nothing can be read of it, nothing is known."""
    if call.told is not None:
        embeds = call.told.operation is Operation.EMBEDDINGS
        return get_format("openai-embeddings" if embeds else "openai-chat"), call.told.outcome
    formats = list(_formats(provider, path))
    for wire_format in formats:
        try:
            outcome = _observed(wire_format, call)
        except (GatewayError, ValueError):
            continue
        if outcome.usage is not None:
            outcome.complete = True
            return wire_format, outcome
    return formats[0], Outcome(complete=True)


def _observed(wire_format: Format, call: LoggedCall) -> Outcome:
    if call.media_type != _STREAM:
        return wire_format.observe_response(call.response)
    reader = wire_format.stream_reader()
    reader.relay(call.response)
    reader.finish()
    return reader.outcome


def _formats(provider: Provider, path: str) -> Iterator[Format]:
    told = format_at(provider, path) if path else None
    if told is not None:
        yield told
    names = (*(one for one in provider.row.formats if one in FORMATS), *_GUESSED)
    yield from (get_format(one) for one in dict.fromkeys(names) if told is None or one != told.name)
