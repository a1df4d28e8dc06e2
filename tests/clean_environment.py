"""A clean environment: a virtual one of its own, with llmgate installed from this checkout, without a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

from plugin_packages import ROOT

__all__ = ["OFFLINE", "CleanEnvironment"]

OFFLINE = ("--no-index", "--no-deps", "--no-build-isolation")
"""What ``pip install`` is told instead of fetching: everything that is needed is there already."""
NEEDED = ("llmgate[server]", "pytest", "pytest-asyncio", "hatchling", "editables")
"""What the page installs, and what building a package takes."""


class CleanEnvironment:
    """A new virtual environment, with the dependencies lent by the suite's own, and llmgate installed as a wheel.

    The dependencies are linked one distribution at a time, so that nothing else of the suite's environment is there: no
    other plugin, and no checkout on the path.

    Args:
        directory: Where it is made.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "venv"
        subprocess.run([sys.executable, "-m", "venv", str(self.directory)], check=True, timeout=150)
        self.programs = self.directory / "bin"
        (site,) = self.directory.glob("lib/python*/site-packages")
        for name in sorted(_closure(NEEDED) - {"llmgate", "pip", "setuptools"}):
            _lend(name, site)
        self.run("pip", "install", "-q", *OFFLINE, str(ROOT), directory=directory)

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.programs / "python")

    @property
    def variables(self) -> Mapping[str, str]:
        """Environment variables as its activation sets them, and none that leads pip elsewhere."""
        path = os.pathsep.join([str(self.programs), os.environ["PATH"]])
        return {
            "PATH": path,
            "HOME": str(self.directory),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def run(self, program: str, *arguments: str, directory: Path) -> str:
        """Run one of its programs and return what it prints; it must end well."""
        result = subprocess.run(
            [str(self.programs / program), *arguments],
            cwd=directory,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=150,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout


def _closure(requirements: Sequence[str]) -> set[str]:
    """The distributions that requirements bring, by canonical name."""
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    todo = [Requirement(text) for text in requirements]
    while todo:
        requirement = todo.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            found.add(name)
            needed = [Requirement(text) for text in distribution(name).requires or []]
            todo += [one for one in needed if one.marker is None or one.marker.evaluate({"extra": extra})]
    return found


def _lend(name: str, site: Path) -> None:
    """Link what a distribution has installed."""
    one = distribution(name)
    tops: Iterable[str] = {file.parts[0] for file in one.files or [] if file.parts[0] not in ("..", "__pycache__")}
    for top in tops:
        target = site / top
        if not target.exists():
            target.symlink_to(Path(str(one.locate_file(top))).resolve())
