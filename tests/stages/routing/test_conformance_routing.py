"""The built-in routing strategies keep what the kit asks of any."""

from __future__ import annotations

from llmgate.stages.routing.latency import Latency
from llmgate.stages.routing.priority import Priority
from llmgate.stages.routing.weighted import Weighted
from llmgate.testing.conformance import RoutingConformance


class TestPriority(RoutingConformance):
    stage_class = Priority


class TestWeighted(RoutingConformance):
    stage_class = Weighted
    weighs = True


class TestLatency(RoutingConformance):
    stage_class = Latency
