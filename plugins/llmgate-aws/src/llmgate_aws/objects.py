"""The logger ``s3``: records as objects in a bucket of S3's, or of anything that speaks its protocol.

Source: AWS, "Amazon S3 API reference" (PutObject, error responses) and "Virtual hosting of buckets".
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from llmgate.codecs.aws_signing import signature_headers
from llmgate.spec import (
    Batching,
    BatchLogger,
    DeliveryError,
    Entry,
    GatewayError,
    ProviderResponse,
    Record,
    RecordService,
    SecretRef,
    StageContext,
)

from .config import S3Config
from .identity import Identity

__all__ = ["S3Records"]

_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")
_CHINA: Final = "cn-"


class S3Records(BatchLogger[S3Config]):
    """Puts records into a bucket: a batch as an object of compressed lines, or each record as one.

    An object of a batch is named after the time of its first record and what is in it. A batch that is sent again has
    the same name; one that a crash has cut elsewhere has another, so that a reader takes each ``id`` once. The object
    of a record is named after the record, and is written over by itself.
    """

    name = "s3"
    config_class = S3Config

    def __init__(self, config: S3Config) -> None:
        super().__init__(config)
        self._identity: Identity | None = None

    @property
    def batching(self) -> Batching:
        """How large objects are, and how long records wait."""
        return self.config.batch

    async def open(self, context: StageContext) -> None:
        """Get ready; AWS is not asked yet: a gateway starts although it does not answer."""
        await super().open(context)
        self._identity = Identity(self.config, context)

    async def aclose(self) -> None:
        """Put what waits, and forget the credentials."""
        try:
            await super().aclose()
        finally:
            identity, self._identity = self._identity, None
            if identity is not None:
                await identity.aclose()

    def encode(self, record: Record) -> bytes:
        """The record as a line of JSON."""
        return json.dumps(record.as_json(), ensure_ascii=True, separators=(",", ":"), default=str).encode() + b"\n"

    async def send(self, entries: Sequence[Entry]) -> None:
        """Put the records.

        Raises:
            DeliveryError: they have not all been taken.
        """
        if self.config.layout == "records":
            for entry in entries:
                await self._put(f"{_hour(entry)}/{_safe(entry.id)}.json.gz", entry.body)
            return
        body = b"".join(entry.body for entry in entries)
        digest = hashlib.sha256("\n".join(entry.id for entry in entries).encode()).hexdigest()[:32]
        await self._put(f"{_hour(entries[0])}/{_safe(entries[0].id)}-{digest}.jsonl.gz", body)

    async def _put(self, name: str, lines: bytes) -> None:
        context, identity = self.context, self._identity
        assert identity is not None, "records are sent between open and aclose"
        body = await asyncio.to_thread(gzip.compress, lines, 6, mtime=0)
        ref = SecretRef(context.id, "identity")
        try:
            region = await identity.region(ref)
            keys = await identity.keys(ref)
        except GatewayError as error:
            raise DeliveryError(str(error)) from None
        url = f"{self._bucket_in(region)}/{self.config.prefix}{name}"
        headers = {
            "content-type": "application/gzip",
            "x-amz-content-sha256": hashlib.sha256(body).hexdigest(),
            **self._encryption(),
        }
        headers |= signature_headers(
            "PUT", url, headers, body, keys, service="s3", region=region, now=context.clock.now()
        )
        service = RecordService(
            f"S3 ({self.config.bucket})",
            context.transport,
            context.clock,
            self.batching.timeout,
            unacceptable=lambda _: False,
            reason=_code_of,
        )
        await service.send("PUT", url, headers, body)

    def _encryption(self) -> dict[str, str]:
        if self.config.kms_key is not None:
            return {
                "x-amz-server-side-encryption": "aws:kms",
                "x-amz-server-side-encryption-aws-kms-key-id": self.config.kms_key,
            }
        return {}

    def _bucket_in(self, region: str) -> str:
        bucket, endpoint = self.config.bucket, self.config.endpoint
        if endpoint is None:
            domain = "amazonaws.com.cn" if region.startswith(_CHINA) else "amazonaws.com"
            endpoint = f"https://s3.{region}.{domain}"
        # A certificate for *.s3.REGION.amazonaws.com does not hold for a bucket with a dot in its name.
        if self.config.path_style or "." in bucket:
            return f"{endpoint}/{bucket}"
        parts = urlsplit(endpoint)
        return f"{parts.scheme}://{bucket}.{parts.netloc}"


def _hour(entry: Entry) -> str:
    return datetime.fromtimestamp(entry.started_at, UTC).strftime("%Y/%m/%d/%H")


def _safe(name: str) -> str:
    """The id as part of a name; ids are ours, but what is signed must not need an escape."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64]


def _code_of(answer: ProviderResponse) -> str:
    """S3's name for an error; nothing else of what it says, as that repeats parts of the signature."""
    found = _CODE.search(answer.body[:4096])
    return found[1].decode() if found else ""
