"""The provider rows: ``data/providers.toml`` made into ``ProviderRow`` values, once, when first asked for."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from llmgate.spec import CredentialHeader, ProviderRow

__all__ = [
    "OPENAI_RELAY_PATHS",
    "OPENAI_SOCKETS",
    "RESERVED_NAMES",
    "Catalogue",
    "load_catalogue",
    "provider_row",
    "provider_rows",
    "read_data",
    "read_text",
]

RESERVED_NAMES: Final = frozenset({"v1", "v1beta", "v2", "ai", "api", "as", "audio", "batches", "chat", "engines",
                                   "files", "images", "router", "model", "models", "projects", "health", "ready",
                                   "metrics", "responses", "uploads"})  # fmt: skip
"""First path segments of the host, which no provider may be called: ``/{provider}/…`` is its direct relay."""

OPENAI_RELAY_PATHS: Final = ("responses", "responses/compact", "responses/input_tokens", "GET responses/*",
                             "responses/*/cancel", "moderations", "images/generations", "images/edits",
                             "images/variations", "audio/speech", "audio/transcriptions", "audio/translations",
                             "videos", "GET videos/*", "embeddings", "completions", "rerank", "messages",
                             "messages/count_tokens", "GET models", "GET models/*")  # fmt: skip
"""What the direct relay may call at a provider that speaks OpenAI's formats, below its address: inference, and what is
needed to follow an answer that is made in the background. Files, batches, fine-tunes, assistants, stored completions
and the organisation are not among it, nor is anything that is deleted.

Source: OpenAI API reference; the rerank and messages endpoints that several compatible servers have beside it."""

OPENAI_SOCKETS: Final[Mapping[str, str]] = MappingProxyType(
    {"openai-realtime": "/realtime", "openai-responses": "/responses"}
)
"""The sessions of OpenAI's own API, for servers that are compatible with it; whether one holds them it says itself."""

_CHAT: Final[Mapping[str, str]] = MappingProxyType({"openai-chat": "/chat/completions"})


@attrs.frozen
class Catalogue:
    """Everything in ``data/providers.toml``.

    Args:
        rows: The rows by name, in the order of the file.
        aliases: Other spellings of names.
        checked: The ISO date on which the rows were last compared with their sources.
    """

    rows: Mapping[str, ProviderRow]
    aliases: Mapping[str, str]
    checked: str


def provider_rows() -> Mapping[str, ProviderRow]:
    """Every provider row by its name."""
    return load_catalogue().rows


def provider_row(name: str) -> ProviderRow | None:
    """The row of that name or alias (``google`` is ``gemini``, ``x.ai`` is ``xai``); None when there is none."""
    catalogue = load_catalogue()
    return catalogue.rows.get(catalogue.aliases.get(name, name))


@functools.cache
def load_catalogue() -> Catalogue:
    """The rows, read from the package's data when first asked for."""
    data = read_data("providers.toml")
    providers: Mapping[str, Mapping[str, Any]] = data["providers"]
    return Catalogue(
        rows=MappingProxyType({name: _row(name, fields) for name, fields in providers.items()}),
        aliases=MappingProxyType(data["aliases"]),
        checked=data["checked"],
    )


def read_data(name: str) -> dict[str, Any]:
    """A TOML file of the package's data."""
    # Late: costs several milliseconds that an import of the catalogue should not.
    import tomllib

    return tomllib.loads(read_text(name))


def read_text(name: str) -> str:
    """The text of a file of the package's data, by its path below ``data``."""
    # Late: as above.
    from importlib.resources import files

    return files("llmgate.catalogue").joinpath("data", name).read_text(encoding="utf-8")


def _row(name: str, fields: Mapping[str, Any]) -> ProviderRow:
    """One table of the file, with the defaults that its head promises."""
    relay_only = fields.get("relay-only", False)
    keyless = fields.get("keyless", False)
    credential, native = fields.get("credential"), fields.get("relay-credential")
    formats = {} if relay_only else dict(fields.get("formats", _CHAT))
    adapter = fields.get("adapter", "openai")
    usual = OPENAI_RELAY_PATHS if formats and adapter == "openai" and fields.get("openai-paths", True) else ()
    return ProviderRow(
        name=name,
        title=fields["title"],
        base_url=fields.get("base-url"),
        formats=MappingProxyType(formats),
        adapter=adapter,
        credential=CredentialHeader() if credential is None else CredentialHeader(**credential) if credential else None,
        key_variables=() if keyless else (_variable(name), *fields.get("key-variables", ())),
        keyless=keyless,
        self_hosted=keyless,  # what the catalogue lists without a key runs on one's own machines
        headers=MappingProxyType(dict(fields.get("headers", {}))),
        stream_usage=fields.get("stream-usage", "option"),
        chat_fields=MappingProxyType(dict(fields.get("chat-fields", {}))),
        call_id_length=fields.get("call-id-length", 0),
        models_path=None if relay_only else fields.get("models-path", "/models") or None,
        model_patterns=tuple(fields.get("model-patterns", ())),
        models=tuple(fields.get("models", ())),
        domains=tuple(fields.get("domains", ())),
        cost=fields.get("cost", False),
        relay_only=relay_only,
        relay_paths=(*usual, *fields.get("relay-paths", ())),
        sockets=MappingProxyType(dict(fields.get("sockets", {}))),
        relay_credential=CredentialHeader(**native) if native else None,
        region=fields.get("region"),
        region_variables=tuple(fields.get("region-variables", ())),
        closed=fields.get("closed", False),
        files=fields.get("files", ""),
        source=fields["source"],
        address=fields.get("address"),
        subdomain=fields.get("subdomain", ""),
    )


def _variable(name: str) -> str:
    """``{NAME}_API_KEY``, the variable that every provider answers to."""
    return f"{name.upper().replace('-', '_')}_API_KEY"
