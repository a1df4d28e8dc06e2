"""The provider rows: complete, literal where the seed is literal, each with its source."""

from __future__ import annotations

import subprocess
import sys

import attrs
import pytest

from llmgate.catalogue import RESERVED_NAMES, provider_row, provider_rows
from llmgate.catalogue.rows import load_catalogue
from llmgate.formats import get_format
from llmgate.formats.openai_chat.fitting import SHARED
from llmgate.spec import CredentialHeader, ProviderRow

SEED = {
    # Approved Domains of the seed, in its order: host name -> (row, tick under Cost Support).
    "api.openai.com": ("openai", True),
    "generativelanguage.googleapis.com": ("gemini", True),
    "aiplatform.googleapis.com": ("vertex", True),
    "api.anthropic.com": ("anthropic", True),
    "api.together.xyz": ("together", True),
    "openrouter.ai": ("openrouter", True),
    "api.fireworks.ai": ("fireworks", True),
    "openai.azure.com": ("azure", True),
    "api.groq.com": ("groq", True),
    "api.deepinfra.com": ("deepinfra", False),
    "api.endpoints.anyscale.com": ("anyscale", True),
    "gateway.ai.cloudflare.com": ("cloudflare-ai-gateway", False),
    "api.lemonfox.ai": ("lemonfox", True),
    "api.perplexity.ai": ("perplexity", True),
    "api.mistral.ai": ("mistral", True),
    "api.deepseek.com": ("deepseek", True),
    "api.x.ai": ("xai", True),
    "bedrock-runtime.*.amazonaws.com": ("bedrock", False),
    "api.studio.nebius.ai": ("nebius", True),
    "api.novita.ai": ("novita", True),
    "api.avian.io": ("avian", False),
    "api.cohere.ai": ("cohere", False),
    "qstash.upstash.io": ("qstash", False),
    "api.firecrawl.dev": ("firecrawl", False),
}
CHAT = {
    "openai", "anthropic", "gemini", "together", "openrouter", "fireworks", "azure", "groq", "deepinfra", "anyscale",
    "lemonfox", "perplexity", "mistral", "deepseek", "xai", "nebius", "novita", "avian", "cohere", "cerebras",
    "sambanova", "hyperbolic", "cloudflare-workers-ai", "ollama", "vllm", "llama-cpp", "lm-studio", "echo", "bedrock",
}  # fmt: skip
EMBEDDINGS = {
    "openai", "gemini", "together", "openrouter", "fireworks", "azure", "deepinfra", "mistral", "nebius", "novita",
    "cohere", "sambanova", "cloudflare-workers-ai", "ollama", "vllm", "llama-cpp", "lm-studio",
}  # fmt: skip
COMPLETIONS = {
    "openai", "together", "fireworks", "azure", "deepinfra", "novita", "sambanova", "xai", "cerebras", "ollama",
    "vllm", "llama-cpp", "lm-studio",
}  # fmt: skip
FORMAT_PATHS = {
    "openai-chat": "/chat/completions",
    "openai-embeddings": "/embeddings",
    "openai-completions": "/completions",
    "openai-images": "/images/generations",
    "openai-image-edits": "/images/edits",
    "openai-image-variations": "/images/variations",
    "openai-speech": "/audio/speech",
    "openai-transcriptions": "/audio/transcriptions",
    "openai-translations": "/audio/translations",
    "openai-moderations": "/moderations",
    "bedrock-converse": "/model/{model}/converse",
    "bedrock-anthropic": "/model/{model}/invoke",
    "openai-responses": "/responses",
}
RESPONSES = {
    "openai", "openrouter", "fireworks", "azure", "groq", "xai", "cloudflare-workers-ai", "ollama", "vllm",
    "llama-cpp", "lm-studio",
}  # fmt: skip
OTHER_CHATS = {"bedrock"}
"""Rows whose only chat formats are the vendor's own."""

RELAY_ONLY = {"vertex", "cloudflare-ai-gateway", "qstash", "firecrawl"}
ROWS = list(provider_rows().values())


def named(name: str) -> ProviderRow:
    row = provider_row(name)
    assert row is not None
    return row


def test_the_seed_lists_24_domains() -> None:
    assert len(SEED) == 24


@pytest.mark.parametrize("domain", SEED)
def test_every_domain_of_the_seed_is_there_literally_with_its_tick(domain: str) -> None:
    name, cost = SEED[domain]
    row = named(name)
    assert row.domains[0] == domain
    assert row.cost is cost


def test_no_other_row_promises_costs() -> None:
    assert {row.name for row in ROWS if row.cost} == {name for name, cost in SEED.values() if cost}


def test_the_rows_are_these() -> None:
    assert set(provider_rows()) == CHAT | RELAY_ONLY


def test_no_domain_is_claimed_twice() -> None:
    domains = [domain for row in ROWS for domain in row.domains]
    assert len(domains) == len(set(domains))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_is_whole(row: ProviderRow) -> None:
    assert row.source
    assert row.title
    assert row.name == row.name.lower()
    assert row.name not in RESERVED_NAMES
    assert row.stream_usage in {"option", "always", "never"}
    assert not row.chat_fields or "openai-chat" in row.formats
    assert row.chat_fields.keys() <= set(get_format("openai-chat").fields.values()) | set(SHARED)
    if row.base_url is not None:
        assert row.base_url.startswith(("https://", "http://localhost:", "echo://"))
        assert not row.base_url.endswith("/")
    else:
        assert row.address, "an operator must be told what to write"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_first_key_variable_is_the_providers_name(row: ProviderRow) -> None:
    if row.keyless:
        assert row.key_variables == ()
    else:
        assert row.key_variables[0] == row.name.upper().replace("-", "_") + "_API_KEY"
        assert row.credential is not None


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_relay_only_row_speaks_no_format_and_every_other_speaks_chat(row: ProviderRow) -> None:
    if row.relay_only:
        assert row.name in RELAY_ONLY
        assert not row.formats
        assert row.models_path is None
    else:
        spoken = {name: path for name, path in row.formats.items() if name.startswith("openai-")}
        assert spoken == {name: FORMAT_PATHS[name] for name in spoken}
        assert "openai-chat" in spoken or row.name in OTHER_CHATS
        assert ("openai-embeddings" in row.formats) is (row.name in EMBEDDINGS)
        assert ("openai-completions" in row.formats) is (row.name in COMPLETIONS)
        assert ("openai-responses" in row.formats) is (row.name in RESPONSES)
        assert next(iter(row.formats)) != "openai-responses", "what is translated goes to chat"


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("gemini", "GEMINI_API_KEY"),
        ("gemini", "GOOGLE_API_KEY"),
        ("together", "TOGETHER_API_KEY"),
        ("azure", "AZURE_OPENAI_API_KEY"),
        ("cohere", "CO_API_KEY"),
        ("xai", "XAI_API_KEY"),
        ("qstash", "QSTASH_TOKEN"),
        ("bedrock", "AWS_BEARER_TOKEN_BEDROCK"),
    ],
)
def test_the_vendors_usual_variables_are_read(name: str, variable: str) -> None:
    assert variable in named(name).key_variables


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("ollama", "http://localhost:11434/v1"),
        ("vllm", "http://localhost:8000/v1"),
        ("llama-cpp", "http://localhost:8080/v1"),
        ("lm-studio", "http://localhost:1234/v1"),
    ],
)
def test_local_servers_need_no_key(name: str, url: str) -> None:
    row = named(name)
    assert row.keyless
    assert row.base_url == url


def test_echo_is_embedded() -> None:
    row = named("echo")
    assert (row.adapter, row.keyless, row.credential) == ("echo", True, None)
    assert row.models == ("echo",)


def test_azure_takes_its_key_in_its_own_header_and_has_no_common_address() -> None:
    row = named("azure")
    assert row.base_url is None
    assert row.credential == CredentialHeader("api-key", "")


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("google", "gemini"),
        ("x-ai", "xai"),
        ("x.ai", "xai"),
        ("together-ai", "together"),
        ("azure-openai", "azure"),
    ],
)
def test_an_alias_leads_to_its_row(alias: str, name: str) -> None:
    assert named(alias).name == name


def test_no_alias_hides_a_row_or_leads_nowhere() -> None:
    catalogue = load_catalogue()
    assert not catalogue.aliases.keys() & catalogue.rows.keys()
    assert not catalogue.aliases.keys() & RESERVED_NAMES
    assert set(catalogue.aliases.values()) <= catalogue.rows.keys()


@pytest.mark.parametrize("name", ["", "nobody", "OpenAI", "openai/", "v1"])
def test_an_unknown_name_has_no_row(name: str) -> None:
    assert provider_row(name) is None


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_opens_inference_to_the_direct_relay_and_nothing_that_administers(row: ProviderRow) -> None:
    if row.adapter == "openai":
        assert row.relay_paths, "a relay that may call nothing is none"
    administered = {"files", "batches", "fine_tuning", "assistants", "threads", "organization", "api_keys", "uploads"}
    for entry in row.relay_paths:
        method, _, pattern = entry.rpartition(" ")
        assert method in {"", "GET", "WS"}, "nothing is deleted or replaced"
        assert not administered & set(pattern.split("/"))
        assert pattern not in {"*", "/*"}


@pytest.mark.parametrize(("name", "header"), [("anthropic", "x-api-key"), ("gemini", "x-goog-api-key")])
def test_a_native_api_takes_its_key_in_its_own_header(name: str, header: str) -> None:
    assert named(name).relay_credential == CredentialHeader(header, "")
    assert named(name).credential == CredentialHeader()


def test_rows_cannot_be_changed_by_those_who_read_them() -> None:
    rows = provider_rows()
    with pytest.raises(TypeError):
        rows["mine"] = named("openai")  # type: ignore[index]
    with pytest.raises(TypeError):
        named("anthropic").headers["x-key"] = "y"  # type: ignore[index]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        named("openai").base_url = "https://elsewhere.example"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o-mini", "openai"),
        ("gpt-7", "openai"),
        ("o1", "openai"),
        ("o3-mini", "openai"),
        ("chatgpt-4o-latest", "openai"),
        ("claude-haiku-4-5", "anthropic"),
        ("gemini-2.5-flash", "gemini"),
        ("mistral-small-latest", "mistral"),
        ("grok-4.7", "xai"),
        ("deepseek-chat", "deepseek"),
        ("sonar", "perplexity"),
        ("sonar-pro", "perplexity"),
        ("command-a-03-2025", "cohere"),
        ("echo", "echo"),
    ],
)
def test_a_bare_name_that_is_plainly_a_vendors_is_only_his(model: str, name: str) -> None:
    from fnmatch import fnmatchcase

    owners = [row.name for row in ROWS if any(fnmatchcase(model, pattern) for pattern in row.model_patterns)]
    assert owners == [name]


def test_an_open_weight_model_belongs_to_no_vendor_by_its_name() -> None:
    from fnmatch import fnmatchcase

    for row in ROWS:
        assert not any(fnmatchcase("gpt-oss-120b", pattern) for pattern in row.model_patterns), row.name


def test_importing_the_catalogue_reads_nothing() -> None:
    code = (
        "import sys, llmgate.catalogue as c; from llmgate.catalogue.rows import load_catalogue as load; "
        "assert 'tomllib' not in sys.modules; assert load.cache_info().currsize == 0; "
        "c.provider_rows(); assert load.cache_info().currsize == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
