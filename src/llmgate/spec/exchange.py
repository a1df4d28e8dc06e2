"""One request with everything that happened to it: the Exchange, its view for stages, its record for loggers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from .deployments import Deployment
from .errors import GatewayError
from .identity import Principal
from .money import usd
from .operations import Operation
from .requests import GatewayRequest
from .responses import Outcome
from .targets import Target
from .tracing import TraceContext
from .usage import Usage

__all__ = ["Attempt", "AttemptRecord", "Exchange", "ExchangeView", "Record"]

_CREDENTIALS: Final = frozenset(
    {"api-key", "authorization", "cookie", "helicone-auth", "proxy-authorization", "x-api-key", "x-goog-api-key"}
)
"""Headers that no stage but an auth provider needs to see."""
_CONTROL_PREFIXES: Final = ("helicone-", "llmgate-")
_NO_CONTROL: Final = "helicone-auth"


@attrs.define(eq=False)
class Attempt:
    """One upstream try; times are monotonic seconds.

    Args:
        index: Which try of the exchange it is, from 0.
        deployment: Where it went.
        started: When it began.
        first_content: When the first content came, None before.
        finished: When it ended, None before.
        status: The HTTP status that came back, None while none has.
        error: Why it failed, None when it did not.
        outcome: What was seen of the answer.
        provider_request_id: The provider's own request id.
        credential_ref: Where the credential came from; never its value.
        credential_version: The store's name of the credential's version.
        credential_fingerprint: Eight hex digits that tell credentials apart.
        abandoned: Whether it was given up: the caller left, or another attempt beside it answered first.
        dropped_params: What the provider's wire format could not say of the request, as the caller writes it.
        cost_nano: What it cost in nano-USD, once it has ended; None where that is not known, or nobody reckons it.
        quota_reset: Seconds, from the head of the answer on, until a limit of the provider's that is used up is there
            again; None when none is, or when it does not say.
        span_id: Its span in the exchange's trace, ``""`` where nobody traces.
    """

    index: int
    deployment: Deployment
    started: float
    first_content: float | None = None
    finished: float | None = None
    status: int | None = None
    error: GatewayError | None = None
    outcome: Outcome = attrs.field(factory=Outcome)
    provider_request_id: str | None = None
    credential_ref: str | None = None
    credential_version: str = ""
    credential_fingerprint: str = ""
    abandoned: bool = False
    dropped_params: Sequence[str] = ()
    quota_reset: float | None = None
    cost_nano: int | None = None
    span_id: str = ""


@attrs.define(eq=False)
class Exchange:
    """One request with all its attempts. Only the pipeline writes to it; stages get an ``ExchangeView``.

    Args:
        id: Ours, a UUIDv7.
        operation: What is asked for.
        surface: Which door it came through: ``in-process``, ``openai`` …
        started_at: Seconds since the epoch.
        started: Monotonic seconds.
        client_request_id: The caller's own request id, echoed and recorded, nothing more.
        client_address: The peer's address, ``""`` in process.
        client_headers: The caller's headers, lower-case names; credentials are among them, so stages get none but those
            that the view gives out.
        principal: Who asks; None until authenticated.
        request: What is asked; None until it has been read.
        router: The router addressed, None for the unified API.
        attempts: The upstream tries, oldest first, the one that has answered last.
        outcome: What was answered.
        status: The HTTP status of the answer, or the one an error stands for.
        error: Why it failed, None when it did not.
        first_content: Monotonic time of the first content, None before.
        finished: Monotonic time of the end, None before.
        disconnected: Whether the caller left before the end.
        drained: Whether the answer was read to its end after the caller had left.
        target: Where the caller sends it himself; None where the gateway decides.
        caller_key: What tells the caller's own key at a provider from others, without showing any of it; ``""`` where
            the operator's key is used.
        trace: Its place in a distributed trace; None where nobody traces.
    """

    id: str
    operation: Operation
    surface: str
    started_at: float
    started: float
    client_request_id: str | None = None
    client_address: str = ""
    client_headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    principal: Principal | None = None
    request: GatewayRequest | None = None
    router: str | None = None
    attempts: list[Attempt] = attrs.field(factory=list)
    outcome: Outcome = attrs.field(factory=Outcome)
    status: int | None = None
    error: GatewayError | None = None
    first_content: float | None = None
    finished: float | None = None
    disconnected: bool = False
    drained: bool = False
    caller_key: str = ""
    target: Target | None = None
    trace: TraceContext | None = None
    _notes: dict[str, dict[str, Any]] = attrs.field(factory=dict, init=False)

    @property
    def cost_nano(self) -> int | None:
        """What all attempts together cost, in nano-USD; None while one runs, or where what it cost is not known."""
        total = 0
        for attempt in self.attempts:
            if attempt.cost_nano is None:
                return None
            total += attempt.cost_nano
        return total

    def notes(self, stage: str) -> dict[str, Any]:
        """The notes of one stage, kept for the length of the exchange."""
        return self._notes.setdefault(stage, {})

    def noted_metadata(self) -> dict[str, str]:
        """What stages want in the record: the ``metadata`` mapping of each one's notes."""
        return {
            f"{stage}.{name}": str(value)
            for stage, notes in self._notes.items()
            for name, value in notes.get("metadata", {}).items()
        }

    def noted_headers(self) -> dict[str, str]:
        """What stages want the caller to be told: the ``headers`` mapping of each one's notes, lower-case names."""
        return {name: str(value) for notes in self._notes.values() for name, value in notes.get("headers", {}).items()}


class ExchangeView:
    """What a stage sees of an Exchange: everything, read-only, and a place for its own notes."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    @property
    def id(self) -> str:
        """Our id of the exchange."""
        return self._exchange.id

    @property
    def operation(self) -> Operation:
        """What is asked for."""
        return self._exchange.operation

    @property
    def surface(self) -> str:
        """Which door it came through."""
        return self._exchange.surface

    @property
    def principal(self) -> Principal:
        """Who asks."""
        principal = self._exchange.principal
        assert principal is not None, "stages run after authentication"
        return principal

    @property
    def request(self) -> GatewayRequest:
        """What is asked, with every edit so far."""
        request = self._exchange.request
        assert request is not None, "stages run after the request has been read"
        return request

    @property
    def router(self) -> str | None:
        """The router addressed, None for the unified API."""
        return self._exchange.router

    @property
    def target(self) -> Target | None:
        """Where the caller sends it himself; None where the gateway decides."""
        return self._exchange.target

    @property
    def caller_key(self) -> str:
        """What tells the caller's own key at a provider from others; ``""`` where the operator's key is used."""
        return self._exchange.caller_key

    @property
    def client_address(self) -> str:
        """The peer's address, ``""`` in process."""
        return self._exchange.client_address

    def control(self, name: str) -> str | None:
        """A header by which the caller tells the gateway what to do; None where it is absent.

        Args:
            name: ``cache-control``, or a name that begins with ``helicone-`` or ``llmgate-``; lower case.

        Raises:
            ValueError: it is another header's name; those may carry credentials.
        """
        if name == _NO_CONTROL or not (name == "cache-control" or name.startswith(_CONTROL_PREFIXES)):
            raise ValueError(f"{name!r} is no header that is meant for the gateway's stages")
        return self._exchange.client_headers.get(name)

    @property
    def controls(self) -> Mapping[str, str]:
        """The headers by which the caller tells the gateway what to do, by lower-case name; see ``control``."""
        return {
            name: value
            for name, value in self._exchange.client_headers.items()
            if name == "cache-control" or (name.startswith(_CONTROL_PREFIXES) and name != _NO_CONTROL)
        }

    @property
    def client_headers(self) -> Mapping[str, str]:
        """The request's headers by lower-case name, those that carry credentials left out; none in process."""
        return {name: value for name, value in self._exchange.client_headers.items() if name not in _CREDENTIALS}

    @property
    def started_at(self) -> float:
        """When it began, in seconds since the epoch."""
        return self._exchange.started_at

    @property
    def started(self) -> float:
        """When it began, in monotonic seconds."""
        return self._exchange.started

    @property
    def attempts(self) -> Sequence[Attempt]:
        """The upstream tries so far, oldest first."""
        return tuple(self._exchange.attempts)

    @property
    def outcome(self) -> Outcome:
        """A copy of what has been seen of the answer."""
        return attrs.evolve(self._exchange.outcome)

    @property
    def status(self) -> int | None:
        """The HTTP status of the answer, None before the end."""
        return self._exchange.status

    @property
    def error(self) -> GatewayError | None:
        """Why it failed, None when it did not."""
        return self._exchange.error

    @property
    def disconnected(self) -> bool:
        """Whether the caller left before the end."""
        return self._exchange.disconnected

    @property
    def cost_nano(self) -> int | None:
        """What all attempts together cost, in nano-USD; None while one runs, or where what it cost is not known."""
        return self._exchange.cost_nano

    def notes(self, stage: str) -> dict[str, Any]:
        """The notes of the stage of that name, kept for the length of the exchange.

        Two of them are read by others: ``metadata``, a mapping that goes into the record, and ``headers``, a mapping of
        lower-case names that goes into the headers of the answer.
        """
        return self._exchange.notes(stage)


@attrs.frozen
class AttemptRecord:
    """One upstream try as loggers see it; durations in seconds from the start of the exchange.

    ``lost`` says that the request went out and no whole answer came back: the provider may have worked on it.
    ``cost_nano`` is what it cost in nano-USD, None where that is not known; ``service_tier`` is the provider's word.
    ``vendor`` is the provider as the catalogue calls it, ``span_id`` its span in the exchange's trace.
    """

    deployment: str
    provider_name: str
    model: str
    started: float
    duration: float | None
    first_content: float | None
    status: int | None
    error_code: str | None
    error_message: str | None
    usage: Usage | None
    provider_request_id: str | None
    credential_ref: str | None
    credential_version: str
    credential_fingerprint: str
    abandoned: bool
    lost: bool = False
    cost_nano: int | None = None
    service_tier: str | None = None
    vendor: str = ""
    span_id: str = ""


@attrs.frozen
class Record:
    """The frozen account of a settled Exchange that loggers receive; one for every exchange, refused ones too.

    Args:
        id: Our id of the exchange.
        operation: What was asked for.
        surface: Which door it came through.
        started_at: Seconds since the epoch.
        duration: Seconds from start to end.
        first_content: Seconds from start to first content, None when none came.
        outcome: ``ok``, ``error``, ``incomplete`` (the answer was cut), ``cancelled`` (the caller left, and the
            answer was given up) or ``disconnected`` (the caller left, and the answer was read to its end).
        status: The HTTP status answered.
        error_code: The stable word of the error, None when there was none.
        error_message: What the caller was told; for a 401 the true reason.
        principal: Who asked, None when nobody was authenticated.
        principal_issuer: Which auth provider vouched for it.
        client_address: The peer's address.
        client_request_id: The caller's own request id.
        router: The router addressed.
        request_model: The model asked for.
        stream: Whether a stream was asked for.
        provider_name: Who answered, None when nobody did.
        response_model: The model that answered, as the provider names it.
        response_id: The provider's id of the answer.
        finish_reason: Why the model stopped.
        usage: Tokens.
        attempts: The upstream tries.
        metadata: The caller's labels, those that stages added to the request, and what they left under ``metadata`` in
            their notes (as ``stage.name``).
        cost_nano: What all attempts together cost, in nano-USD; None where that is not known.
        trace: The place in a distributed trace, None where nobody traces.
    """

    id: str
    operation: str
    surface: str
    started_at: float
    duration: float
    first_content: float | None
    outcome: str
    status: int | None
    error_code: str | None
    error_message: str | None
    principal: str | None
    principal_issuer: str | None
    client_address: str
    client_request_id: str | None
    router: str | None
    request_model: str | None
    stream: bool
    provider_name: str | None
    response_model: str | None
    response_id: str | None
    finish_reason: str | None
    usage: Usage | None
    attempts: Sequence[AttemptRecord]
    metadata: Mapping[str, str]
    cost_nano: int | None = None

    @property
    def cost_usd(self) -> str | None:
        """What all attempts together cost, in USD with nine decimals; None where that is not known."""
        return None if self.cost_nano is None else usd(self.cost_nano)

    trace: TraceContext | None = None

    def as_json(self) -> dict[str, Any]:
        """The record as plain JSON values, ``cost_usd`` among them."""
        return {**attrs.asdict(self), "cost_usd": self.cost_usd}
