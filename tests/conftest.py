"""What holds for the whole suite: how property tests judge, and on which servers a module's gateways run."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, settings

import servers

settings.register_profile(
    "suite", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("suite")

if servers.LOOP == "uvloop":
    import uvloop  # late: it is an extra

    def pytest_asyncio_loop_factories(config, item):
        """Run asynchronous tests in the loop that was asked for, but for those of a module that names its own."""
        own = getattr(item.module, "LOOP", None)
        return {"uvloop": uvloop.new_event_loop} if own is None else {own: asyncio.new_event_loop}


def pytest_generate_tests(metafunc):
    """Run the tests of a module that names servers on each of them."""
    names = getattr(metafunc.module, "SERVERS", ())
    if names and not servers.FORCED:
        metafunc.parametrize("_server", names, indirect=True)


@pytest.fixture(autouse=True)
def _server(request):
    servers.choose(getattr(request, "param", None))
    yield
    servers.choose(None)
