"""``llmgate plugins``: what is installed, where it comes from, and what is broken."""

from __future__ import annotations

import json
from importlib.metadata import version

from llmgate.cli import main
from llmgate.spec import KINDS


def install(directory, monkeypatch, *, module: str, entry_point: str) -> None:
    """Put a distribution on the path, as an installer would."""
    metadata = directory / "llmgate_seeded-1.2.3.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: llmgate-seeded\nVersion: 1.2.3\n")
    (metadata / "entry_points.txt").write_text(f"[llmgate]\n{entry_point}\n")
    (directory / "llmgate_seeded.py").write_text(module)
    monkeypatch.syspath_prepend(str(directory))


def test_the_built_in_stages_of_every_kind_are_listed(capsys):
    assert main(["plugins", "--json"]) == 0
    infos = json.loads(capsys.readouterr().out)
    own = [info for info in infos if info["distribution"] == "llmgate"]
    assert {info["kind"] for info in own} == {kind.id for kind in KINDS}
    assert {info["version"] for info in own} == {version("llmgate")}
    assert {info["health"] for info in own} == {"ok"}


def test_the_table_shows_kind_id_distribution_version_and_health(capsys):
    assert main(["plugins"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["KIND", "ID", "DISTRIBUTION", "VERSION", "HEALTH"]
    assert any(row.split() == ["auth", "static-keys", "llmgate", version("llmgate"), "ok"] for row in rows)


def test_a_broken_plugin_is_named_with_its_distribution_and_fails_the_command(capsys, tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, module="import a_module_that_is_not_there\n", entry_point="seeded = llmgate_seeded")
    assert main(["plugins"]) == 1
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "llmgate-seeded" in line]
    assert "1.2.3" in row
    assert "a_module_that_is_not_there" in row
