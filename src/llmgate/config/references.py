"""Reads secret references, and never lets the text of a wrong one into a message: it may be the key itself."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from llmgate.spec import SecretRef

from .quoting import looks_secret
from .suggest import did_you_mean

__all__ = ["read_reference"]

_STORE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_KEY_LIKE: Final = re.compile(r"(?:sk|pk|rk)[-_]", re.IGNORECASE)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REMEDY: Final = "write store:path, for example env:OPENAI_API_KEY, and keep the key itself out of the configuration"


def read_reference(text: str, stores: Collection[str]) -> SecretRef:
    """A secret reference.

    Args:
        text: What the operator wrote.
        stores: The names of the configured secret stores.

    Raises:
        ValueError: with a sentence that shows nothing of the text but the name of a store.
    """
    store, colon, path = text.partition(":")
    if not colon or not path.strip() or not _STORE.fullmatch(store) or _KEY_LIKE.match(text) or looks_secret(store):
        raise ValueError(f"is not a secret reference: {_REMEDY}")
    if store not in stores:
        raise ValueError(
            f"names a secret store {store!r} that is not configured under secrets{did_you_mean(store, stores)}"
        )
    if store == "env" and (not _VARIABLE.fullmatch(path) or looks_secret(path)):
        raise ValueError(f"is not the name of an environment variable: {_REMEDY}")
    if looks_secret(path) and "/" not in path:
        raise ValueError(f"looks like a key, not a reference: {_REMEDY}")
    return SecretRef(store, path)
