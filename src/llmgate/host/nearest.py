"""What a caller may have meant who asked for an address that is not there."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Final

__all__ = ["nearest_address"]

_CUTOFF: Final = 0.4
_LONGEST: Final = 200


def nearest_address(path: str, addresses: Sequence[str]) -> str | None:
    """The address that is most like a path; None when none is alike.

    An address that goes on where the path stops comes first, the shortest of several. Names that an address leaves open
    (``{router}``) are taken to be the caller's own.

    Args:
        path: What was asked for.
        addresses: The addresses that are served, in the order in which they are preferred.
    """
    path = path[:_LONGEST].rstrip("/")
    segments = path.split("/")
    filled: dict[str, str] = {}
    for address in addresses:
        filled.setdefault(_filled(address, segments), address)
    longer = [one for one in filled if one.startswith(path + "/")] if len(segments) > 2 else []
    if longer:
        return filled[min(longer, key=len)]
    near = difflib.get_close_matches(path, filled, n=1, cutoff=_CUTOFF)
    return filled[near[0]] if near else None


def _filled(address: str, segments: Sequence[str]) -> str:
    """The address with the caller's own segments where it leaves them open."""
    parts = address.split("/")
    own = [
        segments[place] if part.startswith("{") and place < len(segments) and segments[place] else part
        for place, part in enumerate(parts)
    ]
    return "/".join(own)
