"""Of more than a thousand tokens that somebody would like to have taken, not one is."""

from __future__ import annotations

import contextlib
import itertools
import json
from typing import Any

import pytest
from forgeries import Forger
from identity_provider import elliptic, part, sign
from joserfc.jwk import OctKey, RSAKey
from llmgate_oidc.token import looks_like_a_token
from opener import Opener, ask

from llmgate.spec import AuthenticationError


@pytest.fixture
async def tokens(opened: Opener) -> list[str]:
    good = opened.token()
    made = Forger(opened.issuer, opened.clock.now()).all()
    return [token for token in dict.fromkeys(made) if token.strip() != good]


async def test_none_is_taken(opened: Opener, tokens: list[str]) -> None:
    assert len(tokens) > 1000
    stage = await opened()
    assert await ask(stage, opened.token()) is not None
    fetched = opened.issuer.fetched()
    refusals: list[AuthenticationError] = []
    for token in tokens:
        try:
            answer = await ask(stage, token)
        except AuthenticationError as error:
            refusals.append(error)
        else:
            assert answer is None, token[:3000]
    assert len(refusals) > 700
    assert len({(error.message, error.code, error.param, error.retry_after) for error in refusals}) == 1
    for error in refusals:
        assert not looks_like_a_token(error.reason)
        assert len(error.reason) < 200
        assert error.reason.isprintable()
    assert opened.issuer.fetched() <= fetched + 1, "names of keys that nobody has cost one fetch"
    assert not any("evil" in path for path in opened.issuer.asked)


async def test_a_good_one_is_taken_among_them(opened: Opener, tokens: list[str]) -> None:
    """Nothing of what is refused is remembered in place of what is good."""
    stage = await opened(cache_for=0.0)
    for token in tokens[::40]:
        with contextlib.suppress(AuthenticationError):
            await ask(stage, token)
        principal = await ask(stage, opened.token())
        assert principal is not None
        assert principal.id == "jane"


async def test_keys_of_a_set_that_are_for_something_else_verify_nothing(opened: Opener) -> None:
    """A set may hold keys for encryption, shared keys, short keys and points of no curve: none of them counts."""
    issuer, rsa, curve = opened.issuer, opened.issuer.keys[0], elliptic("ec")
    public, point = rsa.as_dict(private=False), curve.as_dict(private=False)
    short = RSAKey.generate_key(2048, {"kid": "short"}).as_dict(private=False)
    keys: list[Any] = [
        {**public, "kid": "enc", "use": "enc"},
        {**public, "kid": "wrap", "key_ops": ["wrapKey"]},
        {**public, "kid": "text", "key_ops": "verify"},
        {**public, "kid": "ps", "alg": "PS256"},
        {**public, "kid": "hs", "alg": "HS256"},
        {**public, "kid": "even", "e": "Ag"},
        {**short, "n": short["n"][:100]},
        {"kty": "oct", "kid": "oct", "k": part(b"0" * 32), "alg": "HS256"},
        {**public, "kty": "EC", "kid": "mixed"},
        {**point, "kid": "crv", "crv": "secp256k1"},
        {**point, "kid": "off", "y": point["x"]},
        {**public, "kid": 7},
        {**public, "kid": "list", "n": [public["n"]]},
        *("k1", None, 7),
    ]
    issuer.published = json.dumps({"keys": keys}).encode()
    stage, claims = await opened(), issuer.claims(opened.clock.now())
    for kid in ("enc", "wrap", "text", "ps", "hs", "even", "short", "mixed", "list", 7):
        with pytest.raises(AuthenticationError):
            await ask(stage, sign({"alg": "RS256", "kid": kid}, claims, rsa, "RS256"))
    for kid, algorithm in itertools.product(("oct", "hs", None), ("HS256", "RS256")):
        with pytest.raises(AuthenticationError):
            await ask(stage, sign({"alg": algorithm, "kid": kid}, claims, OctKey.import_key(b"0" * 32), "HS256"))
    for kid in ("off", "crv", "mixed"):
        with pytest.raises(AuthenticationError):
            await ask(stage, sign({"alg": "ES256", "kid": kid}, claims, curve, "ES256"))
    assert await ask(stage, sign({"alg": "PS256", "kid": "ps"}, claims, rsa, "PS256")) is not None
