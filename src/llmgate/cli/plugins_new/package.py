"""The files of a new package: templates in which the names have been filled in."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import attrs

from llmgate.spec import StageKind

from .names import PluginName

__all__ = ["SHAPES", "Shape", "files_of", "write"]

_TEMPLATES: Final = "templates"
_SHARED: Final = "shared"
_SUFFIX: Final = ".txt"
"""What every template's name ends with, so that no tool takes it for the code that it will become."""
_PLACE: Final = re.compile(r"\{\{(\w+)\}\}")


@attrs.frozen
class Shape:
    """What differs from kind to kind.

    Args:
        noun: The file of the stage, without ``.py``.
        suffix: How the stage's class ends.
        word: What people call a stage of the kind.
        summary: What the stage does that the template makes.
    """

    noun: str
    suffix: str
    word: str
    summary: str


SHAPES: Final[Mapping[str, Shape]] = {
    "auth": Shape("auth", "Auth", "auth provider", "Callers of llmgate known by the tokens that a file lists"),
    "secrets": Shape("store", "Store", "secret store", "Secrets of llmgate from a JSON file"),
    "routing": Shape("strategy", "Strategy", "routing strategy", "Deployments of llmgate in turn"),
    "providers": Shape(
        "adapter", "Adapter", "provider adapter", "A provider of llmgate that has an address for each model"
    ),
    "interceptors": Shape(
        "interceptor", "Interceptor", "interceptor", "Requests to llmgate that hold a listed word are refused"
    ),
    "state": Shape("store", "Store", "state store", "The state of llmgate in a dictionary"),
    "loggers": Shape("logger", "Logger", "logger", "Exchanges of llmgate as lines of CSV"),
    "pages": Shape("pages", "Pages", "set of pages", "What llmgate has done today, as a table in a browser"),
    "domains": Shape("book", "Book", "book of domains", "Domains that llmgate may send requests to, as lines of CSV"),
}
"""The shapes by the ids of the kinds."""


def files_of(kind: StageKind, name: PluginName) -> dict[str, str]:
    """The texts of the package's files by their paths, ``/`` between the parts.

    Args:
        kind: The kind of its stage.
        name: What it is called.

    Raises:
        ValueError: no class can be called so.
    """
    shape = SHAPES[kind.id]
    words = {
        "name": name.id,
        "distribution": name.distribution,
        "module": name.module,
        "Stage": name.class_name(shape.suffix),
        "hook": kind.hook,
        "noun": shape.noun,
        "word": shape.word,
        "summary": shape.summary,
        "llmgate": ".".join(importlib.metadata.version("llmgate").split(".")[:2]),
    }
    templates = files(__package__).joinpath(_TEMPLATES)
    found = [*_walk(templates.joinpath(_SHARED), ""), *_walk(templates.joinpath(kind.id), "")]
    return {
        _path(path, words): _PLACE.sub(lambda place: words[place[1]], template.read_text(encoding="utf-8"))
        for path, template in sorted(found, key=lambda pair: pair[0])
    }


def write(package: Mapping[str, str], directory: Path) -> None:
    """Write the files of a package.

    Args:
        package: Texts by path.
        directory: Where to; it must not be there, or be empty.

    Raises:
        FileExistsError: there is something already; nothing is written.
        OSError: it cannot be written.
    """
    if directory.exists() and not (directory.is_dir() and next(directory.iterdir(), None) is None):
        raise FileExistsError(directory)
    for path, text in package.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        path = prefix + entry.name
        if entry.is_dir():
            yield from _walk(entry, f"{path}/")
        elif path.endswith(_SUFFIX):
            yield path.removesuffix(_SUFFIX), entry


def _path(path: str, words: Mapping[str, str]) -> str:
    """Where a file of a template goes: ``module`` and ``stage`` stand for the names of the package and of its file."""
    parts = path.split("/")
    parts = [words["module"] if part == "module" else part for part in parts]
    parts[-1] = {"stage.py": f"{words['noun']}.py", "test_stage.py": f"test_{words['noun']}.py"}.get(
        parts[-1], parts[-1]
    )
    return "/".join(parts)
