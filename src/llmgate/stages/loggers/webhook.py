"""Records posted to an address of the operator's, signed.

Source: Standard Webhooks, "Specification" (payload, ``webhook-id``, ``webhook-timestamp``, ``webhook-signature``, v1).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import attrs

from llmgate.spec import (
    Batching,
    BatchLogger,
    DeliveryError,
    Entry,
    GatewayError,
    Record,
    RecordService,
    SecretRef,
    StageContext,
    a_service,
)

from .signing import event_headers, look_at_secret, moment_of, signature_of

__all__ = ["Webhook", "WebhookConfig"]


@attrs.frozen
class WebhookConfig:
    """The config of ``webhook``.

    Args:
        url: Where records are posted.
        secret: What they are signed with, ``whsec_`` and base64 or any text of 24 bytes; None for no signature.
        authorization: What is sent as ``Authorization``, None for nothing.
        batch: How many records are sent at once, and how long they wait while nobody takes them.
    """

    url: str = attrs.field(validator=a_service)
    secret: SecretRef | None = None
    authorization: SecretRef | None = None
    batch: Batching = Batching(records=100)


class Webhook(BatchLogger[WebhookConfig]):
    """Posts records in batches, as ``llmgate.records`` events of the Standard Webhooks kind.

    The same records in a batch have the same ``webhook-id``, and each has its ``id``: who gets one twice knows it by
    that.
    """

    name = "webhook"
    config_class = WebhookConfig

    @property
    def batching(self) -> Batching:
        """How large batches are, and how long they wait."""
        return self.config.batch

    async def open(self, context: StageContext) -> None:
        """Look at the secrets; the receiver is not asked yet.

        Raises:
            PluginError: the signing secret is too short.
        """
        await super().open(context)
        if self.config.secret is not None:
            await look_at_secret(context, self.config.secret)

    def encode(self, record: Record) -> bytes:
        """The record as JSON."""
        return json.dumps(record.as_json(), ensure_ascii=True, separators=(",", ":"), default=str).encode("ascii")

    async def send(self, entries: Sequence[Entry]) -> None:
        """Post a batch.

        Raises:
            DeliveryError: it was not taken.
        """
        context = self.context
        now = context.clock.now()
        records = b",".join(entry.body for entry in entries)
        body = b'{"type":"llmgate.records","timestamp":"%b","data":{"records":[%b]}}' % (
            moment_of(now).encode(),
            records,
        )
        id_of_batch = "msg_" + hashlib.sha256("\n".join(entry.id for entry in entries).encode()).hexdigest()[:32]
        headers = event_headers(id_of_batch, now)
        await self._add_secrets(context, headers, body)
        service = RecordService(
            f"the receiver of {context.id}", context.transport, context.clock, self.batching.timeout
        )
        await service.send("POST", self.config.url, headers, body)

    async def _add_secrets(self, context: StageContext, headers: dict[str, str], body: bytes) -> None:
        try:
            if self.config.secret is not None:
                headers["webhook-signature"] = await signature_of(context, self.config.secret, headers, body)
            if self.config.authorization is not None:
                headers["authorization"] = (await context.fetch_secret(self.config.authorization)).reveal()
        except GatewayError as error:
            raise DeliveryError(str(error)) from None
