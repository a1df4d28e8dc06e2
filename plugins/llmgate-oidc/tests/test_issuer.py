"""Where keys come from, how long they are used, and how often they are asked for."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from identity_provider import edwards, elliptic, playing_issuer, sign
from llmgate_oidc import IssuerUnavailableError
from llmgate_oidc.config import IssuerConfig
from opener import Opener, ask, reason

MANY = json.dumps({"keys": [{}] * 101}).encode()
CONFIGURATION = "/.well-known/openid-configuration"


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
async def test_takes_every_algorithm_of_rsa(opened: Opener, algorithm: str) -> None:
    assert await ask(await opened(), opened.token(header={"alg": algorithm})) is not None


@pytest.mark.parametrize(
    ("key", "said", "made"),
    [
        (elliptic(curve="P-256"), "ES256", "ES256"),
        (elliptic(curve="P-384"), "ES384", "ES384"),
        (elliptic(curve="P-521"), "ES512", "ES512"),
        (edwards(), "EdDSA", "Ed25519"),
        (edwards(), "Ed25519", "Ed25519"),
        (edwards(curve="Ed448"), "EdDSA", "Ed448"),
        (edwards(curve="Ed448"), "Ed448", "Ed448"),
    ],
)
async def test_takes_every_curve(opened: Opener, key: Any, said: str, made: str) -> None:
    opened.issuer.keys.append(key)
    stage = await opened()
    token = sign({"alg": said, "kid": key["kid"]}, opened.issuer.claims(opened.clock.now()), key, made)
    assert await ask(stage, token) is not None


async def test_an_algorithm_that_is_not_allowed_is_refused(opened: Opener) -> None:
    stage = await opened(algorithms=["ES256"])
    assert "algorithm" in await reason(stage, opened.token())


async def test_nobody_is_asked_for_keys_when_their_address_is_given(opened: Opener) -> None:
    stage = await opened(jwks_uri=f"{opened.issuer.url}/jwks")
    assert await ask(stage, opened.token()) is not None
    assert set(opened.issuer.asked) == {"/jwks"}


@pytest.mark.parametrize("name", ["{url}/", "http://127.0.0.1:1", "", None, 7, "{upper}"])
async def test_a_configuration_of_another_issuer_is_not_believed(
    opened: Opener, name: Any, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = opened.issuer
    issuer.said["issuer"] = name.format(url=issuer.url, upper=issuer.url.upper()) if isinstance(name, str) else name
    with caplog.at_level(logging.WARNING), pytest.raises(IssuerUnavailableError):
        await ask(await opened(), opened.token())
    assert "another issuer" in caplog.text
    assert issuer.fetched() == 0


@pytest.mark.parametrize(
    "where",
    [
        "http://login.example.com/jwks",
        "ftp://127.0.0.1/jwks",
        "/jwks",
        "file:///etc/passwd",
        "",
        None,
        7,
        "https://u:p@h/",
    ],
)
async def test_keys_are_asked_for_over_tls_alone(opened: Opener, where: Any, caplog: pytest.LogCaptureFixture) -> None:
    opened.issuer.said["jwks_uri"] = where
    with caplog.at_level(logging.WARNING), pytest.raises(IssuerUnavailableError):
        await ask(await opened(), opened.token())
    assert "jwks_uri" in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":[],"keys":[]}',
        b"<html>",
        MANY,
        b'{"keys":[' + b" " * 1_100_000 + b"]}",
    ],
)
async def test_what_is_no_set_of_keys_takes_the_place_of_none(opened: Opener, body: bytes) -> None:
    stage = await opened(cache_for=0.0)
    assert await ask(stage, opened.token()) is not None
    opened.issuer.published = body
    await refreshed(opened)
    assert await ask(stage, opened.token()) is not None


async def test_a_rotation_costs_one_fetch_and_no_refusal(opened: Opener) -> None:
    stage = await opened()
    assert await ask(stage, opened.token()) is not None
    opened.issuer.rotate("k2")
    opened.issuer.delay = 0.05
    fetched = opened.issuer.fetched()
    tokens = [opened.token(sub=f"user-{number}") for number in range(200)]
    answers = await asyncio.gather(*(ask(stage, token) for token in tokens))
    assert [answer.id for answer in answers if answer] == [f"user-{number}" for number in range(200)]
    assert opened.issuer.fetched() == fetched + 1


async def test_a_key_that_comes_while_keys_are_fetched_is_found(opened: Opener) -> None:
    """The answer that is under way was made before the key was there, so the issuer is asked again."""
    stage = await opened()
    issuer = opened.issuer
    assert await ask(stage, opened.token()) is not None
    before = json.dumps({"keys": [key.as_dict(private=False) for key in issuer.keys]}).encode()
    issuer.delay, issuer.once = 0.2, before
    asked = asyncio.ensure_future(refreshed(opened))
    await asyncio.sleep(0.05)
    issuer.rotate("k2", keep=True)
    waiting = asyncio.ensure_future(ask(stage, opened.token()))
    await asked
    assert await waiting is not None


async def test_a_key_without_a_name_that_is_replaced_is_found_too(opened: Opener) -> None:
    opened.issuer.rotate(None)
    stage = await opened()
    assert await ask(stage, opened.token()) is not None
    opened.issuer.rotate(None)
    assert await ask(stage, opened.token()) is not None


async def test_a_thousand_names_of_keys_cost_one_fetch_in_a_while(opened: Opener) -> None:
    stage = await opened(refresh=3600.0)
    assert await ask(stage, opened.token()) is not None
    fetched = opened.issuer.fetched()
    key, claims = opened.issuer.keys[0], opened.issuer.claims(opened.clock.now())
    tokens = [sign({"alg": "RS256", "kid": f"no-{number}"}, claims, key, "RS256") for number in range(1000)]
    for token in tokens:
        assert "no such key" in await reason(stage, token)
    assert opened.issuer.fetched() == fetched + 1
    opened.clock.advance(29)
    await reason(stage, tokens[0])
    assert opened.issuer.fetched() == fetched + 1
    opened.clock.advance(1.5)
    await reason(stage, tokens[0])
    assert opened.issuer.fetched() == fetched + 2


async def test_a_key_that_is_withdrawn_is_no_good_after_the_next_fetch(opened: Opener) -> None:
    """Also for tokens that have been found good before."""
    stage = await opened()
    token = opened.token(exp=int(opened.clock.now()) + 36_000)
    assert await ask(stage, token) is not None
    opened.issuer.rotate("k2")
    assert await ask(stage, token) is not None
    await refreshed(opened)
    await reason(stage, token)


async def test_keys_are_used_on_while_the_issuer_is_away_and_not_for_ever(
    opened: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    stage = await opened(refresh=600.0, stale=3600.0)
    assert await ask(stage, opened.token()) is not None
    opened.issuer.status = 503
    with caplog.at_level(logging.WARNING):
        for _ in range(30):
            opened.clock.advance(130)
            await asyncio.sleep(0.01)
            assert await ask(stage, opened.token()) is not None
    assert caplog.text.count("no keys of") == 1
    held = opened.token(exp=int(opened.clock.now()) + 36_000)
    assert await ask(stage, held) is not None
    opened.clock.advance(600)
    for token in (held, opened.token()):
        with pytest.raises(IssuerUnavailableError) as caught:
            await ask(stage, token)
        assert caught.value.http_status == 503
        assert caught.value.retry_after
    opened.issuer.status = 200
    await refreshed(opened, 61)
    assert await ask(stage, opened.token()) is not None


async def test_a_gateway_starts_although_its_issuer_is_away(opened: Opener) -> None:
    opened.issuer.status = 500
    stage = await opened()
    for _ in range(20):
        with pytest.raises(IssuerUnavailableError):
            await ask(stage, opened.token())
    assert opened.issuer.fetched(CONFIGURATION) == 1, "who does not answer is not asked by each request"
    opened.issuer.status = 200
    await refreshed(opened, 6)
    assert await ask(stage, opened.token()) is not None


async def test_an_issuer_that_hangs_is_given_up(opened: Opener) -> None:
    opened.issuer.delay = 2.0
    stage = await opened(timeout=0.2)
    began = asyncio.get_running_loop().time()
    with pytest.raises(IssuerUnavailableError):
        await ask(stage, opened.token())
    assert asyncio.get_running_loop().time() - began < 1.5


async def test_who_leaves_takes_the_keys_from_nobody(opened: Opener) -> None:
    opened.issuer.delay = 0.1
    stage = await opened()
    waiting = [asyncio.ensure_future(ask(stage, opened.token(sub=name))) for name in ("jane", "john")]
    await asyncio.sleep(0.05)
    waiting[0].cancel()
    principal = await waiting[1]
    assert principal is not None
    assert principal.id == "john"


async def test_closing_while_keys_are_fetched_leaves_nothing_behind(opened: Opener) -> None:
    opened.issuer.delay = 0.3
    stage = await opened()
    waiting = asyncio.ensure_future(ask(stage, opened.token()))
    await asyncio.sleep(0.05)
    await stage.aclose()
    with pytest.raises(IssuerUnavailableError):
        await waiting
    assert not [task for task in asyncio.all_tasks() if "keys" in task.get_name()]


async def test_issuers_do_not_speak_for_each_other(opened: Opener) -> None:
    """The same name of a key, the same holder, the same audience: it is the issuer's own key that counts."""
    with playing_issuer() as second:
        second.rotate("k1")
        stage = await opened(IssuerConfig(issuer=second.url, audiences=["llmgate"]))
        ours, theirs = opened.token(), second.token(opened.clock.now())
        principals = [await ask(stage, ours), await ask(stage, theirs)]
        assert [one.id for one in principals if one] == ["jane", "jane"]
        assert [one.issuer for one in principals if one] == [opened.issuer.url, second.url]
        claims = {**second.claims(opened.clock.now()), "iss": opened.issuer.url}
        assert "signature" in await reason(stage, sign({"alg": "RS256", "kid": "k1"}, claims, second.keys[0], "RS256"))


async def test_a_redirect_is_not_followed(opened: Opener) -> None:
    opened.issuer.status = 302
    with pytest.raises(IssuerUnavailableError):
        await ask(await opened(), opened.token())


async def refreshed(opened: Opener, seconds: float = 700) -> None:
    """Let the time of a fetch pass, and wait for it."""
    before = len(opened.issuer.asked)
    for _ in range(1000):
        await asyncio.sleep(0)
        if opened.clock.sleeping:
            break
    opened.clock.advance(seconds)
    for _ in range(500):
        await asyncio.sleep(0.01)
        running = [task for task in asyncio.all_tasks() if task.get_name() == "auth[0]: keys"]
        if len(opened.issuer.asked) > before and not running:
            return
    raise AssertionError("nothing has been fetched")
