"""What callers write on a request for the record: properties, user, session, prompt; bounded, whatever they send.

The words are Helicone's. A name keeps what stands behind the prefix; HTTP does not tell upper from lower case in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["MAX_PROPERTIES", "bounded", "labels_of", "properties_of"]

MAX_PROPERTIES: Final = 64
"""Properties that one record keeps; how many there were more of, its metadata says."""
MAX_NAME: Final = 128
"""Characters of a property's name."""
MAX_VALUE: Final = 1024
"""Characters of a value."""
_MARK: Final = "…"
_FORBIDDEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")
"""Controls, line and paragraph separators, what turns the direction of writing, lone surrogates."""
_PREFIX: Final = "helicone-"
_PROPERTY: Final = "helicone-property-"
_LABELS: Final = {
    "helicone-user-id": "user",
    "helicone-session-id": "session_id",
    "helicone-session-path": "session_path",
    "helicone-session-name": "session_name",
    "helicone-prompt-id": "prompt_id",
}


def bounded(text: str, longest: int = MAX_VALUE) -> str:
    """A text without control characters, and with a mark where its end is missing.

    Args:
        text: Anything.
        longest: Characters that may be left.
    """
    if len(text) <= longest and text.isprintable():
        return text
    looked_at = 4 * longest  # a megabyte of controls is not worth a look at each
    cleaned = _FORBIDDEN.sub(" ", text[:looked_at])
    return cleaned if len(cleaned) <= longest and len(text) <= looked_at else cleaned[: longest - 1] + _MARK


def labels_of(headers: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a record that a caller's headers fill; those that they leave out are missing.

    Args:
        headers: The caller's, lower-case names.
    """
    found: dict[str, Any] = {}
    for name, value in headers.items():
        if name.startswith(_PREFIX):
            field = _LABELS.get(name)
            if field is not None and value:
                found[field] = bounded(_decoded(value))
            elif name.startswith(_PROPERTY):
                found["properties"] = None
    if "properties" in found:
        found["properties"] = properties_of(headers)
    agent = headers.get("user-agent")
    if agent:
        found["user_agent"] = bounded(_decoded(agent))
    return found


def properties_of(headers: Mapping[str, str]) -> dict[str, str]:
    """The properties among a caller's headers, ``MAX_PROPERTIES`` of them at most."""
    found: dict[str, str] = {}
    for header, value in headers.items():
        name = header.removeprefix(_PROPERTY)
        if len(name) < len(header) and name and len(found) < MAX_PROPERTIES:
            found[bounded(name, MAX_NAME)] = bounded(_decoded(value))
    return found


def _decoded(value: str) -> str:
    """A header's value as its sender meant it: HTTP carries bytes, and clients write UTF-8."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value
