"""Reads how the host speaks TLS: ``Disabled``, its settings, or these below ``Enabled`` as in the older dialect."""

from __future__ import annotations

import contextlib

from .decoder import Decoder, UnreadableError
from .sections import is_null
from .server import TlsConfig
from .tree import MapNode, Node, ValueNode

__all__ = ["read_tls"]


def read_tls(decoder: Decoder, node: Node) -> TlsConfig | None:
    """What ``server.tls`` says; None where it is off, or wrong."""
    if is_null(node):
        return None
    if isinstance(node, ValueNode) and (node.value is False or node.text.lower() == "disabled"):
        return None
    if isinstance(node, MapNode):
        enabled = node.find("Enabled") or node.find("enabled")
        if enabled is not None and isinstance(enabled.node, MapNode) and len(list(node)) == 1:
            node = enabled.node
        with contextlib.suppress(UnreadableError):
            return decoder.read_class(node, TlsConfig, within="server.tls")
        return None
    decoder.problems.add(
        node.where, "'server.tls' is Disabled, or says cert and key, the files of the host's certificate"
    )
    return None
