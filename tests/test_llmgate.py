"""The front door: every name leads somewhere, and nothing else does."""

from __future__ import annotations

from importlib.metadata import version

import pytest

import llmgate


@pytest.mark.parametrize("name", llmgate.__all__)
def test_every_public_name_is_there_and_listed(name):
    assert getattr(llmgate, name) is not None
    assert name in dir(llmgate)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Pipelin'"):
        _ = llmgate.Pipelin


def test_the_version_is_that_of_the_distribution():
    assert llmgate.__version__ == version("llmgate")


def test_a_class_is_the_same_whichever_door_it_comes_through():
    from llmgate.pipeline import Pipeline
    from llmgate.spec import GatewayError

    assert llmgate.Pipeline is Pipeline
    assert llmgate.GatewayError is GatewayError
