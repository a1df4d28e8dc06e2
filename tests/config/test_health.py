"""``discover.monitor.health``: what it says is what holds."""

from __future__ import annotations

import pytest

from config.fakes import Loader
from llmgate.config.model import HealthConfig


def test_every_key_is_read(loader: Loader) -> None:
    config = loader.text(
        "discover: {monitor: {health: {type: error-ratio, ratio: 0.25, window: 2m, buckets: 12, interval: 3s,"
        " max-rest: 1h, grace_period: {min_requests: 7}, refuse-ratio: 0.75, when-all-out: ask, probe-interval: 1m,"
        " probe-timeout: 1s, state: memory}}}"
    )
    assert config.health == HealthConfig(0.25, 120.0, 12, 3.0, 7, 3600.0, 0.75, "ask", 60.0, 1.0, "memory")


@pytest.mark.parametrize("text", ["", "discover: {default-rtt: 1s}", "discover: {monitor: {health: {}}}"])
def test_without_a_word_the_dialects_defaults_hold(loader: Loader, text: str) -> None:
    assert loader.text(text).health == HealthConfig(
        0.1, 60.0, 10, 5.0, 20, 300.0, 0.5, "refuse-failing", 10.0, 5.0, "memory"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{ratio: 1.5}", "'ratio' must be 0 to 1, not 1.5"),
        ("{window: 0s}", "'window' must be 1 to 3600, not 0"),
        ("{buckets: 0}", "'buckets' must be 1 to 1000, not 0"),
        ("{interval: 0s}", "'interval' must be more than 0"),
        ("{grace-period: {min-requests: 0}}", "'min-requests' must be 1 to 100000, not 0"),
        ("{max-rest: 2d}", "'max-rest' must be 0 to 86400, not 172800"),
        ("{refuse-ratio: 2}", "'refuse-ratio' must be 0 to 1, not 2"),
        ("{when-all-out: panic}", "'when-all-out' must be one of refuse-failing, refuse, ask"),
        ("{probe-timeout: 0s}", "'probe-timeout' must be more than 0"),
        ("{state: nowhere}", "no state store is called 'nowhere': write it under state"),
        ("{type: consecutive}", "'type' must be one of error-ratio"),
    ],
)
def test_what_is_wrong_is_named(loader: Loader, text: str, problem: str) -> None:
    (found,) = loader.problems(f"discover: {{monitor: {{health: {text}}}}}")
    assert problem in found
