"""Whole host names lead to providers; nothing that merely looks like one does."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, strategies as st

from llmgate.catalogue import DomainPatterns, provider_for_domain, provider_rows

PLAIN = sorted(domain for row in provider_rows().values() for domain in row.domains if "*" not in domain)
LABELS = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=12)


def owner(host: str) -> str | None:
    row = provider_for_domain(host)
    return row.name if row else None


@pytest.mark.parametrize("domain", PLAIN)
def test_every_plain_domain_leads_to_the_row_that_lists_it(domain: str) -> None:
    row = provider_for_domain(domain)
    assert row is not None
    assert domain in row.domains


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("API.OpenAI.com", "openai"),
        ("api.openai.com.", "openai"),
        ("api.openai.com:443", "openai"),
        ("api.openai.com.:443", "openai"),
        ("us-central1-aiplatform.googleapis.com", "vertex"),
        ("aiplatform.googleapis.com", "vertex"),
        ("bedrock-runtime.eu-west-3.amazonaws.com", "bedrock"),
        ("acme.openai.azure.com", "azure"),
        ("api.together.ai", "together"),
    ],
)
def test_spellings_and_regions_of_a_host(host: str, name: str) -> None:
    assert owner(host) == name


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "api.openai.com.attacker.example",
        "api.openai.com.attacker.example:443",
        "evilapi.openai.com",
        "evil.api.openai.com",
        "xapi.openai.com",
        "openai.com",
        "api.openai.com..",
        "api..openai.com",
        ".api.openai.com",
        "api.openai.com@attacker.example",
        "user:password@api.openai.com",
        "https://api.openai.com",
        "api.openai.com/v1",
        "api.openai.com\\@attacker.example",
        "api.openai.com?x",
        "api.openai.com#x",
        "api.openai.com%2eattacker.example",
        " api.openai.com",
        "api.openai.com\n",
        "api.openai.com\x00",
        "api.openai.com:",
        "api.openai.com:443:443",
        "api.openai.com:https",
        "apі.openai.com",  # noqa: RUF001 - a Cyrillic letter, on purpose
        "api.openai.com。attacker.example",
        "bedrock-runtime..amazonaws.com",
        "bedrock-runtime.a.b.amazonaws.com",
        "bedrock-runtime.*.amazonaws.com.attacker.example",
        "bedrock-runtime.us-east-1.amazonaws.com.attacker.example",
        "a.b.openai.azure.com",
        "acme.openai.azure.com.attacker.example",
        "-aiplatform.googleapis.com",
        "evil.us-aiplatform.googleapis.com",
        "localhost:11434",
        "[::1]",
    ],
)
def test_what_only_looks_like_a_host_of_a_provider_belongs_to_nobody(host: str) -> None:
    assert owner(host) is None


@given(domain=st.sampled_from(PLAIN), before=LABELS, after=LABELS)
def test_nothing_added_at_an_end_passes_for_the_domain(domain: str, before: str, after: str) -> None:
    known = {row.name for row in provider_rows().values() if domain in row.domains}
    for host in (f"{domain}.{after}", f"{domain}{after}", f"{before}{domain}.{after}", f"{domain}.{after}.{domain}x"):
        assert owner(host) is None
    # One label in front is the same vendor's, where its row says so with a star, or nobody's.
    assert owner(f"{before}.{domain}") in {None, *known}


@given(st.text())
def test_any_text_is_answered_and_only_plain_hosts_are_known(text: str) -> None:
    if provider_for_domain(text) is not None:
        assert text.isascii()
        assert not set(text) & set("@/\\?#%*[] \t\r\n")


@given(domain=st.sampled_from(PLAIN), port=st.integers(1, 65535), data=st.data())
def test_case_dot_and_port_do_not_matter(domain: str, port: int, data: st.DataObject) -> None:
    host = "".join(data.draw(st.sampled_from([sign.lower(), sign.upper()])) for sign in domain)
    assert owner(host) == owner(f"{host}.") == owner(f"{host}:{port}") == owner(domain)


EVERY = sorted(domain for row in provider_rows().values() for domain in row.domains)


@pytest.mark.parametrize("domain", EVERY)
def test_each_domain_of_a_row_is_known_and_what_looks_like_it_is_not(domain: str) -> None:
    host = domain.replace("*", "eu-1")
    assert owner(host) is not None
    for other in (
        f"{host}.attacker.example",
        f"x{host}" if "*" not in domain.partition(".")[0] else f"x.y.{host}",
        f"{host.replace('.', '-', 1)}",
        f"{host}@attacker.example",
        f"attacker.example/{host}",
    ):
        assert owner(other) != owner(host), other


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        ("api.example.com", ["api.example.com"], ["x.api.example.com", "api.example.com.x", "apiXexample.com"]),
        (".example.com", ["a.example.com", "a.b.example.com"], ["example.com", "aexample.com", "a.example.com.x"]),
        ("api-*.example.com", ["api-1.example.com"], ["api-.example.com", "api-a.b.example.com", "api-1.example.comx"]),
        ("*.example.com", ["a.example.com"], ["a.b.example.com", "example.com"]),
        (".x-*.example.com", ["a.x-1.example.com", "a.b.x-1.example.com"], ["x-1.example.com", "a.x-1.y.example.com"]),
    ],
)
def test_domains_of_the_operators_own(pattern: str, fitting: list[str], others: list[str]) -> None:
    patterns = DomainPatterns([pattern.upper(), "other.example"])
    assert all(patterns.fit(host) for host in fitting)
    assert not any(patterns.fit(host) for host in others)


@pytest.mark.parametrize(
    "pattern",
    ["", "*", "*.*", ".", "a..b", "https://a.example", "a.example/x", "a.example:1", "a b", "10.0.0.1", "ä.b"],
)
def test_what_is_no_domain_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="is no domain"):
        DomainPatterns([pattern])
