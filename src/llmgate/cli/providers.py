"""``llmgate providers``: every provider that llmgate knows, and what each still needs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence

import attrs

from llmgate.spec import ProviderRow

from .subparsers import Subparsers
from .surroundings import key_variable, read_environment
from .table import format_table

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "providers",
        help="list the known providers and what each still needs",
        description="List the known providers: whether each can be used now, or which variable it is missing.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the providers, the usable ones first."""
    # Late: the catalogue is data that `llmgate --help` does not need.
    from llmgate.catalogue import provider_rows

    environment = read_environment()
    entries = sorted(
        (_entry(row, environment) for row in provider_rows().values()), key=lambda entry: (not entry.usable, entry.name)
    )
    if args.json:
        print(json.dumps([attrs.asdict(entry) for entry in entries], indent=2))
        return 0
    rows = [(entry.name, entry.status, entry.address or "-", ", ".join(entry.formats) or "-") for entry in entries]
    print(format_table(("PROVIDER", "STATUS", "ADDRESS", "FORMATS"), rows))
    return 0


@attrs.frozen
class _Entry:
    """What is said of one provider; never a variable's value."""

    name: str
    title: str
    usable: bool
    status: str
    variables: Sequence[str]
    address: str | None
    formats: Sequence[str]


def _entry(row: ProviderRow, environment: Mapping[str, str]) -> _Entry:
    """A row as it stands in this environment."""
    variable = key_variable(row, environment)
    return _Entry(
        name=row.name,
        title=row.title,
        usable=variable is not None,
        status=f"usable, with {variable}" if variable else _missing(row, environment),
        variables=list(row.key_variables),
        address=row.base_url,
        formats=list(row.formats),
    )


def _missing(row: ProviderRow, environment: Mapping[str, str]) -> str:
    """What a provider that cannot be used as it is still needs."""
    if row.relay_only:
        return f"direct relay only, at /{row.name}/..."
    missing = []
    if row.key_variables and not row.keyless and not any(environment.get(name) for name in row.key_variables):
        missing.append(f"set {row.key_variables[0]}")
    if row.base_url is None:
        missing.append("give its base-url in the configuration")
    return "; ".join(missing) or "name it in the configuration"
