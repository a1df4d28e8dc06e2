"""The whole: every section lands in its place, and any text is either a configuration or a list of problems."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from config.fakes import Loader, fake_names, find_fake
from llmgate.config import load
from llmgate.config.keys import key_table
from llmgate.config.model import GatewayConfig, ServerConfig, StreamConfig
from llmgate.config.problems import Problems
from llmgate.config.source import parse_yaml
from llmgate.config.structure import structured
from llmgate.spec import ConfigError, Timeouts


def test_nothing_written_is_all_defaults(loader: Loader) -> None:
    config = loader.text("")
    assert config.server == ServerConfig()
    assert config.stream == StreamConfig()
    assert config.timeouts == Timeouts()
    assert (config.auth, config.interceptors, config.retries, config.model_mapping) == ((), (), None, None)
    assert config.server.address == "127.0.0.1"
    assert config.source == "c.yaml"


def test_our_sections(loader: Loader) -> None:
    config = loader.text(
        "server: {port: 9000, allow_open: true, hosts: [a.example], max-body-bytes: 1000, keep-alive-timeout: 1m}\n"
        "stream: {commit-after: 5s, heartbeat: 500ms}\n"
        "timeouts: {connect: 1s, first-byte: 2, idle: 3s, total: 1h}\n"
        "dispatcher: {timeout: 7s, connection-timeout: 8s}\n"
        "interceptors: [request-rules]\n"
        "unified-api: {interceptors: [{use: request-rules, count: 2}]}\n"
        "loggers: [python-logging]\n"
        "plugins: {block: [llmgate-x]}\n"
    )
    assert config.server == ServerConfig(
        port=9000, allow_open=True, hosts=("a.example",), max_body_bytes=1000, keep_alive_timeout=60
    )
    assert (config.stream.commit_after, config.stream.heartbeat) == (5, 0.5)
    assert config.timeouts == Timeouts(1, 2, 3, 3600)
    assert [stage.id for stage in config.interceptors] == ["interceptors[0]"]
    assert [stage.id for stage in config.unified_interceptors] == ["unified-api.interceptors[0]"]
    assert config.blocked_plugins == ("llmgate-x",)


def test_all_problems_come_at_once(loader: Loader) -> None:
    problems = loader.problems(
        "servr: 1\nserver: {port: x}\ntimeouts: 5\nstream: [1]\nglobal: 1\nproviders: 1\nauth: 1\n"
        "routers: {'a b': {}}\nserver2: 1\ndispatcher: {timeout: 0}\n",
        LLMGATE__STREM__X="1",
    )
    assert [problem.split(": ")[0] for problem in problems] == [
        "c.yaml:1:1", "c.yaml:2:16", "c.yaml:3:11", "c.yaml:4:9", "c.yaml:5:9", "c.yaml:6:12", "c.yaml:7:7",
        "c.yaml:8:11", "c.yaml:9:1", "c.yaml:10:14", "environment variable LLMGATE__STREM__X",
    ]  # fmt: skip


@pytest.mark.parametrize("address", ["", "a b", "http://x", "127.0.0.1\n"])
def test_wrong_addresses(loader: Loader, address: str) -> None:
    assert "is no address to listen on" in loader.one(f"server: {{address: {address!r}}}".replace("'", '"'))


@pytest.mark.parametrize("text", ["- a\n", "text", "1", "[]"])
def test_a_configuration_is_a_mapping(loader: Loader, text: str) -> None:
    assert loader.one(text) == "c.yaml:1:1: a configuration is a mapping of sections such as routers and providers"


def test_a_router_in_variables_alone(loader: Loader) -> None:
    chat = "LLMGATE__ROUTERS__MY_ROUTER__LOAD_BALANCE__CHAT__"
    for providers in ("openai,anthropic,gemini", "[openai, anthropic, gemini]", "openai , anthropic,gemini,"):
        config = loader.mapping(None, **{chat + "STRATEGY": "latency", chat + "PROVIDERS": providers})
        members = config.routers["my-router"].balances["chat"].members
        assert [member.provider for member in members] == ["openai", "anthropic", "gemini"]
    indexed = {chat + f"PROVIDERS__{index}": name for index, name in enumerate(("openai", "groq"))}
    config = loader.mapping(None, **{chat + "STRATEGY": "latency"}, **indexed)
    assert [member.provider for member in config.routers["my-router"].balances["chat"].members] == ["openai", "groq"]
    weighted = {
        chat + "STRATEGY": "weighted",
        chat + "PROVIDERS__0__PROVIDER": "openai",
        chat + "PROVIDERS__0__WEIGHT": "1",
    }
    assert loader.mapping(None, **weighted).routers["my-router"].balances["chat"].members[0].weight == 1


def test_a_variable_reaches_a_router_with_underscores(loader: Loader) -> None:
    text = "routers: {my_Router: {load-balance: {chat: {strategy: latency, providers: [openai]}}}}"
    config = loader.text(text, LLMGATE__ROUTERS__MY_ROUTER__RETRIES__MAX_RETRIES="7")
    assert list(config.routers) == ["my_Router"]
    assert config.routers["my_Router"].retries is not None
    assert config.routers["my_Router"].retries.max_retries == 7


KEYS = sorted({part for key in key_table() for part in key.path.split(".") if "<" not in part} | {"use", "x"})
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["openai", "latency", "1s"]),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


def outcome(source: object, environment: dict[str, str]) -> None:
    found: object = None
    problems: tuple[str, ...] = ()
    try:
        found = load(source, environment=environment, find=find_fake, names=fake_names)  # type: ignore[arg-type]
    except ConfigError as error:
        problems = error.problems
    assert bool(problems) != isinstance(found, GatewayConfig)
    assert all(problem.isprintable() for problem in problems)


PATHS = st.lists(st.sampled_from(KEYS), min_size=1, max_size=5)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(PATHS, st.text(max_size=12)), max_size=4))
def test_any_environment_is_a_configuration_or_a_list_of_problems(pairs: list[tuple[list[str], str]]) -> None:
    outcome(None, {"LLMGATE__" + "__".join(path).upper().replace("-", "_"): value for path, value in pairs})


def check_text(text: str) -> None:
    problems = Problems()
    tree = parse_yaml(text, "f", problems)
    if not len(problems):
        structured(tree, problems, environment={}, find=find_fake, names=fake_names, directory=Path(), source="f")
    assert all(problem.isprintable() for problem in problems.lines())


@settings(deadline=None, max_examples=400)
@given(
    st.text(st.sampled_from(string.ascii_lowercase[:4] + " \n\t:-[]{}&*!|>'\"%@`,#?\\~<0_\u00e9\ud800"), max_size=60)
)
def test_any_text_is_a_tree_or_a_problem(text: str) -> None:
    check_text(text)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(["routers", "providers", "auth", "server", "global", "discover"]), st.data())
def test_any_yaml_below_a_section_is_a_configuration_or_a_problem(section: str, data: st.DataObject) -> None:
    lines = [f"{section}:"]
    keys = data.draw(st.lists(st.sampled_from(KEYS), max_size=5))
    lines.extend("  " * depth + key + ":" for depth, key in enumerate(keys, 1))
    lines.append(
        "  " * len(lines) + data.draw(st.sampled_from(["1", "[a, {b: c}]", "{a: 1}", "x", "''", "~", "openai"]))
    )
    check_text("\n".join(lines))


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=80))
def test_any_bytes_are_a_configuration_or_a_problem(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(data)
    outcome(path, {})
