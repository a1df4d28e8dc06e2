"""Writes what is made from the packages and the program: the table of the README, and ``_template``."""

# ruff: noqa: INP001 - a script, not a package

from __future__ import annotations

import importlib
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from llmgate.cli.plugins_new.names import PluginName
from llmgate.cli.plugins_new.package import files_of, write
from llmgate.spec import KINDS, kind_named

HERE: Final = Path(__file__).parent
README: Final = HERE / "README.md"
TEMPLATE: Final = HERE / "_template"
BEGIN: Final = "<!-- the table is written by plugins/generate.py: run `make generated` -->\n"
END: Final = "<!-- end of the table -->\n"


def readme() -> str:
    """The README with the table as it should be."""
    text = README.read_text(encoding="utf-8")
    table = "\n".join(
        ["", "| package | stage | kind | tier | what it does |", "|---|---|---|---|---|", *_rows(), "", ""]
    )
    return re.sub(rf"(?s)(?<={re.escape(BEGIN)}).*(?={re.escape(END)})", lambda _: table, text)


def template() -> Mapping[str, str]:
    """The files of ``_template`` by path: what ``llmgate plugins new loggers example`` writes."""
    return files_of(kind_named("loggers"), PluginName("example"))


def _rows() -> Iterator[str]:
    for path in sorted(HERE.glob("llmgate-*/pyproject.toml")):
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        sys.path.insert(0, str(path.parent / "src"))
        name = project["name"]
        for stage, module in project["entry-points"]["llmgate"].items():
            plugin = importlib.import_module(module)
            kinds = ", ".join(kind.id for kind in KINDS if hasattr(plugin, kind.hook))
            yield f"| `{name}` | `{stage}` | {kinds} | verified | {project['description']} |"
        sys.path.pop(0)


if __name__ == "__main__":
    README.write_text(readme(), encoding="utf-8")
    shutil.rmtree(TEMPLATE, ignore_errors=True)
    write(template(), TEMPLATE)
