"""Where a request can go: provider rows (data), configured providers, and deployments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from .identity import Principal, SecretRef
from .models import UNKNOWN_MODEL, DescribedModel, ListedModel, ModelFacts
from .prices import Price, PriceList

__all__ = [
    "AT_HOST",
    "Audience",
    "CredentialHeader",
    "Deployment",
    "Provider",
    "ProviderKey",
    "ProviderRow",
    "Timeouts",
]


AT_HOST: Final = "host:"
"""What the path of a format begins with that stands at the provider's host and not below its address."""


@attrs.frozen
class CredentialHeader:
    """How a provider wants its credential: ``prefix`` and the secret together are the value of header ``name``."""

    name: str = "authorization"
    prefix: str = "Bearer "


@attrs.frozen
class Timeouts:
    """How long the gateway waits for a provider, in seconds.

    Args:
        connect: For the connection, TLS included.
        first_byte: From the request sent to the first byte of the answer.
        idle: Between two pieces of an answer.
        total: For the whole request with all its attempts.
        first_content: From the request sent to the first content of a streamed answer, whatever signs of life come.
    """

    connect: float = 5.0
    first_byte: float = 120.0
    idle: float = 120.0
    total: float = 900.0
    first_content: float = 600.0


@attrs.frozen
class ProviderRow:
    """What is known of a vendor: data, so that a vendor who speaks a known format needs no code.

    Args:
        name: The id that configurations use, kebab-case.
        title: How people write it.
        base_url: The vendor's address with its version path; None when each customer has one of their own.
        formats: The wire formats spoken and the path of each below ``base_url`` (behind ``host:`` at the provider's
            host), preferred first, ``{model}`` standing for the model; empty for a relay-only row.
        adapter: The ``ProviderAdapter`` that serves it.
        credential: How the credential is presented; None for a keyless provider.
        key_variables: Environment variables that hold the credential, first found wins.
        keyless: Whether it works without a credential (local servers).
        self_hosted: Whether operators run it themselves, so that nobody publishes prices for it.
        headers: Constant headers that it wants.
        stream_usage: Whether usage in a stream comes when asked for (``option``), without asking (``always``) or not at
            all (``never``).
        chat_fields: What it calls fields of ``openai-chat`` in translated requests, by OpenAI's names; ``""`` for those
            that it does not take.
        call_id_length: How many letters and digits an id of a tool call must have in them; 0 for any id.
        models_path: Path of the model list below ``base_url``; None when there is none.
        model_patterns: ``fnmatch`` patterns of bare model names that are plainly this vendor's.
        models: Models known by name.
        domains: Host names of the vendor, ``*`` for one label; from the seed's table where it lists the vendor.
        cost: Whether the seed's table promises cost support.
        subdomain: Its host below a gateway's base domain (``oai`` for ``oai.example.com``); ``""`` for none.
        relay_only: Whether the row serves the direct relay only.
        relay_paths: ``fnmatch`` patterns of the paths that the direct relay may call beside those of ``formats`` and
            the model list; ``*`` matches slashes too. With a slash in front they stand at the provider's host, without
            one below ``base_url``; they are for POST unless a method stands before them (``GET models/*``, HEAD
            included; ``WS live`` for a WebSocket). They are inference; what administers an account is not among them.
        sockets: The sessions that are held over a WebSocket, by the name of their format, and the path of each below
            ``base_url``.
        relay_credential: How the credential is presented in the vendor's own formats and on its own paths, those that
            are not OpenAI's; None for the same as ``credential``.
        region: The region in ``base_url``, where the vendor has an address for each; None for none.
        region_variables: Environment variables that name another one, first found wins.
        closed: Whether it serves the models listed and no other.
        files: Whose files and batches it has below its address: ``openai``, ``anthropic``, or ``""`` for none.
        source: The document that the row was taken from.
        listed: The models that the provider itself has listed, by name; empty while nobody has asked it.
        address: What an address looks like that every customer has for himself, ``{…}`` standing for what differs; None
            where ``base_url`` is everybody's.
    """

    name: str
    title: str
    base_url: str | None
    formats: Mapping[str, str] = attrs.field(factory=dict)
    adapter: str = "openai"
    credential: CredentialHeader | None = CredentialHeader()
    key_variables: Sequence[str] = ()
    keyless: bool = False
    headers: Mapping[str, str] = attrs.field(factory=dict)
    stream_usage: str = "option"
    chat_fields: Mapping[str, str] = attrs.field(factory=dict)
    call_id_length: int = 0
    models_path: str | None = "/models"
    model_patterns: Sequence[str] = ()
    models: Sequence[str] = ()
    domains: Sequence[str] = ()
    cost: bool = False
    relay_only: bool = False
    relay_paths: Sequence[str] = ()
    sockets: Mapping[str, str] = attrs.field(factory=dict)
    relay_credential: CredentialHeader | None = None
    region: str | None = None
    region_variables: Sequence[str] = ()
    closed: bool = False
    files: str = ""
    source: str = ""
    listed: Mapping[str, ListedModel] = attrs.field(factory=dict, repr=False)
    address: str | None = None
    subdomain: str = ""
    self_hosted: bool = False


@attrs.frozen
class ProviderKey:
    """One of several keys that a provider is used with.

    Args:
        secret: Where it is kept.
        weight: Its share of the requests.
    """

    secret: SecretRef
    weight: float = 1.0


@attrs.frozen(eq=False)
class Provider:
    """A provider as this gateway is configured to use it.

    Args:
        name: Its name in the configuration.
        row: What is known of the vendor.
        base_url: Where requests go, version path included, no trailing slash.
        secret: Where its credential is kept; None for a keyless provider, the first of them where it has several.
        models: Models that the operator lists; empty for any.
        headers: More headers that the operator wants sent.
        timeouts: How long to wait for it.
        passthrough: Whether the direct relay may call every path of the provider, not only those for inference.
        mount: Where the vendor's own paths begin at the host: ``""`` at the vendor itself, a path behind a proxy.
        tags: What the operator says of it, and so of its deployments.
        described: What the operator says of its models, by their names or patterns of them (``fnmatch``).
        keys: All of its keys where it has several; empty else. An attempt is made with a provider that has one.
        prices: What its models cost; None where nobody is to reckon it.
    """

    name: str
    row: ProviderRow
    base_url: str
    secret: SecretRef | None = None
    models: Sequence[str] = ()
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    timeouts: Timeouts = Timeouts()
    passthrough: bool = False
    mount: str = ""
    keys: Sequence[ProviderKey] = ()
    tags: frozenset[str] = frozenset()
    prices: PriceList | None = attrs.field(default=None, repr=False)
    described: Mapping[str, DescribedModel] = attrs.field(factory=dict)

    def path_of(self, wire_format: str) -> str | None:
        """The path at the provider's host where it speaks a wire format; None where it does not."""
        own = self.row.formats.get(wire_format)
        if own is None:
            return None
        if own.startswith(AT_HOST):
            return self.mount + own.removeprefix(AT_HOST)
        return urlsplit(self.base_url).path + own


@attrs.frozen
class Audience:
    """The callers that a deployment is kept for.

    Args:
        wanted: Patterns (``fnmatch``) by what is known of a caller: ``id``, ``issuer``, ``kind``, or a name of its
            attributes such as ``team``. It is one of them where one pattern of each fits.
    """

    wanted: tuple[tuple[str, tuple[str, ...]], ...]

    def includes(self, principal: Principal) -> bool:
        """Whether a caller is one of them; one of whom something is not known is not."""
        return all(_fits(_known(principal, name), patterns) for name, patterns in self.wanted)


def _known(principal: Principal, name: str) -> Any:
    if name in {"id", "issuer", "kind"}:
        return getattr(principal, name)
    return principal.attributes.get(name)


def _fits(value: Any, patterns: Sequence[str]) -> bool:
    values = value if isinstance(value, list | tuple | set | frozenset) else () if value is None else (value,)
    return any(fnmatchcase(str(one), pattern) for one in values for pattern in patterns)


@attrs.frozen
class Deployment:
    """One place that can serve a request: a provider and the model to ask it for.

    Two deployments are the same where their ``id`` and ``key`` are; latency is kept by the id.

    Args:
        id: ``provider/model``.
        provider: The provider, as configured.
        model: The model's name at that provider.
        weight: Its share, for strategies that weigh.
        facts: What is known of the model.
        key: Which of the provider's keys it is asked with, where there are several; None else.
        tags: What the operator says of it: a region, a tier, whatever requests may require.
        audience: The callers that it is kept for; None for those that have none of their own.
    """

    id: str
    provider: Provider = attrs.field(eq=False)
    model: str = attrs.field(eq=False)
    weight: float = attrs.field(default=1.0, eq=False)
    facts: ModelFacts = attrs.field(default=UNKNOWN_MODEL, eq=False, repr=False)
    key: SecretRef | None = attrs.field(default=None, repr=False)
    tags: frozenset[str] = attrs.field(default=frozenset(), eq=False, repr=False)
    audience: Audience | None = attrs.field(default=None, eq=False, repr=False)

    @property
    def provider_name(self) -> str:
        """The configured name of the provider."""
        return self.provider.name

    @property
    def price(self) -> Price | None:
        """What the model costs there; None where that is not known. Looked up when asked for, and remembered."""
        prices = self.provider.prices
        return None if prices is None else prices.price_of(self.model)
