"""Addresses: completed to what the vendor needs, never moved to another origin, refused when they are not plain."""

from __future__ import annotations

import string
from urllib.parse import urlsplit

import attrs
import pytest
from hypothesis import assume, given, strategies as st

from llmgate.catalogue import provider_row, provider_rows, resolve_base_url
from llmgate.spec import ProviderRow

HTTP_ROWS = [row for row in provider_rows().values() if row.name != "echo"]
ROWS = st.sampled_from([None, *HTTP_ROWS])


def row(name: str) -> ProviderRow:
    found = provider_row(name)
    assert found is not None
    return found


@pytest.mark.parametrize("one", [one for one in provider_rows().values() if one.base_url], ids=lambda one: one.name)
def test_without_an_address_of_the_operators_it_is_the_rows(one: ProviderRow) -> None:
    assert resolve_base_url(one, None) == one.base_url


@pytest.mark.parametrize("one", [one for one in HTTP_ROWS if one.base_url], ids=lambda one: one.name)
@pytest.mark.parametrize("slash", ["", "/", "//"])
def test_every_beginning_of_a_rows_address_is_completed_to_it(one: ProviderRow, slash: str) -> None:
    assert one.base_url is not None
    scheme, _, rest = one.base_url.partition("://")
    host, *segments = rest.split("/")
    for count in range(len(segments) + 1):
        written = "/".join((f"{scheme}://{host}", *segments[:count])) + slash
        assert resolve_base_url(one, written) == one.base_url


@pytest.mark.parametrize(
    ("name", "written", "expected"),
    [
        ("groq", "https://api.groq.com/openai/", "https://api.groq.com/openai/v1"),
        (
            "gemini",
            "https://generativelanguage.googleapis.com/",
            "https://generativelanguage.googleapis.com/v1beta/openai",
        ),
        ("openai", "http://127.0.0.1:9999", "http://127.0.0.1:9999/v1"),
        ("gemini", "http://127.0.0.1:9999", "http://127.0.0.1:9999/v1beta/openai"),
        ("openai", "http://127.0.0.1:9999/v1", "http://127.0.0.1:9999/v1"),
        ("openai", "http://127.0.0.1:9999/v1/", "http://127.0.0.1:9999/v1"),
        ("openai", "http://proxy.internal/openai", "http://proxy.internal/openai/v1"),
        ("openai", "http://proxy.internal/v2/x", "http://proxy.internal/v2/x"),
        ("gemini", "http://proxy.internal/google", "http://proxy.internal/google/v1beta/openai"),
        ("gemini", "http://proxy.internal/v1", "http://proxy.internal/v1"),
        ("novita", "https://api.novita.ai/v3/openai", "https://api.novita.ai/v3/openai"),
        ("deepinfra", "https://api.deepinfra.com/v1", "https://api.deepinfra.com/v1/openai"),
        ("perplexity", "https://api.perplexity.ai/", "https://api.perplexity.ai"),
        ("perplexity", "http://proxy.internal/pplx", "http://proxy.internal/pplx"),
        ("qstash", "https://qstash.upstash.io/v2", "https://qstash.upstash.io/v2"),
        ("cloudflare-ai-gateway", "http://127.0.0.1:8/", "http://127.0.0.1:8"),
        ("azure", "https://acme.openai.azure.com", "https://acme.openai.azure.com/openai/v1"),
        ("azure", "https://acme.openai.azure.com/openai/v1/", "https://acme.openai.azure.com/openai/v1"),
        (
            "cloudflare-workers-ai",
            "https://api.cloudflare.com/client/v4/accounts/0af1/",
            "https://api.cloudflare.com/client/v4/accounts/0af1/ai/v1",
        ),
        ("cloudflare-workers-ai", "http://127.0.0.1:8", "http://127.0.0.1:8/v1"),
        ("openai", "HTTPS://API.OpenAI.com", "https://api.openai.com/v1"),
        ("openai", "http://[::1]:8000", "http://[::1]:8000/v1"),
        ("openai", "http://model_server:8000", "http://model_server:8000/v1"),
        ("openai", "http://xn--bcher-kva.example", "http://xn--bcher-kva.example/v1"),
    ],
)
def test_an_address_is_completed(name: str, written: str, expected: str) -> None:
    assert resolve_base_url(row(name), written) == expected


@pytest.mark.parametrize(
    ("written", "version_path", "expected"),
    [
        ("http://h", None, "http://h/v1"),
        ("http://h/", None, "http://h/v1"),
        ("http://h/v1", None, "http://h/v1"),
        ("http://h/api/v1beta2/", None, "http://h/api/v1beta2"),
        ("http://h/api", None, "http://h/api/v1"),
        ("http://h/api", "", "http://h/api"),
        ("http://h/", "", "http://h"),
        ("http://h/api", "/v2", "http://h/api/v2"),
        ("http://h/api", "v2", "http://h/api/v2"),
        ("http://h/api", "/v2/", "http://h/api/v2"),
        ("http://h/api/v1", "/v2", "http://h/api/v2"),
        ("http://h/api/v2", "/v2", "http://h/api/v2"),
        ("http://h", "/api/paas/v4", "http://h/api/paas/v4"),
    ],
)
def test_a_provider_that_no_row_knows(written: str, version_path: str | None, expected: str) -> None:
    assert resolve_base_url(None, written, version_path) == expected


@pytest.mark.parametrize(
    ("name", "base_url", "version_path", "expected"),
    [
        ("openai", None, "/v2", "https://api.openai.com/v2"),
        ("openai", None, "", "https://api.openai.com/v1"),
        ("groq", None, "/v2", "https://api.groq.com/openai/v2"),
        ("deepinfra", "https://api.deepinfra.com/v1/openai", "/v2/openai", "https://api.deepinfra.com/v2/openai"),
        ("openai", "http://127.0.0.1:9", "", "http://127.0.0.1:9"),
        ("echo", None, "/v2", "echo://embedded"),
    ],
)
def test_the_operators_version_path_wins(name: str, base_url: str | None, version_path: str, expected: str) -> None:
    assert resolve_base_url(row(name), base_url, version_path) == expected


BAD = [
    ("", "http"),
    ("api.openai.com", "http"),
    ("//api.openai.com", "http"),
    ("ftp://api.openai.com", "http"),
    ("file:///etc/passwd", "http"),
    ("http:/h", "http"),
    ("javascript:alert(1)", "http"),
    ("http://", "no host"),
    ("http:///v1", "no host"),
    ("http://:80", "host"),
    ("https://user:secret-word@h", "user name"),
    ("https://secret-word@h/v1", "user name"),
    ("https://h/v1?key=secret-word", "query"),
    ("https://h?", "query"),
    ("https://h/v1#secret-word", "fragment"),
    ("https://h\\@evil.example", "backslash"),
    ("https://h/..", "segment"),
    ("https://h/../v1", "segment"),
    ("https://h/./v1", "segment"),
    ("https://h/%2e%2e/v1", "segment"),
    ("https://h/%2E./v1", "segment"),
    ("https://h/a%2fb", "character"),
    ("https://h/a%5cb", "character"),
    ("https://h/a%0d%0ax", "character"),
    ("https://h/a%252e", "character"),
    ("https://h/a%00", "character"),
    ("https://h/a%3fb", "character"),
    ("https://h/a%zz", "character"),
    ("https://h/a%ff", "character"),
    ("https://h/{account}/v1", "character"),
    ("https://h//v1", "empty"),
    ("https://h/v1 ", "spaces"),
    (" https://h/v1", "spaces"),
    ("https://h/v1\r\nx-key: y", "spaces"),
    ("https://h\n", "spaces"),
    ("https://h\t/v1", "spaces"),
    ("https://h\x7f/v1", "spaces"),
    ("https://h\x00/v1", "spaces"),
    ("https://bücher.example", "ASCII"),
    ("https://api.openai.com。evil.example", "ASCII"),
    ("https://h:0/v1", "port"),
    ("https://h:65536/v1", "port"),
    ("https://h:99999/v1", "port"),
    ("https://h:8a/v1", "host"),
    ("https://h:/v1", "host"),
    ("https://a..b/v1", "host"),
    ("https://.a/v1", "host"),
    ("https://-a/v1", "host"),
    ("https://" + "a" * 64 + "/v1", "host"),
    ("https://" + "a." * 130 + "b/v1", "host"),
    ("https://[::1/v1", "host"),
    ("https://[1.2.3.4]/v1", "host"),
    ("https://[::1]x/v1", "host"),
    ("https://127.1/v1", "host"),
    ("https://2130706433/v1", "host"),
    ("https://0x7f000001/v1", "host"),
    ("https://0177.0.0.1/v1", "host"),
    ("https://h%2eevil.example/v1", "host"),
    ("https://h/v1/chat/completions", "stop before"),
    ("https://h/v1/chat/completions/", "stop before"),
]


@pytest.mark.parametrize(("written", "word"), BAD)
@pytest.mark.parametrize("name", [None, "openai"])
@pytest.mark.parametrize("version_path", [None, "", "/v2"])
def test_what_is_not_a_plain_http_address_is_refused(
    name: str | None, written: str, word: str, version_path: str | None
) -> None:
    with pytest.raises(ValueError, match=word) as caught:
        resolve_base_url(row(name) if name else None, written, version_path)
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize(
    "version_path", ["/..", "/../v1", "/v1?x", "/v1#x", "/a b", "/v1\n", "//a//b", "/%2e%2e", "\\x"]
)
def test_a_bad_version_path_is_refused(version_path: str) -> None:
    with pytest.raises(ValueError, match="version-path"):
        resolve_base_url(None, "https://h", version_path)


@pytest.mark.parametrize(
    ("name", "written", "words"),
    [
        (None, None, "does not know needs a base-url"),
        ("azure", None, "https://{resource}.openai.azure.com/openai/v1"),
        ("cloudflare-workers-ai", None, "accounts/{account}/ai/v1"),
        ("cloudflare-workers-ai", "https://api.cloudflare.com/client/v4", "accounts/{account}/ai/v1"),
        ("cloudflare-workers-ai", "https://api.cloudflare.com", "accounts/{account}/ai/v1"),
    ],
)
def test_an_address_that_only_the_customer_knows_is_asked_for(
    name: str | None, written: str | None, words: str
) -> None:
    with pytest.raises(ValueError) as caught:
        resolve_base_url(row(name) if name else None, written)
    assert words in str(caught.value)


LABELS = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
SEGMENTS = st.text(string.ascii_letters + string.digits + "-_.~", min_size=1, max_size=8) | st.sampled_from(
    ["v1", "v1beta", "openai", "v2", "api", "inference", "compatibility", "client", "v4", "accounts"]
)
ORIGINS = st.builds(
    lambda scheme, labels, port: f"{scheme}://{'.'.join(labels)}" + (f":{port}" if port else ""),
    st.sampled_from(["http", "https", "HTTPS"]),
    st.lists(LABELS, min_size=1, max_size=3),
    st.none() | st.integers(1, 65535),
)


@given(ROWS, ORIGINS, st.lists(SEGMENTS, max_size=4), st.booleans(), st.sampled_from([None, "", "/v2", "/v2/openai"]))
def test_the_result_has_the_same_origin_and_resolves_to_itself(
    one: ProviderRow | None, origin: str, segments: list[str], slash: bool, version_path: str | None
) -> None:
    assume(not {".", ".."} & set(segments))
    written = "/".join((origin, *segments)) + ("/" if slash else "")
    result = resolve_base_url(one, written, version_path)
    assert result.startswith(origin.lower())
    assert result[len(origin) :][:1] in {"", "/"}
    assert not result.endswith("/")
    assert resolve_base_url(one, result, version_path) == result


@given(ROWS, st.text(max_size=40) | st.text(st.sampled_from("htps:/@.?#\\ v1%2e[]a"), max_size=30))
def test_any_text_is_resolved_within_its_origin_or_refused(one: ProviderRow | None, text: str) -> None:
    for written in (text, f"https://{text}", f"https://h/{text}"):
        try:
            result = resolve_base_url(one, written)
        except ValueError:
            continue
        before, after = urlsplit(written), urlsplit(result)
        assert (before.scheme.lower(), before.hostname, before.port) == (after.scheme, after.hostname, after.port)
        assert after.username is None
        assert not after.query
        assert ".." not in after.path.split("/")


def test_a_row_of_ones_own_is_completed_in_the_same_way() -> None:
    mine = attrs.evolve(row("openai"), name="mine", base_url="https://llm.example/gateway/v3", domains=())
    assert resolve_base_url(mine, "http://h/") == "http://h/gateway/v3"
    assert resolve_base_url(mine, "http://h/other") == "http://h/other/v3"


@pytest.mark.parametrize("base_url", ["https://eu.acme.example", "http://127.0.0.1:9", "http://127.0.0.1:9/v1"])
def test_a_part_that_every_customer_has_for_himself_is_never_made_up(base_url: str) -> None:
    row = ProviderRow("acme", "Acme", None, address="https://{region}.acme.example/v1/projects/{project}")
    with pytest.raises(ValueError, match=r"lacks a part: write it as https://\{region\}\.acme\.example/v1/projects"):
        resolve_base_url(row, base_url)
    whole = f"{base_url.removesuffix('/v1')}/v1/projects/p"
    assert resolve_base_url(row, whole) == whole
