"""One request with everything that happened to it: the Exchange, and its view for stages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from .deployments import Deployment
from .errors import GatewayError
from .identity import Principal
from .operations import Operation
from .records import RecordContent, StageTrace
from .requests import GatewayRequest
from .responses import Outcome
from .targets import Target
from .tracing import TraceContext
from .usage import Usage

__all__ = ["MAX_STEPS", "Attempt", "Exchange", "ExchangeView"]

_CREDENTIALS: Final = frozenset(
    {"api-key", "authorization", "cookie", "helicone-auth", "proxy-authorization", "x-api-key", "x-goog-api-key"}
)
"""Headers that no stage but an auth provider needs to see."""
_CONTROL_PREFIXES: Final = ("helicone-", "llmgate-")
_CONTROLS: Final = (*_CONTROL_PREFIXES, "cache-control")
_NO_CONTROL: Final = "helicone-auth"
MAX_STEPS: Final = 256
"""Steps that one exchange keeps."""

Repeater: TypeAlias = Callable[[str, Mapping[str, Any], Callable[[], Awaitable[None]]], bool]
"""Sends a request again; the arguments are those of ``ExchangeView.repeat``."""


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
        dropped_params: What the provider's wire format could not say of the request, as the caller writes it, and what
            the caller's could not say of the answer, as ``answer.NAME``.
        cost_nano: What it cost in nano-USD, once it has ended; None where that is not known, or nobody reckons it.
        cost_estimated: Whether that is estimated: the answer was cut, or never came.
        estimated_usage: What it is taken to have used then; None where it told, or nobody knows.
        received: Bytes of a streamed answer that have come.
        events: Events among them, nearly.
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
    cost_estimated: bool = False
    estimated_usage: Usage | None = None
    received: int = 0
    events: int = 0
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
        content: What was asked and answered, once it is over and where that is kept.
        steps: The steps on its way so far, None where nobody wants them measured.
        repeater: Sends its request again in the background; None where it cannot be sent again.
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
    content: RecordContent | None = attrs.field(default=None, repr=False)
    steps: list[StageTrace] | None = None
    repeater: Repeater | None = attrs.field(default=None, repr=False)
    _notes: dict[str, dict[str, Any]] = attrs.field(factory=dict, init=False)
    _controls: Mapping[str, str] | None = attrs.field(default=None, init=False, repr=False)

    @property
    def cost_nano(self) -> int | None:
        """What all attempts together cost, in nano-USD; None while one runs, or where what it cost is not known."""
        total = 0
        for attempt in self.attempts:
            if attempt.cost_nano is None:
                return None
            total += attempt.cost_nano
        return total

    def controls(self) -> Mapping[str, str]:
        """The headers by which the caller tells the gateway what to do, by lower-case name; picked out once."""
        if self._controls is None:
            self._controls = {
                name: value
                for name, value in self.client_headers.items()
                if name.startswith(_CONTROLS) and name != _NO_CONTROL and (name[0] != "c" or name == "cache-control")
            }
        return self._controls

    @property
    def cost_estimated(self) -> bool:
        """Whether some of that is estimated."""
        return any(attempt.cost_estimated for attempt in self.attempts)

    def step(self, stage: str, verdict: str, seconds: float) -> None:
        """Note one step on its way, where somebody wants them measured."""
        if self.steps is not None and len(self.steps) < MAX_STEPS:
            self.steps.append(StageTrace(stage, verdict, round(seconds * 1e6)))

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

    def noted_verdict(self, what: str) -> str | None:
        """What a stage has found, for the record: ``what`` of its notes' ``verdicts``, of the last that says any."""
        found = None
        for notes in self._notes.values():
            found = notes.get("verdicts", {}).get(what, found)
        return None if found is None else str(found)

    def noted_headers(self) -> dict[str, str]:
        """What stages want the caller to be told: the ``headers`` mapping of each one's notes, lower-case names."""
        told: dict[str, Any] = {}
        for notes in self._notes.values():
            if "headers" in notes:
                told.update(notes["headers"].items())
        return dict(zip(told, map(str, told.values()), strict=True))


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
        return self._exchange.controls()

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

    @property
    def can_repeat(self) -> bool:
        """Whether ``repeat`` may be called: the interceptor ``repeats``, and this is no repeat itself."""
        return self._exchange.repeater is not None

    def repeat(self, stage: str, notes: Mapping[str, Any], done: Callable[[], Awaitable[None]]) -> bool:
        """Have the request sent again in the background, as an exchange of its own from the same caller.

        It goes through authentication's result, every interceptor, routing and the record like any other, as the caller
        sent it; nobody waits for its answer, which passes by the interceptors to its end.

        Args:
            stage: The name of the stage that asks.
            notes: What that stage's notes of the new exchange begin with.
            done: Called when it is over, however it went: a stage before this one may have refused it.

        Returns:
            Whether it has begun; where not, because too many run or the gateway stops, ``done`` is not called.
        """
        repeater = self._exchange.repeater
        return repeater is not None and repeater(stage, notes, done)

    def notes(self, stage: str) -> dict[str, Any]:
        """The notes of the stage of that name, kept for the length of the exchange.

        Three of them are read by others: ``metadata``, a mapping that goes into the record, ``headers``, a mapping of
        lower-case names that goes into the headers of the answer, and ``verdicts``, where ``cache`` and ``limit`` are
        the words that the record has for what a cache and a limit have said.
        """
        notes = self._exchange._notes  # noqa: SLF001 - it is a view of it
        return notes[stage] if stage in notes else self._exchange.notes(stage)
