"""The logger ``helicone``: every record by a call of Helicone's log endpoint."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Final

from llmgate.spec import Batching, BatchLogger, DeliveryError, Entry, GatewayError, Record, RecordService

from .config import HeliconeConfig
from .exchange import log_request

__all__ = ["HeliconeRecords"]

_PATH: Final = "/custom/v1/log"


class HeliconeRecords(BatchLogger[HeliconeConfig]):
    """Tells Helicone of every exchange, under the exchange's own id: told twice, it is there once."""

    name = "helicone"
    config_class = HeliconeConfig

    @property
    def batching(self) -> Batching:
        """How many records wait, and how long."""
        return self.config.batch

    def encode(self, record: Record) -> bytes:
        """The record in Helicone's words, as JSON."""
        return json.dumps(log_request(record), ensure_ascii=True, separators=(",", ":"), default=str).encode()

    async def send(self, entries: Sequence[Entry]) -> None:
        """Tell of some exchanges, a few at once.

        Raises:
            DeliveryError: Helicone has not taken them all.
        """
        context = self.context
        try:
            key = await context.fetch_secret(self.config.api_key)
        except GatewayError as error:
            raise DeliveryError(str(error)) from None
        service = RecordService("Helicone", context.transport, context.clock, self.batching.timeout)
        headers = {"content-type": "application/json", "authorization": f"Bearer {key.reveal()}"}
        places = asyncio.Semaphore(self.config.parallel)

        async def tell(entry: Entry) -> None:
            async with places:
                await service.send("POST", self.config.url.rstrip("/") + _PATH, headers, entry.body)

        told = await asyncio.gather(*map(tell, entries), return_exceptions=True)
        failures = [one for one in told if isinstance(one, BaseException)]
        # One that Helicone will not have is looked for only once the others are taken.
        for failure in sorted(failures, key=lambda one: isinstance(one, DeliveryError) and one.unacceptable):
            raise failure
