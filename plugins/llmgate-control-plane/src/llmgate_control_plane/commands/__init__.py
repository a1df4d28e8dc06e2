"""The commands of the control plane: ``llmgate control-plane …``."""

from __future__ import annotations

from collections.abc import Sequence

from llmgate.spec import Command, hookimpl

from .gateways import GatewayAdd, GatewayList, GatewayRemove
from .serve import Serve

__all__ = ["llmgate_register_commands"]


@hookimpl
def llmgate_register_commands() -> Sequence[type[Command]]:
    """``control-plane serve``, ``add``, ``list`` and ``remove``."""
    return (Serve, GatewayAdd, GatewayList, GatewayRemove)
