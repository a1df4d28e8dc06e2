"""Distributions that exist for one test: real metadata on the import path, read by ``importlib.metadata``."""

from __future__ import annotations

import sys
import textwrap

import pytest


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution: ``install("llmgate-x", "1.0", {"my-stage": "x_module"}, x_module=SOURCE)``."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    installed = []

    def install(name, version, entry_points, **modules):
        folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = "\n".join(f"{key} = {value}" for key, value in entry_points.items())
        (folder / "entry_points.txt").write_text(f"[llmgate]\n{lines}\n")
        for module, source in modules.items():
            (site / f"{module}.py").write_text(textwrap.dedent(source))
            installed.append(module)

    yield install
    for module in installed:
        sys.modules.pop(module, None)
