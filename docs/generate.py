"""Writes the pages that are made from the program itself; ``tests/docs`` compares them with what is committed."""

from __future__ import annotations

import argparse
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from llmgate.catalogue.reference import providers_page
from llmgate.cli.program import build_parser
from llmgate.config.keys import Key, Status, key_table
from llmgate.config.meanings import key_of, meanings, settable
from llmgate.config.reference import as_markdown
from llmgate.registry import Registry
from llmgate.spec import KINDS

REFERENCE = Path(__file__).parent / "reference"

CLI_HEAD = """\
<!-- written by docs/generate.py: change the command, then run `make generated` -->

# Command line
"""


TABLE_HEAD = ("| argument | meaning |", "|---|---|")


def pages() -> Mapping[Path, str]:
    """The text of every generated page."""
    return {
        REFERENCE / "cli.md": cli_page(),
        REFERENCE / "configuration.md": configuration_page(),
        REFERENCE / "providers.md": providers_page(),
    }


def cli_page() -> str:
    """The commands, their arguments and what each is for."""
    parser = build_parser()
    lines = [
        CLI_HEAD,
        str(parser.description),
        "",
        "`python -m llmgate` is the same as `llmgate`. `--log-level` may also stand after a command.",
        "",
        str(parser.epilog),
    ]
    lines += ["", *_arguments(parser)]
    for name, command in _commands(parser).items():
        lines += _command(f"llmgate {name}", command)
    return "\n".join(lines).rstrip() + "\n"


def _command(title: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    nested = _commands(parser)
    yield ""
    yield f"{'###' if title.count(' ') > 1 else '##'} `{title}`"
    yield ""
    yield str(parser.description)
    arguments = [] if nested else [row for row in _arguments(parser) if "--log-level" not in row]
    if len(arguments) > len(TABLE_HEAD):
        yield ""
        yield from arguments
    for name, command in nested.items():
        yield from _command(f"{title} {name}", command)


def _commands(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    for action in parser._actions:  # noqa: SLF001 - argparse offers no other way to walk a parser
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            return action.choices
    return {}


def _arguments(parser: argparse.ArgumentParser) -> Iterator[str]:
    rows = []
    for action in parser._actions:  # noqa: SLF001 - as above
        if action.help in (None, argparse.SUPPRESS) or "--help" in action.option_strings:
            continue
        metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
        if not action.option_strings:
            signature = metavar if action.required else f"[{metavar}]"
        elif action.nargs == 0:
            signature = ", ".join(action.option_strings)
        else:
            signature = f"{', '.join(action.option_strings)} {metavar}"
        rows.append(f"| `{signature}` | {action.help} |")
    yield from (*TABLE_HEAD, *rows)


CONFIGURATION_HEAD = """\
<!-- written by docs/generate.py: change the key or the stage, then run `make generated` -->

# Configuration

One YAML file, `llmgate.yaml` or `ai-gateway-config.yaml`, and environment variables. `llmgate serve` looks for the file
in the working directory, or takes `--config FILE`; without one the providers are used whose keys are in the
environment.

* Keys are in kebab-case. Where order matters there is a list, where things are looked up by name a mapping.
* `use:` names a stage; what stands beside it are the stage's own keys.
* Durations are written as `500ms`, `10s`, `15m`, `1h30m`.
* Secrets appear as references, `store:path`, for example `env:OPENAI_API_KEY`.
* Every key can be set by a variable, with two underscores between the parts: `LLMGATE__SERVER__PORT=9000` (or
  `AI_GATEWAY__SERVER__PORT`) is `server.port`. It wins over the file. A list is written `[a, b]`, `a,b`, or one element
  a variable, `...__PROVIDERS__0=a`.
* Unknown keys are refused. `llmgate check` shows every problem at once, as `file:line:column: sentence`.
* `llmgate schema` prints the JSON Schema, installed plugins included.

`<router>`, `<provider>`, `<name>`, `<model>` and `<header>` stand for names of your own.
"""


def configuration_page() -> str:
    """Every key of the configuration, and the keys of every built-in stage."""
    keys = [key for key in key_table() if key.status is Status.WORKS]
    lines = [CONFIGURATION_HEAD]
    sections: dict[str, list[Key]] = {}
    for key in keys:
        sections.setdefault(key.path.partition(".")[0], []).append(key)
    for name, members in sections.items():
        lines += [f"## `{name}`", "", as_markdown(members)]
    lines += [
        "## Keys of the older dialect",
        "",
        "These are understood, so that a configuration of that dialect is never misread. Each is refused at start",
        "with a sentence that says so.",
        "",
        "| key | |",
        "|---|---|",
        *(f"| `{key.path}` | {key.status.value} |" for key in key_table() if key.status is not Status.WORKS),
        "",
    ]
    return "\n".join([*lines, *_built_in_stages()]).rstrip() + "\n"


def _built_in_stages() -> Iterator[str]:
    yield "## Built-in stages"
    registry = Registry(block=_installed_plugins())
    for kind in KINDS:
        for name in registry.names(kind.id):
            stage = registry.find(kind.id, name)
            assert stage is not None, "it has just been listed"
            yield ""
            yield f"### `{name}` ({kind.id})"
            yield ""
            yield _escaped((stage.__doc__ or "").strip().partition("\n\n")[0].replace("\n    ", " "))
            rows = list(_fields(stage.config_class))
            if rows:
                yield ""
                yield "| key | default | meaning |"
                yield "|---|---|---|"
                yield from rows


def _installed_plugins() -> Sequence[str]:
    """What is installed beside llmgate is not part of its documentation."""
    return sorted({info.distribution for info in Registry().info()} - {"llmgate"})


def _fields(config_class: type[Any], prefix: str = "") -> Iterator[str]:
    said = meanings(config_class)
    types = typing.get_type_hints(config_class)
    for field in settable(config_class):
        key = prefix + key_of(field)
        yield f"| `{key}` | {_default(field)} | {_escaped(said[field.name].rstrip('.'))} |"
        for nested in typing.get_args(types[field.name]):
            if attrs.has(nested):
                yield from _fields(nested, f"{key}[].")


def _default(field: attrs.Attribute[Any]) -> str:
    default = field.default
    if default is attrs.NOTHING:
        return "needed"
    if default is None or isinstance(default, attrs.Factory) or default in ("", ()):  # type: ignore[arg-type]
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("``", "`")


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
