from __future__ import annotations

import attrs
import pytest

from llmgate.pipeline import failing
from llmgate.pipeline.failing import Failing, is_its_own_fault
from llmgate.spec import (
    GatewayError,
    GatewayTimeoutError,
    InvalidRequestError,
    ProviderAuthenticationError,
    ProviderError,
    ProviderProtocolError,
)
from llmgate.testing.samples import sample_deployment

DOWN = ProviderError("down", retryable=True)


def test_who_has_failed_fails_for_a_moment() -> None:
    known, one = Failing(), sample_deployment()
    assert not known.fails(one, 1000.0)
    known.failed(one, DOWN, 1000.0)
    assert known.fails(one, 1009.9)
    assert not known.fails(one, 1010.0)


def test_who_has_answered_is_well() -> None:
    known, one = Failing(), sample_deployment()
    known.failed(one, DOWN, 1000.0)
    known.answered(one)
    assert not known.fails(one, 1000.0)


def test_a_server_of_the_same_name_at_another_address_is_another_one() -> None:
    known, one = Failing(), sample_deployment()
    other = attrs.evolve(one, provider=attrs.evolve(one.provider, base_url="https://eu.example/v1"))
    known.failed(one, DOWN, 1000.0)
    assert not known.fails(other, 1000.0)


@pytest.mark.parametrize(
    ("error", "own"),
    [
        (DOWN, True),
        (ProviderProtocolError("nonsense"), True),
        (ProviderAuthenticationError("key", retryable=True), True),
        (ProviderError("bad request", upstream_status=400), False),
        (InvalidRequestError("x"), False),
        (GatewayTimeoutError("x"), False),
    ],
)
def test_only_its_own_fault_is_held_against_it(error: GatewayError, own: bool) -> None:
    known, one = Failing(), sample_deployment()
    known.failed(one, error, 1000.0)
    assert known.fails(one, 1000.0) is own is is_its_own_fault(error)


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failing, "MOST", 3)
    known = Failing()
    many = [attrs.evolve(sample_deployment(), id=f"one/m{number}") for number in range(5)]
    for one in many:
        known.failed(one, DOWN, 1000.0)
    assert [known.fails(one, 1000.0) for one in many] == [False, False, True, True, True]
