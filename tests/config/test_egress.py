"""What may be written about the way out; what is refused is not repeated in the message: it may be a password."""

from __future__ import annotations

import pytest

from llmgate.config.egress import EgressConfig


def test_everything_that_can_be_read_is_taken() -> None:
    EgressConfig().check()
    EgressConfig(["a.example:1"], "http://proxy.example:3128", [".corp.example", "10.0.0.7", "fd00::7"]).check()


def test_a_password_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match="without a password") as caught:
        EgressConfig(proxy="http://me:canary@proxy:3128").check()
    assert "canary" not in str(caught.value)
