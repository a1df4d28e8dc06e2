"""Commands of plugins: in the help, run with the configuration at hand, and harmless to every other command."""

from __future__ import annotations

import pytest

from llmgate.cli import extensions, main
from llmgate.registry import commands as registry_commands
from llmgate.registry.discovery import EntryPointPlugin
from llmgate.spec import Command, GatewayError, PluginError


class Count(Command):
    group, group_summary = "invoices", "see what is to be paid"
    name, summary, description = "count", "count them", "Count all of them."

    def add_arguments(self, parser):
        parser.add_argument("--year", type=int, default=2026)

    async def run(self, args, context) -> int:
        if args.year < 0:
            raise GatewayError("there were no invoices then")
        rows = [(stage.id, str(args.year)) for _, stage in context.configured("auth", "anonymous")]
        context.print_table(("STAGE", "YEAR"), rows)
        return 3


class New(Count):
    group, name = "keys", "new"


class Mark(Count):
    group, name = "keys", "mark"


@pytest.fixture
def offered(monkeypatch):
    """Offers these commands, and notes which plugins are imported."""
    loaded: list[str] = []

    def offer(*commands: type[Command], failing: bool = False) -> list[str]:
        groups = list(dict.fromkeys(one.group for one in commands))
        offers = [EntryPointPlugin(one, "m", "llmgate-seeded", "1.0", None) for one in groups]

        def load(one: EntryPointPlugin) -> list[type[Command]]:
            loaded.append(one.name)
            if failing:
                raise PluginError("plugin 'invoices' of llmgate-seeded 1.0 cannot be imported")
            return [command for command in commands if command.group == one.name]

        monkeypatch.setattr(registry_commands, "offered_commands", lambda: offers)
        monkeypatch.setattr(registry_commands, "load_commands", load)
        return loaded

    return offer


def test_a_command_is_run_with_the_configuration_and_its_own_arguments(offered, here, capsys):
    offered(Count)
    (here / "own.yaml").write_text("providers: {echo: {}}\nauth:\n  - use: anonymous\n")
    assert main(["invoices", "count", "--year", "7", "--config", "own.yaml"]) == 3
    assert capsys.readouterr().out == "STAGE    YEAR\nauth[0]  7\n"


def test_without_an_option_the_configuration_of_the_directory_is_taken(offered, here, capsys):
    offered(Count)
    (here / "llmgate.yaml").write_text("providers: {echo: {}}\nauth:\n  - use: anonymous\n")
    assert main(["invoices", "count"]) == 3
    assert "auth[0]  2026" in capsys.readouterr().out
    (here / "llmgate.yaml").write_text("nonsense: 1\n")
    assert main(["invoices", "count"]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_what_a_command_raises_is_printed(offered, here, capsys):
    offered(Count)
    assert main(["invoices", "count", "--year", "-1"]) == 1
    assert capsys.readouterr().err == "llmgate: there were no invoices then\n"


def test_a_plugin_adds_to_a_group_that_is_there(offered, here, capsys):
    offered(Mark)
    assert main(["keys", "mark"]) == 3
    assert main(["keys", "new"]) == 0
    assert "sk-lg-" in capsys.readouterr().out


def test_a_plugin_takes_no_command_that_is_there(offered, here, capsys):
    offered(New)
    assert main(["keys", "new"]) == 1
    assert "there is a command `llmgate keys new` already" in capsys.readouterr().err


def test_help_names_what_plugins_bring_and_imports_none(offered, capsys):
    loaded = offered(Count, failing=True)
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "comes with llmgate-seeded" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["nonsense"])
    assert "invoices" in capsys.readouterr().err
    assert loaded == []


def test_the_help_of_a_group_tells_of_its_commands(offered, capsys):
    offered(Count)
    with pytest.raises(SystemExit):
        main(["invoices", "--help"])
    shown = capsys.readouterr().out
    assert "See what is to be paid." in shown
    assert "count them" in shown


def test_a_broken_plugin_is_named_where_it_is_called_for_and_nowhere_else(offered, here, capsys):
    loaded = offered(Count, failing=True)
    assert main(["invoices", "count"]) == 1
    assert capsys.readouterr().err == "llmgate: plugin 'invoices' of llmgate-seeded 1.0 cannot be imported\n"
    loaded.clear()
    assert main(["--log-level=error", "schema"]) == 0
    assert loaded == []


def test_other_commands_do_not_even_look_for_plugins(monkeypatch):
    monkeypatch.setattr(registry_commands, "offered_commands", lambda: pytest.fail("nobody asked"))
    assert main(["schema"]) == 0
    assert extensions.__all__ == ["add_offered", "run"]
