"""A proxy is believed when it is one: by its address, its proof, what it must say, and whom it may name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from llmgate.spec import (
    AuthenticationError,
    ConfigError,
    Credentials,
    Principal,
    Secret,
    SecretNotFoundError,
    SecretRef,
    StageContext,
    SystemClock,
)
from llmgate.stages.auth.trusted_proxy import ProxyUser, TrustedProxy, TrustedProxyConfig
from llmgate.testing.conformance import AuthConformance
from llmgate.testing.transport import ScriptedTransport

PROOF = "proof-of-the-proxy-1234"
FULL = TrustedProxyConfig(
    addresses=("10.0.0.0/24", "::1"),
    user_header="X-Client-DN",
    team_header="x-team",
    require={"X-Client-Verify": "SUCCESS"},
    secret_header="x-proxy-proof",
    secret=SecretRef("env", "PROOF"),
    users=(ProxyUser("CN=build,O=Example", models=("openai/*",)), ProxyUser("CN=jane,O=Example")),
)
HEADERS = {"x-client-dn": "CN=jane,O=Example", "x-client-verify": "SUCCESS", "x-proxy-proof": PROOF}


def presented(address: str = "10.0.0.7", **changes: str | None) -> Credentials:
    headers = {**HEADERS, **{name.replace("_", "-"): text for name, text in changes.items()}}
    return Credentials(
        headers={name: text for name, text in headers.items() if text is not None}, client_address=address
    )


def context(secrets: Mapping[str, str]) -> StageContext:
    async def fetch(ref: SecretRef) -> Secret:
        if str(ref) not in secrets:
            raise SecretNotFoundError(f"{ref} is not there")
        return Secret(value=secrets[str(ref)], ref=ref)

    return StageContext(
        id="auth[0]", clock=SystemClock(), transport=ScriptedTransport(), fetch_secret=fetch, state=lambda _: None
    )


async def opened(config: TrustedProxyConfig = FULL, secrets: Mapping[str, str] | None = None) -> TrustedProxy:
    stage = TrustedProxy(config)
    await stage.open(context({"env:PROOF": PROOF} if secrets is None else secrets))
    return stage


class TestTrustedProxy(AuthConformance):
    stage_class = TrustedProxy
    config = FULL
    secrets = {"env:PROOF": PROOF}
    valid = (presented(), presented("::ffff:10.0.0.1"), presented("::1", x_client_dn="CN=build,O=Example"))
    bad = (
        presented("10.0.1.7"),
        presented(""),
        presented("10.0.0.7, 10.0.0.8"),
        presented(x_client_dn="CN=joe,O=Example"),
        presented(x_client_verify="FAILED"),
        presented(x_client_verify=None),
        presented(x_proxy_proof="guessed"),
        presented(x_proxy_proof=None),
        presented(x_client_dn=""),
    )
    strangers = (Credentials.of("sk-lg-key"), presented(x_client_dn=None), Credentials(client_address="10.0.0.7"))


async def test_the_principal_is_whom_the_proxy_names():
    stage = await opened()
    assert await stage.authenticate(presented(x_client_dn="CN=build,O=Example", x_team="Search")) == Principal(
        id="CN=build,O=Example",
        issuer="trusted-proxy",
        kind="user",
        models=("openai/*",),
        attributes={"team": "Search"},
    )


async def test_without_a_list_everybody_is_whom_the_proxy_names():
    stage = await opened(TrustedProxyConfig(addresses=["10.0.0.7"]))
    credentials = Credentials(headers={"x-forwarded-user": "anybody"}, client_address="10.0.0.7")
    principal = await stage.authenticate(credentials)
    assert principal is not None
    assert (principal.id, principal.models) == ("anybody", None)


@pytest.mark.parametrize("user", ["admin, jane", "a\nb", "a\x00b", "\udc80", "x" * 513])
async def test_what_may_be_two_headers_or_no_name_is_refused(user):
    stage = await opened(TrustedProxyConfig(addresses=["10.0.0.7"]))
    with pytest.raises(AuthenticationError) as caught:
        await stage.authenticate(Credentials(headers={"x-forwarded-user": user}, client_address="10.0.0.7"))
    assert "x-forwarded-user" in caught.value.reason
    assert user not in caught.value.reason


async def test_a_closed_one_believes_nobody():
    stage = await opened()
    await stage.aclose()
    with pytest.raises(AuthenticationError):
        await stage.authenticate(presented())


@pytest.mark.parametrize("value", ["", "short"])
async def test_a_proof_that_could_be_guessed_stops_the_start(value):
    with pytest.raises(ConfigError, match="env:PROOF is too short"):
        await opened(secrets={"env:PROOF": value})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"addresses": []}, "list the addresses of the proxies"),
        ({"addresses": ["proxy.local"]}, "addresses: 'proxy.local'"),
        ({"addresses": ["10.0.0.1/8"]}, "has host bits set"),
        ({"user_header": "a b"}, "user-header: 'a b' is no header"),
        ({"user_header": "Authorization"}, "callers fill 'Authorization' themselves"),
        ({"team_header": "cookie"}, "team-header: callers fill 'cookie'"),
        ({"secret": None}, "write both secret-header and secret"),
        ({"users": (ProxyUser("a"), ProxyUser("a"))}, "each name stands once"),
    ],
)
def test_a_configuration_that_trusts_too_much_is_refused(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        attrs.evolve(FULL, **changes)
