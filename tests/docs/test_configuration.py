"""The examples of the configuration reference are whole configurations, and together they show every key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from llmgate.config import load
from llmgate.config.keys import Status, key_table
from llmgate.config.meanings import key_of, settable
from llmgate.registry import Registry
from llmgate.spec import KINDS
from llmgate.stages import builtin

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "reference" / "examples"
PAGE = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
FILES = sorted(EXAMPLES.rglob("*.yaml"))
KEYS = (
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "BEDROCK_API_KEY",
    "OPENAI_KEY_OF_SALES",
    "OPENAI_EU_KEY",
    "BATCH_KEY_1",
    "BATCH_KEY_2",
    "MISTRAL_KEY_1",
    "MISTRAL_KEY_2",
    "BATCH_KEY",
    "PROD_OPENAI_API_KEY",
    "PROXY_SECRET",
)
BUILT_IN = sorted((info.kind, info.id) for info in Registry().info() if info.distribution == "llmgate")
TABLE = [key for key in key_table() if key.status is Status.WORKS]


def values(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


def paths(value: Any, prefix: str = "") -> Iterator[str]:
    """Every key in a value, as a dotted path; what stands in lists belongs to stages and is left out."""
    if isinstance(value, dict):
        for name, below in value.items():
            yield f"{prefix}{name}"
            yield from paths(below, f"{prefix}{name}.")


def names_in(value: Any) -> Iterator[str]:
    """Every key anywhere in a value."""
    if isinstance(value, dict):
        for name, below in value.items():
            yield name
            yield from names_in(below)
    elif isinstance(value, list):
        for one in value:
            yield from names_in(one)


SHOWN = [path for file in FILES for path in paths(values(file))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(EXAMPLES).as_posix())
def test_an_example_loads_without_a_warning_once_its_keys_are_set(path: Path) -> None:
    registry = Registry()
    config = load(path, environment=dict.fromkeys(KEYS, "x"), find=registry.find, names=registry.names)
    assert config.warnings == ()
    assert config.providers


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(EXAMPLES).as_posix())
def test_an_example_stands_on_the_page(path: Path) -> None:
    assert PAGE.count(f"```yaml\n{path.read_text(encoding='utf-8')}```\n") == 1, "run `make generated`"


@pytest.mark.parametrize("key", TABLE, ids=lambda key: key.path)
def test_every_key_is_in_an_example(key: Any) -> None:
    pattern = re.compile(re.sub(r"<[a-z]+>", "[^.]+", re.escape(key.path)))
    assert any(pattern.fullmatch(path) for path in SHOWN), f"write {key.path} into a file of {EXAMPLES.name}/"


@pytest.mark.parametrize(("kind", "name"), BUILT_IN)
def test_every_key_of_a_stage_is_in_its_example(kind: str, name: str) -> None:
    stage = Registry().find(kind, name)
    assert stage is not None
    shown = set(names_in(values(EXAMPLES / "stages" / f"{kind}-{name}.yaml")))
    assert {key_of(field) for field in settable(stage.config_class)} <= shown


def test_every_kind_that_has_one_built_in_has_a_stage_with_an_example() -> None:
    kinds = {kind.id for kind in KINDS if hasattr(builtin, kind.hook)}
    assert {path.stem.partition("-")[0] for path in EXAMPLES.glob("stages/*.yaml")} == kinds


def test_every_table_says_what_holds_without_a_key() -> None:
    """Every row has its four cells, and each key that has a default shows it."""
    own = PAGE.partition("## Built-in stages")[0]
    for key in TABLE:
        default = f"`{key.default}`" if key.default else ""
        rows = [line for line in own.splitlines() if line.startswith(f"| `{key.path}` |")]
        assert len(rows) == 1, key.path
        cells = re.split(r"(?<!\\)\|", rows[0])
        assert len(cells) == 6
        assert cells[3].strip() == default.replace("|", r"\|"), key.path
        assert cells[4].strip(), f"{key.path} has no meaning"
