"""The record of a settled exchange: what loggers receive, and the JSON that it is written as and read from."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs

from .money import usd
from .tracing import TraceContext
from .usage import Usage

__all__ = ["ASSEMBLED", "AttemptRecord", "Content", "Record", "RecordContent", "StageTrace"]

FORMAT: Final = 1
"""The version of the JSON that records are written as; a field more does not change it."""
ASSEMBLED: Final = "assembled"
"""The ``format`` of a stream that was put together: one JSON object in canonical words."""

T = TypeVar("T", bound=attrs.AttrsInstance)


@attrs.frozen(slots=False)
class AttemptRecord:
    """One upstream try as loggers see it; durations in seconds from the start of the exchange.

    ``lost`` says that the request went out and no whole answer came back: the provider may have worked on it.
    ``cost_nano`` is what it cost in nano-USD, None where that is not known; with ``cost_estimated`` it is estimated, as
    ``usage`` then is: the answer was cut, or never came. ``service_tier`` is the provider's word.
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
    cost_estimated: bool = False


@attrs.frozen(slots=False)
class StageTrace:
    """One step on an exchange's way.

    Args:
        stage: ``auth``, the name of an interceptor, ``route``, or ``attempt`` with its deployment.
        verdict: What came of it: ``passed``, ``changed``, ``answered``, ``abandoned``, how many deployments were found,
            or the stable word of an error.
        microseconds: How long it took.
    """

    stage: str
    verdict: str
    microseconds: int


@attrs.frozen(slots=False)
class Content:
    """What was sent or answered, where recording it is on.

    Args:
        size: How many bytes it had.
        digest: The SHA-256 of those bytes as they were, 64 hex digits; ``""`` where they were not all seen.
        media_type: Its content type.
        text: What of it is kept, secrets taken out; None for what is no text, of which digest and size are kept.
        truncated: Whether the end of ``text`` is missing.
        redactions: How many values were taken out of ``text``.
        format: The wire format of ``text``, or ``assembled`` for a stream that was put together; ``""`` where it is not
            known.
    """

    size: int
    digest: str = ""
    media_type: str = "application/json"
    text: str | None = attrs.field(default=None, repr=False)
    truncated: bool = False
    redactions: int = 0
    format: str = ""


@attrs.frozen(slots=False)
class RecordContent:
    """The content of an exchange; each side None where it is not kept."""

    request: Content | None = None
    response: Content | None = None


@attrs.frozen(slots=False)
class Record:
    """The frozen account of a settled Exchange that loggers receive; one for every exchange, refused ones too.

    What callers and providers have written is bounded: control characters are taken out of it, and where the end of a
    long text is missing it ends in ``…``.

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
        properties: The caller's properties (``Helicone-Property-<Name>``) by their lower-case names.
        user: The caller's name for its end user: ``Helicone-User-Id``, else what the body says.
        session_id: Which session the exchange is part of (``Helicone-Session-Id``).
        session_path: Where in the session it stands, for example ``/plan/search``.
        session_name: What the session is called.
        prompt_id: Which prompt was used (``Helicone-Prompt-Id``).
        user_agent: What the client calls itself.
        key_id: Which of the gateway's keys the caller came with, by its public name; None for callers without one.
        team: The team of the caller, where its auth provider knows one.
        cache: What a cache said: ``hit``, ``stale`` or ``miss``; None where none was asked.
        limit: What a limit said: ``passed``, ``waited``, ``refused: ...`` and by which, or ``skipped: ...`` where it
            left a deployment out; None where none applied.
        stages: The steps on its way, where somebody wants them measured (``records.stages``).
        content: What was asked and answered, where that is kept (``records.content``).
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
    trace: TraceContext | None = None
    properties: Mapping[str, str] = attrs.field(factory=dict)
    user: str | None = None
    session_id: str | None = None
    session_path: str | None = None
    session_name: str | None = None
    prompt_id: str | None = None
    user_agent: str | None = None
    key_id: str | None = None
    team: str | None = None
    cache: str | None = None
    limit: str | None = None
    stages: Sequence[StageTrace] = ()
    content: RecordContent | None = None
    encoded: bytes | None = attrs.field(default=None, init=False, eq=False, repr=False)
    """What ``llmgate.codecs.records`` has once written the record as; it says nothing more than the others do."""

    @property
    def cost_usd(self) -> str | None:
        """What all attempts together cost, in USD with nine decimals; None where that is not known."""
        return None if self.cost_nano is None else usd(self.cost_nano)

    @property
    def cost_estimated(self) -> bool:
        """Whether some of that is estimated, since an answer was cut or never came."""
        return any(attempt.cost_estimated for attempt in self.attempts)

    @property
    def time_per_token(self) -> float | None:
        """Seconds from one token of a stream to the next; None for what was not streamed or has fewer than two."""
        if not self.stream or self.first_content is None or self.usage is None:
            return None
        tokens = self.usage.output_tokens
        return None if tokens is None or tokens < 2 else (self.duration - self.first_content) / (tokens - 1)

    def as_json(self) -> dict[str, Any]:
        """The record as plain JSON values, with ``format``, and what follows from others: cost, time per token."""
        value = _as_json(self)
        del value["encoded"]
        value["attempts"] = [_attempt_as_json(one) for one in self.attempts]
        value["metadata"] = dict(self.metadata)
        value["properties"] = dict(self.properties)
        value["usage"] = None if self.usage is None else _as_json(self.usage)
        value["trace"] = None if self.trace is None else _as_json(self.trace)
        value["stages"] = [_as_json(one) for one in self.stages]
        value["cost_usd"] = self.cost_usd
        value["cost_estimated"] = self.cost_estimated
        value["time_per_token"] = self.time_per_token
        value["format"] = FORMAT
        value["content"] = None if self.content is None else _content_as_json(self.content)
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Record:
        """The record that ``as_json`` has written; fields that a newer writer has added are left out.

        Args:
            value: The JSON object.

        Raises:
            ValueError: it is none, lacks a field, or one has the wrong type; the message names it.
        """
        version = value.get("format", FORMAT)
        if type(version) is not int or version < 1:
            raise ValueError(f"format: {version!r} is no version of a record")
        if version > FORMAT:
            raise ValueError(f"format: version {version} is newer than this llmgate, which reads {FORMAT}: upgrade it")
        return _read(cls, value, "")


_PARTS: Final[Mapping[str, type[Any]]] = {
    "Usage | None": Usage,
    "TraceContext | None": TraceContext,
    "RecordContent | None": RecordContent,
    "Content | None": Content,
    "Sequence[AttemptRecord]": AttemptRecord,
    "Sequence[StageTrace]": StageTrace,
}
_SCALARS: Final[Mapping[str, tuple[type[Any], ...]]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "str | None": (str, types.NoneType),
    "int | None": (int, types.NoneType),
    "float | None": (float, int, types.NoneType),
}


def _as_json(value: Any) -> dict[str, Any]:
    """A part of a record as plain JSON: its attributes by their names, in their order."""
    return dict(vars(value))  # such values keep them in a dict: ``attrs.asdict`` takes forty times as long


def _attempt_as_json(attempt: AttemptRecord) -> dict[str, Any]:
    return {**vars(attempt), "usage": None if attempt.usage is None else _as_json(attempt.usage)}


def _content_as_json(content: RecordContent) -> dict[str, Any]:
    return {side: None if one is None else _as_json(one) for side, one in vars(content).items()}


def _read(cls: type[T], value: object, path: str) -> T:
    if not isinstance(value, Mapping):
        raise ValueError(f"{path or 'a record'}: must be an object, not {type(value).__name__}")  # noqa: TRY004 - one kind of error whatever is wrong
    known: dict[str, Any] = {}
    for field in attrs.fields(cls):
        if not field.init:
            continue
        where = f"{path}.{field.name}" if path else field.name
        if field.name in value:
            known[field.name] = _field(str(field.type), value[field.name], where)
        elif field.default is attrs.NOTHING:
            raise ValueError(f"{where}: is missing")
    return cls(**known)


def _field(declared: str, value: Any, path: str) -> Any:
    scalars = _SCALARS.get(declared)
    if scalars is not None:
        if type(value) not in scalars:
            raise ValueError(f"{path}: must be {declared}, not {type(value).__name__}")
        return _as_float(value, path) if type(value) is int and float in scalars else value
    part = _PARTS.get(declared)
    if part is None:
        return _texts(value, path)
    if declared.endswith("| None"):
        return None if value is None else _read(part, value, path)
    if not isinstance(value, list | tuple):
        raise ValueError(f"{path}: must be a list, not {type(value).__name__}")  # noqa: TRY004 - as above
    return tuple(_read(part, one, f"{path}[{index}]") for index, one in enumerate(value))


def _as_float(value: int, path: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{path}: is too large a number") from None


def _texts(value: Any, path: str) -> Mapping[str, str]:
    if not isinstance(value, Mapping) or not all(type(one) is str for pair in value.items() for one in pair):
        raise ValueError(f"{path}: must be an object of texts")
    return dict(value)
