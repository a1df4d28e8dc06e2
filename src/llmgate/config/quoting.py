"""What of the operator's own words may stand in a message: never a key, never a page of text."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["looks_secret", "quoted", "redacted"]

_PREFIX: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:sk|pk|rk)[-_][A-Za-z0-9_-]{4,}"
    r"|(?:xai|gsk|hf|r8|ghp|gho|github_pat|glpat|nvapi|csk|tgp|pplx)[-_][A-Za-z0-9_-]{8,}"
    r"|(?:AIza|AKIA|ASIA|ya29|eyJ)[A-Za-z0-9_.-]{12,}"
    r")"
)
_RUN: Final = re.compile(
    r"(?<![A-Za-z0-9])(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{16,}[A-Za-z0-9+/=_-]*"
    r"|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"
)
"""Letters and digits mixed without a break, which model names and dates are not; and UUIDs, which some vendors use."""
_LONGEST: Final = 60


def looks_secret(text: str) -> bool:
    """Whether a text contains what could be a key: a vendor's prefix, or a long run of letters and digits."""
    return _PREFIX.search(text) is not None or _RUN.search(text) is not None


def redacted(text: str) -> str:
    """The text with ``***`` for whatever could be a key."""
    return _RUN.sub("***", _PREFIX.sub("***", text))


def quoted(text: str) -> str:
    """The text in quotes for a message: on one line, shortened, and ``***`` in place of what could be a key."""
    shown = redacted(text)
    return repr(shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "…")
