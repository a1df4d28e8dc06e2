"""Nobody outside this machine is called: not by the suite, not by a gateway that nobody told to."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request

LEAVES = """
import contextlib, socket
import pytest

ATTEMPTS = {
    "connect": lambda: socket.create_connection(("192.0.2.1", 80), timeout=1),
    "look up": lambda: socket.getaddrinfo("example.com", 443),
    "datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53)),
}

@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_leaves_and_hides_it(attempt):
    with contextlib.suppress(OSError):
        ATTEMPTS[attempt]()
"""

TRAPPED_SERVER = """
import json, sys
from llmgate.testing.egress_trap import EgressTrap

trap = EgressTrap()
trap.install()
from llmgate.cli import main

status = main(["serve", "--port", "0"])
print(json.dumps([status, trap.refused]), file=sys.stderr)
"""


def test_this_suite_runs_under_the_trap(pytestconfig):
    assert pytestconfig.getini("llmgate_no_network") is True


def test_a_test_that_leaves_the_machine_fails_even_if_it_hides_it(tmp_path):
    (tmp_path / "test_it.py").write_text(LEAVES)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "llmgate_no_network=true", "test_it.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert "3 failed" in result.stdout, result.stdout
    assert result.stdout.count("this test tried to leave the machine") >= 3


def test_a_gateway_that_serves_and_stops_calls_nobody(tmp_path):
    """No update check, no telemetry, no name looked up: neither at start, nor in a request, nor at the end."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", TRAPPED_SERVER],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found is not None
        body = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "Hello!"}]}).encode()
        request = urllib.request.Request(f"{found[0]}/v1/chat/completions", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert "Hello!" in json.load(answer)["choices"][0]["message"]["content"]
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert json.loads(errors.splitlines()[-1]) == [0, []], errors
