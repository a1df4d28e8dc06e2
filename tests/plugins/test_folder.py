"""The folder ``plugins/``: packages of one shape, listed wherever they have to be; what is generated is current."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from plugin_packages import ROOT, run

FOLDER = ROOT / "plugins"
PACKAGES = sorted(FOLDER.glob("llmgate-*"))
OPEN_TO_PLUGINS = {"spec", "formats", "codecs"}


def settings(path: Path) -> dict[str, Any]:
    return tomllib.loads((path / "pyproject.toml").read_text(encoding="utf-8"))


def module_of(package: Path) -> str:
    return package.name.replace("-", "_")


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """The script that writes what is generated."""
    specification = importlib.util.spec_from_file_location("plugins_generate", FOLDER / "generate.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_table_of_the_readme_is_current(generate):
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == generate.readme(), "run `make generated`"


def test_the_table_names_every_package_and_stage(generate):
    rows = [line for line in generate.readme().splitlines() if line.startswith("| `llmgate-")]
    stages = [stage for package in PACKAGES for stage in settings(package)["project"]["entry-points"]["llmgate"]]
    assert len(rows) == len(stages) >= 1
    assert all(any(f"| `{stage}` |" in row for row in rows) for stage in stages)


def test_the_template_is_what_the_command_writes(generate):
    """One source: ``_template`` is what ``llmgate plugins new loggers example`` writes, byte for byte."""
    files = {
        path.relative_to(generate.TEMPLATE).as_posix(): path.read_text(encoding="utf-8")
        for path in generate.TEMPLATE.rglob("*")
        if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in path.parts)
    }
    assert files == dict(generate.template()), "run `make generated`"


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
class TestPackage:
    def test_has_the_shape_of_all(self, package):
        module = package / "src" / module_of(package)
        wanted = [package / name for name in ("README.md", "CHANGELOG.md", "tests/test_conformance.py")]
        wanted += [module / name for name in ("__init__.py", "config.py", "py.typed")]
        assert [path for path in wanted if not path.is_file()] == []
        assert [path.name for path in (package / "src").iterdir() if path.is_dir()] == [module.name]

    def test_announces_each_stage_under_its_own_name(self, package):
        project = settings(package)["project"]
        assert project["name"] == package.name
        assert set(project["entry-points"]["llmgate"].values()) == {module_of(package)}

    def test_is_part_of_the_workspace_and_needs_llmgate_from_there(self, package):
        workspace = settings(ROOT)["tool"]["uv"]["workspace"]
        assert "plugins/llmgate-*" in workspace["members"]
        apart = f"plugins/{package.name}" in workspace["exclude"]
        source = {"path": "../..", "editable": True} if apart else {"workspace": True}
        assert settings(package)["tool"]["uv"]["sources"] == {"llmgate": source}

    def test_what_is_no_part_of_the_workspace_is_tested_in_an_environment_of_its_own(self, package):
        if f"plugins/{package.name}" in settings(ROOT)["tool"]["uv"]["workspace"]["exclude"]:
            target = package.name.removeprefix("llmgate-")
            assert f"\n{target}: " in (ROOT / "Makefile").read_text(), "a target of make runs its own tests"
            assert (package / "requirements.lock").is_file()

    def test_is_held_by_the_import_contracts(self, package):
        lint = settings(ROOT)["tool"]["importlinter"]
        independent = [one["modules"] for one in lint["contracts"] if one["name"] == "plugins do not know each other"]
        assert module_of(package) in lint["root_packages"]
        assert module_of(package) in independent[0]

    def test_is_installed_by_make(self, package):
        assert importlib.metadata.distribution(package.name).version == settings(package)["project"]["version"]
        listed = json.loads(run(["llmgate", "plugins", "--json"], ROOT))
        stages = settings(package)["project"]["entry-points"]["llmgate"]
        mine = [one for one in listed if one["distribution"] == package.name]
        assert {one["id"] for one in mine} == set(stages)
        assert {one["health"] for one in mine} == {"ok"}


def test_every_room_but_the_contract_is_closed_to_plugins():
    """A room that is new is closed until somebody opens it on purpose."""
    contracts = settings(ROOT)["tool"]["importlinter"]["contracts"]
    (closed,) = (one["protected_modules"] for one in contracts if one["name"].startswith("plugins know the contract"))
    source = ROOT / "src" / "llmgate"
    rooms = {path.parent.name for path in source.glob("*/__init__.py")} | {"__main__"}
    assert set(closed) == {f"llmgate.{room}" for room in rooms - OPEN_TO_PLUGINS}
