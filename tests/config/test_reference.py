"""The reference lists the keys of the gateway and of installed stages."""

from __future__ import annotations

from config.fakes import fake_names, find_fake
from llmgate.config.reference import as_markdown, key_table, stage_keys


def test_stage_keys_have_types_defaults_and_meanings() -> None:
    found = {key.path: key for key in stage_keys(find_fake, fake_names)}
    assert found["routing.latency.default-rtt"].default == "0.25"
    assert found["auth.everything.ttl"].meaning == "Seconds that something lives"
    assert found["auth.everything.colour"].default == "red"
    assert found["auth.static-keys.keys"].default == "required"
    assert found["auth.static-keys.keys"].type == "Sequence[Inner]"


def test_the_table_has_a_row_for_every_key() -> None:
    rows = as_markdown(key_table()).splitlines()
    assert len(rows) == len(key_table()) + 2
    assert all(row.replace("\\|", "").count("|") == 5 for row in rows)
    assert (
        "| `routers.<router>.load-balance.image` | section |  | How image requests are spread "
        "(not yet: an error that says so) |" in rows
    )
