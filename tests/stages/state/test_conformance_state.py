"""The built-in state store keeps what the kit asks of any."""

from __future__ import annotations

from llmgate.stages.state.memory import Memory
from llmgate.testing.conformance import StateConformance


class TestMemory(StateConformance):
    stage_class = Memory
