from __future__ import annotations

import pytest

from llmgate.spec import Target


@pytest.mark.parametrize(
    ("origin", "authority"),
    [
        ("https://api.groq.com", "api.groq.com"),
        ("http://10.0.0.1:8000", "10.0.0.1:8000"),
        ("https://[::1]:8", "[::1]:8"),
    ],
)
def test_the_authority_is_the_host_with_a_port_that_is_not_the_usual(origin: str, authority: str) -> None:
    assert Target(origin, "x", 1).authority == authority


def test_the_path_may_hold_a_key_and_is_not_shown() -> None:
    assert "sk-own" not in repr(Target("https://a.example", "a.example", 443, "/v1?key=sk-own"))
