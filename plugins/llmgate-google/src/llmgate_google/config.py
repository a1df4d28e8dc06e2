"""What the configuration may say: each field is a key, in kebab-case in the file."""

from __future__ import annotations

import re
from typing import Any, Final

import attrs

from llmgate.spec import SecretCaching, SecretRef

__all__ = ["GoogleSecretsConfig"]

_PROJECT: Final = re.compile(r"[a-z0-9.:-]{1,64}")
_LOCATION: Final = re.compile(r"[a-z0-9-]{1,32}")
_VERSION: Final = re.compile(r"[A-Za-z0-9_-]{1,63}")
_ENDPOINT: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,253}")


def _matches(pattern: re.Pattern[str], remedy: str) -> Any:
    def check(_: object, field: attrs.Attribute[Any], value: str | None) -> None:
        if value is not None and not pattern.fullmatch(value):
            raise ValueError(f"{field.name}: {remedy}", field)

    return check


@attrs.frozen
class GoogleSecretsConfig:
    """The keys of ``google-secrets``.

    Args:
        project: The id or number of the project; None for that of ``GOOGLE_CLOUD_PROJECT``.
        location: The location of regional secrets; None for global ones.
        version: Which version is meant where a reference names none: a number, an alias or ``latest``.
        credentials: Where a token of Google's is kept, that of a store ``google-credentials`` for example; None for the
            application default credentials.
        endpoint: Where Secret Manager is, for Private Service Connect; None for Google's own address.
        timeout: Seconds that Secret Manager may take to answer.
        identity_timeout: Seconds that getting a token may take.
        cache: How long secrets are kept.
    """

    project: str | None = attrs.field(default=None, validator=_matches(_PROJECT, "write the id of a project"))
    location: str | None = attrs.field(default=None, validator=_matches(_LOCATION, "write it as Google does"))
    version: str = attrs.field(default="latest", validator=_matches(_VERSION, "write a number, an alias or latest"))
    credentials: SecretRef | None = None
    endpoint: str | None = attrs.field(default=None, validator=_matches(_ENDPOINT, "write https:// and a host"))
    timeout: float = attrs.field(default=3.0, validator=attrs.validators.gt(0))
    identity_timeout: float = attrs.field(default=10.0, validator=attrs.validators.gt(0))
    cache: SecretCaching = SecretCaching(timeout=15.0)
