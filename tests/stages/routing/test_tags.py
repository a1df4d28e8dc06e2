from __future__ import annotations

import attrs
import pytest

from llmgate.spec import Deployment, RoutingContext
from llmgate.stages.routing.tags import Tags, TagsConfig
from llmgate.testing.samples import sample_deployment, sample_view

CONTEXT = RoutingContext(now=0.0, random=lambda: 0.0)


def tagged(**tags: str) -> list[Deployment]:
    return [attrs.evolve(sample_deployment(f"p/{name}"), tags=frozenset(text.split())) for name, text in tags.items()]


@pytest.mark.parametrize(
    ("prefer", "order"), [(["x", "y"], "dcba"), (["y", "x"], "dbca"), (["x"], "cdab"), (["z"], "abcd")]
)
def test_the_most_important_tag_counts_first_and_the_rest_stay_as_written(prefer: list[str], order: str) -> None:
    ranked = Tags(TagsConfig(prefer)).rank(sample_view(), tagged(a="", b="y", c="x", d="x y"), CONTEXT)
    assert "".join(one.id[-1] for one in ranked) == order


def test_those_that_carry_the_same_are_ordered_by_the_strategy_below() -> None:
    context = attrs.evolve(CONTEXT, then=lambda left: tuple(reversed(left)))
    ranked = Tags(TagsConfig(["x"])).rank(sample_view(), tagged(a="x", b="", c="x", d=""), context)
    assert "".join(one.id[-1] for one in ranked) == "cadb"


@pytest.mark.parametrize("prefer", [[], [""], ["x", " "]])
def test_something_must_be_preferred(prefer: list[str]) -> None:
    with pytest.raises(ValueError, match="prefer: name at least one tag"):
        TagsConfig(prefer)
