"""Numbers have bounds: from a field's metadata, or from the table of our own classes."""

from __future__ import annotations

import attrs
import pytest

from llmgate.config.bounds import Bounds, bounds_of
from llmgate.config.model import ServerConfig


@attrs.frozen
class Sample:
    level: int = attrs.field(default=1, metadata={"minimum": 1, "maximum": 9})
    free: int = 1


def test_metadata_and_table() -> None:
    fields = attrs.fields_dict(Sample)
    assert bounds_of(Sample, fields["level"]) == Bounds(minimum=1, maximum=9)
    assert bounds_of(Sample, fields["free"]) is None
    port = bounds_of(ServerConfig, attrs.fields_dict(ServerConfig)["port"])
    assert port is not None
    assert [port.allow(value) for value in (-1, 0, 65535, 65536)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        (Bounds(minimum=1, maximum=2), "1 to 2"),
        (Bounds(above=0), "more than 0"),
        (Bounds(minimum=1), "at least 1"),
        (Bounds(above=0, maximum=5), "more than 0 and at most 5"),
    ],
)
def test_bounds_say_themselves(bounds: Bounds, text: str) -> None:
    assert str(bounds) == text
    assert not bounds.allow(-1)
