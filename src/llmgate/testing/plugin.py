"""The pytest plugin of llmgate: fixtures for stage authors, ``--update-golden``, and a guard against the network.

pytest loads it wherever llmgate is installed, before coverage is measured: it imports nothing of llmgate at its top,
and does nothing to a suite that does not ask for it.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .clock import FakeClock
    from .egress_trap import EgressTrap
    from .transport import ScriptedTransport

__all__ = ["egress_trap", "fake_clock", "scripted_transport", "update_golden"]

pytest.register_assert_rewrite("llmgate.testing.conformance")

_GUARD = "llmgate-network-guard"


class _NetworkGuard:
    """Fails every test that tries to leave the machine, also when the code under test swallows the error."""

    def __init__(self, trap: EgressTrap) -> None:
        self.trap = trap

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self) -> Generator[None, object, object]:
        return (yield from self._watched())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        return (yield from self._watched())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Generator[None, object, object]:
        return (yield from self._watched())

    def _watched(self) -> Generator[None, object, object]:
        self.trap.refused.clear()
        result = yield
        if self.trap.refused:
            tried = "; ".join(dict.fromkeys(self.trap.refused))
            self.trap.refused.clear()
            pytest.fail(f"this test tried to leave the machine: {tried}", pytrace=False)
        return result


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--update-golden`` and the ini option ``llmgate_no_network``."""
    group = parser.getgroup("llmgate")
    group.addoption(
        "--update-golden", action="store_true", default=False, help="write golden files anew instead of comparing"
    )
    parser.addini(
        "llmgate_no_network", "refuse every connection and look-up beyond loopback", type="bool", default=False
    )


def pytest_configure(config: pytest.Config) -> None:
    """Close the ways out of the machine where the suite asks for it."""
    if config.getini("llmgate_no_network"):
        from .egress_trap import EgressTrap  # late: see the module's docstring

        trap = EgressTrap()
        trap.install()
        config.pluginmanager.register(_NetworkGuard(trap), _GUARD)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Open them again."""
    guard = config.pluginmanager.get_plugin(_GUARD)
    if isinstance(guard, _NetworkGuard):
        guard.trap.uninstall()


@pytest.fixture
def fake_clock() -> FakeClock:
    """A clock that stands still until the test moves it."""
    from .clock import FakeClock  # late: see the module's docstring

    return FakeClock()


@pytest.fixture
def scripted_transport() -> ScriptedTransport:
    """A transport without a network; ``add`` answers to it."""
    from .transport import ScriptedTransport  # late: see the module's docstring

    return ScriptedTransport()


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written anew."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture
def egress_trap(request: pytest.FixtureRequest) -> EgressTrap:
    """The trap that is in force; clear its ``refused`` in a test that means to be caught."""
    guard = request.config.pluginmanager.get_plugin(_GUARD)
    if not isinstance(guard, _NetworkGuard):
        pytest.fail("no trap is set: write llmgate_no_network = true into the pytest options")
    return guard.trap
