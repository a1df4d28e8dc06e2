"""Every package says its licence, and every run-time dependency is named with its own."""

from __future__ import annotations

import hashlib
import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECTS = [ROOT / "pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))]

APACHE_2_SHA256 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
"""Of the text at https://www.apache.org/licenses/LICENSE-2.0.txt."""


def run_time_dependencies() -> set[str]:
    """Everything that ``pip install llmgate[fast]`` brings, by canonical name."""
    found: set[str] = set()
    todo = [Requirement("llmgate[fast]")]
    while todo:
        requirement = todo.pop()
        extras = requirement.extras or {""}
        for text in distribution(requirement.name).requires or []:
            needed = Requirement(text)
            if needed.marker and not any(needed.marker.evaluate({"extra": extra}) for extra in {*extras, ""}):
                continue
            name = re.sub(r"[-_.]+", "-", needed.name).lower()
            if name not in found:
                found.add(name)
                todo.append(needed)
    return found


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: path.parent.name)
def test_each_project_has_an_spdx_licence(path):
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    assert project["license"] == "Apache-2.0"


def test_the_licence_is_the_whole_text():
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2_SHA256


def test_each_run_time_dependency_is_named_with_its_licence():
    text = (ROOT / "THIRD_PARTY_NOTICES.md").read_text(encoding="utf-8")
    listed = {
        name for name, licence in re.findall(r"(?m)^\| \[?([a-z0-9-]+)\]?\S* \| ([^|]+) \|", text) if licence.strip()
    }
    assert listed - {"package"} == run_time_dependencies()


def test_the_library_alone_installs_at_most_fifteen_packages():
    core: set[str] = {"llmgate"}
    todo = ["llmgate"]
    while todo:
        for text in distribution(todo.pop()).requires or []:
            needed = Requirement(text)
            name = re.sub(r"[-_.]+", "-", needed.name).lower()
            if name not in core and (needed.marker is None or needed.marker.evaluate({"extra": ""})):
                core.add(name)
                todo.append(name)
    assert len(core) <= 15, sorted(core)
