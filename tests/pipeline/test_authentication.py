from __future__ import annotations

from typing import Any

import pytest

from llmgate.pipeline.authentication import authenticate
from llmgate.spec import AuthenticationError, AuthProvider, Credentials, NoConfig, Principal

ADA = Principal(id="ada", issuer="test")


class Knows(AuthProvider[NoConfig]):
    """Knows one token, refuses another as its own, and leaves every other one to the next."""

    name = "knows"
    config_class = NoConfig
    token, refused = "token-of-ada", "expired"

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        tokens = set(credentials.tokens.values())
        if self.refused in tokens:
            raise AuthenticationError("the token of ada has expired", reason="expired")
        return ADA if self.token in tokens else None


def known(token: str | None, *providers: AuthProvider[Any]) -> Any:
    return authenticate(providers, Credentials() if token is None else Credentials.of(token))


async def test_a_caller_in_process_is_trusted_and_without_providers_nobody_is_asked():
    assert await authenticate([Knows(NoConfig())], None) == Principal.local()
    assert (await known("anything")).kind == "anonymous"


async def test_the_first_who_knows_says_who_it_is():
    assert await known("token-of-ada", Knows(NoConfig()), Knows(NoConfig())) is ADA


@pytest.mark.parametrize(
    ("token", "message", "reason"),
    [
        ("expired", "Invalid credentials", "expired"),
        ("never heard", "Invalid credentials", "no auth provider knows the credential"),
        (None, "Missing authorization header", "no credential was sent"),
    ],
)
async def test_every_refusal_looks_alike_and_the_record_has_the_reason(token, message, reason):
    with pytest.raises(AuthenticationError) as refused:
        await known(token, Knows(NoConfig()))
    assert (refused.value.message, refused.value.reason) == (message, reason)
