"""Environment variables as configuration: ``LLMGATE__SERVER__PORT`` is ``server.port``.

``AI_GATEWAY__`` means the same and loses to ``LLMGATE__``. A value is read as YAML reads a plain scalar, or as a flow
list, mapping or quoted text where it begins like one. A list may be written ``[a, b]``, ``a,b`` (where a list is
wanted), or one element a variable: ``…__PROVIDERS__0=a``, ``…__PROVIDERS__1=b``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from llmgate.codecs import dotenv

from .problems import Problems, Where
from .quoting import quoted
from .scalars import resolve
from .source import MAX_BYTES, MAX_DEPTH, parse_yaml
from .tree import Entry, ListNode, MapNode, Node, ValueNode, merged

__all__ = ["PREFIXES", "overlays", "read_dotenv", "variable_name"]

PREFIXES: Final = ("AI_GATEWAY__", "LLMGATE__")
"""The later one wins."""

_FLOW: Final = ("[", "{", '"', "'")
_BY_NAME: Final = (
    ("providers",),
    ("routers",),
    ("routers", "*", "providers"),
    ("routers", "*", "model-mappings"),
    ("default-model-mapping",),
    ("models",),
    ("secrets",),
    ("state",),
)
"""Mappings whose keys are the operator's own names, which may be numbers; elsewhere numbers are places in a list."""

_Branch: TypeAlias = "dict[str, _Branch | Node]"


def read_dotenv(path: Path, problems: Problems) -> tuple[Mapping[str, str], Sequence[str]]:
    """The variables of a ``.env`` file, and a warning for each line that means nothing; no file is an empty one."""
    where = Where(os.fspath(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        return {}, ()
    except OSError as error:
        problems.add(where, f"cannot be read: {(error.strerror or type(error).__name__).lower()}")
        return {}, ()
    except ValueError:
        problems.add(where, "is not UTF-8: save the file as UTF-8")
        return {}, ()
    if len(data) > MAX_BYTES:
        problems.add(where, f"is larger than {MAX_BYTES // 1024} KiB")
        return {}, ()
    unread = [f"{path}:{number}: line ignored, write NAME=value" for number in dotenv.unread_lines(text)]
    return dotenv.parse(text), unread


def overlays(environment: Mapping[str, str], problems: Problems) -> Sequence[Node]:
    """One tree for each prefix that is in use, to be merged over the file in this order."""
    trees = []
    for prefix in PREFIXES:
        names = sorted(name for name in environment if name.startswith(prefix))
        if names:
            trees.append(_tree(prefix, names, environment, problems))
    return trees


def variable_name(path: str) -> str:
    """The variable that sets a key, for messages: ``server.allow-open`` is ``LLMGATE__SERVER__ALLOW_OPEN``."""
    return PREFIXES[-1] + path.replace(".", "__").replace("-", "_").upper()


def _tree(prefix: str, names: Sequence[str], environment: Mapping[str, str], problems: Problems) -> Node:
    root: _Branch = {}
    for name in names:
        where = Where(f"environment variable {name}")
        segments = _segments(name[len(prefix) :])
        if not name.isascii() or not name.isprintable():
            problems.add(Where("an environment variable"), f"{quoted(name)} has a character that no key has")
        elif not all(segments):
            problems.add(where, f"has an empty part: write {prefix}SECTION__KEY")
        elif len(segments) > MAX_DEPTH:
            problems.add(where, f"is nested deeper than {MAX_DEPTH} levels")
        else:
            _put(root, segments, _value(environment[name], where, problems), where, problems)
    return _grown(root, (), prefix)


def _segments(name: str) -> list[str]:
    """The keys in a variable's name; four underscores begin a key that begins with two (``__prompts``)."""
    keys = ["--" + key[2:] if key.startswith("__") else key for key in re.split(r"(?<=[^_])__", name)]
    return [key.lower().replace("_", "-") for key in keys]


def _put(root: _Branch, segments: Sequence[str], value: Node, where: Where, problems: Problems) -> None:
    branch = root
    for segment in segments[:-1]:
        inner = branch.setdefault(segment, {})
        if isinstance(inner, MapNode):
            inner = branch[segment] = {entry.key: entry.node for entry in inner}
        if not isinstance(inner, dict):
            problems.add(where, f"{quoted(segment)} is a value of its own in {_origin(inner)}: keep one of the two")
            return
        branch = inner
    last = segments[-1]
    found = branch.get(last)
    branch[last] = merged(found, value) if isinstance(found, ValueNode | ListNode | MapNode) else value


def _origin(node: Node) -> str:
    return node.where.source.removeprefix("environment variable ")


def _value(text: str, where: Where, problems: Problems) -> Node:
    stripped = text.strip()
    if len(stripped) > MAX_BYTES:
        problems.add(where, f"is larger than {MAX_BYTES // 1024} KiB, the most that a configuration may have")
        return ValueNode(None, "", where, variable=True)
    if stripped.startswith(_FLOW):
        return parse_yaml(stripped, where.source, problems, variable=True)
    return ValueNode(resolve(stripped), stripped, where, variable=True)


def _grown(branch: _Branch, path: tuple[str, ...], variable: str) -> Node:
    """A branch as a tree; one whose keys count from 0 is a list, unless its keys are the operator's names."""
    nodes: dict[str, Node] = {}
    for key, inner in branch.items():
        name = f"{variable}{key.replace('-', '_').upper()}"
        nodes[key] = _grown(inner, (*path, key), name + "__") if isinstance(inner, dict) else inner
    where = next(iter(nodes.values())).where if nodes else Where(f"environment variable {variable}")
    if _is_list(nodes, path):
        return ListNode(tuple(nodes[str(index)] for index in range(len(nodes))), where)
    return MapNode({key: Entry(key, node, node.where) for key, node in nodes.items()}, where)


def _is_list(nodes: Mapping[str, Node], path: tuple[str, ...]) -> bool:
    if not nodes or any(str(index) not in nodes for index in range(len(nodes))):
        return False
    return not any(
        len(names) == len(path) and all(name in ("*", part) for name, part in zip(names, path, strict=True))
        for names in _BY_NAME
    )
