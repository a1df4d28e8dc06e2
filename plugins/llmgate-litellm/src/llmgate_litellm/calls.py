"""What litellm is called with.

Of a request's body only what OpenAI documents goes on: litellm takes arguments that say where a request goes, whose key
it carries and what is run beside it, and none of them is a client's to choose.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from llmgate.codecs.jsons import JSONError, loads, top
from llmgate.spec import InvalidRequestError

__all__ = ["arguments_of"]

_CHAT: Final = frozenset({
    "messages", "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
    "max_completion_tokens", "max_tokens", "modalities", "n", "parallel_tool_calls", "prediction", "presence_penalty",
    "prompt_cache_key", "reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier", "stop",
    "store", "stream", "stream_options", "temperature", "thinking", "tool_choice", "tools", "top_k", "top_logprobs",
    "top_p", "user", "verbosity", "web_search_options",
})  # fmt: skip
_EMBEDDINGS: Final = frozenset({"input", "dimensions", "encoding_format", "user"})
_ADDRESS: Final = ("http://", "https://")
_DEEPEST: Final = 8


def arguments_of(path: str, body: bytes, *, media_urls: bool) -> dict[str, Any]:
    """The arguments that a request's body stands for.

    Args:
        path: Where the request goes, which says what it is.
        body: The body, in OpenAI's format.
        media_urls: Whether pictures and documents may be given by their address.

    Raises:
        InvalidRequestError: something in it is not passed on; the message names it.
    """
    try:
        top(body)
        value = loads(body)
    except JSONError as error:
        raise InvalidRequestError(f"the request body is refused: {error}", code="invalid_json") from None
    allowed = _EMBEDDINGS if path.endswith("/embeddings") else _CHAT
    for name in value:
        if name != "model" and name not in allowed:
            raise InvalidRequestError(
                f"{name} is not passed on to vendors that are reached by way of litellm: take it out",
                param=name,
                code="unsupported_parameter",
            )
    if not media_urls:
        _refuse_addresses(value.get("messages"))
    return {name: one for name, one in value.items() if name != "model" and one is not None}


def _refuse_addresses(messages: Any) -> None:
    """Refuse media by address: litellm would load it from inside the operator's network."""
    for index, message in enumerate(messages if isinstance(messages, list) else ()):
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and part.get("type") != "text" and any(_addresses(part, _DEEPEST)):
                raise InvalidRequestError(
                    f"messages[{index}] gives media by its address: send it as data (the operator may set media-urls)",
                    param=f"messages[{index}]",
                    code="unsupported_content",
                )


def _addresses(value: Any, depth: int) -> Iterator[bool]:
    """For every text in a value, whether it is an address; what is nested too deeply counts as one."""
    match value:
        case str():
            yield value.strip().lower().startswith(_ADDRESS)
        case dict() | list() if depth == 0:
            yield True
        case dict():
            for one in value.values():
                yield from _addresses(one, depth - 1)
        case list():
            for one in value:
                yield from _addresses(one, depth - 1)
