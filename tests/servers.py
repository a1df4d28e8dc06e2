"""On which server, and which event loop, the tests run the gateways that they start.

The whole suite runs on hypercorn. A module with ``SERVERS = ("hypercorn", "uvicorn")`` runs on each of them; with
``LLMGATE_TEST_SERVER=uvicorn`` everything runs on that one, and with ``LLMGATE_TEST_LOOP=uvloop`` in its loop as well
where a gateway runs in the test's own process (``make test-servers``).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

import attrs

from llmgate.config.model import ServerConfig

FORCED: Final = os.environ.get("LLMGATE_TEST_SERVER", "")
LOOP: Final = os.environ.get("LLMGATE_TEST_LOOP", "")

_chosen: str = FORCED or "hypercorn"


def choose(name: str | None) -> None:
    """Run the gateways of the test that begins on a server; None for the usual one."""
    global _chosen  # noqa: PLW0603 - one test at a time runs in a process
    _chosen = name or FORCED or "hypercorn"


def chosen(settings: ServerConfig | None = None) -> ServerConfig:
    """A host's settings on the server that the test is for."""
    return attrs.evolve(settings or ServerConfig(), use=_chosen)  # type: ignore[arg-type]


def arguments() -> Sequence[str]:
    """What ``llmgate serve`` is told to run on that server."""
    return () if _chosen == "hypercorn" else ("--server", _chosen)
