"""Importing llmgate is light: it computes nothing and loads what it needs when it needs it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = [
    "aiohttp",
    "starlette",
    "hypercorn",
    "uvicorn",
    "uvloop",
    "httptools",
    "opentelemetry.sdk",
    "ruamel",
    "cattrs",
    "orjson",
    "httpx2",
]

PROBE = """
import json, sys
try:
    {statement}
except SystemExit:
    pass
print()
print(json.dumps([name for name in {heavy} if name in sys.modules]))
"""


def loaded_by(statement: str) -> list[str]:
    """The heavy modules that a fresh interpreter has loaded after a statement."""
    program = PROBE.format(statement=statement, heavy=HEAVY)
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=150)
    loaded: list[str] = json.loads(result.stdout.splitlines()[-1])
    return loaded


def test_the_probe_sees_what_is_loaded():
    assert loaded_by("import cattrs") == ["cattrs"]


@pytest.mark.parametrize(
    "module", ["llmgate", "llmgate.spec", "llmgate.testing", "llmgate.testing.plugin", "llmgate.cli"]
)
def test_importing_loads_nothing_heavy(module):
    assert loaded_by(f"import {module}") == []


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_the_quick_commands_load_nothing_heavy(argument):
    assert loaded_by(f"from llmgate.cli import main; main([{argument!r}])") == []
