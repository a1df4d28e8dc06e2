"""The front door of the conformance kit."""

from __future__ import annotations

import pytest

from llmgate.testing import conformance


def test_every_name_leads_to_a_class_of_that_name():
    for name in conformance.__all__:
        assert getattr(conformance, name).__name__ == name


def test_another_name_does_not():
    with pytest.raises(AttributeError, match="GuardConformance"):
        conformance.GuardConformance  # noqa: B018
