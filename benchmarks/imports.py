"""What importing llmgate costs, against importing what it cannot do without: fresh interpreters, interleaved."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from benchmarks.processes import Cpus
from benchmarks.targets import environment

__all__ = ["HEAVY", "STATEMENTS", "ImportCost", "import_costs"]

STATEMENTS: Final[Mapping[str, str]] = {
    "asyncio, attrs, pluggy": "import asyncio, attrs, pluggy",
    "llmgate": "import llmgate",
    "Pipeline": "from llmgate import Pipeline",
}

HEAVY: Final = ("aiohttp", "starlette", "hypercorn", "opentelemetry.sdk")
"""What importing llmgate must not load."""

PROBE: Final = """
import sys, time
started = time.perf_counter()
{statement}
spent = time.perf_counter() - started
import json
print(json.dumps([spent, sorted(set({heavy}) & sys.modules.keys())]))
"""


@attrs.frozen
class ImportCost:
    """What one statement costs.

    Args:
        seconds: Median of all fresh interpreters.
        loaded: Those of ``HEAVY`` that it loads.
    """

    seconds: float
    loaded: Sequence[str]


def import_costs(repetitions: int, cpus: Cpus) -> Mapping[str, ImportCost]:
    """Run each statement in ``repetitions`` fresh interpreters, in turn, after one that fills the file cache."""
    spent: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    loaded: dict[str, list[str]] = {}
    # Bytecode of its own: what an installed package has, whether or not this working tree may have any.
    with tempfile.TemporaryDirectory(prefix="llmgate-bench-") as bytecode:
        variables = {**environment(), "PYTHONPYCACHEPREFIX": bytecode}
        for repetition in range(repetitions + 1):
            for name, statement in STATEMENTS.items():
                seconds, heavy = _probe(statement, cpus, variables)
                loaded[name] = heavy
                if repetition:
                    spent[name].append(seconds)
    return {name: ImportCost(statistics.median(values), loaded[name]) for name, values in spent.items()}


def _probe(statement: str, cpus: Cpus, variables: Mapping[str, str]) -> tuple[float, list[str]]:
    program = PROBE.format(statement=statement, heavy=HEAVY)
    with cpus.pinned(cpus.server):
        result = subprocess.run(
            [sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=True, timeout=60
        )
    seconds, heavy = json.loads(result.stdout)
    return seconds, heavy
