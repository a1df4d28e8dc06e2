"""Where a path of the direct relay leads: the examples that people write, and never anywhere else."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import attrs
import pytest
from hypothesis import example, given, settings, strategies as st
from yarl import URL

from llmgate.catalogue import OPENAI_RELAY_PATHS, provider_row, provider_rows, resolve_base_url
from llmgate.catalogue.relaying import map_path, model_in_path, mount_of, without_credentials
from llmgate.spec import Provider, ProviderRow

ROWS = [row for row in provider_rows().values() if row.base_url]


def provider(name: str, base_url: str | None = None) -> Provider:
    row = provider_row(name)
    if row is None:
        row = ProviderRow(
            name, name, base_url, formats={"openai-chat": "/chat/completions"}, relay_paths=OPENAI_RELAY_PATHS
        )
        return Provider(name, row, resolve_base_url(None, base_url))
    return Provider(name, row, resolve_base_url(row, base_url))


@pytest.mark.parametrize(
    ("name", "base_url", "wire_format", "path"),
    [
        ("ollama", None, "ollama-chat", "/api/chat"),
        ("ollama", "http://box:11434", "ollama-chat", "/api/chat"),
        ("ollama", "http://proxy/llm/v1", "ollama-chat", "/llm/api/chat"),
        ("ollama", None, "openai-chat", "/v1/chat/completions"),
        ("cohere", None, "cohere-chat", "/v2/chat"),
        ("cohere", "https://proxy/co/compatibility/v1", "cohere-chat", "/co/v2/chat"),
        ("cohere", None, "openai-chat", "/compatibility/v1/chat/completions"),
        ("openai", None, "cohere-chat", None),
    ],
)
def test_a_format_stands_below_the_address_or_at_the_host(name, base_url, wire_format, path) -> None:
    one = provider(name, base_url)
    assert attrs.evolve(one, mount=mount_of(one)).path_of(wire_format) == path
    if path is not None:
        mount = {"http://proxy/llm/v1": "/llm", "https://proxy/co/compatibility/v1": "/co"}.get(base_url or "", "")
        found = map_path(one, "POST", path.removeprefix(f"{mount}/"))
        assert (found.path, found.format, found.inference) == (path, wire_format, True)


CHAT = [
    ("openai", None, "v1/chat/completions", "/v1/chat/completions"),
    ("openai", None, "chat/completions", "/v1/chat/completions"),
    ("groq", None, "openai/v1/chat/completions", "/openai/v1/chat/completions"),
    ("groq", None, "v1/chat/completions", "/openai/v1/chat/completions"),
    ("groq", None, "chat/completions", "/openai/v1/chat/completions"),
    ("gemini", None, "v1beta/openai/chat/completions", "/v1beta/openai/chat/completions"),
    ("gemini", None, "openai/chat/completions", "/v1beta/openai/chat/completions"),
    ("gemini", None, "chat/completions", "/v1beta/openai/chat/completions"),
    ("gemini", None, "v1/chat/completions", "/v1beta/openai/chat/completions"),
    ("deepinfra", None, "v1/openai/chat/completions", "/v1/openai/chat/completions"),
    ("deepinfra", None, "v1/chat/completions", "/v1/openai/chat/completions"),
    ("perplexity", None, "chat/completions", "/chat/completions"),
    ("perplexity", None, "v1/chat/completions", "/chat/completions"),
    ("openrouter", None, "api/v1/chat/completions", "/api/v1/chat/completions"),
    ("openrouter", None, "v1/chat/completions", "/api/v1/chat/completions"),
    ("fireworks", None, "inference/v1/chat/completions", "/inference/v1/chat/completions"),
    ("cohere", None, "compatibility/v1/chat/completions", "/compatibility/v1/chat/completions"),
    ("cohere", None, "v1/chat/completions", "/compatibility/v1/chat/completions"),
    ("anthropic", None, "v1/chat/completions", "/v1/chat/completions"),
    ("groq", "http://127.0.0.1:9/v1", "openai/v1/chat/completions", "/v1/chat/completions"),
    ("groq", "http://127.0.0.1:9", "v1/chat/completions", "/openai/v1/chat/completions"),
    ("azure", "https://mine.openai.azure.com", "openai/v1/chat/completions", "/openai/v1/chat/completions"),
    ("azure", "https://mine.openai.azure.com", "v1/chat/completions", "/openai/v1/chat/completions"),
    ("openai", "https://proxy.example/llm/v1", "v1/chat/completions", "/llm/v1/chat/completions"),
    ("openai", "https://proxy.example/llm/v1", "llm/v1/chat/completions", "/llm/v1/chat/completions"),
    ("mine", "http://127.0.0.1:9", "v1/chat/completions", "/v1/chat/completions"),
    ("mine", "http://127.0.0.1:9/openai/v1", "openai/v1/chat/completions", "/openai/v1/chat/completions"),
    ("mine", "http://127.0.0.1:9/openai/v1", "v1/chat/completions", "/openai/v1/chat/completions"),
    ("mine", "http://127.0.0.1:9/openai/v1", "chat/completions", "/openai/v1/chat/completions"),
]


@pytest.mark.parametrize(("name", "base_url", "rest", "path"), CHAT)
def test_every_way_to_write_a_chat_address_leads_to_it(name: str, base_url: str | None, rest: str, path: str) -> None:
    found = map_path(provider(name, base_url), "POST", rest)
    assert (found.path, found.format, found.inference) == (path, "openai-chat", True)


NATIVE = [
    ("gemini", None, "POST", "v1beta/models/x:generateContent", "/v1beta/models/x:generateContent"),
    ("gemini", None, "POST", "v1/models/x:streamGenerateContent", "/v1/models/x:streamGenerateContent"),
    ("gemini", None, "GET", "v1beta/models", "/v1beta/models"),
    ("gemini", "http://127.0.0.1:9/v1", "POST", "v1beta/models/x:countTokens", "/v1beta/models/x:countTokens"),
    (
        "gemini",
        "https://proxy.example/g/v1beta/openai",
        "POST",
        "v1beta/models/x:embedContent",
        "/g/v1beta/models/x:embedContent",
    ),
    ("anthropic", None, "POST", "v1/messages", "/v1/messages"),
    ("anthropic", None, "POST", "messages", "/v1/messages"),
    ("anthropic", None, "POST", "v1/messages/count_tokens", "/v1/messages/count_tokens"),
    ("anthropic", None, "GET", "v1/models", "/v1/models"),
    ("cohere", None, "POST", "v2/chat", "/v2/chat"),
    ("cohere", None, "POST", "v1/rerank", "/v1/rerank"),
    ("cohere", None, "POST", "v1/embed", "/v1/embed"),
    ("bedrock", None, "POST", "model/anthropic.claude-v1:0/converse", "/model/anthropic.claude-v1:0/converse"),
    ("cloudflare-ai-gateway", None, "POST", "v1/a/g/openai/chat/completions", "/v1/a/g/openai/chat/completions"),
    ("qstash", None, "POST", "v2/publish/my-topic", "/v2/publish/my-topic"),
    ("firecrawl", None, "POST", "v2/scrape", "/v2/scrape"),
    ("firecrawl", None, "GET", "v2/crawl/123", "/v2/crawl/123"),
    ("ollama", None, "POST", "api/chat", "/api/chat"),
    ("ollama", None, "GET", "api/tags", "/api/tags"),
    ("openai", None, "POST", "v1/videos", "/v1/videos"),
    ("openai", None, "POST", "v1/responses/compact", "/v1/responses/compact"),
    ("openai", None, "GET", "v1/responses/resp_1", "/v1/responses/resp_1"),
    ("cohere", None, "POST", "v2/rerank", "/v2/rerank"),
    ("cohere", "https://proxy.example/mine/compatibility/v1", "POST", "v2/rerank", "/mine/v2/rerank"),
    ("openai", None, "GET", "v1/models/gpt-4o", "/v1/models/gpt-4o"),
    ("openai", None, "HEAD", "models", "/v1/models"),
    ("mistral", None, "POST", "v1/fim/completions", "/v1/fim/completions"),
    ("deepseek", None, "POST", "beta/completions", "/beta/completions"),
    (
        "vertex",
        None,
        "POST",
        "v1/projects/p/locations/l/publishers/google/models/gemini-pro:streamGenerateContent",
        "/v1/projects/p/locations/l/publishers/google/models/gemini-pro:streamGenerateContent",
    ),
]


@pytest.mark.parametrize(("name", "base_url", "method", "rest", "path"), NATIVE)
def test_a_vendors_own_inference_paths_are_open(
    name: str, base_url: str | None, method: str, rest: str, path: str
) -> None:
    found = map_path(provider(name, base_url), method, rest)
    assert (found.path, found.inference) == (path, True)
    assert not (found.format or "").startswith("openai-")


@pytest.mark.parametrize(
    ("name", "method", "rest", "path"),
    [
        ("openai", "POST", "v1/files", "/v1/files"),
        ("openai", "GET", "v1/files", "/v1/files"),
        ("openai", "POST", "v1/fine_tuning/jobs", "/v1/fine_tuning/jobs"),
        ("openai", "POST", "v1/batches", "/v1/batches"),
        ("openai", "GET", "v1/organization/admin_api_keys", "/v1/organization/admin_api_keys"),
        ("openai", "POST", "v1/assistants", "/v1/assistants"),
        ("openai", "GET", "v1/chat/completions", "/v1/chat/completions"),
        ("openai", "DELETE", "v1/models/ft:mine", "/v1/models/ft:mine"),
        ("openai", "POST", "v1/models/x", "/v1/models/x"),
        ("openai", "DELETE", "v1/responses/resp_1", "/v1/responses/resp_1"),
        ("openai", "POST", "v1/chat/completions/x", "/v1/chat/completions/x"),
        ("openai", "POST", "v1/Files", "/v1/Files"),
        ("openai", "POST", "v1/%66iles", "/v1/%66iles"),
        ("openai", "POST", "v1/files/responses", "/v1/files/responses"),
        ("anthropic", "POST", "v1/messages/batches", "/v1/messages/batches"),
        ("anthropic", "GET", "v1/organizations/api_keys", "/v1/organizations/api_keys"),
        ("gemini", "POST", "v1beta/cachedContents", "/v1beta/cachedContents"),
        ("gemini", "DELETE", "v1beta/models/x", "/v1beta/models/x"),
        ("gemini", "POST", "v1beta/files", "/v1beta/files"),
        ("vertex", "POST", "v1/projects/p/locations/l/endpoints", "/v1/projects/p/locations/l/endpoints"),
        ("vertex", "POST", "v1/projects/p/locations/l/endpoints/1:deployModel",
         "/v1/projects/p/locations/l/endpoints/1:deployModel"),
        ("bedrock", "GET", "model/x/converse", "/model/x/converse"),
        ("qstash", "GET", "v2/keys", "/v2/keys"),
        ("ollama", "DELETE", "api/delete", "/v1/api/delete"),
        ("groq", "POST", "v1", "/openai/v1"),
        ("echo", "GET", "v1/models", "/v1/models"),
    ],
)  # fmt: skip
def test_what_administers_an_account_is_no_inference(name: str, method: str, rest: str, path: str) -> None:
    found = map_path(provider(name), method, rest)
    assert (found.path, found.inference) == (path, False)


@pytest.mark.parametrize(
    "rest",
    [
        "", "/", "//evil.example/x", "http://evil.example/x", "v1//models", "v1/", "/v1/models", "v1/../admin", "v1/..",
        "..", ".", "v1/./models", "v1/%2e%2e/admin", "v1/.%2E/admin", "v1/%2E/x", "v1%2fmodels", "v1/a%2Fb", "v1/a%5cb",
        "v1/a\\b", "v1/a%252f", "v1/a%25", "v1/models;x=1", "v1/..;/admin", "v1/a%3bb", "v1/a?b", "v1/a%3fb", "v1/a#b",
        "v1/a%23b", "v1/a b", "v1/a%00", "v1/a%0d%0aX: 1", "v1/a\r\nX: 1", "v1/a\tb", "v1/a%7f", "v1/a%ff", "v1/é",
        "v1/a%c3", "v1/%zz", "v1/%", "v1/a\x00b", "v1/<x>", 'v1/"x"', "v1/{x}", "v1/|", "v1/^", "v1/`", "v1/[x]",
    ],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_is_refused(rest: str) -> None:
    for name in ("openai", "perplexity", "vertex"):
        with pytest.raises(ValueError, match="path"):
            map_path(provider(name), "GET", rest)


@pytest.mark.parametrize("rest", ["v1/a@b", "v1/user:pw@evil.example", "v1/x:y", "evil.example:443", "@evil.example"])
def test_what_looks_like_a_host_stays_a_path(rest: str) -> None:
    found = map_path(provider("openai"), "GET", rest)
    assert found.path.endswith("/" + rest.removeprefix("v1/"))
    assert not found.inference


PIECES = st.one_of(
    st.sampled_from(
        "|".join(
            (
                "..|.|%2e|%2e%2e|%2f|%5c|//|/|\\|;|@|#|?|:|v1|v1beta|openai|http:|https://evil.example|evil.example",
                "user:pw@evil|%00|%0d%0a|%25|models|*|é|chat/completions|api| |\n|[::1]|127.0.0.1|%C3%A9|%ff",
            )
        ).split("|")
    ),
    st.text(max_size=6),
)


@settings(max_examples=600, deadline=None)
@given(
    row=st.sampled_from(ROWS),
    base_url=st.sampled_from([None, "https://proxy.example/a/b", "http://127.0.0.1:8000/v1", "https://h.example"]),
    method=st.sampled_from(["GET", "POST", "DELETE"]),
    rest=st.lists(PIECES, max_size=8).map("".join),
)
@example(row=ROWS[0], base_url=None, method="GET", rest="//evil.example/x")
@example(row=ROWS[0], base_url=None, method="GET", rest="@evil.example/x")
def test_whatever_is_asked_for_it_stays_below_the_providers_address(
    row: ProviderRow, base_url: str | None, method: str, rest: str
) -> None:
    one = Provider(row.name, row, resolve_base_url(row, base_url))
    try:
        found = map_path(one, method, rest)
    except ValueError:
        return
    parts = urlsplit(one.base_url)
    origin = f"{parts.scheme}://{parts.netloc}"
    url = URL(origin + found.path, encoded=True)
    assert (url.scheme, url.raw_authority) == (parts.scheme, parts.netloc)
    assert url.raw_path == found.path
    assert not url.raw_query_string
    assert not url.raw_fragment
    if base_url == "https://proxy.example/a/b" and row.base_url and not parts.path.startswith("/a/b"):
        raise AssertionError(one.base_url)
    mount = "/a/b" if base_url == "https://proxy.example/a/b" else ""
    assert found.path.startswith(mount + "/")
    segments = found.path[1:].split("/")
    for text in (found.path, unquote(found.path)):
        assert text.isprintable()
        assert not set(text) & set("\\?#;")
    assert all(segment and unquote(segment) not in {".", ".."} and "/" not in unquote(segment) for segment in segments)
    assert found.path.endswith("/" + rest.rpartition("/")[2])


def test_a_closed_list_is_never_widened_by_another_reading() -> None:
    bare = attrs.evolve(provider("openai"), row=attrs.evolve(provider("openai").row, relay_paths=(), models_path=None))
    for rest in ("v1/videos", "videos", "v1beta/videos", "v1/models"):
        assert not map_path(bare, "POST", rest).inference
        assert not map_path(bare, "GET", rest).inference


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("", ""),
        ("key=secret", ""),
        ("alt=sse&key=secret&a=b", "alt=sse&a=b"),
        ("KEY=secret&Api_Key=x&api-key=y&access_token=z&apikey=1", ""),
        ("%6bey=secret&ke%79=secret", ""),
        ("a=1;key=secret&b=2", "b=2"),
        ("+key=secret", ""),
        ("key", ""),
        ("pageToken=a%2Fb&keys=1&api-version=2024-10-21", "pageToken=a%2Fb&keys=1&api-version=2024-10-21"),
        ("url=http://evil.example/?x", "url=http://evil.example/?x"),
    ],
)
def test_credentials_are_taken_out_of_a_query_and_nothing_else(query: str, left: str) -> None:
    assert without_credentials(query) == left


@pytest.mark.parametrize("query", ["a#b", "a b", "a\r\nb", "a\x00", "é", "a\\b", "a\x7f"])
def test_a_query_that_must_be_escaped_is_refused(query: str) -> None:
    with pytest.raises(ValueError, match="percent-encoded"):
        without_credentials(query)


@pytest.mark.parametrize(
    ("method", "path", "model"),
    [
        ("POST", "/v1beta/models/gemini-2.5-pro:generateContent", "gemini-2.5-pro"),
        ("POST", "/v1/projects/p/locations/l/publishers/google/models/gemini-pro:streamGenerateContent", "gemini-pro"),
        ("GET", "/v1/models/ft:gpt-4o:me", "ft:gpt-4o:me"),
        ("GET", "/v1/models/meta-llama/Llama-3", "meta-llama/Llama-3"),
        ("POST", "/model/anthropic.claude-v1:0/converse", "anthropic.claude-v1:0"),
        ("POST", "/v1beta/models/%67emini:x", "gemini"),
        ("POST", "/v1beta/models/allowed/models/hidden:x", "hidden"),
        ("GET", "/v1/models", None),
        ("POST", "/v1/responses", None),
        ("POST", "/v1/chat/completions", None),
    ],
)
def test_the_model_that_a_path_names(method: str, path: str, model: str | None) -> None:
    assert model_in_path(method, path) == model


@pytest.mark.parametrize(
    ("name", "base_url", "wire_format", "path"),
    [
        ("openai", None, "openai-transcriptions", "/v1/audio/transcriptions"),
        ("groq", None, "openai-speech", "/openai/v1/audio/speech"),
        ("cohere", None, "rerank", "/v2/rerank"),
        ("cohere", "https://proxy.example/mine/compatibility/v1", "rerank", "/mine/v2/rerank"),
        ("openai", None, "rerank", None),
    ],
)
def test_where_a_format_is_spoken(name: str, base_url: str | None, wire_format: str, path: str | None) -> None:
    found = provider(name, base_url)
    assert attrs.evolve(found, mount=mount_of(found)).path_of(wire_format) == path
    if path is not None:
        assert map_path(found, "POST", path.removeprefix("/mine").removeprefix("/")).format == wire_format
