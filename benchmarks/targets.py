"""What is measured over HTTP: the upstream itself, nginx, the bare pass-through on each server, and llmgate."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import attrs

from benchmarks.answers import learned
from benchmarks.configurations import EVERYTHING, FAILOVER, FAST_EVERYTHING, PROVIDER, ROUTER, TRANSLATOR, VARIANTS
from benchmarks.payloads import ANSWER, KEY, MODEL, PATH, STREAM, request_bytes
from benchmarks.processes import ROOT, Cpus, Process, free_port, started

__all__ = [
    "BARE",
    "BARE_FAST",
    "DIRECT",
    "NAMES",
    "NGINX",
    "Target",
    "absent",
    "bare",
    "environment",
    "gateway",
    "running",
    "upstream",
]

DIRECT, NGINX, BARE, BARE_FAST = "direct", "nginx", "bare", "bare, uvicorn"

NAMES: Final[Sequence[str]] = (DIRECT, NGINX, BARE, BARE_FAST, *VARIANTS)
"""Every target, in the order of the tables."""

PYTHON: Final = (sys.executable,)
ROUTED: Final = frozenset({FAILOVER, EVERYTHING, FAST_EVERYTHING})

_NGINX: Final = """
daemon off; worker_processes 1; pid nginx.pid; error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path body; proxy_temp_path proxy; keepalive_requests 1000000;
  fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  upstream provider {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    location / {{ proxy_pass http://provider; }}
  }}
}}
"""


@attrs.frozen
class Target:
    """Something that answers chat requests.

    Args:
        name: What tables call it.
        process: Where it runs.
        prefix: What models of the upstream's are called by here: a provider, or a router, and a slash.
        rewrites: Whether it writes answers anew, so that ids and times are its own.
        path: Where it takes chat requests.
        headers: What it wants to be told beside.
    """

    name: str
    process: Process
    prefix: str = ""
    rewrites: bool = False
    path: str = PATH
    headers: Mapping[str, str] = attrs.field(factory=dict, hash=False)

    def asks(self, model: str) -> str:
        """What a model of the upstream's is called here."""
        return self.prefix + model

    @property
    def model(self) -> str:
        """The model to ask it for where any will do."""
        return self.asks(MODEL)

    def request(self, *, stream: bool, **more: Any) -> bytes:
        """A whole request."""
        return request_bytes(
            port=self.process.port, model=self.model, stream=stream, path=self.path, headers=self.headers, **more
        )

    def expects(self, *, stream: bool) -> bytes:
        """The body that each answer must have; where the target writes it anew, it is asked for one.

        Raises:
            LoadError: it is asked, and does not say what it must.
        """
        if self.rewrites:
            return _learned(self, stream=stream)
        return b"".join(STREAM) if stream else ANSWER


@cache
def _learned(target: Target, *, stream: bool) -> bytes:
    return learned(target.process.port, target.request(stream=stream), stream=stream)


def environment() -> dict[str, str]:
    """The variables of a started process: this one's, without keys or settings that would change what is measured."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.endswith(("_API_KEY", "_TOKEN")) and not name.startswith(("LLMGATE_", "AI_GATEWAY__", "PYTHON"))
    }
    return {**kept, "PYTHONPATH": str(ROOT), "BENCH_API_KEY": KEY}


def absent(name: str) -> str | None:
    """Why a target cannot run here; None where it can."""
    if name == NGINX and _nginx() is None:
        return "nginx is not installed (for example: apt-get install nginx-light)"
    return None


def _nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


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
    names: Sequence[str], provider: Process, cpus: Cpus, *, sampler: Sequence[str] = (), program: Sequence[str] = PYTHON
) -> Iterator[Sequence[Target]]:
    """The targets of those names that can run here, all of them while the block lasts; idle ones cost nothing.

    Args:
        names: Out of ``NAMES``.
        provider: The fake provider.
        cpus: Where they run.
        sampler: A module, with its arguments, that runs each of them in its place.
        program: What stands in the place of ``python``.

    Raises:
        ProcessError: one of them did not start.
    """
    with contextlib.ExitStack() as exits:
        root = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="llmgate-bench-")))
        targets = []
        for name in names:
            if name == DIRECT:
                targets.append(Target(name, provider))
            elif absent(name) is None:
                directory = root / str(NAMES.index(name))
                directory.mkdir()
                targets.append(exits.enter_context(_started(name, provider, cpus, directory, sampler, program)))
        yield targets


@contextlib.contextmanager
def _started(
    name: str, provider: Process, cpus: Cpus, directory: Path, sampler: Sequence[str], program: Sequence[str]
) -> Iterator[Target]:
    if name == NGINX:
        with _passing_nginx(provider, cpus, directory) as process:
            yield Target(name, process)
    elif name in VARIANTS:
        with gateway(
            VARIANTS[name](provider.port), cpus.server, directory, sampler=sampler, program=program
        ) as process:
            translates = "translated" in name
            prefix = TRANSLATOR if translates else ROUTER if name in ROUTED else PROVIDER
            yield Target(name, process, f"{prefix}/", rewrites=translates)
    else:
        with bare(
            provider, cpus.server, directory, server=name.partition(", ")[2], sampler=sampler, program=program
        ) as process:
            yield Target(name, process)


@contextlib.contextmanager
def gateway(
    config: Mapping[str, Any],
    cpu: int | Sequence[int] | None,
    directory: Path,
    *,
    arguments: Sequence[str] = (),
    sampler: Sequence[str] = (),
    program: Sequence[str] = PYTHON,
) -> Iterator[Process]:
    """``llmgate serve`` with a configuration.

    Args:
        config: What the file says.
        cpu: Where it runs.
        directory: Its own, where it finds and leaves files.
        arguments: Further ones of the command line.
        sampler: A module, with its arguments, that runs it in its place.
        program: What stands in the place of ``python``.
    """
    file = directory / "llmgate.yaml"
    file.write_text(json.dumps(config, indent=2), encoding="utf-8")  # JSON is YAML too
    command = ["-m", *sampler, "llmgate", "serve", "--port", "0", "--config", str(file), *arguments]
    with started(command, cpu=cpu, environment=environment(), directory=directory, program=program) as process:
        yield process


@contextlib.contextmanager
def bare(
    provider: Process,
    cpu: int | Sequence[int] | None,
    directory: Path,
    *,
    server: str = "",
    workers: int = 1,
    sampler: Sequence[str] = (),
    program: Sequence[str] = PYTHON,
) -> Iterator[Process]:
    """The bare pass-through, on hypercorn where no server is named."""
    url = f"http://127.0.0.1:{provider.port}{PATH}"
    command = ["-m", *sampler, "benchmarks.bare", url, server or "hypercorn", str(workers)]
    with started(command, cpu=cpu, environment=environment(), directory=directory, program=program) as process:
        yield process


@contextlib.contextmanager
def _passing_nginx(provider: Process, cpus: Cpus, directory: Path) -> Iterator[Process]:
    program, port = _nginx(), free_port()
    assert program is not None
    file = directory / "nginx.conf"
    file.write_text(_NGINX.format(upstream=provider.port, port=port), encoding="utf-8")
    arguments = ["-p", str(directory), "-e", "stderr", "-c", str(file)]
    with started(
        arguments, cpu=cpus.server, environment=environment(), directory=directory, program=[program], port=port
    ) as process:
        yield process
