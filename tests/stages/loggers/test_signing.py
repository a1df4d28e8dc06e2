"""Signing of events: the specification's own example, and secrets that are none."""

from __future__ import annotations

import attrs
import pytest

from llmgate.spec import PluginError, Secret, SecretRef
from llmgate.stages.loggers.signing import event_headers, look_at_secret, moment_of, signature_of
from llmgate.stages.loggers.webhook import Webhook, WebhookConfig
from llmgate.testing import FakeClock
from llmgate.testing.conformance import LoggerConformance

REF = SecretRef("env", "HOOK")


class Kit(LoggerConformance):
    stage_class = Webhook
    config = WebhookConfig(url="https://receiver.test")


Kit.__test__ = False  # type: ignore[attr-defined]


def context_with(tmp_path, secret):
    async def fetch(ref):
        return Secret(value=secret, ref=ref)

    return attrs.evolve(Kit().make_context(tmp_path, FakeClock()), fetch_secret=fetch)


async def test_the_example_of_the_specification(tmp_path):
    context = context_with(tmp_path, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = event_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330.9)
    signature = await signature_of(context, REF, headers, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_moment_is_in_utc_with_milliseconds():
    assert moment_of(1_700_000_000.5) == "2023-11-14T22:13:20.500Z"


@pytest.mark.parametrize("secret", ["whsec_c2hvcnQ=", "whsec_*not base64*not base64*", "x" * 23, ""])
async def test_what_is_too_short_is_refused_and_not_shown(tmp_path, secret):
    with pytest.raises(PluginError, match=r"env:HOOK is too short .* 24 bytes") as refused:
        await look_at_secret(context_with(tmp_path, secret), REF)
    assert not secret or secret not in str(refused.value)
    await look_at_secret(context_with(tmp_path, "x" * 24), REF)
