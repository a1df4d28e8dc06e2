"""The names of a new plugin, and the files that are made with them."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from llmgate.cli.plugins_new.names import LONGEST, PluginName, read_name
from llmgate.cli.plugins_new.package import SHAPES, files_of, write
from llmgate.spec import KINDS


def test_every_name_follows_from_the_id():
    name = read_name("my-csv-2")
    assert (name.id, name.distribution, name.module) == ("my-csv-2", "llmgate-my-csv-2", "llmgate_my_csv_2")
    assert name.class_name("Logger") == "MyCsv2Logger"


def test_the_noun_is_not_said_twice():
    assert PluginName("csv-logger").class_name("Logger") == "CsvLogger"
    assert PluginName("store").class_name("Store") == "Store"


@pytest.mark.parametrize("word", ["none", "true", "class", "import", "print", "type"])
def test_words_of_python_make_no_trouble(word):
    for kind in KINDS:
        for path, text in files_of(kind, PluginName(word)).items():
            if path.endswith(".py"):
                ast.parse(text, path)


@pytest.mark.parametrize("text", ["a", "a1", "csv", "my-csv", "x" * LONGEST])
def test_a_slug_is_a_name(text):
    assert read_name(text).id == text


@pytest.mark.parametrize(
    "text", ["A", "a_b", "a-", "-a", "a--b", "1a", "a.b", "a/b", "a\n", " a", "é", "x" * (LONGEST + 1)]
)
def test_anything_else_is_none(text):
    with pytest.raises(ValueError, match="is no name of a plugin: write"):
        read_name(text)


def test_every_kind_has_a_shape():
    assert list(SHAPES) == [kind.id for kind in KINDS]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
def test_every_kind_has_the_same_files(kind):
    noun = SHAPES[kind.id].noun
    package = files_of(kind, PluginName("mine"))
    assert {
        "pyproject.toml",
        "README.md",
        "CHANGELOG.md",
        "src/llmgate_mine/__init__.py",
        "src/llmgate_mine/config.py",
        "src/llmgate_mine/py.typed",
        f"src/llmgate_mine/{noun}.py",
        "tests/test_conformance.py",
        f"tests/test_{noun}.py",
    } <= package.keys()
    assert not [path for path, text in package.items() if "{{" in text or "{{" in path]
    assert tomllib.loads(package["pyproject.toml"])["project"]["dependencies"][1].startswith("llmgate>=")


def test_what_is_there_is_left_as_it_is(tmp_path):
    package = {"a/b.txt": "b\n", "c.txt": "c\n"}
    (tmp_path / "c.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        write(package, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["c.txt"]
    write(package, tmp_path / "new")
    written = [path for path in (tmp_path / "new").rglob("*") if path.is_file()]
    assert {path.relative_to(tmp_path / "new").as_posix(): path.read_text() for path in written} == package


def test_no_template_is_left_over():
    """Each template belongs to a kind or to all, and none is taken for code by the tools that walk the source."""
    folder = Path(__file__).parents[2] / "src" / "llmgate" / "cli" / "plugins_new" / "templates"
    assert {path.name for path in folder.iterdir()} == {"shared", *SHAPES}
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 40
    assert [path.name for path in files if path.suffix != ".txt"] == []
