"""``llmgate plugins``: every stage that is installed, where it comes from, whether it works; and a new one."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import attrs

from llmgate.spec import KINDS, PluginError, StageKind, kind_named

from .subparsers import Subparsers
from .table import format_table

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "plugins",
        help="list the installed stages, with their health; write a new one",
        description="List the installed stages: kind, id, distribution, version and health. "
        "Exit status 1 when one of them is broken.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    new = actions.add_parser(
        "new",
        help="write the package of a new plugin",
        description="Write a whole package with one small stage that works: code, configuration, tests against the "
        "contract of its kind, README. Nothing is overwritten and nothing is installed.",
    )
    new.add_argument("kind", type=_kind, metavar="KIND", help=", ".join(kind.id for kind in KINDS))
    new.add_argument(
        "name", metavar="NAME", help="the stage's id, what a configuration names; the package is called llmgate-NAME"
    )
    new.add_argument(
        "--directory", type=Path, metavar="DIR", help="the folder to write the package into (default: llmgate-NAME)"
    )


def run(args: argparse.Namespace) -> int:
    """Print the stages; 1 when one of them cannot be used. Or write a new one."""
    return _new(args.kind, args.name, args.directory) if args.action == "new" else _list(as_json=args.json)


def _list(*, as_json: bool) -> int:
    # Late: imports every plugin, which no other command does.
    from llmgate.registry import Registry

    infos = Registry().info()
    if as_json:
        print(json.dumps([attrs.asdict(info) for info in infos], indent=2))
    else:
        rows = [(info.kind, info.id, info.distribution, info.version, info.health) for info in infos]
        print(format_table(("KIND", "ID", "DISTRIBUTION", "VERSION", "HEALTH"), rows))
    return 0 if all(info.health == "ok" for info in infos) else 1


def _new(kind: StageKind, text: str, directory: Path | None) -> int:
    """Write the package; 2 when the name is none, 1 when the name or the place is taken.

    Raises:
        PluginError: a stage of that name is installed.
    """
    # Late: `llmgate --help` needs neither templates nor names.
    from .plugins_new.names import read_name
    from .plugins_new.package import SHAPES, files_of, write

    try:
        name = read_name(text)
        package = files_of(kind, name)
    except ValueError as error:
        print(f"llmgate: {error}", file=sys.stderr)
        return 2
    owner = _owner(kind, name.id, name.distribution)
    if owner is not None:
        raise PluginError(f"{name.id!r} is taken by {owner}: choose another name")
    place = directory or Path(name.distribution)
    try:
        write(package, place)
    except FileExistsError:
        print(f"llmgate: {place}: there is something already, and it is left as it is; name another with --directory",
              file=sys.stderr)  # fmt: skip
        return 1
    except OSError as error:
        print(f"llmgate: {place} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    print(f"{place}: written, the {SHAPES[kind.id].word} {name.id!r}")
    print(f"next: pip install -e {place} && llmgate plugins")
    return 0


def _owner(kind: StageKind, name: str, distribution: str) -> str | None:
    """Who has the name already; nothing is imported for the answer but llmgate itself."""
    # Late: the registry brings every built-in stage.
    from llmgate.registry import Registry, discover
    from llmgate.registry.discovery import normalised

    for offer in discover():
        if normalised(offer.name) == name or normalised(offer.distribution) == distribution:
            return f"the plugin {offer.name!r} of {offer.label}"
    if Registry().find(kind.id, name) is not None:
        return f"a stage of llmgate itself ({kind.id})"
    return None


def _kind(text: str) -> StageKind:
    try:
        return kind_named(text)
    except KeyError:
        # Late: it comes with the reader of configurations.
        from llmgate.config.suggest import did_you_mean

        known = [kind.id for kind in KINDS]
        raise argparse.ArgumentTypeError(
            f"{text[:64]!r} is no kind of stage: there are {', '.join(known)}{did_you_mean(text, known)}"
        ) from None
