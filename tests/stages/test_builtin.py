"""The built-in stages are all registered, by the hooks that any plugin has."""

from __future__ import annotations

import pluggy
import pytest

from llmgate.spec import KINDS, hookspecs
from llmgate.stages import builtin

NAMES = {
    "domains": {"file"},
    "auth": {"anonymous", "client-certificates", "static-keys", "trusted-proxy"},
    "secrets": {"env", "file"},
    "routing": {"cost", "latency", "least-busy", "priority", "random", "split", "tags", "weighted"},
    "providers": {"bedrock", "echo", "openai"},
    "interceptors": {"cache", "rate-limit", "request-rules", "target-domains"},
    "state": {"memory", "sqlite"},
    "loggers": {"alerts", "json-lines", "python-logging", "webhook"},
    "pages": set(),  # none is built in
}


@pytest.fixture(scope="module")
def manager():
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(builtin)
    manager.check_pending()
    return manager


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
def test_every_kind_has_its_built_in_stages(manager, kind):
    classes = [one for registered in getattr(manager.hook, kind.hook)() for one in registered]
    assert {stage_class.name for stage_class in classes} == NAMES[kind.id]
    assert all(issubclass(stage_class, kind.base) for stage_class in classes)
    assert all(stage_class.__doc__ for stage_class in classes)
