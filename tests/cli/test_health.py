"""``llmgate health``: who is left out, why, and until when."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from llmgate.cli import main

WELL = {
    "id": "openai/gpt-4o",
    "state": "closed",
    "reason": None,
    "trial_at": None,
    "requests": 40,
    "errors": 1,
    "first_content_seconds": {"p50": 0.25, "p95": 0.5, "p99": 1.5},
    "total_seconds": {"p50": 2.5, "p95": 5.0, "p99": 12.0},
}
OUT = {
    "id": "anthropic/claude",
    "state": "open",
    "reason": "20 of its last 20 requests failed, the last one with provider_unreachable",
    "trial_at": "2026-11-21T12:00:05.000+00:00",
    "requests": 20,
    "errors": 20,
    "first_content_seconds": None,
    "total_seconds": None,
}


@pytest.fixture
def gateway():
    """What a gateway on loopback answers, and what it was asked with."""
    state = {"status": 200, "data": [WELL, OUT], "seen": []}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state["seen"].append((self.path, self.headers.get("authorization")))
            body = json.dumps({"object": "list", "data": state["data"]}).encode()
            self.send_response(state["status"])
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port, state
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_shows_who_is_left_out_and_why(gateway, capsys):
    port, _ = gateway
    assert main(["health", "--url", f"http://127.0.0.1:{port}/"]) == 1
    head, well, out = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["DEPLOYMENT", "STATE", "ERRORS", "FIRST"]
    assert well == "openai/gpt-4o     closed  1/40    0.25 s     0.5 s  1.5 s  2.5 s      5 s  12 s"
    assert out.startswith("anthropic/claude  open    20/20   -          -")
    assert "provider_unreachable; until " in out


def test_all_well_is_status_0_and_the_configuration_says_where(gateway, here, capsys, monkeypatch):
    port, state = gateway
    state["data"] = [WELL]
    monkeypatch.setenv("LLMGATE_API_KEY", "sk-one")
    (here / "llmgate.yaml").write_text(f"server: {{port: {port}, address: 0.0.0.0, allow-open: true}}\n")
    assert main(["health", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"] == [WELL]
    assert state["seen"] == [("/v1/health/deployments", "Bearer sk-one")]


def test_a_half_open_one_may_be_tried_now(gateway, capsys):
    port, state = gateway
    state["data"] = [{**OUT, "state": "half-open"}]
    assert main(["health", "--url", f"http://127.0.0.1:{port}"]) == 1
    assert "; one request may try it now" in capsys.readouterr().out


def test_nothing_asked_yet(gateway, capsys):
    port, state = gateway
    state["data"] = []
    assert main(["health", "--url", f"http://127.0.0.1:{port}"]) == 0
    assert capsys.readouterr().out == "no deployment has been asked yet\n"


@pytest.mark.parametrize(
    ("status", "data", "said"),
    [(401, [], "wants a key: set LLMGATE_API_KEY"), (404, [], "answers 404"), (200, None, "not a gateway's")],
)
def test_what_cannot_be_asked_is_status_2(gateway, capsys, status, data, said):
    port, state = gateway
    state["status"], state["data"] = status, data
    assert main(["health", "--url", f"http://127.0.0.1:{port}"]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "ftp://gateway", "gateway:8080", "http://"])
def test_an_address_that_leads_nowhere_is_status_2(url, capsys):
    assert main(["health", "--url", url]) == 2
    assert url.rpartition("/")[2] in capsys.readouterr().err
