"""``python -m benchmarks.peers``: other gateways beside llmgate in one run; ``make bench-peers`` installs them first.

Each is in an environment of its own at a pinned version, and is told as little as it takes to pass a request on, while
llmgate has everything on, or nothing and ``[fast]``. What is not there, or does not answer as it must, is left out and
said so.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from benchmarks import report
from benchmarks.__main__ import loaded, say
from benchmarks.configurations import EVERYTHING, FAST, LLMGATE
from benchmarks.figures import Bar
from benchmarks.load import LoadError
from benchmarks.payloads import KEY, MODEL, PATH
from benchmarks.processes import ROOT, Cpus, Process, ProcessError, free_port, started
from benchmarks.targets import BARE, DIRECT, Target, environment, running, upstream

__all__ = ["PEERS", "main", "peer_bars"]

INSTALLED: Final = ROOT / "build" / "peers"
RESULTS: Final = ROOT / "benchmarks" / "results-peers.json"
BEGIN: Final = "<!-- peers: written by `python -m benchmarks.peers`; run it instead of editing them -->"
END: Final = "<!-- end of peers -->"
OURS: Final = (DIRECT, BARE, LLMGATE, EVERYTHING, FAST)
LITELLM, PORTKEY, TENSORZERO = "LiteLLM proxy", "Portkey gateway", "TensorZero embedded"
_AT_MOST: Final = ((EVERYTHING, PORTKEY, 0.6), (EVERYTHING, LITELLM, 1 / 15), (FAST, TENSORZERO, 1.2))
"""Whose CPU time of a request is at most which part of whose."""
_PACKAGE: Final = "node_modules/@portkey-ai/gateway"


@attrs.frozen
class Peer:
    """A gateway of somebody else's.

    Args:
        folder: Where it is installed, under ``build/peers``.
        version: Asks which one it is.
        start: Starts it, given the upstream, where it runs, and a directory of its own.
    """

    folder: str
    version: Callable[[Path], str]
    start: Callable[[Process, Cpus, Path], contextlib.AbstractContextManager[Target]]


def _version_of(package: str) -> Callable[[Path], str]:
    program = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
    return lambda folder: subprocess.run(
        [folder / "bin" / "python", "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


def _npm_version(folder: Path) -> str:
    version: str = json.loads((folder / _PACKAGE / "package.json").read_text(encoding="utf-8"))["version"]
    return version


@contextlib.contextmanager
def _litellm(provider: Process, cpus: Cpus, directory: Path) -> Iterator[Target]:
    params = {"model": f"openai/{MODEL}", "api_base": f"http://127.0.0.1:{provider.port}/v1", "api_key": KEY}
    config = {
        "model_list": [{"model_name": MODEL, "litellm_params": params}],
        "general_settings": {"dangerously_permit_weak_or_unset_master_key": True},  # nothing on: no keys either
        "litellm_settings": {"telemetry": False},
    }
    file = directory / "litellm.yaml"
    file.write_text(json.dumps(config), encoding="utf-8")
    port, folder = free_port(), INSTALLED / "litellm"
    variables = {**environment(), "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
    arguments = ["--config", str(file), "--host", "127.0.0.1", "--port", str(port)]
    program = [str(folder / "bin" / "python"), str(folder / "bin" / "litellm")]
    with started(
        arguments, cpu=cpus.server, environment=variables, directory=directory, program=program, port=port
    ) as process:
        yield Target(LITELLM, process, rewrites=True)


@contextlib.contextmanager
def _portkey(provider: Process, cpus: Cpus, directory: Path) -> Iterator[Target]:
    port = free_port()
    program = ["node", str(INSTALLED / "portkey" / _PACKAGE / "build" / "start-server.js")]
    variables = {**environment(), "TRUSTED_CUSTOM_HOSTS": "127.0.0.1", "NODE_ENV": "production"}
    headers = {
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{provider.port}/v1",
    }
    with started(
        ["--headless", f"--port={port}"],
        cpu=cpus.server,
        environment=variables,
        directory=directory,
        program=program,
        port=port,
    ) as process:
        yield Target(PORTKEY, process, rewrites=True, headers=headers)


@contextlib.contextmanager
def _tensorzero(provider: Process, cpus: Cpus, directory: Path) -> Iterator[Target]:
    file = directory / "tensorzero.toml"
    file.write_text(
        "[gateway]\nobservability.enabled = false\n"
        f'[models."{MODEL}"]\nrouting = ["up"]\n[models."{MODEL}".providers.up]\n'
        f'type = "openai"\nmodel_name = "{MODEL}"\napi_base = "http://127.0.0.1:{provider.port}/v1/"\n'
        'api_key_location = "env::BENCH_API_KEY"\n',
        encoding="utf-8",
    )
    program = [str(INSTALLED / "tensorzero" / "bin" / "python")]
    with started(
        ["-m", "benchmarks.peers.tensorzero_gateway", str(file)],
        cpu=cpus.server,
        environment=environment(),
        directory=directory,
        program=program,
    ) as process:
        yield Target(TENSORZERO, process, "tensorzero::model_name::", rewrites=True, path=f"/openai{PATH}")


PEERS: Final[Mapping[str, Peer]] = {
    LITELLM: Peer("litellm", _version_of("litellm"), _litellm),
    PORTKEY: Peer("portkey", _npm_version, _portkey),
    TENSORZERO: Peer("tensorzero", _version_of("tensorzero"), _tensorzero),
}
LIBRARIES: Final = {"libraries": "openai,any-llm", "litellm": "litellm"}
"""Client libraries, by the folder that they are installed in."""


@contextlib.contextmanager
def _peers(provider: Process, cpus: Cpus, absent: dict[str, str]) -> Iterator[Mapping[str, tuple[Target, str]]]:
    """Those that are there and answer as they must, with their versions; of the others, why not."""
    with contextlib.ExitStack() as exits:
        found: dict[str, tuple[Target, str]] = {}
        for name, peer in PEERS.items():
            directory = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="llmgate-bench-")))
            try:
                version = peer.version(INSTALLED / peer.folder)
                target = exits.enter_context(peer.start(provider, cpus, directory))
                for stream in (False, True):
                    target.expects(stream=stream)
            except (ProcessError, LoadError, OSError, subprocess.SubprocessError) as failure:
                absent[name] = " ".join(str(failure).split())[:300]
                say(f"{name}: LEFT OUT, {absent[name]}")
            else:
                found[name] = target, version
        yield found


def _calls(provider: Process, cpus: Cpus, seconds: float, repetitions: int, absent: dict[str, str]) -> dict[str, Any]:
    """Calls by client libraries, each in its environment."""
    figures: dict[str, Any] = {}
    for folder, names in LIBRARIES.items():
        arguments = ["-m", "benchmarks.peers.calls", names, str(provider.port), str(seconds), str(repetitions)]
        say(f"in process: {names}")
        try:
            with cpus.pinned(cpus.server):
                done = subprocess.run(
                    [INSTALLED / folder / "bin" / "python", *arguments],
                    cwd=ROOT,
                    env={**environment(), "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
                    capture_output=True,
                    text=True,
                    check=True,
                    timeout=300,
                )
        except (OSError, subprocess.SubprocessError) as failure:
            told = getattr(failure, "stderr", None) or str(failure)
            absent[names] = " ".join(told.split())[-300:]
            say(f"{names}: LEFT OUT, {absent[names]}")
        else:
            figures |= json.loads(done.stdout)
    return figures


def peer_bars(figures: Mapping[str, Mapping[str, Any]]) -> Iterator[Bar]:
    """What llmgate's CPU time of a request may be of a peer's at most."""
    for ours, theirs, bound in _AT_MOST:
        if ours in figures and theirs in figures:
            ratio = figures[ours]["cpu_us_per_request"] / figures[theirs]["cpu_us_per_request"]
            yield Bar(f"CPU of a request: {ours} / {theirs}", ratio, bound, upper=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, keep, and judge."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description="Measure other gateways beside llmgate (about 5 minutes)."
    )
    parser.add_argument("--seconds", type=float, default=1.5, help="length of a repetition")
    parser.add_argument("--repetitions", type=int, default=5, help="how many there are")
    parser.add_argument("--write", action=argparse.BooleanOptionalAction, help="keep the figures (default: whole runs)")
    args = parser.parse_args(argv)
    cpus = Cpus.of_this_machine()
    absent: dict[str, str] = {}
    results: dict[str, Any] = {
        "made": report.provenance(cpus, seconds=args.seconds, repetitions=args.repetitions),
        "absent": absent,
    }
    with upstream(cpus) as provider:
        with running(OURS, provider, cpus) as ours, _peers(provider, cpus, absent) as peers, cpus.pinned(cpus.load):
            results["versions"] = {name: version for name, (_, version) in peers.items()}
            targets = [*ours, *(target for target, _ in peers.values())]
            for part in ("requests", "streams"):
                results[part] = loaded(part, targets, args.seconds, args.repetitions)
        results["in-process"] = _calls(provider, cpus, args.seconds, args.repetitions, absent)
    judged = list(peer_bars(results["requests"]))
    text = _told(results, judged)
    print(text)
    if args.write or (args.write is None and args.repetitions == parser.get_default("repetitions")):
        RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        page = report.PAGE.read_text(encoding="utf-8")
        report.PAGE.write_text(report.with_figures(page, text, begin=BEGIN, end=END), encoding="utf-8")
    return 0 if all(bar.kept for bar in judged) else 1


def _told(results: Mapping[str, Any], judged: Sequence[Bar]) -> str:
    """The figures, behind the versions that they are of, and what is missing."""
    versions = [f"{name} {version}" for name, version in results["versions"].items()]
    libraries = [f"{name.partition(',')[0]} {row['version']}" for name, row in results["in-process"].items()]
    missing = [f"{name} is left out: {why}" for name, why in results["absent"].items()]
    lines = [f"Versions: {', '.join([*versions, *libraries])}.", *missing, ""]
    return "\n".join(lines) + report.markdown(results, judged)


if __name__ == "__main__":
    if shutil.which("node") is None:
        say("node is not installed: Portkey's gateway will be left out")
    sys.exit(main())
