"""``llmgate health``: asks a running gateway which deployments do well, which are left out, why, and until when.

One that this user runs on this machine is asked on its socket, where all its workers answer; any other by HTTP, where
one of its workers does.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from .subparsers import Subparsers
from .table import format_table

__all__ = ["KEY_VARIABLE", "add_parser", "run"]

KEY_VARIABLE: Final = "LLMGATE_API_KEY"
"""The variable with the caller's key: a key on the command line could be read by everybody on the machine."""

PATH: Final = "/v1/health/deployments"
LARGEST: Final = 64 * 1024 * 1024
TIMEOUT: Final = 10.0
HEAD: Final = ("DEPLOYMENT", "STATE", "ERRORS", "FIRST P50", "P95", "P99", "TOTAL P50", "P95", "P99", "WHY, UNTIL WHEN")


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "health",
        help="show which deployments of a running gateway are left out, and why",
        description="Ask a running gateway how its deployments do: which are left out, why and until when, how many "
        "requests failed within the last window, and how long the last answers took. Exit status: 0 none is left out, "
        "1 one is, 2 the gateway cannot be asked. Without --url the gateway that this user runs here with the "
        "configuration is asked, all workers of it; elsewhere the one worker that takes the connection answers for "
        f"itself. The variable {KEY_VARIABLE} holds a key for that, where it wants one.",
    )
    parser.add_argument(
        "--url", metavar="URL", help="the gateway's address (default: where the configuration has it listen)"
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the configuration (default: the one that `llmgate serve` would find here)",
    )
    parser.add_argument("--workers", action="store_true", help="show what each worker says, too")
    parser.add_argument("--json", action="store_true", help="print the gateway's answer as it is")


def run(args: argparse.Namespace) -> int:
    """Ask, and print what is said."""
    try:
        found = None if args.url else _by_socket(args.config)
        if found is None:
            body = _ask(args.url or _configured(args.config), os.environ.get(KEY_VARIABLE, ""))
            found = json.loads(body)
        data = found["data"]
        rows = [_row(one) for one in data]
        if args.workers:
            rows += [_row(one, said["worker"]) for said in found.get("workers", ()) for one in said["data"] or ()]
        some_out = any(one["state"] != "closed" for one in data)
    except (KeyError, TypeError) as failure:
        print(f"llmgate: the answer is not a gateway's: {type(failure).__name__} {failure}", file=sys.stderr)
        return 2
    except (OSError, ValueError) as failure:
        print(f"llmgate: {failure}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps(found))
    else:
        print(format_table(HEAD, rows) if rows else "no deployment has been asked yet")
    silent = [said["worker"] for said in found.get("workers", ()) if said["data"] is None]
    if silent:
        print(f"llmgate: worker {', '.join(map(str, silent))} did not answer", file=sys.stderr)
    return 1 if some_out else 0


def _by_socket(path: Path | None) -> Mapping[str, Any] | None:
    """What all workers of the gateways say that this user runs with a configuration; None where there is none."""
    # Late: `llmgate --help` needs none of it.
    import asyncio

    from llmgate.config import find_file

    from .control import ask_health, find_gateways
    from .fleet import merged

    workers: list[Mapping[str, Any]] = []
    for process, control in find_gateways(path or find_file(Path())).items():
        said = asyncio.run(ask_health(control))
        workers += [{"process": process, **one} for one in said or ()]
    return {"object": "list", "data": merged(workers), "workers": workers} if workers else None


def _configured(path: Path | None) -> str:
    """The address that a configuration says."""
    # Late: reads YAML and imports the plugins that the configuration names, which an address spares.
    from llmgate.config import find_file
    from llmgate.pipeline.pipeline import Pipeline

    from .surroundings import find_dotenv

    server = Pipeline.from_config(path or find_file(Path()), dotenv=find_dotenv()).config.server
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.address.strip("[]"), server.address.strip("[]"))  # noqa: S104 - nothing is bound
    scheme = "http" if server.tls is None else "https"
    return f"{scheme}://[{host}]:{server.port}" if ":" in host else f"{scheme}://{host}:{server.port}"


def _ask(url: str, key: str) -> bytes:
    """The gateway's answer.

    Raises:
        OSError: it cannot be reached.
        ValueError: it answers something else.
    """
    # Late: the address of a configuration that is wrong is never asked.
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no address of a gateway: write http://HOST:PORT")
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=TIMEOUT)
    try:
        connection.request(
            "GET", parts.path.rstrip("/") + PATH, headers={"authorization": f"Bearer {key}"} if key else {}
        )
        answer = connection.getresponse()
        body = answer.read(LARGEST)
    except (OSError, HTTPException) as failure:
        raise OSError(f"the gateway at {url} cannot be asked: {str(failure) or type(failure).__name__}") from None
    finally:
        connection.close()
    if answer.status == 401:
        raise ValueError(f"the gateway at {url} wants a key: set {KEY_VARIABLE}")
    if answer.status != 200:
        raise ValueError(f"{url}{PATH} answers {answer.status}: is a gateway of this release listening there?")
    return body


def _row(one: Mapping[str, Any], worker: int | None = None) -> Sequence[str]:
    errors = f"{one['errors']}/{one['requests']}"
    times = [_seconds(one[name], field) for name in _TIMES for field in ("p50", "p95", "p99")]
    name = one["id"] if worker is None else f"  worker {worker}: {one['id']}"
    return (name, _state(one), errors, *times, _reason(one))


def _state(one: Mapping[str, Any]) -> str:
    """The state, and of how many workers where they do not agree."""
    workers, out = one.get("workers", ()), one.get("left_out_by", ())
    return f"{one['state']} ({len(out)} of {len(workers)})" if 0 < len(out) < len(workers) else one["state"]


_TIMES: Final = ("first_content_seconds", "total_seconds")


def _seconds(found: Mapping[str, float] | None, field: str) -> str:
    return "-" if found is None else f"{found[field]:.3g} s"


def _reason(one: Mapping[str, Any]) -> str:
    if one["reason"] is None:
        return ""
    trial = dt.datetime.fromisoformat(one["trial_at"]).astimezone()
    until = "one request may try it now" if one["state"] == "half-open" else f"until {trial:%H:%M:%S}"
    return f"{one['reason']}; {until}"
