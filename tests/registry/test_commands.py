"""Commands of plugins are found by their group, and whatever is wrong with them names the plugin."""

from __future__ import annotations

import sys
import types
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from llmgate.registry.commands import load_commands, offered_commands
from llmgate.registry.discovery import EntryPointPlugin
from llmgate.spec import Command, PluginError, hookimpl


class Count(Command):
    group, group_summary = "invoices", "see what is to be paid"
    name, summary, description = "count", "count them", "Count them."

    async def run(self, args, context) -> int:
        return 0


class Elsewhere(Count):
    group = "others"


@pytest.fixture
def offer(monkeypatch):
    """Makes the entry point of a module whose hook gives an answer."""

    def make(answer: Any, hook: str = "llmgate_register_commands") -> EntryPointPlugin:
        module = types.ModuleType("seeded_commands")
        setattr(
            module,
            hook,
            hookimpl(
                types.FunctionType((lambda: answer).__code__, {"answer": answer}, hook, None, (types.CellType(answer),))
            ),
        )
        monkeypatch.setitem(sys.modules, "seeded_commands", module)
        point = EntryPoint("invoices", "seeded_commands", "llmgate.commands")
        return EntryPointPlugin("invoices", "seeded_commands", "llmgate-seeded", "1.0", point)

    return make


def test_the_commands_of_the_group_are_taken(offer):
    assert load_commands(offer(Count)) == [Count]
    assert load_commands(offer([Elsewhere, Count])) == [Count]


@pytest.mark.parametrize("answer", [[], [Elsewhere]])
def test_a_plugin_without_a_command_of_its_group_is_refused(offer, answer):
    with pytest.raises(PluginError, match=r"'invoices' of llmgate-seeded 1.0 has no command of the group"):
        load_commands(offer(answer))


@pytest.mark.parametrize("answer", [int, [Count, "x"]])
def test_what_is_no_command_is_refused(offer, answer):
    with pytest.raises(PluginError, match=r"llmgate-seeded 1.0: return subclasses of llmgate.spec.Command"):
        load_commands(offer(answer))


def test_a_mistyped_hook_is_refused(offer):
    with pytest.raises(PluginError, match=r"cannot be registered: .*llmgate_register_command"):
        load_commands(offer(Count, "llmgate_register_command"))


def test_a_module_that_is_not_there_is_named():
    point = EntryPoint("x", "no_such_module_anywhere", "llmgate.commands")
    with pytest.raises(PluginError, match=r"'x' of llmgate-x 2.0 cannot be imported from no_such_module_anywhere"):
        load_commands(EntryPointPlugin("x", "no_such_module_anywhere", "llmgate-x", "2.0", point))


def test_what_is_installed_is_listed_without_importing_it():
    assert {"keys", "db"} <= {one.name for one in offered_commands()}
