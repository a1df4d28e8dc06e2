"""``llmgate health``: asks a running gateway which deployments do well, which are left out, why, and until when."""

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
        f"1 one is, 2 the gateway cannot be asked. The variable {KEY_VARIABLE} holds a key for it, where it wants one.",
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
    parser.add_argument("--json", action="store_true", help="print the gateway's answer as it is")


def run(args: argparse.Namespace) -> int:
    """Ask, and print what is said."""
    try:
        body = _ask(args.url or _configured(args.config), os.environ.get(KEY_VARIABLE, ""))
        data = json.loads(body)["data"]
        rows = [_row(one) for one in data]
        some_out = any(one["state"] != "closed" for one in data)
    except (KeyError, TypeError) as failure:
        print(f"llmgate: the answer is not a gateway's: {type(failure).__name__} {failure}", file=sys.stderr)
        return 2
    except (OSError, ValueError) as failure:
        print(f"llmgate: {failure}", file=sys.stderr)
        return 2
    if args.json:
        print(body.decode())
    else:
        print(format_table(HEAD, rows) if rows else "no deployment has been asked yet")
    return 1 if some_out else 0


def _configured(path: Path | None) -> str:
    """The address that a configuration says."""
    # Late: reads YAML and imports the plugins that the configuration names, which an address spares.
    from llmgate.config import find_file
    from llmgate.pipeline.pipeline import Pipeline

    from .surroundings import find_dotenv

    server = Pipeline.from_config(path or find_file(Path()), dotenv=find_dotenv()).config.server
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.address.strip("[]"), server.address.strip("[]"))  # noqa: S104 - nothing is bound
    return f"http://[{host}]:{server.port}" if ":" in host else f"http://{host}:{server.port}"


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


def _row(one: Mapping[str, Any]) -> Sequence[str]:
    errors = f"{one['errors']}/{one['requests']}"
    times = [_seconds(one[name], field) for name in _TIMES for field in ("p50", "p95", "p99")]
    return (one["id"], one["state"], errors, *times, _reason(one))


_TIMES: Final = ("first_content_seconds", "total_seconds")


def _seconds(found: Mapping[str, float] | None, field: str) -> str:
    return "-" if found is None else f"{found[field]:.3g} s"


def _reason(one: Mapping[str, Any]) -> str:
    if one["reason"] is None:
        return ""
    trial = dt.datetime.fromisoformat(one["trial_at"]).astimezone()
    until = "one request may try it now" if one["state"] == "half-open" else f"until {trial:%H:%M:%S}"
    return f"{one['reason']}; {until}"
