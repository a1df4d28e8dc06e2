"""The registry: one way in for every stage, one error for everything that can be wrong with a plugin."""

from __future__ import annotations

import sys
import types

import attrs
import pytest

from llmgate.registry import Registry
from llmgate.spec import KINDS, Logger, NoConfig, PluginError, RoutingStrategy, hookimpl
from llmgate.stages.routing.weighted import Weighted

STAGE = """
    from llmgate.spec import {base}, NoConfig, hookimpl

    class Mine({base}[NoConfig]):
        "Does it my way."
        name = "{name}"
        {method}

    @hookimpl
    def {hook}():
        return Mine
"""
RANK = "def rank(self, view, deployments, context): return deployments"


def strategy(name, base="RoutingStrategy", hook="llmgate_register_routing_strategies", method=RANK):
    return STAGE.format(name=name, base=base, hook=hook, method=method)


def plugin(*classes, hook="llmgate_register_routing_strategies"):
    """A plugin object whose hook returns these."""

    def register(self):
        return classes

    register.__name__ = hook
    return type("Plugin", (), {hook: hookimpl(register)})()


def make(name="mine", **body):
    fields = {"name": name, "rank": lambda self, view, deployments, context: deployments, **body}
    return type("Mine", (RoutingStrategy,), {key: value for key, value in fields.items() if value is not None})


class TestFinding:
    def test_built_in_stages_are_found(self):
        registry = Registry()
        assert registry.find("routing", "weighted") is Weighted
        assert registry.find("routing", "no-such-strategy") is None
        assert registry.find("loggers", "weighted") is None
        assert {"latency", "priority", "weighted"} <= set(registry.names("routing"))

    def test_an_unknown_kind_is_a_mistake_of_the_program(self):
        for method in (lambda r: r.find("guards", "x"), lambda r: r.names("guards")):
            with pytest.raises(KeyError):
                method(Registry())

    def test_only_the_plugin_that_is_named_is_imported(self, install):
        install("llmgate-a", "1.0", {"mine": "mod_a"}, mod_a=strategy("mine"))
        install("llmgate-b", "1.0", {"broken": "mod_b"}, mod_b="raise RuntimeError('must not be imported')")
        registry = Registry()
        assert "mod_a" not in sys.modules
        assert registry.find("routing", "weighted") is Weighted
        assert "mod_a" not in sys.modules
        found = registry.find("routing", "mine")
        assert found is sys.modules["mod_a"].Mine
        assert registry.find("routing", "mine") is found
        assert "mod_b" not in sys.modules

    def test_what_is_looked_for_among_what_is_there_imports_nothing(self, install):
        install("llmgate-a", "1.0", {"mine": "mod_a"}, mod_a=strategy("mine"))
        registry = Registry()
        assert registry.find_loaded("routing", "mine") is None
        assert "mine" not in registry.names_loaded("routing")
        assert registry.find_loaded("routing", "weighted") is Weighted
        assert "mod_a" not in sys.modules
        found = registry.find("routing", "mine")
        assert registry.find_loaded("routing", "mine") is found
        assert "mine" in registry.names_loaded("routing")

    def test_a_broken_plugin_that_is_named_stops_the_start(self, install):
        install("llmgate-b", "1.0", {"broken": "mod_b"}, mod_b="import no_such_library")
        registry = Registry()
        for _ in range(2):
            with pytest.raises(PluginError, match=r"'broken' of llmgate-b 1\.0 .*no_such_library"):
                registry.find("auth", "broken")

    def test_a_blocked_plugin_is_not_there(self, install):
        install("llmgate-b", "1.0", {"broken": "mod_b"}, mod_b="import no_such_library")
        registry = Registry(block=["broken"])
        assert registry.find("auth", "broken") is None
        assert all(info.id != "broken" for info in registry.info())

    def test_names_leave_broken_plugins_out(self, install):
        install("llmgate-a", "1.0", {"mine": "mod_a"}, mod_a=strategy("mine"))
        install("llmgate-b", "1.0", {"broken": "mod_b"}, mod_b="import no_such_library")
        assert "mine" in Registry().names("routing")
        assert "mine" not in Registry().names("loggers")

    def test_an_entry_point_may_lead_to_an_object(self, install):
        source = strategy("mine") + "\n    import sys\n    plugin = sys.modules[__name__]\n"
        install("llmgate-a", "1.0", {"mine": "mod_a:plugin"}, mod_a=source)
        assert Registry().find("routing", "mine").name == "mine"

    def test_one_module_may_serve_several_entry_points(self, install):
        both = """
            from llmgate.spec import RoutingStrategy, NoConfig, hookimpl

            class One(RoutingStrategy[NoConfig]):
                name = "one"
                def rank(self, view, deployments, context): return deployments

            class Two(One):
                name = "two"

            @hookimpl
            def llmgate_register_routing_strategies():
                return [One, Two]
        """
        install("llmgate-a", "1.0", {"one": "mod_a", "two": "mod_a"}, mod_a=both)
        registry = Registry()
        assert registry.find("routing", "two").name == "two"
        assert registry.find("routing", "one").name == "one"

    def test_two_registries_share_no_plugins(self):
        mine = make()
        assert Registry([plugin(mine)]).find("routing", "mine") is mine
        assert Registry().find("routing", "mine") is None

    def test_one_name_may_stand_in_two_kinds(self):
        stage = make("memory")
        registry = Registry([plugin(stage)])
        assert registry.find("routing", "memory") is stage
        assert registry.find("state", "memory") is not None


class TestConflicts:
    def test_two_distributions_with_one_name_are_refused_without_importing_either(self, install):
        install("llmgate-a", "1.0", {"mine": "mod_a"}, mod_a="raise SystemExit")
        install("llmgate-b", "2.0", {"mine": "mod_b"}, mod_b="raise SystemExit")
        with pytest.raises(PluginError) as caught:
            Registry().find("routing", "mine")
        assert "llmgate-a 1.0 (mod_a) and llmgate-b 2.0 (mod_b)" in str(caught.value)
        assert not {"mod_a", "mod_b"} & sys.modules.keys()
        assert Registry(block=["llmgate-a", "llmgate-b"]).find("routing", "mine") is None

    def test_a_plugin_cannot_take_a_built_in_name(self, install):
        install("llmgate-a", "1.0", {"weighted": "mod_a"}, mod_a=strategy("weighted"))
        with pytest.raises(PluginError) as caught:
            Registry().find("routing", "weighted")
        message = str(caught.value)
        assert "two routing stages are named 'weighted'" in message
        assert "llmgate.stages.routing.weighted.Weighted of llmgate" in message
        assert "mod_a.Mine of llmgate-a 1.0" in message

    def test_two_plugins_handed_over_with_one_name(self):
        with pytest.raises(PluginError, match="two routing stages are named 'mine'"):
            Registry([plugin(make()), plugin(make())])

    def test_one_plugin_with_one_name_twice(self):
        with pytest.raises(PluginError, match="two routing stages are named 'mine'"):
            Registry([plugin(make(), make())])

    def test_the_same_class_twice_is_no_conflict(self, install):
        install("llmgate-a", "1.0", {"mine": "mod_a"}, mod_a=strategy("mine"))
        import mod_a

        assert Registry([mod_a]).find("routing", "mine") is mod_a.Mine


class TestWrongPlugins:
    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            (plugin(make(name=None)), "has no name"),
            (plugin(make(name="")), "has no name"),
            (plugin(make(name="Not_A_Slug")), "'Not_A_Slug': write lower-case letters"),
            (plugin(make(name="a--b")), "single hyphens"),
            (plugin(make(config_class=dict)), "not an attrs class"),
            (plugin(make(rank=None)), "is abstract: RoutingStrategy also needs rank"),
            (plugin(Weighted, hook="llmgate_register_loggers"), r"subclasses of llmgate\.spec\.Logger"),
            (plugin(object), r"subclasses of llmgate\.spec\.RoutingStrategy"),
            (plugin("text"), r"subclasses of llmgate\.spec\.RoutingStrategy"),
            (plugin(), "registers no stage"),
            (object(), "registers no stage"),
            (plugin(make(), hook="llmgate_register_routing_strategy"), "llmgate_register_routing_strategy"),
            (make(), "hand over a module or an object"),
        ],
    )
    def test_each_mistake_is_an_error_that_says_what_to_do(self, bad, message):
        with pytest.raises(PluginError, match=message):
            Registry([bad])

    def test_a_hook_that_fails_is_named(self):
        class Plugin:
            @hookimpl
            def llmgate_register_loggers(self):
                raise RuntimeError("no licence")

        with pytest.raises(PluginError, match="llmgate_register_loggers failed: RuntimeError: no licence"):
            Registry([Plugin()])

    def test_a_hook_must_return_classes(self):
        class Plugin:
            @hookimpl
            def llmgate_register_loggers(self):
                return 7

        with pytest.raises(PluginError, match="must return a class or a sequence of classes, not 7"):
            Registry([Plugin()])

    def test_a_hook_with_arguments_that_nobody_passes_is_refused(self):
        class Plugin:
            @hookimpl
            def llmgate_register_loggers(self, config):
                return ()

        with pytest.raises(PluginError, match="cannot be registered"):
            Registry([Plugin()])

    def test_a_wrapper_is_refused(self):
        class Plugin:
            @hookimpl(wrapper=True)
            def llmgate_register_loggers(self):
                return (yield)

        with pytest.raises(PluginError, match="cannot be wrapped"):
            Registry([Plugin()])

    def test_a_plugin_with_one_wrong_class_registers_none(self, install):
        source = """
            from llmgate.spec import RoutingStrategy, NoConfig, hookimpl

            class Good(RoutingStrategy[NoConfig]):
                name = "mixed"
                def rank(self, view, deployments, context): return deployments

            class Bad(Good):
                config_class = int

            @hookimpl
            def llmgate_register_routing_strategies():
                return [Good, Bad]
        """
        install("llmgate-a", "1.0", {"mixed": "mod_a"}, mod_a=source)
        registry = Registry()
        with pytest.raises(PluginError, match="not an attrs class"):
            registry.find("routing", "mixed")
        assert "mixed" not in registry.names("routing")

    def test_a_stage_needs_an_entry_point_of_its_own_name(self, install):
        install("llmgate-a", "1.0", {"other-name": "mod_a"}, mod_a=strategy("mine"))
        with pytest.raises(
            PluginError, match=r"'other-name' of llmgate-a 1\.0 registers 'mine'.*declare mine = \"mod_a\""
        ):
            Registry().find("routing", "other-name")

    def test_a_mistyped_hook_does_not_harm_the_plugins_after_it(self, install):
        install("llmgate-a", "1.0", {"mine": "mod_a"}, mod_a=strategy("mine"))
        install("llmgate-b", "1.0", {"typo": "mod_b"}, mod_b=strategy("typo", hook="llmgate_register_strategies"))
        registry = Registry()
        with pytest.raises(PluginError, match="llmgate_register_strategies"):
            registry.find("routing", "typo")
        assert registry.find("routing", "mine") is not None


class TestInfo:
    def test_everything_installed_is_told_broken_or_not(self, install):
        install("llmgate-a", "1.0", {"mine": "mod_a"}, mod_a=strategy("mine"))
        install("llmgate-b", "2.0", {"broken": "mod_b"}, mod_b="import no_such_library")
        by_id = {(info.kind, info.id): info for info in Registry().info()}
        assert attrs.asdict(by_id["routing", "mine"]) == {
            "kind": "routing",
            "id": "mine",
            "distribution": "llmgate-a",
            "version": "1.0",
            "summary": "Does it my way.",
            "health": "ok",
        }
        broken = by_id["", "broken"]
        assert (broken.distribution, broken.version) == ("llmgate-b", "2.0")
        assert "no_such_library" in broken.health
        own = by_id["routing", "weighted"]
        assert (own.distribution, own.health) == ("llmgate", "ok")
        assert own.version
        assert own.summary
        assert {kind.id for kind in KINDS} == {kind for kind, _ in by_id if kind}

    def test_a_conflict_is_told_with_both(self, install):
        for name in ("llmgate-a", "llmgate-b"):
            install(name, "1.0", {"mine": "mod_a"}, mod_a=strategy("mine"))
        [info] = [info for info in Registry().info() if info.id == "mine"]
        assert info.distribution == "llmgate-a, llmgate-b"
        assert "two plugins are named 'mine'" in info.health

    def test_a_module_handed_over_is_told_by_its_name(self):
        module = types.ModuleType("my_application.gateway")

        class Mine(Logger[NoConfig]):
            """Keeps records."""

            name = "my-logger"

            async def record(self, record):
                pass

        @hookimpl
        def llmgate_register_loggers():
            return Mine

        module.llmgate_register_loggers = llmgate_register_loggers
        [info] = [info for info in Registry([module]).info() if info.id == "my-logger"]
        assert (info.kind, info.distribution, info.summary) == ("loggers", "my_application.gateway", "Keeps records.")
