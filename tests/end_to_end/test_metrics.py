"""``/metrics`` of a real server: with several workers any of them tells what all have counted."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request

import pytest

from end_to_end.gateways import gateway

CONFIG = """\
providers:
  echo: {}
server: {address: 127.0.0.1}
"""


def fetch(url: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.headers["content-type"], answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.headers["content-type"], refused.read().decode()


def ask(url: str) -> None:
    body = json.dumps({"model": "echo/echo-1", "messages": [{"role": "user", "content": "canary-text"}]}).encode()
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", body, {"content-type": "application/json", "connection": "close"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()


def counted(url: str) -> float:
    status, kind, shown = fetch(f"{url}/metrics")
    assert status == 200
    assert kind.startswith("text/plain; version=")
    assert "canary-text" not in shown
    found = re.search(r"llmgate_exchanges_total\{[^}]*chat[^}]*\} (\d+)", shown)
    return float(found[1]) if found is not None else 0


@pytest.mark.slow
def test_any_worker_tells_what_all_have_counted(tmp_path):
    (tmp_path / "llmgate.yaml").write_text(CONFIG + "telemetry: {prometheus: true}\n")
    with gateway(tmp_path, "--workers", "2") as one:
        for _ in range(20):
            ask(one.url)
        until = time.monotonic() + 10
        while counted(one.url) != 20:  # what an exchange leaves is counted when it is over
            assert time.monotonic() < until
            time.sleep(0.05)
        assert [counted(one.url) for _ in range(8)] == [20] * 8


def test_metrics_that_nobody_asked_for_are_not_there(tmp_path):
    (tmp_path / "llmgate.yaml").write_text(CONFIG)
    with gateway(tmp_path) as one:
        status, _, shown = fetch(f"{one.url}/metrics")
    assert status == 404
    assert json.loads(shown)["error"]["code"] == "metrics_not_counted"
    assert "telemetry: {prometheus: true}" in json.loads(shown)["error"]["message"]
