"""Each way to log in, at a real server: tokens are renewed ahead, and got anew when the server refuses them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from vault_opener import Opener, ref

from llmgate.spec import SecretCaching, SecretNotFoundError, SecretRef, SecretUnavailableError


async def test_a_token_that_ends_is_renewed_ahead_of_it(opened: Opener, bao: Any, kv: str) -> None:
    opened.secrets["env:VAULT_TOKEN"] = bao.token(f"{kv}/*", ttl="600s", renewable=True)
    store = await opened()
    assert (await store.fetch(ref(f"{kv}/openai#api_key"))).reveal() == "sk-canary"
    assert opened.asked[0] == "GET auth/token/lookup-self"
    opened.clock.advance(301)
    opened.asked.clear()
    await store.fetch(ref(f"{kv}/openai#api_key"))
    await store.fetch(ref(f"{kv}/openai#api_key"))
    assert opened.asked.count("POST auth/token/renew-self") == 1


async def test_an_application_role(opened: Opener, bao: Any, kv: str) -> None:
    mount = bao.enable("approle")
    options = {"token_policies": [bao.policy(f"{kv}/*")], "token_ttl": "600s", "token_max_ttl": "700s"}
    bao.call("POST", f"auth/{mount}/role/llmgate", options)
    role_id = bao.call("GET", f"auth/{mount}/role/llmgate/role-id")["data"]["role_id"]
    secret_id = bao.call("POST", f"auth/{mount}/role/llmgate/secret-id")["data"]["secret_id"]
    opened.secrets["file:secret-id"] = secret_id
    store = await opened(method="approle", auth_mount=mount, role_id=role_id, secret_id=SecretRef("file", "secret-id"))
    assert (await store.fetch(ref(f"{kv}/openai#org"))).reveal() == "o-1"
    revoked = store._server._login.token  # type: ignore[union-attr]
    bao.call("POST", "auth/token/revoke", {"token": revoked})
    assert (await store.fetch(ref(f"{kv}/openai#org"))).reveal() == "o-1", "a token that was revoked is exchanged"
    assert store._server._login.token != revoked  # type: ignore[union-attr]
    opened.secrets["file:secret-id"] = "another"
    bao.call("POST", "auth/token/revoke", {"token": store._server._login.token})  # type: ignore[union-attr]
    words = r"answers 400: the login by approle is refused \(invalid"
    with pytest.raises(SecretUnavailableError, match=words) as caught:
        await store.fetch(ref(f"{kv}/openai#org"))
    assert secret_id not in str(caught.value)


async def test_a_token_that_can_be_renewed_no_longer_is_replaced_by_a_login(opened: Opener, bao: Any, kv: str) -> None:
    mount = bao.enable("approle")
    options = {"token_policies": [bao.policy(f"{kv}/*")], "token_ttl": "600s", "token_max_ttl": "600s"}
    options |= {"bind_secret_id": False, "token_bound_cidrs": ["127.0.0.0/8"]}
    bao.call("POST", f"auth/{mount}/role/llmgate", options)
    role_id = bao.call("GET", f"auth/{mount}/role/llmgate/role-id")["data"]["role_id"]
    store = await opened(method="approle", auth_mount=mount, role_id=role_id)
    await store.fetch(ref(f"{kv}/openai#org"))
    opened.clock.advance(301)
    # At the server no time has passed: what it grants is the 600 seconds that this token may live, and no more.
    opened.clock.advance(300)
    opened.asked.clear()
    await store.fetch(ref(f"{kv}/openai#org"))
    assert f"POST auth/{mount}/login" in opened.asked


async def test_a_token_of_anybody_who_signs(opened: Opener, bao: Any, kv: str, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    mount = bao.enable("jwt")
    bao.call("POST", f"auth/{mount}/config", {"jwt_validation_pubkeys": [public.decode()], "bound_issuer": "ci"})
    role = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "policies": [bao.policy(f"{kv}/*")]}
    bao.call("POST", f"auth/{mount}/role/llmgate", role)
    now = int(time.time())
    claims = {"iss": "ci", "sub": "gateway", "aud": "vault", "iat": now - 5, "nbf": now - 5, "exp": now + 600}
    (tmp_path / "token").write_text(jwt.encode(claims, key, "ES256") + "\n")
    store = await opened(method="jwt", auth_mount=mount, role="llmgate", jwt_file=Path("token"))
    assert (await store.fetch(ref(f"{kv}/openai#org"))).reveal() == "o-1"
    opened.secrets["env:JWT"] = jwt.encode({**claims, "aud": "others"}, key, "ES256")
    store = await opened(method="jwt", auth_mount=mount, role="llmgate", jwt=SecretRef("env", "JWT"))
    with pytest.raises(SecretUnavailableError, match="the login by jwt is refused"):
        await store.fetch(ref(f"{kv}/openai#org"))


@pytest.fixture
def cluster() -> Iterator[tuple[str, list[Any]]]:
    """A Kubernetes API that reviews tokens: the address, and what was reviewed."""
    reviewed: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["content-length"])))
            reviewed.append(review)
            user = {"username": "system:serviceaccount:prod:llmgate", "uid": "u", "groups": ["system:serviceaccounts"]}
            review["status"] = {"authenticated": review["spec"]["token"] == self.server.token, "user": user}  # type: ignore[attr-defined]
            body = json.dumps(review).encode()
            self.send_response(201)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    claims = {
        "sub": "system:serviceaccount:prod:llmgate",
        "kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": "llmgate", "uid": "u"}},
        "nbf": int(time.time()) - 5,
        "exp": int(time.time()) + 600,
    }
    server.token = jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256")  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", [server.token, reviewed]  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


def certificate() -> str:
    """A certificate that nothing is checked against: the cluster of the test answers without TLS."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cluster")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


async def test_a_service_account_of_a_cluster(
    opened: Opener, bao: Any, kv: str, cluster: tuple[str, list[Any]], tmp_path: Path
) -> None:
    address, (token, reviewed) = cluster
    mount = bao.enable("kubernetes")
    settings = {"kubernetes_host": address, "token_reviewer_jwt": token, "kubernetes_ca_cert": certificate()}
    bao.call("POST", f"auth/{mount}/config", {**settings, "disable_local_ca_jwt": True})
    role = {"bound_service_account_names": "llmgate", "bound_service_account_namespaces": "prod",
            "policies": [bao.policy(f"{kv}/*")]}  # fmt: skip
    bao.call("POST", f"auth/{mount}/role/llmgate", role)
    (tmp_path / "cluster-token").write_text(token)
    store = await opened(method="kubernetes", auth_mount=mount, role="llmgate", jwt_file=Path("cluster-token"))
    assert (await store.fetch(ref(f"{kv}/openai#org"))).reveal() == "o-1"
    assert reviewed[0]["spec"]["token"] == token
    store = await opened(method="kubernetes", auth_mount=mount, role="llmgate", jwt_file=Path("none"))
    with pytest.raises(SecretUnavailableError, match=r"none for the login cannot be read \(FileNotFoundError\)"):
        await store.fetch(ref(f"{kv}/openai#org"))


async def test_a_token_that_is_exchanged_where_it_is_kept(opened: Opener, bao: Any, kv: str) -> None:
    first = opened.secrets["env:VAULT_TOKEN"] = bao.token(f"{kv}/*")
    store = await opened()
    await store.fetch(ref(f"{kv}/openai#org"))
    bao.call("POST", "auth/token/revoke", {"token": first})
    with pytest.raises(SecretUnavailableError, match="the token env:VAULT_TOKEN is refused") as caught:
        await store.fetch(ref(f"{kv}/openai#org"))
    assert first not in str(caught.value)
    opened.secrets["env:VAULT_TOKEN"] = bao.token(f"{kv}/*")
    opened.clock.advance(10)
    assert (await store.fetch(ref(f"{kv}/openai#org"))).reveal() == "o-1"


async def test_many_who_ask_log_in_once(opened: Opener, bao: Any, kv: str) -> None:
    opened.secrets["env:VAULT_TOKEN"] = bao.token(f"{kv}/*")
    store = await opened(cache=SecretCaching())
    for number in range(10):
        bao.call("POST", f"{kv}/data/k{number}", {"data": {"v": str(number)}})
    found = [await store.fetch(ref(f"{kv}/k{number}")) for number in range(10)]
    assert [one.reveal() for one in found] == [str(number) for number in range(10)]
    assert opened.asked.count("GET auth/token/lookup-self") == 1


async def test_no_token_at_all(opened: Opener) -> None:
    with pytest.raises(SecretNotFoundError, match="env:VAULT_TOKEN is not set"):
        await (await opened()).fetch(ref("kv/openai"))
