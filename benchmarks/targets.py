"""What is measured over HTTP: the upstream itself, the bare pass-through, and llmgate as people run it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import attrs

from benchmarks.payloads import KEY, MODEL
from benchmarks.processes import ROOT, Cpus, Process, started

__all__ = ["BARE", "DIRECT", "FAILOVER", "LLMGATE", "NAMES", "Target", "running", "upstream"]

DIRECT, BARE, LLMGATE = "direct", "bare", "llmgate"
FAILOVER = "llmgate, failover over 3"

PROVIDER, ROUTER = "bench", "balanced"
DEPLOYMENTS = 3


@attrs.frozen
class Target:
    """Something that answers chat requests.

    Args:
        name: What tables call it.
        process: Where it runs.
        prefix: What models of the upstream's are called by here: a provider, or a router, and a slash.
    """

    name: str
    process: Process
    prefix: str = ""

    def asks(self, model: str) -> str:
        """What a model of the upstream's is called here."""
        return self.prefix + model

    @property
    def model(self) -> str:
        """The model to ask it for where any will do."""
        return self.asks(MODEL)


def configuration(upstream_port: int) -> dict[str, object]:
    """The least that llmgate must be told: one provider, at the fake upstream; everything else as it is by default."""
    return {
        "providers": {PROVIDER: {"base-url": f"http://127.0.0.1:{upstream_port}/v1", "secret": "env:BENCH_API_KEY"}}
    }


def without_access_log(plain: dict[str, object]) -> dict[str, object]:
    """The same, with the access log off."""
    return {**plain, "server": {"access-log": False}}


def with_keys(plain: dict[str, object]) -> dict[str, object]:
    """The same, with client authentication: one static key, kept as its hash."""
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    return {**plain, "auth": [{"use": "static-keys", "keys": [{"name": "load", "hash": f"sha256:{digest}"}]}]}


def with_failover(plain: dict[str, object]) -> dict[str, object]:
    """The same upstream as three deployments of a router, with failover between them and repeats at each."""
    (provider,) = cast("Mapping[str, object]", plain["providers"]).values()
    names = [f"{PROVIDER}-{number}" for number in range(1, DEPLOYMENTS + 1)]
    return {
        "providers": dict.fromkeys(names, provider),
        "routers": {
            ROUTER: {
                "load-balance": {"chat": {"strategy": "latency", "providers": names}},
                "retries": {"strategy": "exponential", "max-retries": 2},
            }
        },
    }


VARIANTS: Mapping[str, Callable[[dict[str, object]], dict[str, object]]] = {
    LLMGATE: lambda plain: plain,
    "llmgate, no access log": without_access_log,
    "llmgate, static keys": with_keys,
    FAILOVER: with_failover,
}

NAMES: Sequence[str] = (DIRECT, BARE, *VARIANTS)
"""Every target, in the order of the tables."""


def environment() -> dict[str, str]:
    """The variables of a started process: this one's, without keys or settings that would change what is measured."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.endswith(("_API_KEY", "_TOKEN")) and not name.startswith(("LLMGATE__", "AI_GATEWAY__", "PYTHON"))
    }
    return {**kept, "PYTHONPATH": str(ROOT), "BENCH_API_KEY": KEY}


@contextlib.contextmanager
def upstream(cpus: Cpus) -> Iterator[Process]:
    """The fake provider, while the block lasts."""
    with (
        tempfile.TemporaryDirectory(prefix="llmgate-bench-") as directory,
        started(
            ["-m", "benchmarks.upstream"],
            cpu=cpus.load,
            environment=environment(),
            directory=Path(directory),
        ) as process,
    ):
        yield process


@contextlib.contextmanager
def running(
    names: Sequence[str], provider: Process, cpus: Cpus, *, sampler: Sequence[str] = ()
) -> Iterator[Sequence[Target]]:
    """The targets of those names, all running while the block lasts; idle ones cost nothing.

    Args:
        names: Out of ``NAMES``.
        provider: The fake provider.
        cpus: Where they run.
        sampler: A module, with its arguments, that runs each of them in its place.

    Raises:
        ProcessError: one of them did not start.
    """
    with contextlib.ExitStack() as exits:
        directory = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="llmgate-bench-")))
        targets = []
        for name in names:
            if name == DIRECT:
                targets.append(Target(name, provider))
                continue
            prefix = {BARE: "", FAILOVER: f"{ROUTER}/"}.get(name, f"{PROVIDER}/")
            process = exits.enter_context(
                started(
                    ["-m", *sampler, *_program(name, provider.port, directory)],
                    cpu=cpus.server,
                    environment=environment(),
                    directory=directory,
                )
            )
            targets.append(Target(name, process, prefix))
        yield targets


def _program(name: str, upstream_port: int, directory: Path) -> Sequence[str]:
    """The module that serves a target, and its arguments."""
    if name == BARE:
        return ["benchmarks.bare", f"http://127.0.0.1:{upstream_port}/v1/chat/completions"]
    # JSON is YAML too, so that this needs no YAML writer.
    file = directory / f"{NAMES.index(name)}.yaml"
    file.write_text(json.dumps(VARIANTS[name](configuration(upstream_port)), indent=2), encoding="utf-8")
    return ["llmgate", "serve", "--port", "0", "--config", str(file)]
