"""``priority``: written order, always."""

from __future__ import annotations

from llmgate.spec import NoConfig, RoutingContext
from llmgate.stages.routing.priority import Priority
from llmgate.testing.samples import sample_deployment, sample_view


def test_the_order_is_the_written_one():
    given = [sample_deployment(f"p{n}/m", weight=n) for n in (3, 1, 2)]
    ranked = Priority(NoConfig()).rank(sample_view(), given, RoutingContext(now=0.0, random=lambda: 0.9))
    assert [one.id for one in ranked] == ["p3/m", "p1/m", "p2/m"]
