"""One call that an application made directly, and how it is told to a gateway."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs

from llmgate.codecs.jsons import JSONError, dumps_plain, loads
from llmgate.spec import Controls

__all__ = ["Body", "DirectCall", "written"]

Body: TypeAlias = "Mapping[str, Any] | str | bytes"
"""What was sent or came: the object, or its text. Of a stream, its events as they came."""


def _new_id() -> str:
    return str(uuid.uuid4())


@attrs.frozen(kw_only=True)
class DirectCall:
    """One finished call.

    Args:
        url: Where it went; its host says which provider it was, its path the wire format.
        request: What was asked, with the name of the model.
        response: What was answered, or the events of a stream.
        started_at: Seconds since the epoch.
        ended_at: Seconds since the epoch.
        first_content: Seconds until its first content; None where that is not known.
        status: The HTTP status of the answer.
        provider: The provider by its name, where the address does not say.
        user: For whom it was asked.
        session_id: Its session.
        session_path: Where in the session it is.
        session_name: What the session is called.
        prompt_id: Which prompt it uses.
        properties: Labels of the record.
        omit_request: Whether no record keeps what was asked.
        omit_response: Whether no record keeps what was answered.
        call_id: By what it is recorded once, however often it is told; 128 characters at most.
    """

    url: str
    request: Body = attrs.field(repr=False)
    response: Body = attrs.field(default=b"", repr=False)
    started_at: float
    ended_at: float
    first_content: float | None = None
    status: int = 200
    provider: str = ""
    user: str | None = None
    session_id: str | None = None
    session_path: str | None = None
    session_name: str | None = None
    prompt_id: str | None = None
    properties: Mapping[str, str] = attrs.field(factory=dict)
    omit_request: bool = False
    omit_response: bool = False
    call_id: str = attrs.field(factory=_new_id)


def written(call: DirectCall) -> bytes:
    """The body by which a call is told.

    Raises:
        JSONError: it holds what JSON has not.
        TypeError: a field is of another kind.
        ValueError: a time is none.
    """
    request = call.request if isinstance(call.request, Mapping) else loads(_bytes(call.request))
    timing: dict[str, Any] = {"startTime": _moment(call.started_at), "endTime": _moment(call.ended_at)}
    if call.first_content is not None:
        timing["timeToFirstToken"] = round(call.first_content * 1000)
    return dumps_plain(
        {
            "providerRequest": {"url": call.url, "json": request, "meta": _words(call)},
            "providerResponse": {"status": call.status, **_answer(call.response)},
            "timing": timing,
        }
    )


def _words(call: DirectCall) -> dict[str, str]:
    said = Controls(
        user=call.user,
        session_id=call.session_id,
        session_path=call.session_path,
        session_name=call.session_name,
        prompt_id=call.prompt_id,
        properties=call.properties,
        omit_request=call.omit_request or None,
        omit_response=call.omit_response or None,
    ).headers()
    said["helicone-request-id"] = call.call_id
    if call.provider:
        said["helicone-target-provider"] = call.provider
    return said


def _answer(response: Body) -> dict[str, Any]:
    if isinstance(response, Mapping):
        return {"json": response}
    raw = _bytes(response)
    try:
        whole = loads(raw)
    except JSONError:
        return {"textBody": raw.decode("utf-8", "replace")}
    return {"json": whole} if isinstance(whole, dict) else {"textBody": raw.decode("utf-8", "replace")}


def _bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "replace") if isinstance(text, str) else text


def _moment(seconds: float) -> dict[str, int]:
    if not math.isfinite(seconds):
        raise ValueError(f"{seconds} is no time: write seconds since the epoch, as time.time() gives them")
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return {"seconds": whole, "milliseconds": milliseconds}
