"""``s3``: records in a bucket of moto's server, signed as botocore signs, each there once however often it is sent."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest
from aws_server import KEYS, REGION, Aws
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from llmgate_aws.config import S3Config
from llmgate_aws.objects import S3Records

from llmgate.spec import DeliveryError, ProviderRequest, ProviderResponse, Record, SecretRef, StageContext
from llmgate.testing import AnsweringTransport, FakeClock
from llmgate.testing.conformance import LoggerConformance
from llmgate.testing.samples import sample_record
from llmgate.wire.transport import AiohttpTransport

BUCKET = "llmgate-records"
MOMENT = 1_795_305_600.0  # 2026-11-22T00:00:00Z


def put_all(aws: Aws) -> list[tuple[str, Sequence[str]]]:
    """The objects of the bucket, and the lines of each."""
    client = aws.client("s3")
    found = []
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for one in page.get("Contents", ()):
            body = gzip.decompress(client.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read())
            found.append((one["Key"], body.decode().splitlines()))
    return found


@pytest.fixture
def bucket(aws: Aws) -> Aws:
    client = aws.client("s3")
    with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    for key, _ in put_all(aws):
        client.delete_object(Bucket=BUCKET, Key=key)
    return aws


def config(aws: Aws, **fields: Any) -> S3Config:
    return S3Config(**{"bucket": BUCKET, "region": REGION, "endpoint": aws.address, "path_style": True, **fields})


class InS3(LoggerConformance):
    """With a bucket that is a dict: the kit puts thousands of objects."""

    stage_class = S3Records
    layout: str

    @pytest.fixture(autouse=True)
    def _bucket(self) -> None:
        self.objects: dict[str, bytes] = {}

    def make_config(self) -> S3Config:
        return S3Config(bucket=BUCKET, region=REGION, layout=self.layout)

    def make_context(self, directory: Path, clock: FakeClock) -> StageContext:
        context = super().make_context(directory, clock)
        return attrs.evolve(context, transport=AnsweringTransport(self._take), environment=KEYS)

    def written(self, context: StageContext) -> Sequence[str]:  # noqa: ARG002 - the bucket is the test's
        return [line for body in self.objects.values() for line in gzip.decompress(body).decode().splitlines()]

    def _take(self, request: ProviderRequest) -> ProviderResponse:
        self.objects[request.url] = request.body or b""
        return ProviderResponse(200, {}, b"")


class TestBatches(InS3):
    layout = "batches"


class TestRecords(InS3):
    layout = "records"


async def opened(tmp_path: Path, settings: S3Config, transport: Any, **fields: Any) -> S3Records:
    context = LoggerConformance().make_context(tmp_path, FakeClock(now=MOMENT))
    stage = S3Records(settings)
    await stage.open(attrs.evolve(context, transport=transport, environment=KEYS, **fields))
    return stage


async def test_names_tell_the_hour_and_a_reader_gets_the_records_back(bucket: Aws, tmp_path: Path) -> None:
    transport = AiohttpTransport()
    stage = await opened(tmp_path, config(bucket, prefix="llmgate/prod/"), transport)
    records = [sample_record(started_at=MOMENT + 60 * one) for one in range(3)]
    for record in records:
        await stage.record(record)
    await stage.aclose()
    await transport.aclose()
    ((key, lines),) = put_all(bucket)
    assert key.startswith(f"llmgate/prod/2026/11/22/00/{records[0].id}-")
    assert key.endswith(".jsonl.gz")
    assert [Record.from_json(json.loads(line)) for line in lines] == records


@pytest.mark.parametrize(("layout", "objects"), [("batches", 1), ("records", 2)])
async def test_what_is_sent_twice_is_there_once(bucket: Aws, tmp_path: Path, layout: str, objects: int) -> None:
    transport = AiohttpTransport()
    stage = await opened(tmp_path, config(bucket, layout=layout), transport)
    records = [sample_record(), sample_record()]
    for _ in range(2):
        for record in records:
            await stage.record(record)
        await stage.flush()
    await stage.aclose()
    await transport.aclose()
    assert len(put_all(bucket)) == objects


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({"region": "eu-west-1"}, f"https://{BUCKET}.s3.eu-west-1.amazonaws.com/"),
        ({"region": "cn-north-1"}, f"https://{BUCKET}.s3.cn-north-1.amazonaws.com.cn/"),
        ({"region": "eu-west-1", "path_style": True}, f"https://s3.eu-west-1.amazonaws.com/{BUCKET}/"),
        ({"region": "eu-west-1", "bucket": "a.b.c"}, "https://s3.eu-west-1.amazonaws.com/a.b.c/"),
        ({"endpoint": "https://minio.test:9000", "region": "x"}, f"https://{BUCKET}.minio.test:9000/"),
        ({"region": "eu-west-1", "kms_key": "alias/llmgate"}, f"https://{BUCKET}.s3.eu-west-1.amazonaws.com/"),
    ],
)
async def test_it_is_signed_as_botocore_signs(tmp_path: Path, settings: dict[str, Any], address: str) -> None:
    transport = AnsweringTransport(lambda _: ProviderResponse(200, {}, b""))
    stage = await opened(tmp_path, S3Config(**{"bucket": BUCKET, "prefix": "a_b/c.d/", **settings}), transport)
    await stage.record(sample_record(started_at=MOMENT))
    await stage.flush()
    (request,) = transport.requests
    assert request.url.startswith(f"{address}a_b/c.d/2026/11/22/00/")
    assert request.headers["authorization"] == theirs(request, settings["region"])


def theirs(request: ProviderRequest, region: str) -> str:
    """The signature of botocore over the same request at the same moment."""
    sent = {name: value for name, value in request.headers.items() if name != "authorization"}
    sent["host"] = urlsplit(request.url).netloc
    theirs = AWSRequest("PUT", request.url, headers=sent, data=request.body)
    theirs.context["timestamp"] = request.headers["x-amz-date"]
    theirs.context["payload_signing_enabled"] = True
    signer = S3SigV4Auth(Credentials(KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"]), "s3", region)
    signer._inject_signature_to_request(theirs, signed(signer, theirs))
    return str(theirs.headers["Authorization"])


def signed(signer: Any, request: AWSRequest) -> str:
    return str(signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (ProviderResponse(403, {}, b"<Error><Code>AccessDenied</Code><Secret>canary</Secret>"), "403: AccessDenied$"),
        (ProviderResponse(404, {}, b"<Error><Code>NoSuchBucket</Code>"), "404: NoSuchBucket$"),
        (ProviderResponse(400, {}, b"<Error><Code>ExpiredToken</Code>"), "400: ExpiredToken$"),
        (ProviderResponse(503, {}, b"canary"), "503$"),
    ],
)
async def test_a_refusal_is_told_by_its_name_and_loses_nothing(tmp_path: Path, answer: Any, words: str) -> None:
    transport = AnsweringTransport(lambda _: answer)
    stage = await opened(tmp_path, S3Config(bucket=BUCKET, region=REGION), transport)
    await stage.record(sample_record())
    with pytest.raises(DeliveryError, match=rf"S3 \({BUCKET}\) answers {words}"):
        await stage.flush()
    assert stage.refused == 0
    answer = ProviderResponse(200, {}, b"")
    await stage.flush()
    assert len(transport.requests) == 2
    assert transport.requests[0].url == transport.requests[1].url


async def test_without_credentials_records_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*KEYS, "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    context = LoggerConformance().make_context(tmp_path, FakeClock())
    stage = S3Records(S3Config(bucket=BUCKET, region=REGION, credentials=SecretRef("env", "GONE")))
    await stage.open(context)
    await stage.record(sample_record())
    with pytest.raises(DeliveryError, match="env:GONE"):
        await stage.flush()
    await stage.aclose()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"bucket": "A"}, "bucket: write its name"),
        ({"bucket": "a/../b"}, "bucket: write its name"),
        ({"prefix": "llmgate"}, "prefix: write folders that end in /"),
        ({"prefix": "a b/"}, "prefix: write folders"),
        ({"layout": "rows"}, "layout"),
        ({"endpoint": "http://minio.test"}, "without TLS"),
        ({"endpoint": "https://minio.test/path"}, "without a path"),
        ({"kms_key": "a\nb"}, "kms-key"),
    ],
)
def test_wrong_keys_are_named(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        S3Config(**{"bucket": BUCKET, **fields})
