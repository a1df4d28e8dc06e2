"""Loads a configuration: defaults, then the file or mapping, then the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from .environment import overlays, read_dotenv
from .model import GatewayConfig
from .problems import Problems, Where
from .source import ConfigText, parse_yaml, read_file, read_mapping
from .stages import Find, Names
from .structure import structured
from .tree import MapNode, Node, ValueNode, merged

__all__ = ["blocked_plugins", "find_file", "load"]

_NAMES: Final = ("llmgate.yaml", "llmgate.yml", "ai-gateway-config.yaml")
_SYSTEM: Final = (Path("/etc/llmgate/config.yaml"), Path("/etc/ai-gateway/config.yaml"))


def load(
    source: str | os.PathLike[str] | Mapping[str, Any] | ConfigText | None,
    *,
    environment: Mapping[str, str],
    dotenv: Path | None = None,
    find: Find,
    names: Names,
) -> GatewayConfig:
    """The whole configuration, checked.

    Args:
        source: A file, its text, a mapping of the same shape, or None for the environment alone.
        environment: Environment variables; they win over ``dotenv``.
        dotenv: A ``.env`` file that fills what the environment lacks; a missing one is an empty one.
        find: Gives the class of a stage by kind and name, None where there is none.
        names: Lists the stages of a kind.

    Raises:
        ConfigError: with every problem, ``file:line:column: sentence`` each.
        PluginError: from ``find``, when a stage that is named cannot be imported.
    """
    problems = Problems()
    variables, warnings = _variables(environment, dotenv, problems)
    tree, name, directory = _tree(source, variables, problems)
    config = structured(
        tree,
        problems,
        environment=variables,
        find=find,
        names=names,
        directory=directory,
        source=name,
        warnings=warnings,
    )
    problems.raise_if_any()
    return config


def blocked_plugins(
    source: str | os.PathLike[str] | Mapping[str, Any] | ConfigText | None,
    *,
    environment: Mapping[str, str],
    dotenv: Path | None = None,
) -> Sequence[str]:
    """What ``plugins.block`` says, for the registry that ``load`` needs to find classes with.

    Nothing is checked here and nothing is raised: ``load`` reads the same again and reports what is wrong.
    """
    problems = Problems()
    variables, _ = _variables(environment, dotenv, problems)
    tree, _, _ = _tree(source, variables, problems)
    node: Node | None = tree
    for key in ("plugins", "block"):
        entry = node.find(key) if isinstance(node, MapNode) else None
        node = entry.node if entry is not None else None
    if isinstance(node, ValueNode) and node.variable:
        return tuple(part.strip() for part in node.text.split(",") if part.strip())
    items = getattr(node, "items", ())
    return tuple(item.text for item in items if isinstance(item, ValueNode))


def find_file(directory: Path) -> Path | None:
    """The configuration file that ``llmgate serve`` takes when none is named; None when there is none.

    Args:
        directory: Where to look first, usually the working directory.
    """
    candidates = (*(directory / name for name in _NAMES), *_SYSTEM)
    return next((path for path in candidates if path.is_file()), None)


def _variables(
    environment: Mapping[str, str], dotenv: Path | None, problems: Problems
) -> tuple[Mapping[str, str], Sequence[str]]:
    if dotenv is None:
        return environment, ()
    found, warnings = read_dotenv(dotenv, problems)
    return {**found, **environment}, warnings


def _tree(
    source: str | os.PathLike[str] | Mapping[str, Any] | ConfigText | None,
    variables: Mapping[str, str],
    problems: Problems,
) -> tuple[Node, str, Path]:
    """The tree, what it was read from, and the directory of that."""
    tree: Node
    if source is None:
        tree, name, directory = MapNode({}, Where("configuration")), "the environment", Path()
    elif isinstance(source, Mapping):
        tree, name, directory = read_mapping(source, problems), "a mapping", Path()
    elif isinstance(source, ConfigText):
        name, directory = os.fspath(source.path), source.path.parent
        tree = parse_yaml(source.text, name, problems)
    else:
        path = Path(source)
        tree, name, directory = read_file(path, problems), os.fspath(path), path.parent
    if isinstance(tree, ValueNode) and tree.value is None:
        tree = MapNode({}, tree.where)
    if not isinstance(tree, MapNode):
        problems.add(tree.where, "a configuration is a mapping of sections such as routers and providers")
        tree = MapNode({}, tree.where)
    for overlay in overlays(variables, problems):
        tree = merged(tree, overlay)
    return tree, name, directory
