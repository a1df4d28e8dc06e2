"""Parts of contents: text, thoughts, media, calls and their results, and what only this format knows.

Source: Gemini API reference, "Part", "FunctionCall", "FunctionResponse". A signature may stand on any part; it is kept
as ``thought_signatures`` says, and the signature of another vendor's thought goes to clients sealed, since their own
libraries read the field as base64 and write it in another alphabet.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.formats.fields import as_object, as_text, optional, rest
from llmgate.formats.thought_signatures import EXTRA, signature_in, signed
from llmgate.spec import (
    Blob,
    FileRef,
    InvalidRequestError,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolCallResponse,
    Unknown,
    Uri,
)

from .keys import FORMAT, as_camel, as_items

__all__ = [
    "SEALED",
    "WHOLE",
    "call_input",
    "decode_part",
    "decode_parts",
    "encode_part",
    "encode_result",
    "modality_of",
]

INVALID_ARGUMENTS: Final = "INVALID_JSON"
"""The only member of the input of a call whose arguments are no JSON object: its value is what the model wrote."""

WHOLE: Final = "whole_thought"
"""In the ``extra`` of the last piece of a streamed thought: all of its text, which the signature is for."""

_SEAL: Final = b"llmgate:thought:"
SEALED: Final = base64.b64encode(_SEAL[: len(_SEAL) // 3 * 3])
"""What the base64 of every sealed signature begins with."""

_SIGNATURE: Final = "thoughtSignature"
_PART: Final = frozenset({"thought", _SIGNATURE, EXTRA})
_WRAPPERS: Final = ("output", "result")
_KEPT_BY_GOOGLE: Final = re.compile(r"gs://|https://[\w.-]*\.?googleapis\.com/(?:[\w.]+/)?files/", re.ASCII)
_STANDARD: Final = str.maketrans("-_", "+/")


def decode_parts(value: Any, path: str) -> tuple[Part, ...]:
    """The parts of a content.

    Raises:
        ShapeError: naming the part that is none.
    """
    return tuple(decode_part(one, place) for one, place in as_items(value, path))


def decode_part(value: Any, path: str) -> Part:
    """A part; fields without a canonical place, such as ``videoMetadata``, are kept in its ``extra``.

    A call without an id has the id ``""``, and a result the name of its function in ``extra``: who reads the whole
    conversation says which belong together.

    Raises:
        ShapeError: it is not a part.
    """
    source = as_camel(value, path)
    signature = optional(source, _SIGNATURE, as_text, path)
    if source.get("functionCall") is not None:
        return _decode_call(source, signature, path)
    if source.get("functionResponse") is not None:
        return _decode_result(source, path)
    if source.get("inlineData") is not None or source.get("fileData") is not None:
        return _decode_media(source, signature, path)
    if source.keys() - _PART - {"text", "partMetadata"} and source.get("text") is None:
        return Unknown(FORMAT, source)
    text = optional(source, "text", as_text, path) or ""
    extra = rest(source, _PART | {"text"})
    if source.get("thought") is True:
        return _opened(text, signature) or Reasoning(text, extra={**extra, **signed(signature)})
    return Text(text, extra={**extra, **signed(signature)})


def encode_part(part: Part, *, own: bool = True) -> dict[str, Any]:
    """A part other than a result.

    Args:
        part: The part.
        own: Whether its ``extra`` belongs to this format and may be written.

    Raises:
        InvalidRequestError: the format has nothing that says the same.
    """
    match part:
        case Text() | Refusal():
            value: dict[str, Any] = {"text": part.text}
        case Reasoning():
            value = {"text": part.text, "thought": True, **_sealed(part)}
        case ToolCall():
            call: dict[str, Any] = {"name": part.name, "args": call_input(part.arguments)}
            value = {"functionCall": {"id": part.id, **call} if part.id else call}
        case Blob():
            value = {"inlineData": {"mimeType": part.media_type, "data": part.data}}
        case Uri() | FileRef():
            value = {"fileData": _file(part)}
        case Unknown(format=name) if name == FORMAT:
            return dict(part.value)
        case _:
            kind = f"a part of {part.format}" if isinstance(part, Unknown) else type(part).__name__
            raise InvalidRequestError(
                f"messages hold {kind}, which has no counterpart in {FORMAT}: leave it out or choose another model",
                param="messages",
                code="unsupported_content",
            )
    extra = getattr(part, "extra", {})
    signature = signature_in(extra)
    if signature is not None:
        value[_SIGNATURE] = signature
    return _merged(value, rest(extra, frozenset({EXTRA, "mimeType"}))) if own and extra else value


def encode_result(part: ToolCallResponse, name: str, call_id: str, *, media: bool, own: bool = True) -> dict[str, Any]:
    """The result of a call.

    Args:
        part: The result.
        name: The function that was called.
        call_id: The call's id; ``""`` for none.
        media: Whether pictures and documents in it are written with it.
        own: Whether its ``extra`` belongs to this format and may be written.
    """
    texts = [one.text for one in part.content if isinstance(one, Text | Refusal)]
    value: dict[str, Any] = {"name": name, "response": _response(texts, part)}
    if call_id:
        value = {"id": call_id, **value}
    others = [one for one in part.content if not isinstance(one, Text | Refusal)]
    if media and others:
        value["parts"] = [encode_part(one, own=own) for one in others]
    if own:
        value = {**rest(part.extra, frozenset({"name", "key", "part"})), **value}
        return {**_mapping(part.extra, "part"), "functionResponse": value}
    return {"functionResponse": value}


def call_input(arguments: str) -> dict[str, Any]:
    """The input of a call; arguments that are no JSON object are wrapped, so that a conversation with one goes on."""
    if not arguments.strip():
        return {}
    try:
        value = loads(arguments.encode("utf-8", "replace"))
    except JSONError:
        return {INVALID_ARGUMENTS: arguments}
    return value if isinstance(value, dict) else {INVALID_ARGUMENTS: arguments}


def modality_of(media_type: str) -> str:
    """What kind of media a type is of."""
    kind = media_type.partition("/")[0].lower()
    return kind if kind in ("image", "audio", "video") else "document"


def _decode_call(source: dict[str, Any], signature: str | None, path: str) -> ToolCall:
    path = f"{path}.functionCall"
    call = as_camel(source["functionCall"], path)
    given = call.get("args")
    more = rest(call, frozenset({"id", "name", "args"}))
    extra = {**rest(source, _PART | {"functionCall"}), **signed(signature)}
    return ToolCall(
        id=optional(call, "id", as_text, path) or "",
        name=optional(call, "name", as_text, path) or "",
        arguments=dumps({} if given is None else as_object(given, f"{path}.args")).decode(),
        extra={**extra, "functionCall": more} if more else extra,
    )


def _decode_result(source: dict[str, Any], path: str) -> ToolCallResponse:
    path = f"{path}.functionResponse"
    result = as_camel(source["functionResponse"], path)
    name = as_text(result.get("name"), f"{path}.name")
    content, extra, is_error = _decode_response(optional(result, "response", as_object, path) or {})
    beside = rest(source, _PART | {"functionResponse"})
    return ToolCallResponse(
        id=optional(result, "id", as_text, path) or "",
        content=(*content, *decode_parts(result.get("parts"), f"{path}.parts")),
        is_error=is_error,
        extra={
            **rest(result, frozenset({"id", "name", "response", "parts"})),
            **extra,
            **({"part": beside} if beside else {}),
            "name": name,
        },
    )


def _decode_response(response: dict[str, Any]) -> tuple[Sequence[Part], dict[str, Any], bool]:
    """What a function said, how it was wrapped, and whether it failed."""
    if response.keys() == {"error"}:
        said = response["error"]
        return (Text(said if isinstance(said, str) else dumps(said).decode()),), {}, True
    if len(response) == 1:
        ((key, said),) = response.items()
        if key in _WRAPPERS and isinstance(said, str):
            return (Text(said),), {} if key == _WRAPPERS[0] else {"key": key}, False
    return (Text(dumps(response).decode()),) if response else (), {}, False


def _response(texts: Sequence[str], part: ToolCallResponse) -> dict[str, Any]:
    said = "\n".join(texts)
    if part.is_error:
        return {"error": said}
    if not texts:
        return {}
    if said.lstrip().startswith("{"):
        try:
            value = loads(said.encode("utf-8", "replace"))
        except JSONError:
            value = None
        if isinstance(value, dict):
            return value
    key = part.extra.get("key")
    return {key if key in _WRAPPERS else _WRAPPERS[0]: said}


def _decode_media(source: dict[str, Any], signature: str | None, path: str) -> Part:
    name = "inlineData" if source.get("inlineData") is not None else "fileData"
    inner = as_camel(source[name], f"{path}.{name}")
    kind = optional(inner, "mimeType", as_text, f"{path}.{name}")
    extra = {**rest(source, _PART | {name}), **signed(signature)}
    more = rest(inner, frozenset({"mimeType", "data", "fileUri"}))
    extra |= {name: more} if more else {}
    if source.get("thought") is True:
        extra["thought"] = True
    if name == "inlineData":
        data = as_text(inner.get("data"), f"{path}.{name}.data")
        kind = as_text(kind, f"{path}.{name}.mimeType")
        return Blob(modality_of(kind), kind, _standard(data), extra=extra)
    uri = as_text(inner.get("fileUri"), f"{path}.{name}.fileUri")
    if _KEPT_BY_GOOGLE.match(uri):
        return FileRef(modality_of(kind or ""), uri, extra={**extra, "mimeType": kind} if kind else extra)
    return Uri(modality_of(kind) if kind else "image", uri, kind, extra=extra)


def _standard(data: str) -> str:
    """Base64 in the alphabet that every format takes: Google takes both, and its own libraries send the other one."""
    if "-" in data or "_" in data:
        data = data.translate(_STANDARD)
    return data if len(data) % 4 == 0 else data + "=" * (-len(data) % 4)


def _file(part: Uri | FileRef) -> dict[str, Any]:
    if isinstance(part, FileRef):
        kind = part.extra.get("mimeType")
        return {"mimeType": kind, "fileUri": part.file_id} if isinstance(kind, str) else {"fileUri": part.file_id}
    return {"fileUri": part.uri} if part.media_type is None else {"mimeType": part.media_type, "fileUri": part.uri}


def _sealed(part: Reasoning) -> dict[str, Any]:
    """Another vendor's signature, or its whole hidden thought, in a form that comes back as it was."""
    kept: dict[str, Any] = {"signature": part.signature}
    if part.extra.get("type") == "redacted_thinking":
        kept["extra"] = dict(part.extra)
    elif not part.signature:
        return {}
    if isinstance(part.extra.get(WHOLE), str):
        kept["text"] = part.extra[WHOLE]
    return {_SIGNATURE: base64.b64encode(_SEAL + dumps(kept)).decode("ascii")}


def _opened(text: str, signature: str | None) -> Reasoning | None:
    """The thought of another vendor whose signature was sealed; None for one of Gemini's own."""
    if signature is None:
        return None
    try:
        data = base64.b64decode(_standard(signature), validate=True)
        kept = loads(data.removeprefix(_SEAL)) if data.startswith(_SEAL) else None
    except (binascii.Error, ValueError):
        return None
    if not isinstance(kept, dict):
        return None
    proof, whole = kept.get("signature"), kept.get("text")
    return Reasoning(
        whole if isinstance(whole, str) else text,
        proof if isinstance(proof, str) else None,
        extra=_mapping(kept, "extra"),
    )


def _mapping(source: Mapping[str, Any], name: str) -> dict[str, Any]:
    inner = source.get(name)
    return dict(inner) if isinstance(inner, Mapping) else {}


def _merged(value: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    """The part with what its ``extra`` adds to it and to the object inside it."""
    result = dict(value)
    for name, one in extra.items():
        if name not in result:
            result[name] = one
        elif isinstance(result[name], dict) and isinstance(one, dict):
            result[name] = {**one, **result[name]}
    return result
