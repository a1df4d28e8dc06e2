"""The built-in routing strategies keep what the kit asks of any."""

from __future__ import annotations

from llmgate.stages.routing.cost import Cost
from llmgate.stages.routing.latency import Latency
from llmgate.stages.routing.least_busy import LeastBusy
from llmgate.stages.routing.priority import Priority
from llmgate.stages.routing.shuffle import Shuffle
from llmgate.stages.routing.split import Split, SplitConfig
from llmgate.stages.routing.tags import Tags, TagsConfig
from llmgate.stages.routing.weighted import Weighted
from llmgate.testing.conformance import RoutingConformance


class TestPriority(RoutingConformance):
    stage_class = Priority


class TestWeighted(RoutingConformance):
    stage_class = Weighted
    weighs = True


class TestLatency(RoutingConformance):
    stage_class = Latency


class TestLeastBusy(RoutingConformance):
    stage_class = LeastBusy


class TestCost(RoutingConformance):
    stage_class = Cost


class TestShuffle(RoutingConformance):
    stage_class = Shuffle


class TestSplit(RoutingConformance):
    stage_class = Split
    weighs = True  # the kit's request names no user, so that it is drawn


class TestSplitByLabel(RoutingConformance):
    stage_class = Split
    config = SplitConfig(by="session", seed="autumn")
    weighs = True


class TestTags(RoutingConformance):
    stage_class = Tags
    config = TagsConfig(["region:eu", "cheap"])
