"""Reads providers: those that are written, those that routers name, and those whose key is in the environment."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import attrs

from llmgate.catalogue import RESERVED_NAMES, provider_row, provider_rows, resolve_base_url
from llmgate.formats import FORMATS, get_format
from llmgate.spec import Operation, ProviderAdapter, ProviderKey, ProviderRow, SecretRef, Timeouts

from .decoder import Decoder, UnreadableError
from .described_models import read_described
from .keys import children
from .meanings import key_of, settable
from .model import ProviderConfig, StageConfig
from .problems import Where
from .provider_keys import read_keys
from .quoting import looks_secret, quoted
from .retries import read_retries
from .sections import Section, is_null, read_section
from .stages import StageReader
from .suggest import did_you_mean
from .tags import read_tags
from .tree import Entry, MapNode, Node, ValueNode, merged

__all__ = ["ProviderReader"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_REGION: Final = re.compile(r"[a-z0-9-]{1,32}")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_NEVER_RENAMED: Final = frozenset({"messages", "model", "stream", "tools"})
_HEADER_VALUE: Final = re.compile(r"[\x20-\x7e\t]*")
_OWN_HEADERS: Final = frozenset({"accept-encoding", "connection", "content-encoding", "content-length", "content-type",
                                 "expect", "host", "keep-alive", "proxy-authorization", "te", "trailer",
                                 "transfer-encoding", "upgrade"})  # fmt: skip
"""Headers that the gateway writes itself: another value would break the request or its framing."""
_CREDENTIALS: Final = frozenset({"authorization", "api-key", "cookie", "x-api-key", "x-goog-api-key"})
_PATH: Final = "providers.<provider>"
_EMBEDDED: Final = "echo"
_HTTP_ADAPTER: Final = "openai"


@attrs.define
class ProviderReader:
    """Reads providers and remembers what the operator should be told about them.

    Args:
        stages: What reads stages.
        environment: Environment variables.
        timeouts: The gateway's timeouts, which a provider's own are laid over.
        written: The gateway's ``providers`` by name, as nodes.
        prefixes: For each secret store that reads environment variables, what it puts before a name.
        warnings: One sentence for each provider that lacks its key.
    """

    stages: StageReader
    environment: Mapping[str, str]
    timeouts: Timeouts = Timeouts()
    written: Mapping[str, Entry] = attrs.field(factory=dict)
    prefixes: Mapping[str, str] = attrs.field(factory=lambda: {"env": ""})
    warnings: dict[tuple[str, SecretRef], str] = attrs.field(factory=dict, init=False)

    @property
    def decoder(self) -> Decoder:
        """What reads values and notes problems."""
        return self.stages.decoder

    def configured(self) -> dict[str, ProviderConfig]:
        """Every provider under the gateway's ``providers``."""
        found = {}
        for name, entry in self.written.items():
            with contextlib.suppress(UnreadableError):
                found[name] = self.read(name, entry.node, entry.where, f"providers.{name}")
        return found

    def overridden(self, node: Node | None, label: str) -> dict[str, ProviderConfig]:
        """A router's ``providers``: its own settings laid over the gateway's of the same name."""
        found: dict[str, ProviderConfig] = {}
        if node is None:
            return found
        if not isinstance(node, MapNode):
            self.decoder.problems.add(node.where, f"'{label}' must be a mapping of names")
            return found
        for entry in node:
            below = self.written.get(entry.key)
            whole = merged(below.node, entry.node) if below is not None and not is_null(entry.node) else entry.node
            if below is not None and is_null(entry.node):
                whole = below.node
            with contextlib.suppress(UnreadableError):
                found[entry.key] = self.read(entry.key, whole, entry.where, f"{label}.{entry.key}")
        return found

    def implied(self, name: str, where: Where) -> ProviderConfig:
        """A provider that only a router names: all of it comes from the catalogue.

        Raises:
            UnreadableError: the catalogue does not know it; noted.
        """
        return self.read(name, MapNode({}, where), where, f"providers.{name}")

    def discovered(self, present: Collection[str]) -> dict[str, ProviderConfig]:
        """Providers that nobody names and whose key is in the environment; local and relay-only ones are not found."""
        found = {}
        for name, row in provider_rows().items():
            if name in present or row.relay_only or row.keyless or not row.formats or row.base_url is None:
                continue
            if self._key_variable(row) and self.stages.find("providers", row.adapter) is not None:
                where = Where(f"environment variable {self._key_variable(row)}")
                with contextlib.suppress(UnreadableError):
                    found[name] = self.implied(name, where)
        return found

    def embedded(self) -> dict[str, ProviderConfig]:
        """The embedded echo provider, for a gateway that has no other; none where it is not installed."""
        if self.stages.find("providers", _EMBEDDED) is None:
            return {}
        return {_EMBEDDED: self.implied(_EMBEDDED, Where("configuration"))}

    def read(self, name: str, node: Node, where: Where, label: str) -> ProviderConfig:
        """One provider.

        Args:
            name: Its name.
            node: What is written about it.
            where: Its place.
            label: Where it stands, for messages and notes.

        Raises:
            UnreadableError: something is wrong with it; noted.
        """
        before = len(self.decoder.problems)
        self._check_name(name, where)
        if is_null(node):
            node = MapNode({}, where)
        if not isinstance(node, MapNode):
            raise self.decoder.refuse(node.where, f"{label!r} must be a mapping of settings")
        row, adapter_name = self._kind(name, node, where)
        adapter = self.stages.stage_class("providers", adapter_name, where)
        own_row = adapter.row if issubclass(adapter, ProviderAdapter) else None
        brought = own_row if isinstance(own_row, ProviderRow) else None
        row = brought or row or (provider_row(own_row) if isinstance(own_row, str) else None)
        own = children(_PATH)
        extra = [key_of(field) for field in settable(adapter.config_class) if key_of(field) not in own]
        raw = ("chat-fields", "timeouts", "secrets", "tags", "model-facts")
        section = read_section(self.decoder, node, _PATH, label, raw=raw, extra=extra)
        rest = MapNode({entry.key: entry for entry in node if entry.key.replace("_", "-") in extra}, node.where)
        config = self.decoder.read_class(rest, adapter.config_class, within=label)
        base_url = self._address(name, row, section, adapter_name, where)
        keys = read_keys(self.decoder, section)
        secret, keyless = self._secret(name, row, section, where, keys)
        provider = ProviderConfig(
            name=name,
            row=row.name if row is not None and brought is None else None,
            adapter=StageConfig(id=label, use=adapter_name, config=config),
            base_url=base_url,
            format=self._format(row, section),
            secret=secret,
            keys=keys if len(keys) > 1 else (),
            described=read_described(self.decoder, section),
            tags=read_tags(self.decoder, section.nodes.get("tags"), "tags"),
            models=section.get("models", ()),
            headers=self._headers(row, section),
            chat_fields=self._chat_fields(section),
            timeouts=self.read_timeouts(section),
            retries=read_retries(self.stages, section),
            version_path=section.get("version-path"),
            keyless=keyless,
            passthrough=section.get("passthrough") == "all",
            brought=brought,
        )
        if len(self.decoder.problems) > before:
            raise UnreadableError
        return provider

    def _check_name(self, name: str, where: Where) -> None:
        if not _NAME.fullmatch(name):
            sentence = f"{quoted(name)} is no name of a provider: 1 to 64 letters, digits, '_', '-' and '.'"
            raise self.decoder.refuse(where, sentence)
        if name.lower() in RESERVED_NAMES:
            raise self.decoder.refuse(where, f"{name!r} is a path of the gateway: call the provider something else")

    def _kind(self, name: str, node: MapNode, where: Where) -> tuple[ProviderRow | None, str]:
        """The row that a provider is made from, if any, and the name of its adapter."""
        row = provider_row(name)
        use = node.entries.get("use")
        if use is None or is_null(use.node):
            if row is None and node.find("base-url") is None:
                known = sorted({*provider_rows(), *self.written} - {name})
                sentence = f"no provider is called {quoted(name)}: give it a base-url under providers"
                raise self.decoder.refuse(where, sentence + did_you_mean(name, known))
            return row, row.adapter if row is not None else _HTTP_ADAPTER
        wanted = self.decoder.read(use.node, str, "use")
        is_adapter = self.stages.find("providers", wanted) is not None
        used = provider_row(wanted)
        if row is None and used is not None and not (is_adapter and node.find("base-url") is not None):
            return used, used.adapter
        if is_adapter:
            return row, wanted
        if row is not None and used is row:
            return row, row.adapter
        known = sorted({*self.stages.names("providers"), *provider_rows()})
        sentence = f"no provider adapter is called {quoted(wanted)}{did_you_mean(wanted, known)}"
        raise self.decoder.refuse(use.node.where, sentence)

    def _address(self, name: str, row: ProviderRow | None, section: Section, adapter: str, where: Where) -> str | None:
        """The operator's address, once it has been seen to be a good one."""
        base_url: str | None = section.get("base-url")
        if base_url is None and row is None and adapter != _HTTP_ADAPTER:
            return None  # an adapter with a transport of its own needs no address
        if base_url is None and "base-url" in section.nodes:
            return None  # already noted
        if base_url is None and row is not None:
            base_url = self._regional(row, where)
        try:
            resolve_base_url(row, base_url, section.get("version-path"))
        except ValueError as error:
            place = section.places.get("base-url") or where
            self.decoder.problems.add(place, f"provider {name!r}: {error}")
        return base_url

    def _regional(self, row: ProviderRow, where: Where) -> str | None:
        """The row's address in the region that the environment names; None for the row's own."""
        variable = next((name for name in row.region_variables if self.environment.get(name)), None)
        if variable is None or row.region is None or row.base_url is None:
            return None
        region = self.environment[variable].strip()
        if not _REGION.fullmatch(region):
            raise self.decoder.refuse(where, f"{variable} is no region of {row.title}: write it like {row.region}")
        return row.base_url.replace(row.region, region)

    def _format(self, row: ProviderRow | None, section: Section) -> str | None:
        given: str | None = section.get("format")
        if given is None:
            return "openai-chat" if row is None else None
        names = FORMATS if row is None else row.formats
        spoken = [name for name in names if get_format(name).operation is Operation.CHAT]
        if given not in spoken:
            whom = "llmgate" if row is None else row.title
            sentence = f"{whom} does not speak the format {quoted(given)}: there is {', '.join(spoken) or 'none'}"
            self.decoder.problems.add(section.place("format"), sentence, word=given, known=spoken)
        return given

    def _secret(
        self, name: str, row: ProviderRow | None, section: Section, where: Where, keys: Sequence[ProviderKey]
    ) -> tuple[SecretRef | None, bool | None]:
        """Where a provider's key is kept, and whether it goes without one."""
        keyless: bool | None = section.get("keyless")
        secret: SecretRef | None = section.get("secret")
        given = [key.secret for key in keys] or ([] if secret is None else [secret])
        if given:
            if keyless:
                self.decoder.problems.add(
                    section.place("keyless"), "'keyless' and 'secret' exclude each other: keep one"
                )
            for one in given:
                self._warn(name, one, (), where)
            return given[0], False
        if "secret" in section.nodes or "secrets" in section.nodes:
            return None, keyless  # already noted
        if keyless or (keyless is None and row is not None and row.keyless):
            return None, keyless
        is_vendor = row is not None and provider_row(name) is row and bool(row.key_variables)
        own = f"{re.sub(r'[^A-Z0-9]', '_', name.upper())}_API_KEY"
        variables = tuple(row.key_variables) if row is not None and is_vendor else (own,)
        chosen = next((variable for variable in variables if self._is_set(variable)), variables[0])
        secret = SecretRef("env", chosen)
        self._warn(
            name, secret, variables[1:], where, hint=", or keyless: true if it needs none" if row is None else ""
        )
        return secret, keyless

    def _warn(self, name: str, ref: SecretRef, others: tuple[str, ...], where: Where, hint: str = "") -> None:
        """Remember that a key is not in the environment; other stores are asked when the key is needed."""
        prefix = self.prefixes.get(ref.store)
        if prefix is not None and not self._is_set(ref.path, ref.store):
            also = f" or {', '.join(prefix + other for other in others)}" if others else ""
            sentence = f"{where}: provider {name!r} has no key: set {prefix}{ref.path}{also}{hint}"
            self.warnings.setdefault((name, ref), sentence)

    def _key_variable(self, row: ProviderRow) -> str:
        return next((name for name in row.key_variables if self._is_set(name)), "")

    def _is_set(self, variable: str, store: str = "env") -> bool:
        prefix = self.prefixes.get(store)
        return prefix is not None and bool(self.environment.get(prefix + variable))

    def _headers(self, row: ProviderRow | None, section: Section) -> Mapping[str, str]:
        """More headers, with ``version`` as Anthropic's own."""
        found: dict[str, str] = {}
        version = section.get("version")
        if version is not None:
            if row is not None and row.name == "anthropic":
                found["anthropic-version"] = version
            else:
                sentence = "'version' is for anthropic only: write version-path for the path of an address"
                self.decoder.problems.add(section.place("version"), sentence)
        node = section.nodes.get("headers")
        if node is None:
            return found
        if not isinstance(node, MapNode):
            self.decoder.problems.add(node.where, "'headers' must be a mapping of names and values")
            return found
        for entry in node:
            with contextlib.suppress(UnreadableError):
                found[entry.key.lower()] = self._header(entry, row)
        return found

    def _chat_fields(self, section: Section) -> Mapping[str, str]:
        """What the provider calls fields of ``openai-chat``."""
        node = section.nodes.get("chat-fields")
        if node is None:
            return {}
        if not isinstance(node, MapNode):
            self.decoder.problems.add(node.where, "'chat-fields' must be a mapping of fields and their names")
            return {}
        found: dict[str, str] = {}
        for entry in node:
            text = entry.node.text if isinstance(entry.node, ValueNode) and not is_null(entry.node) else None
            if text is None or not _FIELD.fullmatch(entry.key) or not (text == "" or _FIELD.fullmatch(text)):
                sentence = f"{quoted(entry.key)} must be the name of a field, and its value a name or ''"
                self.decoder.problems.add(entry.where, sentence)
            elif entry.key in _NEVER_RENAMED:
                sentence = f"{quoted(entry.key)} is called so by every server of openai-chat: take it out"
                self.decoder.problems.add(entry.where, sentence)
            else:
                found[entry.key] = text
        return found

    def _header(self, entry: Entry, row: ProviderRow | None) -> str:
        name = entry.key.lower()
        own = row.credential.name.lower() if row is not None and row.credential is not None else "authorization"
        if not _HEADER.fullmatch(entry.key):
            raise self.decoder.refuse(entry.where, f"{quoted(entry.key)} is no name of a header")
        if name in _OWN_HEADERS:
            raise self.decoder.refuse(entry.where, f"header {name!r} is written by the gateway: take it out")
        if name in _CREDENTIALS or name == own:
            raise self.decoder.refuse(entry.where, f"header {name!r} carries a credential: name it under secret")
        if not isinstance(entry.node, ValueNode) or is_null(entry.node) or not _HEADER_VALUE.fullmatch(entry.node.text):
            raise self.decoder.refuse(entry.where, f"header {name!r} must be one line of ASCII text")
        if looks_secret(entry.node.text):
            raise self.decoder.refuse(entry.where, f"header {name!r} looks like a key: name it under secret")
        return entry.node.text

    def read_timeouts(self, section: Section) -> Timeouts | None:
        """A ``timeouts`` section laid over the gateway's; None when there is none."""
        node = section.nodes.get("timeouts")
        if node is None:
            return None
        if not isinstance(node, MapNode):
            self.decoder.problems.add(node.where, "'timeouts' must be a mapping")
            return None
        with contextlib.suppress(UnreadableError):
            given = self.decoder.read_class(node, Timeouts, within="timeouts")
            names = [
                field.name
                for field in settable(Timeouts)
                if (entry := node.find(key_of(field))) and not is_null(entry.node)
            ]
            return attrs.evolve(self.timeouts, **{name: getattr(given, name) for name in names})
        return None
