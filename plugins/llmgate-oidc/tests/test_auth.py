"""Which tokens are taken, whose they are, and what their holders may do."""

from __future__ import annotations

from typing import Any

import pytest
from identity_provider import part, sign
from llmgate_oidc.config import ClaimNames, ClaimRule, IssuerConfig, OidcConfig
from opener import Opener, ask, reason

from llmgate.spec import AuthenticationError, ClientCertificate, Credentials

RULES = [
    ClaimRule("groups", ["users"], models=["openai/gpt-4o*"], scopes=["chat"]),
    ClaimRule("groups", ["admins"], models=["*"], kind="admin", scopes=["embeddings"]),
    ClaimRule("/realm_access/roles", ["research"], team="research", denied_models=["*preview*"]),
    ClaimRule("scope", ["llm.files"], scopes=["files"], team="files"),
    ClaimRule("groups", ["suspended"], refuse=True),
]


async def test_a_good_token_gives_its_holder(opened: Opener) -> None:
    principal = await ask(await opened(), opened.token(groups=["a"]))
    assert principal is not None
    assert (principal.id, principal.issuer, principal.kind) == ("jane", opened.issuer.url, "user")
    assert (principal.models, principal.scopes, principal.attributes) == (None, None, {})


async def test_one_of_several_audiences_is_enough(opened: Opener) -> None:
    stage = await opened(audiences=["api://llm", "llmgate"])
    assert await ask(stage, opened.token(aud=["account", "llmgate"])) is not None
    assert "aud" in await reason(stage, opened.token(aud=["account"]))


async def test_clocks_may_differ_a_little(opened: Opener) -> None:
    stage, now = await opened(leeway=30.0, cache_for=0.0), int(opened.clock.now())
    for claims in ({"exp": now - 29}, {"nbf": now + 30}, {"iat": now + 30}):
        assert await ask(stage, opened.token(**claims)) is not None
    for claims in ({"exp": now - 30}, {"nbf": now + 31}, {"iat": now + 31}):
        await reason(stage, opened.token(**claims))


async def test_a_remembered_token_ends_when_it_ends(opened: Opener) -> None:
    stage = await opened(leeway=0.0, cache_for=3600.0)
    token = opened.token(exp=int(opened.clock.now()) + 10)
    assert await ask(stage, token) is not None
    opened.clock.advance(9.5)
    assert await ask(stage, token) is not None
    opened.clock.advance(0.5)
    assert "expired" in await reason(stage, token)


async def test_a_token_is_too_old_before_its_end_where_that_is_said(opened: Opener) -> None:
    stage = await opened(max_age=60.0, leeway=0.0)
    token = opened.token()
    assert await ask(stage, token) is not None
    opened.clock.advance(60)
    assert "too old" in await reason(stage, token)
    assert "when it was made" in await reason(stage, opened.token(iat=None))


async def test_memory_is_bounded(opened: Opener) -> None:
    stage = await opened(max_cached=3)
    for number in range(10):
        assert await ask(stage, opened.token(sub=f"user-{number}")) is not None
    assert len(stage._memory) == 3


async def test_a_remembered_token_costs_no_signature(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    stage, token = await opened(), opened.token()
    first = await ask(stage, token)
    monkeypatch.setattr("llmgate_oidc.auth.read_token", None)
    assert await ask(stage, token) == first


async def test_a_type_may_be_demanded(opened: Opener) -> None:
    stage = await opened(types=["at+jwt"])
    for said in ("at+jwt", "AT+JWT", "application/at+jwt"):
        assert await ask(stage, opened.token(header={"typ": said})) is not None
    assert "type" in await reason(stage, opened.token())


async def test_a_client_may_be_demanded(opened: Opener) -> None:
    stage = await opened(authorized_parties=["desktop"])
    for claims in ({"azp": "desktop"}, {"client_id": "desktop"}):
        assert await ask(stage, opened.token(**claims)) is not None
    for claims in ({}, {"azp": "other"}, {"azp": "other", "client_id": "desktop"}, {"azp": ["desktop"]}, {"azp": 1}):
        assert "azp" in await reason(stage, opened.token(**claims))


HERS, HIS = "0a" * 32, "0b" * 32


def shown(fingerprint: str | None, ends: float = float("inf")) -> ClientCertificate | None:
    return None if fingerprint is None else ClientCertificate(fingerprint, ends=ends)


def bond(fingerprint: str, **more: str) -> dict[str, str]:
    return {"x5t#S256": part(bytes.fromhex(fingerprint)), **more}


@pytest.mark.parametrize("cache_for", [0.0, 300.0])
async def test_a_bound_token_is_its_certificates_alone(opened: Opener, cache_for: float) -> None:
    """RFC 8705: whoever has stolen it cannot use it, remembered or not, before its holder or after."""
    stage, token = await opened(cache_for=cache_for), opened.token(cnf=bond(HERS))
    for _ in range(2):
        for certificate, said in ((None, "connection has none"), (shown(HIS), "another certificate")):
            with pytest.raises(AuthenticationError) as caught:
                await stage.authenticate(Credentials({"authorization": token}, certificate=certificate))
            assert said in caught.value.reason
        principal = await stage.authenticate(Credentials({"authorization": token}, certificate=shown(HERS)))
        assert principal is not None
        assert principal.id == "jane"


async def test_a_bound_token_ends_with_its_certificate(opened: Opener) -> None:
    stage, token = await opened(), opened.token(cnf=bond(HERS))
    held = Credentials({"authorization": token}, certificate=shown(HERS, opened.clock.now() + 10))
    assert await stage.authenticate(held) is not None
    opened.clock.advance(10)
    with pytest.raises(AuthenticationError):
        await stage.authenticate(held)


async def test_a_bond_that_is_more_than_a_certificate_is_not_half_believed(opened: Opener) -> None:
    stage = await opened()
    for said in (bond(HERS, jkt="AAAA"), bond(HERS[:62]), bond(HERS + "0a"), {"x5t#S256": HERS}):
        held = Credentials({"authorization": opened.token(cnf=said)}, certificate=shown(HERS))
        with pytest.raises(AuthenticationError):
            await stage.authenticate(held)


async def test_a_bond_may_be_demanded(opened: Opener) -> None:
    stage = await opened(certificate_bound=True)
    assert "not bound" in await reason(stage, opened.token())
    held = Credentials({"authorization": opened.token(cnf=bond(HERS))}, certificate=shown(HERS))
    assert await stage.authenticate(held) is not None
    unbound = Credentials({"authorization": opened.token()}, certificate=shown(HERS))
    with pytest.raises(AuthenticationError):
        await stage.authenticate(unbound)


async def test_claims_may_be_demanded(opened: Opener) -> None:
    stage = await opened(required_claims={"hd": ["example.com"], "email_verified": ["true"], "/a/b": ["x", "y"]})
    good: dict[str, Any] = {"hd": "example.com", "email_verified": True, "a": {"b": ["z", "y"]}}
    assert await ask(stage, opened.token(**good)) is not None
    for name, value in (("hd", "example.com.evil"), ("hd", None), ("email_verified", False), ("a", {}), ("a", "x")):
        assert "as required" in await reason(stage, opened.token(**{**good, name: value}))


@pytest.mark.parametrize(
    ("claims", "models", "scopes", "denied", "team", "kind"),
    [
        ({"groups": ["users"]}, ("openai/gpt-4o*",), ("chat",), (), None, "user"),
        ({"groups": "users"}, ("openai/gpt-4o*",), ("chat",), (), None, "user"),
        ({"groups": ["admins", "users"]}, ("openai/gpt-4o*", "*"), ("chat", "embeddings"), (), None, "admin"),
        ({"realm_access": {"roles": ["research"]}}, None, None, ("*preview*",), "research", "user"),
        (
            {"scope": "openid llm.files", "groups": ["users"]},
            ("openai/gpt-4o*",),
            ("chat", "files"),
            (),
            "files",
            "user",
        ),
        (
            {"scope": "llm.files", "realm_access": {"roles": ["research"]}},
            None,
            ("files",),
            ("*preview*",),
            "research",
            "user",
        ),
    ],
)
async def test_rules_say_what_holders_may_do(
    opened: Opener, claims: Any, models: Any, scopes: Any, denied: Any, team: Any, kind: str
) -> None:
    principal = await ask(await opened(rules=RULES), opened.token(**claims))
    assert principal is not None
    assert (principal.models, principal.scopes, principal.denied_models) == (models, scopes, denied)
    assert (principal.attributes.get("team"), principal.kind) == (team, kind)


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"groups": []},
        {"groups": ["Users"]},
        {"groups": {"users": 1}},
        {"groups": "users admins"},
        {"groups": [["users"]]},
    ],
)
async def test_whom_no_rule_fits_is_refused(opened: Opener, claims: Any) -> None:
    assert "no rule" in await reason(await opened(rules=RULES), opened.token(**claims))
    principal = await ask(await opened(rules=RULES, unmatched="allow"), opened.token(**claims))
    assert principal is not None
    assert principal.models is None


async def test_a_rule_that_refuses_wins(opened: Opener) -> None:
    assert "refuses" in await reason(await opened(rules=RULES), opened.token(groups=["admins", "suspended"]))


@pytest.mark.parametrize(
    "claims",
    [
        {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph.example"}}},
        {"hasgroups": True},
        {"hasgroups": "true", "groups": ["admins"]},
        {"groups": [f"g-{number}" for number in range(100)]},
    ],
)
async def test_groups_that_are_cut_short_are_not_believed(opened: Opener, claims: Any) -> None:
    """Somebody who is suspended must not come in because the list of his groups is too long."""
    stage = await opened(rules=RULES, unmatched="allow", cut_at=100)
    assert "cut" in await reason(stage, opened.token(**claims))


async def test_claims_may_say_it_themselves(opened: Opener) -> None:
    names = ClaimNames(
        id="oid",
        team="https://example.com/team",
        kind="kind",
        models="/llm/models",
        denied_models="deny",
        scopes="scope",
        attributes={"department": "dept", "cost-centre": "cc"},
    )
    stage = await opened(claims=names)
    good: dict[str, Any] = {
        "oid": "o-1",
        "https://example.com/team": "search",
        "kind": "personal",
        "deny": [],
        "dept": "R&D",
    }
    good |= {"llm": {"models": ["gpt-4o"]}, "scope": "openid chat embeddings profile"}
    principal = await ask(stage, opened.token(**good))
    assert principal is not None
    assert (principal.id, principal.kind, principal.models) == ("o-1", "personal", ("gpt-4o",))
    assert (principal.scopes, principal.denied_models) == (("chat", "embeddings"), ())
    assert principal.attributes == {"department": "R&D", "team": "search"}
    for name, value in (
        ("oid", None),
        ("llm", None),
        ("deny", None),
        ("scope", None),
        ("kind", "local"),
        ("kind", "anonymous"),
    ):
        await reason(stage, opened.token(**{**good, name: value}))
    for name, value in (("llm", {"models": [1]}), ("llm", {"models": ["x"] * 1001}), ("deny", {"a": 1}), ("dept", [1])):
        await reason(stage, opened.token(**{**good, name: value}))
    nothing = await ask(stage, opened.token(**{**good, "llm": {"models": []}, "scope": "openid"}))
    assert nothing is not None
    assert (nothing.models, nothing.scopes) == ((), ()), "an empty list allows nothing"


async def test_tokens_of_others_are_left_to_others(opened: Opener) -> None:
    stage = await opened()
    for url in ("https://login.example.com", f"{opened.issuer.url}/", None, 7):
        claims = {**opened.issuer.claims(opened.clock.now()), "iss": url}
        assert await ask(stage, sign({"alg": "RS256"}, claims, opened.issuer.keys[0], "RS256")) is None
    for text in ("sk-lg-abc", "sk-proj-eyJ", "a.b.c", "eyJ", "eyJhbGciOiJSUzI1NiJ9", "ey.J.x", "1.2.3.4.5"):
        assert await ask(stage, text) is None


async def test_any_of_several_credentials_will_do(opened: Opener) -> None:
    stage, good = await opened(), opened.token()
    expired = opened.token(exp=1)
    assert await stage.authenticate(Credentials({"authorization": "sk-lg-x", "x-api-key": good})) is not None
    assert await stage.authenticate(Credentials({"authorization": expired, "x-api-key": good})) is not None
    with pytest.raises(AuthenticationError):
        await stage.authenticate(Credentials({"authorization": good, "helicone-auth": expired}))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"issuer": "http://login.example.com"}, "without TLS"),
        ({"issuer": "login.example.com"}, "no address"),
        ({"issuer": "https://user@login.example.com"}, "no address"),
        ({"issuer": "https://login.example.com?tenant=x"}, "no query"),
        ({"jwks_uri": "http://10.0.0.1/jwks"}, "without TLS"),
        ({"audiences": []}, "at least one"),
        ({"audiences": [""]}, "none empty"),
        ({"algorithms": ["HS256"]}, "not one of RS256"),
        ({"algorithms": ["none"]}, "not one of RS256"),
        ({"algorithms": []}, "at least one"),
        ({"leeway": 301.0}, "from 0 to 300"),
        ({"rules": [ClaimRule("a", ["b"], models=["x"])], "claims": ClaimNames(models="m")}, "not both"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        IssuerConfig(**{"issuer": "https://login.example.com", "audiences": ["llmgate"], **fields})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"scopes": ["caht"]}, "chat"),
        ({"kind": "local"}, "something else"),
        ({"values": []}, "at least one"),
        ({"claim": ""}, "claim"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ClaimRule(**{"claim": "groups", "values": ["users"], **fields})


def test_an_issuer_stands_once() -> None:
    one = IssuerConfig("https://login.example.com", ["llmgate"])
    with pytest.raises(ValueError, match="once"):
        OidcConfig([one, one])
    with pytest.raises(ValueError, match="at least one"):
        OidcConfig([])
