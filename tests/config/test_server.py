"""The host's settings, and their way to another process."""

from __future__ import annotations

import json

import attrs
import pytest

from llmgate.config.model import ServerConfig, TlsConfig


@pytest.mark.parametrize("tls", [None, TlsConfig("a", "b", client_ca="c", client_certificates="optional")])
def test_arrive_as_they_were_sent(tls: TlsConfig | None) -> None:
    server = ServerConfig(port=9000, hosts=["a"], tls=tls)
    assert ServerConfig.restored(json.loads(json.dumps(attrs.asdict(server)))) == server
