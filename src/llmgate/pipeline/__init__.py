"""The conductor: it knows the interfaces of the stages, never an implementation."""

from __future__ import annotations

from .checkup import Checkup
from .frame import ExchangeFrame
from .models import ModelEntry
from .pipeline import Pipeline
from .sessions import Session
from .streaming import GatewayStream

__all__ = ["Checkup", "ExchangeFrame", "GatewayStream", "ModelEntry", "Pipeline", "Session"]
