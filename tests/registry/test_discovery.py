"""What is installed is known from metadata; nothing is imported to find out."""

from __future__ import annotations

import sys

import pytest

from llmgate.registry.discovery import discover, normalised
from llmgate.spec import PluginError


def found(block=()):
    return [(one.name, one.target, one.distribution, one.version) for one in discover(block)]


def test_entry_points_are_found_without_importing(install):
    install("llmgate-zed", "2.1", {"zed": "zed_module", "a-zed": "zed_module:plugin"}, zed_module="raise SystemExit")
    assert ("zed", "zed_module", "llmgate-zed", "2.1") in found()
    assert ("a-zed", "zed_module:plugin", "llmgate-zed", "2.1") in found()
    assert found() == sorted(found())
    assert "zed_module" not in sys.modules


@pytest.mark.parametrize("word", ["zed", "llmgate-zed", "llmgate_zed", "LLMGate.Zed"])
def test_what_is_blocked_is_left_out_by_either_name(install, word):
    install("llmgate-zed", "2.1", {"zed": "zed_module"})
    install("llmgate-other", "1.0", {"other": "other_module"})
    names = [name for name, *_ in found([word])]
    assert "zed" not in names
    assert "other" in names


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def broken(", "SyntaxError"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_named_with_its_distribution_and_the_cause(install, source, cause):
    install("llmgate-zed", "2.1", {"zed": "zed_module"}, zed_module=source)
    [offer] = [one for one in discover() if one.name == "zed"]
    with pytest.raises(PluginError) as caught:
        offer.load()
    message = str(caught.value)
    assert message.startswith("plugin 'zed' of llmgate-zed 2.1 cannot be imported from zed_module: ")
    assert cause in message
    assert "plugins: block" in message


def test_names_are_compared_as_packaging_does():
    assert normalised("LLMGate__Vault.Store") == "llmgate-vault-store"
