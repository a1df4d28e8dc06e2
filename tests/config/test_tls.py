"""``server.tls``: off, on, and as the older dialect writes it."""

from __future__ import annotations

import pytest

from config.fakes import Loader
from llmgate.config.model import TlsConfig

FILES = "cert: tls.crt, key: tls.key"


@pytest.mark.parametrize("text", ["Disabled", "disabled", "false", "", "null", "~"])
def test_is_off_unless_somebody_says_otherwise(loader: Loader, text: str) -> None:
    assert loader.text(f"server: {{tls: {text}}}").server.tls is None


@pytest.mark.parametrize("text", [f"{{{FILES}}}", f"{{Enabled: {{{FILES}}}}}", f"{{enabled: {{{FILES}}}}}"])
def test_is_on_with_a_certificate_and_its_key(loader: Loader, text: str) -> None:
    assert loader.text(f"server: {{tls: {text}}}").server.tls == TlsConfig("tls.crt", "tls.key")


def test_may_ask_clients_for_certificates(loader: Loader) -> None:
    text = f"{FILES}, client-ca: ca.pem, client-certificates: optional, client-crl: crl.pem, minimum-version: '1.2'"
    wanted = TlsConfig("tls.crt", "tls.key", "ca.pem", "optional", "crl.pem", "1.2")
    assert loader.text(f"server: {{tls: {{{text}}}}}").server.tls == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("true", "'server.tls' is Disabled, or says cert and key"),
        ("[a]", "'server.tls' is Disabled, or says cert and key"),
        ("{cert: a}", "'key' is required in server.tls"),
        ("{Enabled: {key: a}}", "'cert' is required in server.tls"),
        ("{cert: a, key: ''}", "write cert and key"),
        (f"{{{FILES}, ca: x}}", "unknown key 'ca' in server.tls"),
        (f"{{{FILES}, client-certificates: optional}}", "client-ca: write whose"),
        (f"{{{FILES}, client-crl: crl.pem}}", "client-ca: write whose"),
        (f"{{{FILES}, client-ca: a, client-certificates: maybe}}", "not one of required, optional"),
        (f"{{{FILES}, minimum-version: '1.1'}}", "not one of 1.2, 1.3"),
    ],
)
def test_what_cannot_be_meant_is_refused(loader: Loader, text: str, said: str) -> None:
    assert said in loader.one(f"server: {{tls: {text}}}")
