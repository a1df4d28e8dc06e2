"""Which addresses and numbers are taken."""

from __future__ import annotations

import pytest
from llmgate_control_plane import ControlPlaneConfig
from llmgate_control_plane.config import address_of


@pytest.mark.parametrize(
    ("url", "address", "origin"),
    [
        ("wss://api.helicone.ai/ws/v1/router/control-plane", None, "https://api.helicone.ai"),
        ("wss://plane.example:8443/keys?a=b", "https://plane.example:8443/keys?a=b", "https://plane.example:8443"),
        ("wss://plane.example", "https://plane.example/", "https://plane.example"),
        ("ws://127.0.0.1:8585/ws", "http://127.0.0.1:8585/ws", "http://127.0.0.1:8585"),
        ("ws://[::1]:8585/ws", "http://[::1]:8585/ws", "http://[::1]:8585"),
        ("ws://localhost/ws", "http://localhost/ws", "http://localhost"),
    ],
)
def test_an_address_is_that_of_its_handshake(url, address, origin):
    assert address_of(url) == (address or url.replace("wss://", "https://"), origin)


@pytest.mark.parametrize(
    "url",
    [
        "ws://plane.example/ws",
        "ws://10.0.0.1/ws",
        "ws://127.0.0.1.example/ws",
        "ws://localhost.example/ws",
        "ws://0.0.0.0/ws",
        "WS://10.0.0.1/ws",
    ],
)
def test_in_clear_it_goes_no_further_than_this_machine(url):
    with pytest.raises(ValueError, match="without TLS"):
        ControlPlaneConfig(url=url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "plane.example",
        "https://plane.example/ws",
        "wss://",
        "wss:///ws",
        "wss://user:secret-word@plane.example/ws",
        "wss://plane.example/ws#part",
        "wss://plane.example:port/ws",
        "wss://[::1/ws",
        "wss://plane\u00e9.example/",
    ],
)
def test_what_is_no_address_is_refused_without_being_shown(url):
    with pytest.raises(ValueError, match="wss://HOST/PATH") as caught:
        ControlPlaneConfig(url=url)
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_delay": 5, "max_delay": 1},
        {"stale_for": -1},
        {"heartbeat": 0},
        {"max_keys": 0},
        {"factor": 0.5},
        {"former_peppers": ("env:OLD",)},
    ],
)
def test_numbers_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong)).replace("_", "-")):
        ControlPlaneConfig(**wrong)


def test_whoever_denies_at_an_outage_knows_keys_for_no_time():
    assert ControlPlaneConfig(on_outage="deny", stale_for=600).known_for == 0
    assert ControlPlaneConfig(stale_for=600).known_for == 600
