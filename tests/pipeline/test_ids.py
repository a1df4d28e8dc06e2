from __future__ import annotations

import uuid

from llmgate.pipeline.ids import new_id


def test_an_id_is_a_uuid_of_version_seven_and_carries_the_time() -> None:
    parsed = uuid.UUID(new_id(1_700_000_000.123))
    assert parsed.version == 7
    assert parsed.variant == uuid.RFC_4122
    assert parsed.int >> 80 == 1_700_000_000_123


def test_ids_of_the_same_instant_differ_and_later_ones_sort_later() -> None:
    same = {new_id(1.0) for _ in range(1000)}
    assert len(same) == 1000
    assert max(same) < new_id(2.0)
