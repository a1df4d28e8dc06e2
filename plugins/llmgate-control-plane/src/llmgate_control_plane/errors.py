"""What goes wrong between a gateway and its control plane."""

from __future__ import annotations

from llmgate.spec import GatewayError

__all__ = ["ControlPlaneUnavailableError", "MessageError"]


class ControlPlaneUnavailableError(GatewayError):
    """Nobody can say whether a key is good: the control plane is away, and what is remembered is too old (503)."""

    status_code = 503
    default_code = "control_plane_unavailable"


class MessageError(GatewayError):
    """What the other side says is not what the protocol allows; the message shows none of it."""

    default_code = "control_plane_protocol"
