"""Where applications tell of calls that they made directly, without the gateway in between."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.routing import Route

from llmgate.codecs.jsons import dumps
from llmgate.host.calls import Call
from llmgate.host.endpoints import Endpoint
from llmgate.host.objects import read_object
from llmgate.pipeline.ids import new_id
from llmgate.pipeline.logged_calls import LoggedCall, RecentCalls, record_call, record_id_of
from llmgate.spec import InvalidRequestError, Operation, PermissionDeniedError

__all__ = ["Intake", "permit", "read_call", "routes"]

SURFACE: Final = "log"
_CALL: Final = 'an object with "providerRequest" and "providerResponse"'
_ID: Final = "helicone-request-id"
_LONGEST_ID: Final = 128
_LONGEST_WORD: Final = 4096
_MOST_WORDS: Final = 200
_OLDEST: Final = 90 * 86400.0
_AHEAD: Final = 300.0
_STREAM: Final = "text/event-stream"
_FIELDS: Final = ("data:", "event:", "id:", "retry:", ":")
"""What a stream of events can begin with; some vendors begin with a comment."""


def routes() -> Sequence[Route]:
    """The routes of this surface."""
    intake = Endpoint(("POST",), Intake().log)
    return [Route("/v1/log/request", intake, name="log_request"), Route("/custom/v1/log", intake, name="custom_log")]


class Intake:
    """Takes what applications tell, each call once."""

    def __init__(self) -> None:
        self._recent = RecentCalls()

    async def log(self, call: Call) -> None:
        """Record one call."""
        async with call.exchange(Operation.RECORDS, SURFACE) as exchange:
            with call:
                permit(exchange.snapshot.config.records.ingest)
                logged = read_call(await read_object(call, _CALL), exchange.clock.now())
                record_id = (
                    record_id_of(exchange.view.principal, logged.call_id)
                    if logged.call_id
                    else new_id(exchange.clock.now())
                )
                kept = self._recent.add(record_id)
                if kept:
                    try:
                        await record_call(exchange, logged, record_id)
                    except BaseException:
                        self._recent.forget(record_id)
                        raise
                call.rename(record_id)
                body = dumps({"id": record_id, "kept": kept})
                await call.reply.whole(200, call.answer_headers(), body)


def permit(ingest: bool) -> None:
    """Let callers tell of calls where the operator does.

    Args:
        ingest: What ``records.ingest`` says.

    Raises:
        PermissionDeniedError: the operator does not.
    """
    if not ingest:
        raise PermissionDeniedError(
            "this gateway takes no calls that were made directly: send the call through it, or have the operator write "
            "records.ingest: true",
            code="ingest_off",
        )


def read_call(body: Mapping[str, Any], now: float) -> LoggedCall:
    """The call that a body tells, in the shape of Helicone's manual log.

    Args:
        body: ``providerRequest`` with ``url``, ``json`` and ``meta``; ``providerResponse`` with ``status`` and ``json``
            or ``textBody``; ``timing`` with ``startTime``, ``endTime`` and ``timeToFirstToken``.
        now: Seconds since the epoch.

    Raises:
        InvalidRequestError: naming the field that is wrong.
    """
    asked, answered = _part(body, "providerRequest"), _part(body, "providerResponse")
    sent = asked.get("json")
    if not isinstance(sent, Mapping):
        raise _wrong("providerRequest.json", "write the body of the request, an object")
    words = _words(asked.get("meta"))
    call_id = words.pop(_ID, "")
    if len(call_id) > _LONGEST_ID:
        raise _wrong("providerRequest.meta.Helicone-Request-Id", f"write {_LONGEST_ID} characters at most")
    started_at, duration, first = _timing(body.get("timing"), now)
    media_type, response = _answer(answered)
    model = sent.get("model") or words.get("helicone-model-override")
    if not isinstance(model, str) or not model:
        raise _wrong("providerRequest.json.model", "write the name of the model")
    return LoggedCall(
        url=_text(asked.get("url", ""), "providerRequest.url"),
        provider=words.pop("helicone-target-provider", "").strip().lower(),
        model=model[:_LONGEST_WORD],
        request=dumps(sent),
        status=_status(answered.get("status", 200)),
        media_type=media_type,
        response=response,
        started_at=started_at,
        duration=duration,
        first_content=first,
        headers=words,
        call_id=call_id,
    )


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = body.get(name)
    if not isinstance(part, Mapping):
        raise _wrong(name, "it must be an object")
    return part


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_WORD:
        raise _wrong(name, f"write a text of {_LONGEST_WORD} characters at most")
    return value


def _words(meta: object) -> dict[str, str]:
    """What the caller says of a call, of which only what is meant for the gateway counts."""
    if meta is None:
        return {}
    if not isinstance(meta, Mapping) or len(meta) > _MOST_WORDS:
        raise _wrong("providerRequest.meta", f"write an object of {_MOST_WORDS} texts at most")
    found = {name.lower(): _text(value, f"providerRequest.meta.{name[:64]}") for name, value in meta.items()}
    return {name: value for name, value in found.items() if name.startswith("helicone-") and name != "helicone-auth"}


def _status(value: object) -> int:
    if type(value) is not int or not 100 <= value <= 599:
        raise _wrong("providerResponse.status", "write an HTTP status")
    return value


def _answer(answered: Mapping[str, Any]) -> tuple[str, bytes]:
    """The media type of an answer, and its bytes."""
    text = answered.get("textBody")
    if text is None:
        return "application/json", dumps(answered.get("json") or {})
    if not isinstance(text, str):
        raise _wrong("providerResponse.textBody", "write the answer as it came, a text")
    return (_STREAM if text.lstrip("\ufeff\r\n\t ").startswith(_FIELDS) else "text/plain"), text.encode(
        "utf-8", "replace"
    )


def _timing(timing: object, now: float) -> tuple[float, float, float | None]:
    """When a call began, how long it took, and how long its first content took, in seconds."""
    if timing is None:
        return now, 0.0, None
    if not isinstance(timing, Mapping):
        raise _wrong("timing", "it must be an object")
    started = _moment(timing.get("startTime"), "timing.startTime")
    ended = _moment(timing.get("endTime"), "timing.endTime")
    if not now - _OLDEST <= started <= now + _AHEAD:
        raise _wrong("timing.startTime", "write a moment of the last 90 days")
    if not 0 <= ended - started <= _OLDEST:
        raise _wrong("timing.endTime", "it is before startTime")
    first = timing.get("timeToFirstToken")
    if first is None:
        return started, ended - started, None
    if isinstance(first, bool) or not isinstance(first, int | float) or not 0 <= first / 1000 <= ended - started + 1:
        raise _wrong("timing.timeToFirstToken", "write milliseconds, no more than the call took")
    return started, ended - started, first / 1000


def _moment(value: object, name: str) -> float:
    if isinstance(value, Mapping):
        parts = [value.get("seconds"), value.get("milliseconds", 0)]
        if all(isinstance(one, int | float) and not isinstance(one, bool) and abs(one) < 1e11 for one in parts):
            moment = float(parts[0]) + float(parts[1]) / 1000
            if math.isfinite(moment):
                return moment
    raise _wrong(name, 'write {"seconds": 1700000000, "milliseconds": 0}')


def _wrong(name: str, remedy: str) -> InvalidRequestError:
    return InvalidRequestError(f"{name}: {remedy}", param=name)
