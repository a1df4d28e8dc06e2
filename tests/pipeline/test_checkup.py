"""What an operator is shown of a deployment."""

from __future__ import annotations

import attrs

from llmgate.pipeline.checkup import Checkup, instance_of
from llmgate.spec import SecretRef
from llmgate.testing.samples import sample_deployment


def test_the_error_rate_is_unknown_where_nothing_was_asked() -> None:
    checkup = Checkup(id="a/m", provider_name="a", model="m", instance="0", state="closed")
    assert checkup.error_rate is None
    assert attrs.evolve(checkup, requests=8, errors=2).error_rate == 0.25


def test_an_instance_differs_by_address_and_credential_and_shows_neither() -> None:
    one = sample_deployment("a/m")
    address = attrs.evolve(one, provider=attrs.evolve(one.provider, base_url="https://secret.internal/v1"))
    key = attrs.evolve(one, provider=attrs.evolve(one.provider, secret=SecretRef("env", "OTHER")))
    found = {instance_of(each) for each in (one, address, key, sample_deployment("a/n"))}
    assert len(found) == 4
    assert all(len(each) == 8 and int(each, 16) >= 0 for each in found)
    assert instance_of(one) == instance_of(sample_deployment("a/m"))
