"""Providers: written, named by routers, found by their keys."""

from __future__ import annotations

import pytest

from config.fakes import STAGES, Loader
from llmgate.catalogue import RESERVED_NAMES, provider_row, provider_rows
from llmgate.config.model import row_of
from llmgate.formats.adapter import FormatAdapter
from llmgate.spec import ConfigError, ProviderRow, SecretRef, Timeouts

SPOKEN = (
    "anthropic-messages, bedrock-anthropic, bedrock-converse, cohere-chat, gemini-generate-content, ollama-chat, "
    "openai-chat, openai-responses"
)
NO_ADDRESS = (
    "provider 'azure': azure has no address that all customers share: set its base-url, "
    "https://{resource}.openai.azure.com/openai/v1"
)


def test_with_no_file_providers_are_found_by_their_keys(loader: Loader) -> None:
    config = loader.mapping(None, OPENAI_API_KEY="x", GROQ_API_KEY="y", MISTRAL_API_KEY="", OTHER="z")
    assert list(config.providers) == ["openai", "groq"]
    assert config.providers["groq"].secret == SecretRef("env", "GROQ_API_KEY")
    assert config.warnings == ()


def test_with_a_file_they_are_found_too(loader: Loader) -> None:
    config = loader.text("providers: {anthropic: {models: [x]}}", OPENAI_API_KEY="x", ANTHROPIC_API_KEY="x")
    assert list(config.providers) == ["anthropic", "openai"]
    assert config.providers["anthropic"].models == ("x",)


def test_the_first_variable_that_is_set_is_taken(loader: Loader) -> None:
    assert loader.mapping(None, GOOGLE_API_KEY="x").providers["gemini"].secret == SecretRef("env", "GOOGLE_API_KEY")
    config = loader.text("providers: {gemini: }")
    assert config.providers["gemini"].secret == SecretRef("env", "GEMINI_API_KEY")
    assert config.warnings == ("c.yaml:1:13: provider 'gemini' has no key: set GEMINI_API_KEY or GOOGLE_API_KEY",)


def test_local_and_relay_only_providers_are_not_found(loader: Loader) -> None:
    keys = {variable: "x" for row in provider_rows().values() for variable in row.key_variables}
    found = loader.mapping(None, **keys).providers
    rows = provider_rows()
    assert len(found) > 15
    assert not any(rows[name].relay_only or rows[name].keyless or rows[name].base_url is None for name in found)


def test_without_any_provider_there_is_the_embedded_one(loader: Loader) -> None:
    echo = loader.mapping(None).providers["echo"]
    assert (echo.row, echo.adapter.use, echo.secret) == ("echo", "echo", None)
    assert list(loader.mapping({"server": {"port": 1}}).providers) == ["echo"]
    loader.find = lambda kind, name: None if name == "echo" else STAGES[kind].get(name)
    assert loader.mapping(None).providers == {}


@pytest.mark.parametrize(
    ("written", "variables", "address"),
    [
        ("", {}, None),
        (
            "",
            {"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "x"},
            "https://bedrock-runtime.eu-central-1.amazonaws.com",
        ),
        ("", {"AWS_DEFAULT_REGION": "eu-west-1"}, "https://bedrock-runtime.eu-west-1.amazonaws.com"),
        ("base-url: 'http://127.0.0.1:9'", {"AWS_REGION": "eu-central-1"}, "http://127.0.0.1:9"),
    ],
)
def test_the_environment_names_the_region(
    loader: Loader, written: str, variables: dict[str, str], address: str
) -> None:
    config = loader.text(f"providers: {{bedrock: {{{written}}}}}", **variables)
    assert config.providers["bedrock"].base_url == address


def test_what_is_no_region_is_refused_by_its_variable(loader: Loader) -> None:
    sentence = loader.one("providers: {bedrock: }", AWS_REGION="evil.example/")
    assert sentence.endswith("AWS_REGION is no region of AWS Bedrock: write it like us-east-1")


def test_a_known_name_needs_nothing(loader: Loader) -> None:
    provider = loader.text("providers: {ollama: , azure-openai: {base-url: 'https://x.openai.azure.com'}}").providers
    assert (provider["ollama"].row, provider["ollama"].secret) == ("ollama", None)
    assert (provider["azure-openai"].row, provider["azure-openai"].secret) == (
        "azure",
        SecretRef("env", "AZURE_API_KEY"),
    )


def test_an_unknown_name_is_a_full_citizen(loader: Loader) -> None:
    config = loader.text(
        "providers:\n  my.server: {base_url: 'http://h:8000', models: [m], timeouts: {idle: 5s},\n"
        "              headers: {X-Team: a}}\n"
        "timeouts: {total: 60s}\n"
    )
    provider = config.providers["my.server"]
    assert (provider.row, provider.adapter.use, provider.format) == (None, "openai", "openai-chat")
    assert provider.secret == SecretRef("env", "MY_SERVER_API_KEY")
    assert provider.timeouts == Timeouts(idle=5, total=60)
    assert provider.headers == {"x-team": "a"}
    assert config.warnings == (
        "c.yaml:2:3: provider 'my.server' has no key: set MY_SERVER_API_KEY, or keyless: true if it needs none",
    )


def test_use_names_an_adapter_or_a_row(loader: Loader) -> None:
    config = loader.text(
        "providers:\n"
        "  second: {use: openai}\n"
        "  claude-eu: {use: anthropic, secret: env:EU}\n"
        "  own: {use: openai, base-url: 'http://x'}\n"
        "  slow: {use: echo, delay: 1s}\n",
        EU="x",
    )
    found = {name: (p.row, p.adapter.use, str(p.secret)) for name, p in config.providers.items()}
    assert found == {
        "second": ("openai", "openai", "env:SECOND_API_KEY"),
        "claude-eu": ("anthropic", "openai", "env:EU"),
        "own": (None, "openai", "env:OWN_API_KEY"),
        "slow": ("echo", "echo", "None"),
    }
    assert config.providers["slow"].adapter.config.delay == 1
    assert config.providers["slow"].adapter.id == "providers.slow"


def test_an_adapter_with_a_transport_of_its_own_needs_no_address(loader: Loader) -> None:
    loader.find = lambda kind, name: STAGES[kind].get("echo" if name == "bridge" else name)
    assert loader.text("providers: {b: {use: bridge, delay: 1s, keyless: true}}").providers["b"].base_url is None


def test_keys_and_keylessness(loader: Loader) -> None:
    config = loader.text(
        "secrets: {vault: {use: vault}}\nproviders:\n"
        "  vllm: {secret: env:V}\n  openai: {keyless: true}\n  groq: {secret: 'vault:kv/groq'}\n",
        V="x",
    )
    assert config.providers["vllm"].secret == SecretRef("env", "V")
    assert (config.providers["openai"].secret, config.providers["openai"].keyless) == (None, True)
    assert config.providers["groq"].secret == SecretRef("vault", "kv/groq")
    assert config.warnings == ()


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_reserved_names(loader: Loader, name: str) -> None:
    assert "is a path of the gateway" in loader.one(f"providers: {{{name}: {{base-url: 'http://x'}}}}")


@pytest.mark.parametrize(
    ("provider", "sentence"),
    [
        ("opnai: {}", "no provider is called 'opnai': give it a base-url under providers (did you mean 'openai'?)"),
        ("a/b: {base-url: 'http://x'}", "'a/b' is no name of a provider: 1 to 64 letters, digits, '_', '-' and '.'"),
        ("x: {use: opnai}", "no provider adapter is called 'opnai' (did you mean 'openai'?)"),
        ("openai: {modles: [a]}", "unknown key 'modles' in providers.openai (did you mean 'models'?)"),
        ("openai: {delay: 1s}", "unknown key 'delay' in providers.openai"),
        ("openai: [a]", "'providers.openai' must be a mapping of settings"),
        ("x: {base-url: ftp://x}", "provider 'x': base-url must start with http:// or https://"),
        ("azure: {}", NO_ADDRESS),
        ("x: {base-url: 'http://x', format: openai}",
         f"llmgate does not speak the format 'openai': there is {SPOKEN} (did you mean 'openai-chat'?)"),
        ("openai: {format: gemini}",
         "OpenAI does not speak the format 'gemini': there is openai-chat, openai-responses"),
        ("openai: {version: v2}", "'version' is for anthropic only: write version-path for the path of an address"),
        ("openai: {keyless: true, secret: env:X}", "'keyless' and 'secret' exclude each other: keep one"),
        ("openai: {headers: {Authorization: x}}", "header 'authorization' carries a credential: name it under secret"),
        ("azure: {base-url: 'https://x.openai.azure.com', headers: {api-key: x}}",
         "header 'api-key' carries a credential: name it under secret"),
        ("openai: {headers: {host: x}}", "header 'host' is written by the gateway: take it out"),
        ('openai: {headers: {x: "a\\r\\nb: c"}}', "header 'x' must be one line of ASCII text"),
        ("openai: {headers: {'x y': a}}", "'x y' is no name of a header"),
        ("openai: {headers: {x-token: sk-verysecret}}", "header 'x-token' looks like a key: name it under secret"),
        ("openai: {headers: [a]}", "'headers' must be a mapping of names and values"),
        ("openai: {chat-fields: [a]}", "'chat-fields' must be a mapping of fields and their names"),
        ("openai: {chat-fields: {seed: 1 2}}", "'seed' must be the name of a field, and its value a name or ''"),
        ("openai: {chat-fields: {seed: }}", "'seed' must be the name of a field, and its value a name or ''"),
        ("openai: {chat-fields: {model: m}}", "'model' is called so by every server of openai-chat: take it out"),
        ("openai: {timeouts: {idle: 0}}", "'idle' must be more than 0 and at most 604800, not 0"),
        ("openai: {timeouts: 5s}", "'timeouts' must be a mapping"),
    ],
)  # fmt: skip
def test_mistakes(loader: Loader, provider: str, sentence: str) -> None:
    assert loader.one(f"providers: {{{provider}}}").split(": ", 1)[1] == sentence


@pytest.mark.parametrize(
    "secret", ["sk-proj-verysecret", "env:sk-verysecret", "verysecret", "sk-a:verysecret", "{a: verysecret}"]
)
def test_a_literal_key_is_refused_and_not_shown(loader: Loader, secret: str) -> None:
    problem = loader.one(f"providers: {{openai: {{secret: {secret!r}}}}}")
    assert "verysecret" not in problem
    assert "env:OPENAI_API_KEY" in problem


def test_a_key_in_a_variable_is_not_shown(loader: Loader) -> None:
    problem = loader.one("", LLMGATE__PROVIDERS__OPENAI__SECRET="sk-verysecret")
    assert problem.startswith("environment variable LLMGATE__PROVIDERS__OPENAI__SECRET: ")
    assert "verysecret" not in problem


def test_a_store_with_a_prefix_is_asked_with_it(loader: Loader) -> None:
    text = "secrets: {env: {prefix: PROD_}, test: {use: env, prefix: TEST_}}\n"
    assert list(loader.text(text, PROD_GROQ_API_KEY="x", OPENAI_API_KEY="y").providers) == ["groq"]
    assert loader.text(text + "providers: {groq: , openai: {secret: test:K}}").warnings == (
        "c.yaml:2:13: provider 'groq' has no key: set PROD_GROQ_API_KEY",
        "c.yaml:2:21: provider 'openai' has no key: set TEST_K",
    )


def test_keys_in_another_kind_of_store_are_not_looked_for_in_the_environment(loader: Loader) -> None:
    config = loader.text("secrets: {env: {use: vault}}\nproviders: {openai: }", GROQ_API_KEY="x")
    assert list(config.providers) == ["openai"]
    assert config.warnings == ()


BROUGHT = ProviderRow("acme", "Acme", None, {"openai-chat": "/chat"}, address="https://{region}.acme.example/v1")


@pytest.mark.parametrize(
    ("row", "name", "found"),
    [
        (BROUGHT, "acme-eu", BROUGHT),
        (BROUGHT, "openai", BROUGHT),
        ("bedrock", "bedrock-eu", provider_row("bedrock")),
        ("bedrock", "groq", provider_row("groq")),
        (None, "own", None),
    ],
)
def test_an_adapter_brings_a_row_or_names_the_catalogues(
    loader: Loader, row: ProviderRow | str | None, name: str, found: ProviderRow | None
) -> None:
    adapter = type("Acme", (FormatAdapter,), {"name": "acme", "row": row})
    loader.find = lambda kind, use: adapter if (kind, use) == ("providers", "acme") else STAGES[kind].get(use)
    provider = loader.text(f"providers: {{{name}: {{use: acme, base-url: 'https://eu.acme.example'}}}}").providers[name]
    assert row_of(provider) == found
    assert provider.adapter.use == "acme"
    assert provider.secret == SecretRef("env", f"{name.upper().replace('-', '_')}_API_KEY")


def test_who_brings_a_row_says_what_its_address_looks_like(loader: Loader) -> None:
    adapter = type("Acme", (FormatAdapter,), {"name": "acme", "row": BROUGHT})
    loader.find = lambda kind, use: adapter if (kind, use) == ("providers", "acme") else STAGES[kind].get(use)
    with pytest.raises(ConfigError, match=r"set its base-url, https://\{region\}\.acme\.example/v1"):
        loader.text("providers: {acme-eu: {use: acme}}")
