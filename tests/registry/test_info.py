"""What is told of a stage."""

from __future__ import annotations

from llmgate.registry.info import PluginInfo, summary_of
from llmgate.spec import NoConfig, RoutingStrategy


def test_a_stage_is_healthy_unless_something_is_said():
    assert PluginInfo("routing", "x", "llmgate-x").health == "ok"


def test_the_summary_is_the_first_line_of_the_class():
    class Told(RoutingStrategy[NoConfig]):
        """Ranks by name.

        And more.
        """

    class Untold(Told):
        pass

    assert summary_of(Told) == "Ranks by name."
    assert summary_of(Untold) == "", "not the line of its base"
