"""Callers known by certificates that TLS has verified; with real ones in end_to_end/test_client_certificates.py."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from llmgate.spec import AuthenticationError, ClientCertificate, Credentials, Principal, StageContext
from llmgate.stages.auth.client_certificates import CertificateRule, ClientCertificates, ClientCertificatesConfig
from llmgate.testing.clock import FakeClock
from llmgate.testing.conformance import AuthConformance

HASH = "ab" * 32
COLONS = ":".join(["AB"] * 32)
SPIFFE = "spiffe://example.org/ns/prod/sa/chat"
RULES = [
    CertificateRule(uri="spiffe://example.org/ns/prod/sa/*", team="prod", models=["gpt-4o*"], scopes=["chat"]),
    CertificateRule(dns="*.batch.example.com", name="batch", kind="job", denied_models=["o1*"]),
    CertificateRule(common_name="old-client", fingerprint=f"sha256:{COLONS}"),
]
CONFIG = ClientCertificatesConfig(rules=RULES, revoked=["cd" * 32])


def shown(**fields: Any) -> Credentials:
    certificate = ClientCertificate(**{"fingerprint": HASH, "ends": FakeClock().now() + 60, **fields})
    return Credentials(client_address="10.0.0.7", certificate=certificate)


async def opened(config: ClientCertificatesConfig = CONFIG, clock: FakeClock | None = None) -> ClientCertificates:
    stage = ClientCertificates(config)
    nothing: Any = None
    await stage.open(StageContext("auth[0]", clock or FakeClock(), nothing, nothing, nothing))
    return stage


class TestClientCertificates(AuthConformance):
    stage_class = ClientCertificates
    config = CONFIG
    valid = (shown(uris=(SPIFFE,)), shown(dns_names=("a.batch.example.com",)), shown(common_name="old-client"))
    bad = (
        shown(),
        shown(uris=(SPIFFE,), fingerprint="cd" * 32),
        shown(uris=(SPIFFE,), ends=1.0),
        shown(common_name="old-client", fingerprint="ef" * 32),
        shown(uris=("spiffe://example.org/ns/prod/sa/",)),
    )
    strangers = (Credentials.of("sk-lg-key"), Credentials(headers={"x-ssl-client-cert": SPIFFE}))


async def test_the_first_rule_that_fits_says_who_it_is() -> None:
    stage = await opened()
    assert await stage.authenticate(shown(uris=("urn:x", SPIFFE), dns_names=("a.batch.example.com",))) == Principal(
        id=SPIFFE,
        issuer="client-certificates",
        kind="service",
        models=["gpt-4o*"],
        scopes=["chat"],
        attributes={"team": "prod"},
    )
    batch = await stage.authenticate(shown(dns_names=("A.Batch.Example.com",)))
    assert batch is not None
    assert (batch.id, batch.kind, batch.denied_models) == ("batch", "job", ["o1*"])
    old = await stage.authenticate(shown(common_name="old-client"))
    assert old is not None
    assert old.id == "old-client"


@pytest.mark.parametrize(
    "fields",
    [
        {"uris": (f"{SPIFFE}/more",)},
        {"uris": ("spiffe://example.org.evil.com/ns/prod/sa/chat",)},
        {"uris": ("spiffe://example.org/ns/prod/../sa/chat",)},
        {"uris": ("https://evil.com/spiffe://example.org/ns/prod/sa/chat",)},
        {"uris": (f"{SPIFFE}\n",)},
        {"uris": (SPIFFE.upper(),)},
        {"uris": ("spiffe://example.org/ns/prod/sa/a\x00b",)},
        {"dns_names": ("batch.example.com",)},
        {"dns_names": ("a.b.batch.example.com",)},
        {"dns_names": ("a.batch.example.com.evil.com",)},
        {"dns_names": ("aXbatch.example.com",)},
        {"dns_names": (".batch.example.com",)},
        {"common_name": "a.batch.example.com"},
        {"common_name": SPIFFE},
        {"dns_names": (SPIFFE,)},
        {"common_name": "old-client", "fingerprint": "00" * 32},
        {"common_name": "Old-Client"},
    ],
)
async def test_what_only_looks_like_a_name_is_refused(fields: Any) -> None:
    stage = await opened()
    with pytest.raises(AuthenticationError) as caught:
        await stage.authenticate(shown(**fields))
    assert caught.value.reason == "no rule fits the certificate"


async def test_a_name_need_not_be_a_label_of_letters_alone() -> None:
    config = ClientCertificatesConfig([CertificateRule(common_name="* (staging)"), CertificateRule(fingerprint=HASH)])
    stage = await opened(config)
    principal = await stage.authenticate(shown(common_name="a.b c (staging)"))
    assert principal is not None
    assert principal.id == "a.b c (staging)"
    unnamed = await stage.authenticate(shown())
    assert unnamed is not None
    assert unnamed.id == f"sha256:{HASH}"


async def test_a_certificate_ends_on_a_connection_that_lasts() -> None:
    clock = FakeClock()
    stage = await opened(clock=clock)
    assert await stage.authenticate(shown(uris=(SPIFFE,))) is not None
    clock.advance(60)
    with pytest.raises(AuthenticationError) as caught:
        await stage.authenticate(shown(uris=(SPIFFE,)))
    assert "has ended" in caught.value.reason


async def test_what_no_rule_fits_may_be_left_to_others() -> None:
    stage = await opened(attrs.evolve(CONFIG, unknown="pass"))
    assert await stage.authenticate(shown()) is None
    with pytest.raises(AuthenticationError):
        await stage.authenticate(shown(uris=(SPIFFE,), fingerprint="cd" * 32))


async def test_a_closed_one_knows_nobody() -> None:
    stage = await opened()
    await stage.aclose()
    with pytest.raises(AuthenticationError):
        await stage.authenticate(shown(uris=(SPIFFE,)))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "uri, dns, common-name or fingerprint"),
        ({"name": "x"}, "uri, dns, common-name or fingerprint"),
        ({"fingerprint": "ab"}, "no fingerprint"),
        ({"dns": "a", "scopes": ["caht"]}, "chat"),
        ({"dns": "a", "kind": "local"}, "something else"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(fields: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CertificateRule(**fields)


def test_rules_are_needed() -> None:
    with pytest.raises(ValueError, match="rules"):
        ClientCertificatesConfig([])
    with pytest.raises(ValueError, match="no fingerprint"):
        ClientCertificatesConfig(RULES, revoked=["x"])
