"""Callers' keys from a control plane: Helicone's, one that speaks its protocol, or llmgate's own."""

from __future__ import annotations

from llmgate.spec import hookimpl

from .config import ControlPlaneConfig
from .errors import ControlPlaneUnavailableError
from .provider import ControlPlane

__all__ = [
    "ControlPlane",
    "ControlPlaneConfig",
    "ControlPlaneUnavailableError",
    "llmgate_register_auth_providers",
]


@hookimpl
def llmgate_register_auth_providers() -> type[ControlPlane]:
    """``control-plane``."""
    return ControlPlane
