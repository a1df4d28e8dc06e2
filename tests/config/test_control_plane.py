"""Client authentication in the words of the older dialect."""

from __future__ import annotations

import attrs
import pytest

from config.fakes import STAGES, Loader, fake
from llmgate.config.model import GatewayConfig, StageConfig
from llmgate.spec import SecretRef

KEYS = "auth: [{use: static-keys, keys: [{name: a, secret: 'env:A_KEY'}]}]\n"


@attrs.frozen
class PlaneConfig:
    """As the plugin's, as far as the dialect knows it."""

    url: str = "wss://api.helicone.ai/ws/v1/router/control-plane"
    credential: SecretRef = SecretRef("env", "HELICONE_CONTROL_PLANE_API_KEY")
    min_delay: float = 1.0
    max_delay: float = 60.0
    factor: float = 2.0


@pytest.fixture
def plane(loader: Loader) -> Loader:
    """With the plugin installed."""
    extended = {**STAGES, "auth": {**STAGES["auth"], "control-plane": fake("control-plane", PlaneConfig)}}
    loader.find = lambda kind, name: extended[kind].get(name)
    return loader


def made(config: GatewayConfig) -> PlaneConfig:
    (stage,) = config.auth
    assert isinstance(stage, StageConfig)
    assert (stage.id, stage.use) == ("auth[0]", "control-plane")
    assert isinstance(stage.config, PlaneConfig)
    return stage.config


@attrs.frozen
class TellingConfig:
    """As the logger's, as far as the dialect knows it."""

    url: str = "https://api.worker.helicone.ai"
    api_key: SecretRef = SecretRef("env", "HELICONE_CONTROL_PLANE_API_KEY")


@pytest.fixture
def platform(plane: Loader) -> Loader:
    """With both plugins installed."""
    find = plane.find
    logger = fake("helicone", TellingConfig)
    plane.find = lambda kind, name: logger if (kind, name) == ("loggers", "helicone") else find(kind, name)
    return plane


WISHES = ["authentication: true", "features: auth", "features: auth, __prompts: true", "features: all"]


@pytest.mark.parametrize("wish", WISHES)
def test_without_auth_keys_come_from_helicones_control_plane(plane: Loader, wish: str) -> None:
    assert made(plane.text(f"helicone: {{{wish}}}\n")) == PlaneConfig()
    assert made(plane.text(f"auth: []\nhelicone: {{{wish}}}\n")) == PlaneConfig()


@pytest.mark.parametrize("wish", WISHES)
def test_a_wish_for_keys_is_met_by_auth_where_it_is_written(plane: Loader, wish: str) -> None:
    config = plane.text(f"{KEYS}helicone: {{{wish}}}\n")
    assert [stage.use for stage in config.auth] == ["static-keys"]
    problem = plane.one(f"auth: [{{use: anonymous}}]\nhelicone: {{{wish}}}\n")
    assert "take anonymous out" in problem
    assert "take anonymous out" in plane.one(f"auth: [anonymous]\nhelicone: {{{wish}}}\n")


@pytest.mark.parametrize("wish", WISHES)
def test_without_the_plugin_it_is_named(loader: Loader, wish: str) -> None:
    problem = loader.one(f"helicone: {{{wish}}}\n")
    assert "pip install llmgate-control-plane" in problem
    assert "whose keys are good" in problem


def test_nothing_asked_for_is_nothing(plane: Loader) -> None:
    for text in ("helicone: {features: none, authentication: true}\n", "helicone: {authentication: false}\n", ""):
        assert plane.text(text).auth == ()


def test_all_says_what_it_does_not_do(platform: Loader) -> None:
    (warning,) = platform.text("helicone: {features: all}\n").warnings
    assert "prompts that are kept there are not used: write observability" in warning
    assert platform.text("helicone: {features: auth}\n").warnings == ()
    assert platform.text("helicone: {features: observability}\n").warnings == ()


def test_without_the_logger_all_says_what_to_install(plane: Loader) -> None:
    config = plane.text("helicone: {features: all}\n")
    (warning,) = config.warnings
    assert "no records and no prompts go to Helicone: pip install llmgate-helicone" in warning
    assert config.loggers == ()
    assert made(config) == PlaneConfig()


@pytest.mark.parametrize("wish", ["features: observability", "observability: true"])
def test_who_asks_for_records_alone_needs_the_logger(plane: Loader, wish: str) -> None:
    assert "pip install llmgate-helicone" in plane.one(f"helicone: {{{wish}}}\n")


TELLING = ["features: all", "features: observability", "observability: true", "features: all, observability: false"]


@pytest.mark.parametrize("wish", TELLING)
def test_records_go_where_keys_come_from(platform: Loader, wish: str) -> None:
    config = platform.text(f"helicone: {{{wish}}}\n")
    assert made(config) == PlaneConfig()
    (logger,) = config.loggers
    assert (logger.use, logger.config) == ("helicone", TellingConfig())
    config = platform.text(f"{KEYS}loggers: [python-logging]\nhelicone: {{{wish}, api-key: 'env:K'}}\n")
    assert [one.use for one in config.auth] == ["static-keys"]
    assert [one.use for one in config.loggers] == ["python-logging", "helicone"]
    assert config.loggers[1].config.api_key == SecretRef("env", "K")


def test_records_of_an_installation_of_ones_own_never_go_elsewhere(platform: Loader) -> None:
    base = "helicone: {features: all, base-url: 'http://127.0.0.1:8585/jawn/'}\n"
    (logger,) = platform.text(base).loggers
    assert logger.config.url == "http://127.0.0.1:8585/jawn/v1/trace"
    socket = "helicone: {features: observability, websocket-url: 'wss://helicone.internal/ws'}\n"
    assert "write helicone.base-url" in platform.one(socket)
    assert platform.one("helicone: {features: all, base-url: 'ftp://x'}\n").count("write https://HOST") == 1


def test_a_logger_that_is_written_is_the_one(platform: Loader) -> None:
    text = "loggers: [{use: helicone, url: 'https://logs.internal'}]\nhelicone: {features: all}\n"
    (logger,) = platform.text(text).loggers
    assert logger.config.url == "https://logs.internal"


@pytest.mark.parametrize(
    "wish", ["features: none, observability: true", "features: auth, observability: true", "authentication: true"]
)
def test_nobody_is_told_who_was_not_asked_to(platform: Loader, wish: str) -> None:
    assert platform.text(f"helicone: {{{wish}}}\n").loggers == ()


def test_a_self_hosted_one_is_named_by_variables(plane: Loader) -> None:
    config = plane.mapping(
        None,
        AI_GATEWAY__HELICONE__FEATURES="auth",
        AI_GATEWAY__HELICONE__BASE_URL="https://helicone.internal",
        AI_GATEWAY__HELICONE__WEBSOCKET_URL="wss://helicone.internal:8585/ws/v1/router/control-plane",
        HELICONE_CONTROL_PLANE_API_KEY="sk-helicone-x",
    )
    assert made(config) == PlaneConfig(url="wss://helicone.internal:8585/ws/v1/router/control-plane")


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://helicone.internal", "wss://helicone.internal/ws/v1/router/control-plane"),
        ("https://helicone.internal:8585/", "wss://helicone.internal:8585/ws/v1/router/control-plane"),
        ("http://127.0.0.1:8585/jawn", "ws://127.0.0.1:8585/jawn/ws/v1/router/control-plane"),
    ],
)
def test_a_base_address_alone_never_sends_the_credential_elsewhere(plane: Loader, base: str, url: str) -> None:
    assert made(plane.text(f"helicone: {{features: auth, base-url: '{base}'}}\n")).url == url


@pytest.mark.parametrize("base", ["helicone.internal", "ftp://x", "https://", "https://[x", "https://x?y=1"])
def test_a_base_address_that_is_none_is_refused(plane: Loader, base: str) -> None:
    assert "write https://HOST" in plane.one(f"helicone: {{features: auth, base-url: '{base}'}}\n")


def test_the_key_is_a_reference(plane: Loader) -> None:
    config = plane.text("helicone: {features: auth, api-key: 'env:PLANE_KEY'}\n")
    assert made(config).credential == SecretRef("env", "PLANE_KEY")
    problem = plane.one("helicone: {features: auth, api-key: sk-helicone-canary}\n")
    assert "not a secret reference" in problem
    assert "canary" not in problem


def test_a_key_in_its_variable_stays_there(plane: Loader) -> None:
    config = plane.mapping(
        None, AI_GATEWAY__HELICONE__FEATURES="auth", AI_GATEWAY__HELICONE__API_KEY="sk-helicone-canary"
    )
    assert made(config).credential == SecretRef("env", "AI_GATEWAY__HELICONE__API_KEY")
    config = plane.mapping(None, AI_GATEWAY__HELICONE__FEATURES="auth", AI_GATEWAY__HELICONE__API_KEY="env:PLANE_KEY")
    assert made(config).credential == SecretRef("env", "PLANE_KEY")


def test_the_retries_of_the_dialect_are_the_waits(plane: Loader) -> None:
    helicone = "helicone: {features: auth}\n"
    text = (
        "control-plane: {retry: {strategy: exponential, min-delay: 2s, max-delay: 30s, factor: 3, max-retries: 15}}\n"
    )
    assert made(plane.text(helicone + text)) == PlaneConfig(min_delay=2.0, max_delay=30.0, factor=3.0)
    text = "control-plane: {retry: {strategy: constant, delay: 5s}}\n"
    assert made(plane.text(helicone + text)) == PlaneConfig(min_delay=5.0, max_delay=5.0)


def test_retries_of_no_connection_are_refused(plane: Loader) -> None:
    text = "control-plane: {retry: {min-delay: 2s}}\n"
    assert "write helicone.authentication: true" in plane.one(text)
    assert "beside use: control-plane" in plane.one(f"auth: [{{use: control-plane}}]\n{text}")
