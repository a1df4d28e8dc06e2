"""``webhook``: what is posted can be checked by any library for Standard Webhooks, and read back as records."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import datetime
from typing import Any

import attrs
import pytest

from llmgate import Pipeline
from llmgate.spec import DeliveryError, PluginError, ProviderRequest, ProviderResponse, Record, SecretRef
from llmgate.stages.loggers.webhook import Webhook, WebhookConfig
from llmgate.testing import AnsweringTransport, FakeClock, FakeUpstream
from llmgate.testing.conformance import LoggerConformance
from llmgate.testing.samples import sample_record

URL = "https://receiver.test/hooks?a=b"
KEY = b"canary-canary-canary-canary"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
SECRETS = {"env:HOOK_SECRET": SECRET, "env:HOOK_TOKEN": "Bearer canary-token", "env:SHORT": "whsec_c2hvcnQ="}


def taken(_: ProviderRequest) -> ProviderResponse:
    return ProviderResponse(204, {}, b"")


class TestWebhook(LoggerConformance):
    stage_class = Webhook
    config = WebhookConfig(
        url=URL, secret=SecretRef("env", "HOOK_SECRET"), authorization=SecretRef("env", "HOOK_TOKEN")
    )
    secrets = SECRETS

    def make_context(self, directory, clock):
        context = super().make_context(directory, clock)
        return attrs.evolve(context, transport=AnsweringTransport(taken))

    def written(self, context):
        bodies = [json.loads(request.body) for request in context.transport.requests]
        return [json.dumps(record) for body in bodies for record in body["data"]["records"]]


async def hook(tmp_path, answer=taken, **fields: Any) -> tuple[Webhook, AnsweringTransport]:
    kit = TestWebhook()
    context = kit.make_context(tmp_path, FakeClock())
    transport = AnsweringTransport(answer)
    stage = Webhook(WebhookConfig(url=URL, **fields))
    await stage.open(attrs.evolve(context, transport=transport))
    return stage, transport


async def test_a_receiver_can_check_the_signature_and_read_the_records(tmp_path):
    stage, transport = await hook(tmp_path, secret=SecretRef("env", "HOOK_SECRET"))
    records = [sample_record(), sample_record(usage=None)]
    for record in records:
        await stage.record(record)
    await stage.flush()
    (request,) = transport.requests
    assert (request.method, request.url) == ("POST", URL)
    head, body = request.headers, request.body
    assert body is not None
    expected = hmac.new(KEY, f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + body, hashlib.sha256)
    assert head["webhook-signature"] == f"v1,{base64.b64encode(expected.digest()).decode()}"
    assert head["webhook-timestamp"] == "1700000000"
    event = json.loads(body)
    assert event["type"] == "llmgate.records"
    assert datetime.fromisoformat(event["timestamp"]).timestamp() == 1_700_000_000
    assert [Record.from_json(one) for one in event["data"]["records"]] == records


async def test_the_same_batch_has_the_same_id_however_often_it_is_sent(tmp_path):
    answers = iter([503, 200, 200])
    stage, transport = await hook(tmp_path, lambda _: ProviderResponse(next(answers), {}, b""))
    await stage.record(sample_record())
    with pytest.raises(DeliveryError, match=r"the receiver of loggers\[0\] answers 503"):
        await stage.flush()
    await stage.flush()
    await stage.record(sample_record())
    await stage.flush()
    first, second, third = (request.headers["webhook-id"] for request in transport.requests)
    assert first == second != third
    assert "webhook-signature" not in transport.requests[0].headers


async def test_a_secret_that_is_gone_loses_no_record(tmp_path):
    stage, transport = await hook(tmp_path, authorization=SecretRef("env", "GONE"))
    await stage.record(sample_record())
    with pytest.raises(DeliveryError, match="env:GONE"):
        await stage.flush()
    assert transport.requests == []


async def test_a_short_secret_is_refused_at_the_start(tmp_path):
    with pytest.raises(PluginError, match=r"loggers\[0\]: the secret env:SHORT is too short .* 24 bytes"):
        await hook(tmp_path, secret=SecretRef("env", "SHORT"))


async def test_over_http_as_configured(tmp_path, monkeypatch):
    """A real receiver that is down for the first request."""
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    async with FakeUpstream() as receiver:
        receiver.answer(503, headers={"retry-after": "0"})
        receiver.answer(200, times=9)
        config = tmp_path / "llmgate.yaml"
        config.write_text(
            "providers:\n  echo: {}\n"
            f"loggers:\n  - use: webhook\n    url: {receiver.url}/hook\n    secret: env:HOOK_SECRET\n"
        )
        async with Pipeline.from_config(config) as pipeline:
            for _ in range(3):
                await pipeline.complete(model="echo/any", messages=[{"role": "user", "content": "hello"}])
        sent = [json.loads(request.body) for request in receiver.requests]
    ids = [one["id"] for body in sent for one in body["data"]["records"]]
    assert len(set(ids)) == 3
    assert sent[0]["data"]["records"][0]["id"] == ids[0]
