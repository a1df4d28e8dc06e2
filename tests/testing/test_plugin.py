"""The pytest plugin, in a pytest of its own: quiet where it is not asked for, strict where it is."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest


@pytest.fixture
def suite(tmp_path):
    """Runs a test file in a fresh pytest: ``suite(source, "no_network")``."""

    def run(source, ini="", *args):
        (tmp_path / "pytest.ini").write_text(f"[pytest]\nasyncio_mode = auto\n{ini}\n")
        (tmp_path / "test_it.py").write_text(textwrap.dedent(source))
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            *args,
            str(tmp_path),
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=150, cwd=tmp_path, check=False)

    return run


def test_the_guard_fails_a_test_that_tries_to_leave_even_when_the_error_is_swallowed(suite):
    result = suite(
        """
        import socket

        def test_swallows():
            try:
                socket.create_connection(("example.com", 443), timeout=1)
            except OSError:
                pass

        def test_leaves():
            socket.create_connection(("192.0.2.1", 443), timeout=1)

        def test_stays():
            assert socket.getaddrinfo("127.0.0.1", 80)

        def test_means_to_be_caught(egress_trap):
            try:
                socket.getaddrinfo("example.com", 443)
            except OSError:
                assert egress_trap.refused
            egress_trap.refused.clear()
        """,
        "llmgate_no_network = true",
    )
    assert "2 failed, 2 passed" in result.stdout, result.stdout
    assert "this test tried to leave the machine: getaddrinfo of 'example.com'" in result.stdout
    assert "connect to ('192.0.2.1', 443) would leave this machine" in result.stdout


def test_without_the_option_nothing_is_replaced(suite):
    result = suite(
        """
        import socket, sys

        def test_untouched():
            assert "connect" not in vars(socket.socket)
            assert "llmgate.testing.egress_trap" not in sys.modules
        """
    )
    assert "1 passed" in result.stdout, result.stdout


def test_the_plugin_brings_nothing_of_llmgate_with_it(suite):
    """Coverage is measured from the first line of the rest."""
    result = suite(
        """
        import sys

        def test_light():
            loaded = {name for name in sys.modules if name.split(".")[0] == "llmgate"}
            assert loaded == {"llmgate", "llmgate.testing", "llmgate.testing.plugin"}
        """
    )
    assert "1 passed" in result.stdout, result.stdout


@pytest.mark.parametrize(("args", "expected"), [((), False), (("--update-golden",), True)])
def test_golden_files_are_written_anew_on_request_only(suite, args, expected):
    result = suite(f"def test_option(update_golden): assert update_golden is {expected}", "", *args)
    assert "1 passed" in result.stdout, result.stdout


def test_the_fixtures_are_there(fake_clock, scripted_transport):
    assert fake_clock.now() == fake_clock.now()
    assert scripted_transport.requests == []


def test_asking_for_a_trap_that_is_not_set_says_what_to_write(suite):
    result = suite("def test_trap(egress_trap): pass")
    assert "write llmgate_no_network = true" in result.stdout


def test_a_failing_kit_test_shows_its_values(suite):
    """Assertions of the kit are rewritten, so that a stage author sees what was compared."""
    result = suite(
        """
        from llmgate.spec import NoConfig, RoutingStrategy
        from llmgate.testing.conformance import RoutingConformance

        class Repeats(RoutingStrategy[NoConfig]):
            name = "repeats"

            def rank(self, view, deployments, context):
                return [*deployments, *deployments]

        class TestRepeats(RoutingConformance):
            stage_class = Repeats
        """
    )
    assert "a deployment is tried once" in result.stdout, result.stdout
    assert "assert 1 == 2" in result.stdout, result.stdout
