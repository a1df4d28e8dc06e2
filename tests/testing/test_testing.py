"""The front door of the kit hands out what it promises, and imports it only then."""

from __future__ import annotations

import pytest

import llmgate.testing
from llmgate.testing import FakeClock
from llmgate.testing.clock import FakeClock as AtHome


def test_every_name_leads_somewhere():
    assert FakeClock is AtHome
    for name in llmgate.testing.__all__:
        assert getattr(llmgate.testing, name).__name__ == name


def test_another_name_does_not():
    with pytest.raises(AttributeError, match="no_such_name"):
        llmgate.testing.no_such_name  # noqa: B018
