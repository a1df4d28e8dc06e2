"""Who asks, and with what: credentials, principals, secrets."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

import attrs

from .certificates import ClientCertificate

__all__ = ["CallerLimit", "Credentials", "Principal", "Secret", "SecretRef"]

_ALONE: Final = "helicone-auth"
"""Where this is present the other places hold a provider's own key and are not looked at."""
_PLACES: Final = ("authorization", "x-api-key", "api-key", "x-goog-api-key")


@attrs.frozen
class Credentials:
    """What a caller presented, before anybody believed it.

    Args:
        tokens: Each token found, by the place it was found in (``authorization``, ``x-api-key``, ``api-key``,
            ``x-goog-api-key``, ``helicone-auth``), scheme words such as ``Bearer`` already taken off.
        client_address: The address of the peer, ``""`` when in process.
        headers: The request's headers, lower-case names; for auth providers that read others.
        provider_key: The caller's own key at a provider, ``""`` for none: what stands beside ``helicone-auth``, which
            is then the only token. No auth provider judges it.
        certificate: The certificate that TLS has verified on a connection that ends here; None for none.
    """

    tokens: Mapping[str, str] = attrs.field(factory=dict, repr=lambda tokens: f"<{len(tokens)} tokens>")
    client_address: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    provider_key: str = attrs.field(default="", repr=False)
    certificate: ClientCertificate | None = None

    @classmethod
    def of(cls, token: str) -> Credentials:
        """Credentials made of one bearer token, as an in-process caller would present it."""
        return cls(tokens={"authorization": token})

    def presented(self) -> Iterator[str]:
        """The tokens by which a caller may be known, in the order of the places they were found in, none empty.

        They are ``helicone-auth`` alone where it is present, and otherwise whatever stands in ``authorization``,
        ``x-api-key``, ``api-key`` and ``x-goog-api-key``.
        """
        for place in (_ALONE,) if _ALONE in self.tokens else _PLACES:
            token = self.tokens.get(place, "").strip()
            if token:
                yield token


@attrs.frozen
class CallerLimit:
    """A limit that a caller has for itself, beside those that hold for everybody.

    Args:
        capacity: How much it may ask for at once.
        period: Seconds in which the whole capacity comes back, evenly; None for ``concurrent``, which takes no time.
        unit: What is counted: ``requests``, ``tokens``, ``input-tokens``, ``output-tokens`` or ``concurrent``.
    """

    capacity: int
    period: float | None = None
    unit: str = "requests"


@attrs.frozen(slots=False)
class Principal:
    """Who asks, once an auth provider has said so.

    Args:
        id: A stable name, unique within ``issuer``.
        issuer: Which auth provider vouches for it.
        kind: ``local`` (in process, trusted), ``anonymous`` (nobody asked), or what the auth provider calls it.
        models: Patterns (``fnmatch``) of the models it may call; None means all.
        denied_models: Patterns of the models it may not call, whatever ``models`` says; upper and lower case alike.
        scopes: Operations (``chat``, ``embeddings``, …) it may ask for; None means all. The list of models, which shows
            only what may be called, is everybody's.
        secrets: Provider keys that its requests go with in place of the providers' own, by the provider's name.
        limits: Limits of its own, which a ``rate-limit`` with ``own-limits`` keeps.
        attributes: What else the auth provider knows, for policies and records.
    """

    id: str
    issuer: str = ""
    kind: str = "key"
    models: Sequence[str] | None = None
    attributes: Mapping[str, Any] = attrs.field(factory=dict)
    denied_models: Sequence[str] = ()
    scopes: Sequence[str] | None = None
    secrets: Mapping[str, SecretRef] = attrs.field(factory=dict)
    limits: Sequence[CallerLimit] = ()

    @classmethod
    def local(cls) -> Principal:
        """The in-process caller who gave neither principal nor credentials: trusted, subject to interceptors."""
        return cls(id="local", issuer="process", kind="local")

    @property
    def is_restricted(self) -> bool:
        """Whether there are models that it may not call."""
        return self.models is not None or bool(self.denied_models)

    def may_call(self, *names: str) -> bool:
        """Whether it may call a model, given all names that the model goes by; ``""`` among them is one unread.

        One name that is denied denies it, one that is allowed allows it, and what cannot be read may be denied.
        """
        if self.denied_models and ("" in names or any(self.denies(name) for name in names)):
            return False
        return self.models is None or any(fnmatchcase(name, one) for one in self.models for name in names)

    def denies(self, name: str) -> bool:
        """Whether a name is among those that it may not call; providers may read upper and lower case alike."""
        return any(fnmatchcase(name.lower(), one.lower()) for one in self.denied_models)

    def may_ask_for(self, operation: str) -> bool:
        """Whether it may ask for an operation."""
        return self.scopes is None or operation in self.scopes


@attrs.frozen
class SecretRef:
    """Where a secret is kept: ``env:OPENAI_API_KEY`` is the path ``OPENAI_API_KEY`` in the store named ``env``.

    Args:
        store: The name of a configured secret store.
        path: What that store calls the secret.
    """

    store: str
    path: str

    @classmethod
    def parse(cls, text: str) -> SecretRef:
        """Read ``store:path``.

        Raises:
            ValueError: the text has no store or no path.
        """
        store, colon, path = text.partition(":")
        if not colon or not store or not path:
            raise ValueError(f"{text!r} is not a secret reference: write store:path, for example env:OPENAI_API_KEY")
        return cls(store, path)

    def __str__(self) -> str:
        return f"{self.store}:{self.path}"


@attrs.frozen(repr=False)
class Secret:
    """A secret value that never prints itself; call ``reveal()`` at the moment of use.

    Args:
        value: The secret text.
        ref: Where it came from.
        version: The store's name of this version, ``""`` when it has none.
        bearer: Whether it is a token that goes out as ``Authorization: Bearer``, however its provider wants keys.
        callers: Whether it is the caller's own, so that what its provider says of it is the caller's to read.
        lifetime: Seconds from when it was given for which it is good, and until about whose end it need not be fetched
            again: a token, a lease; None where nobody tells an end.
        usable: Seconds from when it was given after which it is not to be used, although it may be replaced before.
    """

    _value: str = attrs.field(alias="value")
    ref: SecretRef | None = None
    version: str = ""
    bearer: bool = False
    callers: bool = False
    lifetime: float | None = None
    usable: float | None = None

    def reveal(self) -> str:
        """The secret text itself."""
        return self._value

    @functools.cached_property
    def fingerprint(self) -> str:
        """Eight hex digits of a SHA-256, to tell versions apart in records without showing any of the value."""
        return hashlib.sha256(b"llmgate-secret:" + self._value.encode()).hexdigest()[:8]

    def __repr__(self) -> str:
        return f"Secret({self.ref or '***'})"

    __str__ = __repr__
