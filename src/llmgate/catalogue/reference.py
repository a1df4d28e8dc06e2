"""The reference page of the providers, written from the rows, so that the two cannot differ.

``docs/reference/providers.md`` is ``providers_page()``; a test compares them, and says how to write it anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from llmgate.spec import ProviderRow

from .models import default_model_mapping, mapping_date
from .rows import OPENAI_RELAY_PATHS, OPENAI_SOCKETS, RESERVED_NAMES, Catalogue, load_catalogue

__all__ = ["providers_page"]

_MAPPED_VENDORS = ("openai", "anthropic", "gemini", "mistral", "xai", "deepseek")


def providers_page() -> str:
    """The page as Markdown, with a line end at its end."""
    catalogue = load_catalogue()
    rows = list(catalogue.rows.values())
    return "\n".join(
        (
            *_head(catalogue),
            *_addresses(rows),
            *_relay(rows),
            *_sockets(rows),
            *_domains(rows),
            *_mapping(),
            *_sources(rows),
        )
    )


def _head(catalogue: Catalogue) -> Iterator[str]:
    yield "<!-- written by llmgate.catalogue.reference from the provider rows; change the rows, not this page -->"
    yield "# Providers"
    yield ""
    yield (
        "A provider is a row of data. One that is named here needs its key and nothing else; `base-url` replaces its "
        "address, with or without the version path and a trailing slash. A provider that is not named here needs a "
        f"`base-url` and speaks `openai-chat` unless `format` says otherwise. Checked on {catalogue.checked}."
    )
    yield ""
    yield f"No provider may be called {_list(sorted(RESERVED_NAMES))}."
    yield ""
    aliases: dict[str, list[str]] = {}
    for alias, name in catalogue.aliases.items():
        aliases.setdefault(name, []).append(alias)
    spellings = "; ".join(f"`{name}` as {_list(others)}" for name, others in sorted(aliases.items()))
    yield f"Other spellings: {spellings}."
    yield ""


def _addresses(rows: Sequence[ProviderRow]) -> Iterator[str]:
    yield "## Names, addresses, keys"
    yield ""
    yield from _table(
        ("name", "vendor", "address", "key, first found", "formats", "usage in streams"),
        (
            (
                f"`{row.name}`",
                row.title,
                f"`{row.base_url}`" if row.base_url else f"yours: `{row.address}`",
                "none needed" if row.keyless else _list(row.key_variables),
                "direct relay only" if row.relay_only else _list(row.formats),
                "-" if row.relay_only else row.stream_usage,
            )
            for row in rows
        ),
    )
    yield ""
    yield (
        "*Usage in streams*: `option` comes when it is asked for (the gateway asks), `always` comes without asking, "
        "`never` does not come. Keyless providers are used only when the configuration names them."
    )
    yield ""
    yield from _fields(rows)


def _fields(rows: Sequence[ProviderRow]) -> Iterator[str]:
    yield "## Fields with other names"
    yield ""
    yield (
        "What a vendor calls otherwise than OpenAI in chat completions, or does not take. It is written so in "
        "requests that are translated; what is left out is reported. `chat-fields` of a provider adds to it."
    )
    yield ""
    yield from _table(
        ("name", "fields", "ids of tool calls"),
        (
            (
                f"`{row.name}`",
                "; ".join(_called(field, name) for field, name in row.chat_fields.items()),
                f"{row.call_id_length} letters and digits" if row.call_id_length else "any",
            )
            for row in rows
            if row.chat_fields or row.call_id_length
        ),
    )
    yield ""


def _called(field: str, name: str) -> str:
    return f"`{field}` is `{name}`" if name else f"`{field}` is left out"


def _relay(rows: Sequence[ProviderRow]) -> Iterator[str]:
    yield "## Direct relay"
    yield ""
    yield (
        "What `/PROVIDER/...` may call without `passthrough: all`: the paths of the formats, the model list, and "
        "these. A path with a slash in front stands at the provider's host, one without below its address; `*` matches "
        "slashes too; the method is POST unless another stands before it, GET includes HEAD and WS is a WebSocket."
    )
    yield ""
    without = _list(row.name for row in rows if row.formats and not set(OPENAI_RELAY_PATHS) <= set(row.relay_paths))
    yield (
        f"Every provider that speaks OpenAI's formats, known here or not, but {without}: {_list(OPENAI_RELAY_PATHS)}."
    )
    yield ""
    yield from _table(
        ("name", "more paths", "their credential, where it differs"),
        (
            (
                f"`{row.name}`",
                _list(_own_relay_paths(row)),
                f"`{row.relay_credential.name}`" if row.relay_credential else "-",
            )
            for row in rows
            if _own_relay_paths(row)
        ),
    )
    yield ""


def _sockets(rows: Sequence[ProviderRow]) -> Iterator[str]:
    yield "## Sessions over a WebSocket"
    yield ""
    yield (
        "Who holds sessions, by their format. A provider that is not in this list, described in the configuration and "
        "compatible with OpenAI, is asked for both as well: it says itself whether it does."
    )
    yield ""
    yield from _table(
        ("name", *OPENAI_SOCKETS),
        (
            (f"`{row.name}`", *(f"`{row.sockets[name]}`" if name in row.sockets else "-" for name in OPENAI_SOCKETS))
            for row in rows
            if row.sockets
        ),
    )
    yield ""


def _own_relay_paths(row: ProviderRow) -> Sequence[str]:
    shared = set(OPENAI_RELAY_PATHS)
    return (
        [path for path in row.relay_paths if path not in shared] if shared <= set(row.relay_paths) else row.relay_paths
    )


def _domains(rows: Sequence[ProviderRow]) -> Iterator[str]:
    yield "## Host names"
    yield ""
    yield "A host belongs to a provider when it is one of these, whole; `*` is a part of one label."
    yield ""
    yield from _table(
        ("vendor", "host names", "cost support"),
        ((row.title, _list(row.domains), "yes" if row.cost else "-") for row in rows if row.domains),
    )
    yield ""


def _mapping() -> Iterator[str]:
    yield "## Default model mapping"
    yield ""
    yield (
        f"State of {mapping_date()}. It applies on a router that lists several vendors and nowhere else; "
        "`default-model-mapping` replaces it, `{}` turns it off."
    )
    yield ""
    yield from _table(
        ("asked for", *_MAPPED_VENDORS),
        (
            (f"`{model}`", *(_list(_at(vendor, equivalents)) or "-" for vendor in _MAPPED_VENDORS))
            for model, equivalents in sorted(default_model_mapping().items())
        ),
    )
    yield ""


def _at(vendor: str, equivalents: Sequence[str]) -> list[str]:
    """What one vendor serves."""
    return [one.partition("/")[2] for one in equivalents if one.partition("/")[0] == vendor]


def _sources(rows: Sequence[ProviderRow]) -> Iterator[str]:
    yield "## Sources"
    yield ""
    yield from _table(("name", "taken from"), ((f"`{row.name}`", row.source) for row in rows))
    yield ""


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for line in lines:
        yield f"| {' | '.join(line)} |"


def _list(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
