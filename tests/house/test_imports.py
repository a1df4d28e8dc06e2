"""Who may import whom: the contracts of pyproject.toml hold, and each of them can be broken."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ALLOWED_TO_PLUGINS = ("llmgate.spec", "llmgate.formats", "llmgate.codecs", "llmgate.testing")


def lint(directory: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    sources = [directory / "src", *sorted(directory.glob("plugins/llmgate-*/src"))]
    return subprocess.run(
        [str(program), "--no-cache"],
        cwd=directory,
        env={"PYTHONPATH": os.pathsep.join(map(str, sources)), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )


def foreign_imports(source: str) -> list[str]:
    """The modules of llmgate that a plugin's source imports and must not."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            module = node.module or ""
            names += [f"llmgate.{alias.name}" for alias in node.names] if module == "llmgate" else [module]
    return [
        name
        for name in names
        if name.split(".")[0] == "llmgate" and not f"{name}.".startswith(tuple(f"{ok}." for ok in ALLOWED_TO_PLUGINS))
    ]


def test_every_contract_is_kept():
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


SEEDED = {
    "stages/secrets/seeded_client.py": "import aiohttp",
    "stages/auth/seeded_kind.py": "import llmgate.stages.loggers",
    "stages/routing/seeded_room.py": "import llmgate.pipeline",
    "wire/seeded_sibling.py": "import llmgate.config",
    "host/seeded_library.py": "import httpx2",
    "host/seeded_double.py": "import llmgate.testing",
    "cli/seeded_server.py": "import starlette.applications",
    "registry/seeded_yaml.py": "import ruamel.yaml",
    "config/seeded_hooks.py": "import pluggy",
    "stages/loggers/seeded_telemetry.py": "import opentelemetry.trace",
    "formats/seeded_socket.py": "import socket",
}
"""Faults, one of each sort that a contract is there to find."""

SEEDED_IN_A_PLUGIN = {
    "seeded_stage": "from llmgate.stages.routing.weighted import Weighted",
    "seeded_door": "from llmgate import Pipeline",
    "seeded_sibling": "import llmgate_sticky",
}
"""The same, in a plugin that stands beside the others."""


def copy_to(directory: Path) -> None:
    """Everything that the contracts are about."""
    shutil.copy(ROOT / "pyproject.toml", directory)
    for source in (ROOT / "src", *ROOT.glob("plugins/llmgate-*/src")):
        shutil.copytree(source, directory / source.relative_to(ROOT), ignore=shutil.ignore_patterns("__pycache__"))


def seed_a_plugin(directory: Path) -> None:
    """Put a plugin with faults beside the others, listed as they are."""
    package = directory / "plugins" / "llmgate-seeded" / "src" / "llmgate_seeded"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('"""Seeded."""\n')
    for name, line in SEEDED_IN_A_PLUGIN.items():
        (package / f"{name}.py").write_text(f'"""Seeded."""\n{line}\n')
    settings = directory / "pyproject.toml"
    settings.write_text(settings.read_text().replace('"llmgate_sticky"', '"llmgate_sticky", "llmgate_seeded"'))


def test_seeded_faults_are_found(tmp_path):
    """Every contract bites: each fault is reported, and no contract is kept that one of them breaks."""
    copy_to(tmp_path)
    for path, line in SEEDED.items():
        (tmp_path / "src" / "llmgate" / path).write_text(f'"""Seeded."""\n{line}\n')
    seed_a_plugin(tmp_path)
    result = lint(tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    assert len(re.findall(r"(?m) BROKEN$", result.stdout)) == len(contracts), result.stdout
    modules = [f"llmgate.{path.removesuffix('.py').replace('/', '.')}" for path in SEEDED]
    modules += [f"llmgate_seeded.{name}" for name in SEEDED_IN_A_PLUGIN]
    assert [module for module in modules if module not in result.stdout] == []


def test_a_room_that_is_not_listed_breaks_the_build(tmp_path):
    copy_to(tmp_path)
    room = tmp_path / "src" / "llmgate" / "utils"
    room.mkdir()
    (room / "__init__.py").write_text('"""Seeded."""\n')
    result = lint(tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "llmgate.utils" in result.stdout


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from llmgate.spec import Logger", []),
        ("import llmgate.formats.openai_chat", []),
        ("from llmgate.testing.clock import FakeClock", []),
        ("from . import config", []),
        ("from llmgate.config import load", ["llmgate.config"]),
        ("import llmgate.pipeline.pipeline", ["llmgate.pipeline.pipeline"]),
        ("from llmgate import Pipeline", ["llmgate.Pipeline"]),
        ("from llmgate.specialised import x", ["llmgate.specialised"]),
    ],
)
def test_what_a_plugin_may_import_is_told_apart(source, expected):
    assert foreign_imports(source) == expected


def test_plugins_import_the_contract_only():
    faults = {
        str(path.relative_to(ROOT)): foreign
        for path in (ROOT / "plugins").glob("*/src/**/*.py")
        if (foreign := foreign_imports(path.read_text(encoding="utf-8")))
    }
    assert not faults, f"a plugin imports {', '.join(ALLOWED_TO_PLUGINS)} and nothing else of llmgate: {faults}"
