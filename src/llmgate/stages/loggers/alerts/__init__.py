"""The logger ``alerts``: tells people when spend, errors or latency pass a threshold, and when they are back."""

from __future__ import annotations

from .config import AlertsConfig, Receiver, Rule
from .logger import Alerts

__all__ = ["Alerts", "AlertsConfig", "Receiver", "Rule"]
