"""``llmgate plugins``: what is installed, where it comes from, what is broken; and how a new one begins."""

from __future__ import annotations

import json
from importlib.metadata import version

import pytest

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
    assert {info["kind"] for info in own} == {kind.id for kind in KINDS} - {"pages"}, "pages come from plugins only"
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


class TestNew:
    """``llmgate plugins new KIND NAME``."""

    def refused(self, capsys, *arguments: str) -> tuple[int, str]:
        """The exit status and what was said."""
        try:
            status = main(["plugins", "new", *arguments])
        except SystemExit as refusal:
            status = int(str(refusal.code))
        return status, capsys.readouterr().err

    def test_it_writes_a_package_and_says_what_to_do_next(self, here, capsys):
        assert main(["plugins", "new", "loggers", "csv"]) == 0
        assert capsys.readouterr().out == (
            "llmgate-csv: written, the logger 'csv'\nnext: pip install -e llmgate-csv && llmgate plugins\n"
        )
        assert (here / "llmgate-csv" / "src" / "llmgate_csv" / "logger.py").is_file()

    def test_the_folder_can_be_chosen_and_may_be_there_when_it_is_empty(self, here):
        (here / "below").mkdir()
        for folder in ("below", "a/new/one"):
            assert main(["plugins", "new", "routing", "turns", "--directory", folder]) == 0
            assert (here / folder / "pyproject.toml").is_file()

    @pytest.mark.parametrize("kind", [kind.id for kind in KINDS])
    def test_nothing_is_overwritten(self, here, capsys, kind):
        (here / "llmgate-mine").mkdir()
        (here / "llmgate-mine" / "README.md").write_text("mine")
        status, said = self.refused(capsys, kind, "mine")
        assert status == 1
        assert "llmgate-mine: there is something already" in said
        assert [path.name for path in (here / "llmgate-mine").iterdir()] == ["README.md"]
        assert (here / "llmgate-mine" / "README.md").read_text() == "mine"

    def test_a_file_in_its_place_is_not_overwritten_either(self, here, capsys):
        (here / "llmgate-mine").write_text("mine")
        assert self.refused(capsys, "auth", "mine")[0] == 1
        assert (here / "llmgate-mine").read_text() == "mine"

    def test_a_place_that_cannot_be_written_is_named(self, here, capsys):
        (here / "file").write_text("")
        status, said = self.refused(capsys, "auth", "mine", "--directory", "file/below")
        assert status == 1
        assert said == "llmgate: file/below cannot be written: Not a directory\n"

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("My_Logger", "my-logger"),
            ("MyLogger", "my-logger"),
            ("llmgate-csv", "csv"),
            ("LLMGATE_csv", "csv"),
            ("two--hyphens", "two-hyphens"),
            ("9lives", "lives"),
            ("café", "cafe"),
            ("../../etc/passwd", "etc-passwd"),
            ("a b", "a-b"),
        ],
    )
    def test_a_name_that_is_none_is_refused_with_the_one_meant(self, here, capsys, name, meant):
        status, said = self.refused(capsys, "loggers", name)
        assert status == 2
        assert repr(name) in said
        assert said.endswith(f"(did you mean {meant!r}?)\n")
        assert list(here.iterdir()) == []

    @pytest.mark.parametrize("name", ["", "-", "日本", "x" * 33, "x" * 100_000, "a\nb" * 50])
    def test_a_name_that_leads_nowhere_is_refused_in_one_line(self, here, capsys, name):
        status, said = self.refused(capsys, "loggers", f"{name}")
        assert status == 2
        assert said.count("\n") == 1
        assert len(said) < 300
        assert list(here.iterdir()) == []

    @pytest.mark.parametrize(
        ("kind", "meant"),
        [("logger", "loggers"), ("route", "routing"), ("Provider", "providers"), ("secret", "secrets")],
    )
    def test_a_kind_that_is_none_is_refused_with_the_one_meant(self, here, capsys, kind, meant):
        status, said = self.refused(capsys, kind, "csv")
        assert status == 2
        assert f"(did you mean {meant!r}?)" in said
        assert all(one.id in said for one in KINDS)

    @pytest.mark.parametrize(
        ("kind", "name"), [("loggers", "json-lines"), ("auth", "anonymous"), ("routing", "latency"), ("secrets", "env")]
    )
    def test_a_name_of_a_built_in_stage_of_the_kind_is_taken(self, here, capsys, kind, name):
        status, said = self.refused(capsys, kind, name)
        assert status == 1
        assert f"{name!r} is taken by a stage of llmgate itself" in said
        assert list(here.iterdir()) == []

    def test_a_name_of_another_kind_is_free(self, here):
        assert main(["plugins", "new", "loggers", "latency"]) == 0

    def test_a_name_of_an_installed_plugin_is_taken_and_nothing_is_imported_to_know_it(
        self, here, capsys, tmp_path_factory, monkeypatch
    ):
        install(
            tmp_path_factory.mktemp("site"),
            monkeypatch,
            module="raise AssertionError('imported')\n",
            entry_point="other = llmgate_seeded",
        )
        for name in ("other", "seeded"):  # the stage's, and the one that would make the same distribution
            status, said = self.refused(capsys, "state", name)
            assert status == 1
            assert f"{name!r} is taken by the plugin 'other' of llmgate-seeded 1.2.3" in said

    def test_a_class_of_the_contract_cannot_be_made_anew(self, here, capsys):
        for kind, name in [("loggers", "logger"), ("routing", "routing"), ("state", "state"), ("secrets", "secret")]:
            status, said = self.refused(capsys, kind, name)
            assert status == 2
            assert "which is llmgate.spec's own" in said
