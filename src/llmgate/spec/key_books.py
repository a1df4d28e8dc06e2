"""Keys as one process hands them to another: what a gateway must have to know a caller, and nothing it could leak."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import attrs

if TYPE_CHECKING:
    from .identity import Principal

__all__ = ["KeyBook", "KeyPage", "SharedKey"]


@attrs.frozen
class SharedKey:
    """A key that callers present, as a gateway other than the one that made it needs it. The key itself is not there.

    Args:
        id: Which key it is: a name that may be shown, unique in its book.
        hash: What the key is told by: its HMAC-SHA-256 with a pepper (see ``Peppers``), 32 bytes.
        pepper_id: Which pepper.
        principal: Who has it; None for nobody any longer, as the key was revoked.
        ends_at: Seconds since the epoch from which it is refused; None for never.
        addresses: Networks that it may be used from; None for anywhere.
    """

    id: str
    hash: bytes = attrs.field(repr=False)
    pepper_id: str
    principal: Principal | None
    ends_at: float | None = None
    addresses: Sequence[str] | None = None


@attrs.frozen
class KeyPage:
    """Some of the keys of a book.

    Args:
        revision: How far the book had been changed before this was read; what is changed later has a higher one.
        keys: The keys.
        cursor: Where the next page begins; None for no more of them.
    """

    revision: int
    keys: Sequence[SharedKey]
    cursor: str | None = None


@runtime_checkable
class KeyBook(Protocol):
    """An auth provider whose keys can be handed to gateways elsewhere, once it is open."""

    async def read_keys(self, after: int | None = None, cursor: str | None = None) -> KeyPage:
        """Keys as they are now, a bounded number of them.

        Whoever reads all pages and then asks for what was changed after the revision of the first misses nothing.

        Args:
            after: Only those made or changed after this revision, revoked ones among them; None for all that may let
                somebody in.
            cursor: Where to begin; None for the first page.

        Raises:
            GatewayError: the book cannot be read now.
        """
        ...

    async def await_change(self, revision: int) -> int:
        """Wait until the book is at another revision than this.

        Returns:
            Its revision.

        Raises:
            GatewayError: the book cannot be read now.
        """
        ...
