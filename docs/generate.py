"""Writes the pages that are made from the program itself; ``tests/docs`` compares them with what is committed."""

from __future__ import annotations

import argparse
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from llmgate.catalogue.reference import providers_page
from llmgate.cli.program import build_parser
from llmgate.config.durations import written
from llmgate.config.keys import Key, Status, key_table
from llmgate.config.meanings import key_of, meanings, says_seconds, settable
from llmgate.config.reference import as_markdown
from llmgate.formats import FORMATS, get_format
from llmgate.registry import Registry
from llmgate.spec import KINDS, ChatRequest, FinishReason, Format, Operation, SecretRef

REFERENCE = Path(__file__).parent / "reference"
EXAMPLES = REFERENCE / "examples"

CLI_HEAD = """\
<!-- written by docs/generate.py: change the command, then run `make generated` -->

# Command line
"""


FIELDS_HEAD = """\
<!-- written by docs/generate.py: change the format's FIELDS, then run `make generated` -->

# Fields of the wire formats

What each wire format calls the fields of a chat request, and the ends of an answer. A field that a format has is
carried to and from every other format that has it; what becomes of the rest is told under [wire formats](formats.md).
So are the ends of answers: one that a format has no word for is a plain `stop` there.
"""


TABLE_HEAD = ("| argument | meaning |", "|---|---|")


def pages() -> Mapping[Path, str]:
    """The text of every generated page."""
    return {
        REFERENCE / "cli.md": cli_page(),
        REFERENCE / "configuration.md": configuration_page(),
        REFERENCE / "format_fields.md": format_fields_page(),
        REFERENCE / "providers.md": providers_page(),
    }


def format_fields_page() -> str:
    """What each wire format calls the fields that it carries."""
    formats = [one for one in map(get_format, FORMATS) if one.operation is Operation.CHAT and one.fields]
    names = [field.name for field in attrs.fields(ChatRequest) if not field.name.startswith("extra")]
    lines = [FIELDS_HEAD]
    for wire_format in formats:
        lines += [f"## `{wire_format.name}`", "", "| meaning | field |", "|---|---|"]
        lines += [f"| `{name}` | `{wire_format.fields[name]}` |" for name in names if name in wire_format.fields]
        missing = [f"`{name}`" for name in names if name not in wire_format.fields]
        lines += ["", f"It has no field for {', '.join(missing)}." if missing else "It has a field for each.", ""]
        lines += list(_ends(wire_format))
    return "\n".join(lines).rstrip() + "\n"


def _ends(wire_format: Format) -> Iterator[str]:
    """What a format says of the end of an answer."""
    yield from ("| an answer ended for | it says |", "|---|---|")
    yield from (f"| `{reason}` | `{word}` |" for reason, word in wire_format.ends.items())
    rest = [f"`{reason}`" for reason in FinishReason if reason not in wire_format.ends]
    yield ""
    ended = f" Which text ended an answer stands in `{wire_format.stop_text}`." if wire_format.stop_text else ""
    told = f"It does not tell {', '.join(rest)} from `stop`." if rest else "It tells them all apart."
    yield told + ended
    yield ""


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
    arguments = [row for row in _arguments(parser) if "--log-level" not in row]
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
<!-- written by docs/generate.py: change the key, the stage or docs/reference/examples, then run `make generated` -->

# Configuration

One YAML file, `llmgate.yaml` or `ai-gateway-config.yaml`, and environment variables. `llmgate serve` looks for the file
in the working directory, or takes `--config FILE`; without one the providers are used whose keys are in the
environment.

* Keys are in kebab-case. Where order matters there is a list, where things are looked up by name a mapping.
* `use:` names a stage; what stands beside it are the stage's own keys.
* Every key can be set by a variable, with two underscores between the parts: `LLMGATE__SERVER__PORT=9000` (or
  `AI_GATEWAY__SERVER__PORT`) is `server.port`. It wins over the file. A list is written `[a, b]`, `a,b`, or one element
  a variable, `...__PROVIDERS__0=a`.
* Unknown keys are refused. `llmgate check` shows every problem at once, as `file:line:column: sentence`.
* `llmgate schema` prints the JSON Schema, installed plugins included.

Each example on this page is a whole configuration that loads as it stands; together they show every key. In the tables
`<router>`, `<provider>`, `<name>`, `<model>`, `<parameter>` and `<header>` stand for names of your own. Where
*without it* is empty there is nothing: no stage, no limit, no text.

| what a key takes | written as |
|---|---|
| text | `openai`, `"with: a colon"` |
| switch | `true` or `false` |
| count, number | `20`, `0.5` |
| duration | `500ms`, `10s`, `15m`, `1h30m`; a bare number is seconds |
| reference | `store:path`, where a secret is kept: `env:OPENAI_API_KEY`, `file:/run/secrets/openai` |
| list | `[a, b]`, or one `- a` a line |
| section | the keys below it |
| names | a mapping from names of your own to what is below it |
| `one\\|another` | one of these words |
| `stage:kind` | `use:` and the keys of a stage of that [kind](stages.md); `stages:kind` is a list of them |
"""


def configuration_page() -> str:
    """Every key of the configuration with examples, and the keys of every built-in stage."""
    keys = [key for key in key_table() if key.status is Status.WORKS]
    lines = [CONFIGURATION_HEAD]
    sections: dict[str, list[Key]] = {}
    for key in keys:
        sections.setdefault(key.path.partition(".")[0], []).append(key)
    for name, members in sections.items():
        lines += [f"## `{name}`", "", *_examples(EXAMPLES, name), as_markdown(members)]
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
    text = "\n".join([*lines, *_built_in_stages()]).rstrip() + "\n"
    return re.sub(r"\n{3,}", "\n\n", text)


def _examples(directory: Path, name: str) -> Iterator[str]:
    """The example of that name, and those whose names go on after a dash and do not name something else."""
    taken = {key.path for key in key_table()} - {name}
    for path in sorted(directory.glob(f"{name}*.yaml"), key=lambda path: len(path.stem)):
        if path.stem not in taken and (path.stem == name or path.stem.startswith(f"{name}-")):
            yield from ("```yaml", path.read_text(encoding="utf-8").rstrip(), "```", "")


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
            yield ""
            yield from _examples(EXAMPLES / "stages", f"{kind.id}-{name}")
            rows = list(_fields(stage.config_class))
            if rows:
                yield "| key | takes | without it | meaning |"
                yield "|---|---|---|---|"
                yield from rows


def _installed_plugins() -> Sequence[str]:
    """What is installed beside llmgate is not part of its documentation."""
    return sorted({info.distribution for info in Registry().info()} - {"llmgate"})


def _fields(config_class: type[Any], prefix: str = "") -> Iterator[str]:
    said = meanings(config_class)
    hints = typing.get_type_hints(config_class)
    for field in settable(config_class):
        key = prefix + key_of(field)
        takes = _takes(config_class, field, hints[field.name])
        meaning = _escaped(said[field.name].rstrip("."))
        yield f"| `{key}` | {takes} | {_default(config_class, field)} | {meaning} |"
        for nested in typing.get_args(hints[field.name]):
            if attrs.has(nested) and nested is not SecretRef:
                yield from _fields(nested, f"{key}." if takes == "section" else f"{key}[].")


def _takes(config_class: type[Any], field: attrs.Attribute[Any], annotation: Any) -> str:
    """What a key takes, in the words of the page's legend."""
    options = [one for one in typing.get_args(annotation) if one is not type(None)]
    either = isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union
    plain = options[0] if either else annotation
    origin = typing.get_origin(plain) or plain
    if origin is float and _in_seconds(config_class, field):
        return "duration"
    if origin is typing.Literal:
        return "\\|".join(f"{word}" for word in typing.get_args(plain))
    if attrs.has(origin) and origin is not SecretRef:
        return "section"
    words = {bool: "switch", int: "count", float: "number", str: "text", SecretRef: "reference"}
    return words.get(origin) or ("names" if issubclass(origin, Mapping) else "list")


def _default(config_class: type[Any], field: attrs.Attribute[Any]) -> str:
    default = field.default
    if default is attrs.NOTHING:
        return "needed"
    if default is None or isinstance(default, attrs.Factory) or default in ("", ()):  # type: ignore[arg-type]
        return ""
    if isinstance(default, tuple):
        return f"`{', '.join(map(str, default))}`"
    if isinstance(default, float) and _in_seconds(config_class, field):
        return f"`{written(default)}`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _in_seconds(config_class: type[Any], field: attrs.Attribute[Any]) -> bool:
    return says_seconds(config_class, field) or "in seconds" in (config_class.__doc__ or "").partition("\n\n")[0]


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("``", "`")


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
