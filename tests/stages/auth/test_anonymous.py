"""``anonymous`` lets everybody in, to the models that the operator says."""

from __future__ import annotations

from llmgate.spec import Credentials, Principal
from llmgate.stages.auth.anonymous import Anonymous, AnonymousConfig


async def test_everybody_is_the_same_principal():
    stage = Anonymous(AnonymousConfig(models=("gpt-*",)))
    expected = Principal(id="anonymous", issuer="anonymous", kind="anonymous", models=("gpt-*",))
    assert await stage.authenticate(Credentials()) == expected
    assert await stage.authenticate(Credentials.of("whatever")) == expected


async def test_no_model_is_closed_by_default():
    principal = await Anonymous(AnonymousConfig()).authenticate(Credentials())
    assert principal.models is None
