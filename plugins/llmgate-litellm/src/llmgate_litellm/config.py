"""What the configuration may say: each field is a key, in kebab-case in the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from llmgate.spec import SecretRef

__all__ = ["LiteLLMConfig"]

_VENDOR: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_OPTION: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_OURS: Final = frozenset({"api_key", "api_base", "base_url", "messages", "input", "model", "stream", "timeout",
                          "max_retries", "num_retries", "fallbacks", "callbacks", "mock_response"})  # fmt: skip


def _a_vendor(_: object, __: Any, value: str | None) -> None:
    if value is not None and not _VENDOR.fullmatch(value):
        raise ValueError("vendor: write it as litellm does, replicate for example")


def _options(_: object, attribute: Any, value: Mapping[str, object]) -> None:
    for name in value:
        if not _OPTION.fullmatch(name):
            raise ValueError(f"{attribute.name}: {name!r} is no name of an argument of litellm's")
        if name in _OURS:
            raise ValueError(f"{attribute.name}: {name!r} is the gateway's to say, take it out")


@attrs.frozen
class LiteLLMConfig:
    """The keys of ``litellm``.

    Args:
        vendor: What litellm calls the vendor; it is put before the names of models. None where they have it already.
        options: More arguments for litellm, for each call, ``api_version`` for example.
        secret_options: Arguments that are secrets, by where they are kept, ``aws_secret_access_key`` for example.
        media_urls: Whether pictures and documents may be given by their address, which litellm may load itself.
        chunks: Events of a stream that are read ahead of the client.
    """

    vendor: str | None = attrs.field(default=None, validator=_a_vendor)
    options: Mapping[str, Any] = attrs.field(factory=dict, validator=_options)
    secret_options: Mapping[str, SecretRef] = attrs.field(factory=dict, validator=_options)
    media_urls: bool = False
    chunks: int = attrs.field(default=64, validator=[attrs.validators.ge(1), attrs.validators.le(10_000)])
