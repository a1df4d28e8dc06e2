"""What the gateway tells of itself: traces and metrics, made from the records of exchanges that are over."""

from .telemetry import Telemetry

__all__ = ["Telemetry"]
