"""Where a caller sends a request himself, through a gateway that lets him."""

from __future__ import annotations

import attrs

__all__ = ["Target"]


@attrs.frozen
class Target:
    """The target that a caller names, taken apart; nobody vouches for it.

    Args:
        origin: ``scheme://host[:port]``, lower case, a scheme's usual port left out.
        host: The host: a name without a trailing dot, or an address without brackets.
        port: The port.
        path: The path of the request as it came, its query behind it.
        label: What the caller calls the provider, for records; it leads nowhere.
        row: The name of the catalogue's row that the host belongs to; ``""`` for none.
    """

    origin: str
    host: str
    port: int
    path: str = attrs.field(default="/", repr=False)
    label: str = ""
    row: str = ""

    @property
    def authority(self) -> str:
        """The host, with the port where it is not the usual one."""
        return self.origin.partition("://")[2]
