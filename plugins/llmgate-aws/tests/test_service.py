"""Regions in order while one does not answer, refusals with what is missing, and who the gateway is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs
import pytest
from aws_server import REGION, Opener
from llmgate_aws.parameters import AwsParameters
from llmgate_aws.secrets import AwsSecrets

from llmgate.codecs.aws_keys import Keys
from llmgate.spec import SecretRef, SecretUnavailableError
from llmgate.testing.transport import ScriptedTransport, json_answer

SECOND = "eu-west-1"


@pytest.fixture
def replicated(aws: Any) -> SecretRef:
    """A secret that says which region it is in."""
    name = aws.new_name()
    for region in (REGION, SECOND):
        aws.client("secretsmanager", region).create_secret(Name=name, SecretString=f"of {region}")
    return SecretRef("aws", name)


async def test_a_replica_is_asked_while_the_region_does_not_answer(opened: Opener, replicated: SecretRef) -> None:
    store = await opened(AwsSecrets, replicas=(SECOND,))
    assert (await store.fetch(replicated)).reveal() == f"of {REGION}"
    opened.transport.down.add(REGION)
    assert (await store.fetch(replicated)).reveal() == f"of {SECOND}"
    opened.transport.asked.clear()
    assert (await store.fetch(replicated)).reveal() == f"of {SECOND}"
    assert len(opened.transport.asked) == 1, "a region that has not answered is asked last for a while"
    opened.transport.down.clear()
    opened.clock.advance(31)
    assert (await store.fetch(replicated)).reveal() == f"of {REGION}"
    opened.transport.down |= {REGION, SECOND}
    with pytest.raises(SecretUnavailableError, match=rf"Secrets Manager in {REGION} cannot be reached"):
        await store.fetch(replicated)


async def test_what_is_not_there_is_not_looked_for_elsewhere(opened: Opener) -> None:
    store = await opened(AwsSecrets, replicas=(SECOND,))
    name = opened.aws.new_name()
    opened.aws.client("secretsmanager", SECOND).create_secret(Name=name, SecretString="elsewhere")
    with pytest.raises(Exception, match="has no such secret"):
        await store.fetch(SecretRef("aws", name))


@pytest.mark.parametrize(
    ("store_class", "status", "error", "words"),
    [
        (
            AwsSecrets,
            400,
            "AccessDeniedException",
            "the role needs secretsmanager:GetSecretValue",
        ),
        (AwsSecrets, 400, "com.amazonaws#DecryptionFailure", "needs kms:Decrypt"),
        (AwsSecrets, 400, "ExpiredTokenException", "answers 400: ExpiredTokenException$"),
        (AwsSecrets, 500, "InternalServiceError", "answers 500: InternalServiceError"),
        (AwsSecrets, 400, "ThrottlingException", "answers 400: ThrottlingException"),
        (AwsSecrets, 403, None, "answers 403$"),
        (AwsParameters, 400, "AccessDeniedException", "the role needs ssm:GetParameter"),
        (AwsParameters, 200, None, "answers 200$"),
    ],
)
async def test_a_refusal_is_named_and_is_no_proof_of_absence(
    opened: Opener, store_class: Any, status: int, error: str | None, words: str
) -> None:
    store = await opened(store_class)
    body = {"__type": error, "Message": "User canary-arn is not authorized"} if error else {}
    transport = ScriptedTransport([json_answer(body, status=status)])
    store._service._context = attrs.evolve(store._service._context, transport=transport)
    with pytest.raises(SecretUnavailableError, match=words) as caught:
        await store.fetch(SecretRef("aws", "name"))
    assert "canary-arn" not in str(caught.value)


async def test_a_profile_says_who_and_where(opened: Opener, replicated: SecretRef, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = s\n")
    (tmp_path / "config").write_text(f"[profile work]\nregion = {SECOND}\n")
    store = await opened(AwsSecrets, profile="work", region=None)
    assert (await store.fetch(replicated)).reveal() == f"of {SECOND}"
    assert "Credential=AKIDWORK/" in opened.transport.asked[0].headers["authorization"]


async def test_a_service_account_of_a_cluster(
    opened: Opener, replicated: SecretRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.environment.clear()
    (tmp_path / "token").write_text("a.token.of-the-cluster")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/llmgate")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", opened.aws.address)
    store = await opened(AwsSecrets)
    assert (await store.fetch(replicated)).reveal() == f"of {REGION}"
    headers = opened.transport.asked[0].headers
    assert "Credential=ASIA" in headers["authorization"]
    assert headers["x-amz-security-token"]


@pytest.fixture
def container() -> Iterator[str]:
    """What a task of ECS, or a pod with an identity of EKS, asks for its role."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys = {
                "AccessKeyId": "AKIDTASK",
                "SecretAccessKey": "s",
                "Token": "t",
                "Expiration": "2099-01-01T00:00:00Z",
            }
            body = json.dumps(keys).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/role"
    server.shutdown()
    server.server_close()


async def test_the_role_of_a_task(
    opened: Opener, replicated: SecretRef, container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.environment.clear()
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container)
    store = await opened(AwsSecrets)
    assert (await store.fetch(replicated)).reveal() == f"of {REGION}"
    assert "Credential=AKIDTASK/" in opened.transport.asked[0].headers["authorization"]


async def test_the_role_of_an_instance(opened: Opener, replicated: SecretRef, monkeypatch: pytest.MonkeyPatch) -> None:
    class Handler(BaseHTTPRequestHandler):
        """The metadata service, which wants a session's token for each question."""

        def do_PUT(self) -> None:
            self._answer(200 if self.path == "/latest/api/token" else 404, b"of-the-session")

        def do_GET(self) -> None:
            if self.headers.get("x-aws-ec2-metadata-token") != "of-the-session":
                self._answer(401, b"")
            elif self.path.endswith("/security-credentials/"):
                self._answer(200, b"llmgate")
            else:
                keys = {"AccessKeyId": "AKIDINSTANCE", "SecretAccessKey": "s", "Token": "t", "Code": "Success"}
                self._answer(200, json.dumps({**keys, "Expiration": "2099-01-01T00:00:00Z"}).encode())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        opened.environment.clear()
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        store = await opened(AwsSecrets)
        assert (await store.fetch(replicated)).reveal() == f"of {REGION}"
        assert "Credential=AKIDINSTANCE/" in opened.transport.asked[0].headers["authorization"]
    finally:
        server.shutdown()
        server.server_close()


async def test_credentials_of_another_store(opened: Opener, replicated: SecretRef) -> None:
    opened.secrets["keys:default"] = Keys("AKIDOTHER", "s").to_text()
    store = await opened(AwsSecrets, credentials=SecretRef("keys", "default"))
    await store.fetch(replicated)
    assert "Credential=AKIDOTHER/" in opened.transport.asked[0].headers["authorization"]
    opened.secrets["keys:default"] = "no keys"
    with pytest.raises(SecretUnavailableError, match="the credential keys:default cannot sign"):
        await store.fetch(replicated)


async def test_nobody_and_nowhere(opened: Opener) -> None:
    with pytest.raises(SecretUnavailableError, match="write region, or set AWS_REGION"):
        await (await opened(AwsSecrets, region=None)).fetch(SecretRef("aws", "x"))
    opened.environment.clear()
    with pytest.raises(SecretUnavailableError, match="there are no credentials of AWS's: give the gateway a role"):
        await (await opened(AwsSecrets)).fetch(SecretRef("aws", "x"))


async def test_the_address_of_china(opened: Opener) -> None:
    store = await opened(AwsSecrets, region="cn-north-1")
    with pytest.raises(Exception, match="no such secret"):
        await store.fetch(SecretRef("aws", "none"))
    assert opened.transport.asked[0].url == "https://secretsmanager.cn-north-1.amazonaws.com.cn/"
