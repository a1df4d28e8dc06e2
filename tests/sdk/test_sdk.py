"""The room ``llmgate.sdk`` is optional: nobody pays for it, and whoever lacks a part of it is told which."""

from __future__ import annotations

import subprocess
import sys

import pytest


def outcome(program: str) -> str:
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=150)
    return result.stdout.strip()


@pytest.mark.parametrize("module", ["llmgate", "llmgate.pipeline.blocking", "llmgate.host"])
def test_the_rest_does_not_load_it(module):
    heavy = ["httpx2", "openai", "anthropic", "llmgate.sdk"]
    assert outcome(f"import sys, {module}; print([one for one in {heavy} if one in sys.modules])") == "[]"


def test_it_loads_no_library_and_no_http_server_before_it_is_wanted():
    heavy = ["openai", "anthropic", "hypercorn"]
    assert outcome(f"import sys, llmgate.sdk; print([one for one in {heavy} if one in sys.modules])") == "[]"


@pytest.mark.parametrize("missing", ["httpx2", "starlette"])
def test_a_part_that_is_missing_is_named_with_its_remedy(missing):
    program = f"""
import sys
sys.modules[{missing!r}] = None
try:
    import llmgate.sdk
except ModuleNotFoundError as failure:
    print(failure)
"""
    assert outcome(program) == f"llmgate.sdk needs {missing}: install it with `pip install 'llmgate[sdk]'`"
