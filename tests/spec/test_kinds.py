"""Kinds are found by their id."""

from __future__ import annotations

import pytest

from llmgate.spec import KINDS, Logger, kind_named


def test_a_kind_is_found_by_its_id():
    assert kind_named("loggers").base is Logger
    assert [kind_named(kind.id) for kind in KINDS] == list(KINDS)


def test_an_unknown_kind_is_a_key_error():
    with pytest.raises(KeyError, match="caches"):
        kind_named("caches")
