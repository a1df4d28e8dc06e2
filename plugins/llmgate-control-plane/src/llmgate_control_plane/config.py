"""What the configuration may say: each field is a key, in kebab-case in the file."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import attrs

from llmgate.spec import SecretRef, bounded

__all__ = ["ControlPlaneConfig", "address_of", "is_loopback"]

HELICONE: Final = "wss://api.helicone.ai/ws/v1/router/control-plane"
_SCHEMES: Final = {"wss": "https", "ws": "http"}


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its address or as ``localhost``."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def address_of(url: str) -> tuple[str, str]:
    """Where a handshake goes: the address and its origin, as HTTP writes them.

    Raises:
        ValueError: it cannot be used, or would be called without TLS beyond this machine. The text shows none of it.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in _SCHEMES or "@" in parts.netloc or parts.fragment or not url.isascii():
        raise ValueError("url: write wss://HOST/PATH, where the control plane is")
    if parts.scheme == "ws" and not is_loopback(host):
        raise ValueError(
            "url: the gateway's credential and what is known of keys would go over the network without TLS: write "
            "wss://; ws:// is for this machine alone"
        )
    scheme = _SCHEMES[parts.scheme]
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return f"{scheme}://{parts.netloc}{path}", f"{scheme}://{parts.netloc}"


def _an_address(_: object, field: attrs.Attribute[Any], url: str) -> None:
    # The field beside the message lets the configuration's reader name the line.
    try:
        address_of(url)
    except ValueError as wrong:
        raise ValueError(str(wrong), field) from None


@attrs.frozen
class ControlPlaneConfig:
    """The keys of ``control-plane``.

    Args:
        url: Where the control plane takes WebSockets; ``ws://`` is for this machine alone.
        credential: What the gateway shows it.
        pepper: The secret that issued keys are hashed with, the same as where they are made; None for a control plane
            that has none, as Helicone's.
        former_peppers: Peppers of before, under which older keys still work.
        unknown: What becomes of a key that is not known: ``refuse`` it, or ``pass`` it to the next auth provider.
        on_outage: What becomes of keys that are known while the control plane does not answer: they go on working for
            ``stale-for`` (``allow-stale``), or everybody is told 503 (``deny``).
        stale_for: Seconds for which keys that are known go on working then, over restarts of the gateway as well.
        snapshot: The file in which keys are kept for a restart without the control plane, relative to the
            configuration; empty for none.
        snapshot_key: Where the key is kept that the file is sealed with, 32 bytes in hexadecimal or base64; None for
            not sealed.
        ca_file: Certificates that the control plane's is checked against; None for those of the system.
        heartbeat: Seconds between two pings; a control plane that does not answer one within half of it is given up.
        timeout: Seconds that connecting may take, and again the first word of the control plane.
        open_timeout: Seconds that the gateway's start waits for the control plane; then it goes on without.
        min_delay: Seconds before the first attempt to connect again, at most; chance takes any part of it.
        max_delay: Seconds between two attempts, at most.
        factor: By how much the time between attempts grows.
        max_message_bytes: Upper bound of one message of the control plane.
        max_keys: Upper bound of the keys that are taken from it.
    """

    url: str = attrs.field(default=HELICONE, validator=_an_address)
    credential: SecretRef = SecretRef("env", "HELICONE_CONTROL_PLANE_API_KEY")
    pepper: SecretRef | None = None
    former_peppers: Sequence[SecretRef] = ()
    unknown: Literal["refuse", "pass"] = "refuse"
    on_outage: Literal["allow-stale", "deny"] = "allow-stale"
    stale_for: float = bounded(86400.0, 0, 366 * 86400)
    snapshot: str = "llmgate-control-plane.snapshot"
    snapshot_key: SecretRef | None = None
    ca_file: Path | None = None
    heartbeat: float = bounded(15.0, 0.05, 3600)
    timeout: float = bounded(10.0, 0.05, 600)
    open_timeout: float = bounded(10.0, 0, 600)
    min_delay: float = bounded(1.0, 0.05, 3600)
    max_delay: float = bounded(60.0, 0.05, 86400)
    factor: float = bounded(2.0, 1, 100)
    max_message_bytes: int = bounded(64 * 1024 * 1024, 1024, 1024**3)
    max_keys: int = bounded(1_000_000, 1, 10_000_000)

    def __attrs_post_init__(self) -> None:
        """Check what one field alone cannot tell."""
        if self.min_delay > self.max_delay:
            raise ValueError("min-delay: write one that is not longer than max-delay")
        if self.former_peppers and self.pepper is None:
            raise ValueError("former-peppers: write pepper, too, which is the one in force")

    @property
    def known_for(self) -> float:
        """Seconds for which keys are good without word of the control plane."""
        return self.stale_for if self.on_outage == "allow-stale" else 0.0
