"""The registry: which class answers to which name, kind by kind. One for each Pipeline, so that none shares plugins."""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import attrs
import pluggy

from llmgate.spec import KINDS, PluginError, Stage, StageKind, hookspecs, kind_named
from llmgate.stages import builtin

from .discovery import EntryPointPlugin, discover
from .info import PluginInfo, summary_of

__all__ = ["Registry"]

OWN: Final = "llmgate"
"""The distribution of the built-in stages."""
_SLUG: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@attrs.frozen(eq=False)
class _Entry:
    """A class that somebody registered, and who."""

    stage_class: type[Stage[Any]]
    distribution: str
    version: str


class Registry:
    """Finds stage classes by kind and name.

    The built-in stages and ``plugins`` are registered at once. What installed distributions offer is known by the names
    of their entry points, and imported only when such a name is looked up: a plugin that nobody names costs nothing,
    even when it is broken.

    Args:
        plugins: Modules or objects with ``hookimpl`` functions, beside the installed ones.
        block: Names of entry points or of distributions that are not to be used.

    Raises:
        PluginError: one of ``plugins`` cannot be registered.
    """

    def __init__(self, plugins: Sequence[object] = (), block: Collection[str] = ()) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._block = tuple(block)
        self._classes: dict[str, dict[str, _Entry]] = {kind.id: {} for kind in KINDS}
        self._loaded: set[str] = set()
        self._offered: dict[str, list[EntryPointPlugin]] | None = None
        # A configuration may be read again in a thread while a router's is checked in the event loop.
        self._one_at_a_time = threading.RLock()
        self._register(builtin, OWN, "")
        for plugin in plugins:
            self._register(plugin, _origin(plugin), "")

    def find(self, kind_id: str, name: str) -> type[Stage[Any]] | None:
        """The class of that name, None when there is none; imports the entry point of that name, and no other.

        Raises:
            PluginError: the plugin of that name cannot be imported or registered, or two answer to the name.
            KeyError: there is no such kind.
        """
        classes = self._classes[kind_named(kind_id).id]
        self._load(name)
        entry = classes.get(name)
        return None if entry is None else entry.stage_class

    def names(self, kind_id: str) -> list[str]:
        """The names of every class of a kind that can be used, sorted; imports all plugins, and leaves out broken ones.

        Raises:
            KeyError: there is no such kind.
        """
        classes = self._classes[kind_named(kind_id).id]
        for _ in self._broken():
            pass
        return sorted(classes)

    def find_loaded(self, kind_id: str, name: str) -> type[Stage[Any]] | None:
        """As ``find``, among what has been imported already: what callers write imports nothing."""
        entry = self._classes[kind_named(kind_id).id].get(name)
        return None if entry is None else entry.stage_class

    def names_loaded(self, kind_id: str) -> list[str]:
        """As ``names``, among what has been imported already."""
        return sorted(self._classes[kind_named(kind_id).id])

    def info(self) -> list[PluginInfo]:
        """Every stage that is installed, broken ones included; imports all plugins."""
        broken = list(self._broken())
        own_version = _own_version()
        usable = [
            PluginInfo(
                kind=kind.id,
                id=name,
                distribution=entry.distribution,
                version=own_version if entry.distribution == OWN else entry.version,
                summary=summary_of(entry.stage_class),
            )
            for kind in KINDS
            for name, entry in sorted(self._classes[kind.id].items())
        ]
        return usable + broken

    def _entry_points(self) -> dict[str, list[EntryPointPlugin]]:
        if self._offered is None:
            offered: dict[str, list[EntryPointPlugin]] = {}
            for offer in discover(self._block):
                offered.setdefault(offer.name, []).append(offer)
            self._offered = offered
        return self._offered

    def _load(self, name: str) -> None:
        """Import and register the entry point of that name, if there is one and it has not been done."""
        with self._one_at_a_time:
            offers = self._entry_points().get(name, [])
            if not offers or name in self._loaded:
                return
            if len(offers) > 1:
                labels = " and ".join(f"{offer.label} ({offer.target})" for offer in offers)
                raise PluginError(
                    f"two plugins are named {name!r}: {labels}; "
                    "uninstall one, or list its distribution under plugins: block"
                )
            offer = offers[0]
            self._register(offer.load(), offer.distribution, offer.version, offer=offer)
            self._loaded.add(name)

    def _broken(self) -> Iterator[PluginInfo]:
        """Import every plugin and yield those that cannot be used."""
        for name, offers in sorted(self._entry_points().items()):
            try:
                self._load(name)
            except PluginError as error:
                labels = ", ".join(dict.fromkeys(offer.distribution for offer in offers))
                yield PluginInfo("", name, labels, offers[0].version, health=str(error))

    def _register(
        self, plugin: object, distribution: str, version: str, *, offer: EntryPointPlugin | None = None
    ) -> None:
        """Collect the classes of one plugin; all of them or, when one is wrong, none."""
        who = f"plugin {offer.name!r} of {offer.label}" if offer else f"plugin {distribution}"
        found = list(self._collect(plugin, who))
        if not found:
            raise PluginError(
                f"{who} registers no stage: mark a function such as {KINDS[0].hook} with llmgate.spec.hookimpl"
            )
        if offer is not None:
            found = self._own(found, offer)
        for kind, stage_class in found:
            _check(kind, stage_class, who)
        fresh: dict[tuple[str, str], _Entry] = {}
        for kind, stage_class in found:
            key = (kind.id, stage_class.name)
            other = self._classes[kind.id].get(stage_class.name) or fresh.get(key)
            entry = _Entry(stage_class, distribution, version)
            if other is not None and other.stage_class is stage_class:
                continue
            if other is not None:
                raise PluginError(
                    f"two {kind.id} stages are named {stage_class.name!r}: {_where(other)} and {_where(entry)}; "
                    "rename one, uninstall it, or list its distribution under plugins: block"
                )
            fresh[key] = entry
        for (kind_id, name), entry in fresh.items():
            self._classes[kind_id][name] = entry

    def _own(
        self, found: list[tuple[StageKind, type[Stage[Any]]]], offer: EntryPointPlugin
    ) -> list[tuple[StageKind, type[Stage[Any]]]]:
        """Those of an entry point's classes that carry its name; the others must have an entry point of their own."""
        own = [pair for pair in found if getattr(pair[1], "name", None) in (offer.name, None)]
        declared = {
            other.name
            for others in self._entry_points().values()
            for other in others
            if other.distribution == offer.distribution
        }
        names = {stage_class.name for _, stage_class in found if hasattr(stage_class, "name")}
        strays = names - declared
        if strays or not own:
            raise PluginError(
                f"plugin {offer.name!r} of {offer.label} registers {', '.join(map(repr, sorted(names)))}: "
                "a stage is found by the entry point of its own name; declare "
                + ", ".join(f'{name} = "{offer.target}"' for name in sorted(strays or names))
            )
        return own

    def _collect(self, plugin: object, who: str) -> Iterator[tuple[StageKind, type[Stage[Any]]]]:
        """Call the plugin's hooks; the manager forgets it again when something is wrong with it."""
        if isinstance(plugin, type) and issubclass(plugin, Stage):
            raise PluginError(
                f"{who} is a stage: hand over a module or an object whose hookimpl function returns {plugin.__name__}"
            )
        if self._manager.is_registered(plugin):
            # Two entry points may share a module; its hooks answer for both.
            yield from self._answers(plugin, who)
            return
        try:
            self._manager.register(plugin, name=f"{who} #{len(self._manager.get_plugins())}")
            self._manager.check_pending()
        except Exception as cause:
            if self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            raise PluginError(f"{who} cannot be registered: {_flat(cause)}") from cause
        yield from self._answers(plugin, who)

    def _answers(self, plugin: object, who: str) -> Iterator[tuple[StageKind, type[Stage[Any]]]]:
        for kind in KINDS:
            for implementation in getattr(self._manager.hook, kind.hook).get_hookimpls():
                if implementation.plugin is not plugin:
                    continue
                if implementation.wrapper or implementation.hookwrapper:
                    raise PluginError(f"{who}: {kind.hook} is a wrapper, and a registration hook cannot be wrapped")
                try:
                    answer = implementation.function()
                except Exception as cause:
                    raise PluginError(f"{who}: {kind.hook} failed: {type(cause).__name__}: {cause}") from cause
                for stage_class in _several(answer, kind, who):
                    yield kind, stage_class


def _several(answer: Any, kind: StageKind, who: str) -> Iterator[type[Stage[Any]]]:
    """The classes in a hook's answer: one, several, or None for nothing."""
    if answer is None:
        return
    items = [answer] if isinstance(answer, type) else answer
    if isinstance(items, str) or not isinstance(items, Sequence):
        raise PluginError(f"{who}: {kind.hook} must return a class or a sequence of classes, not {answer!r}")
    for item in items:
        if not isinstance(item, type) or not issubclass(item, kind.base):
            raise PluginError(
                f"{who}: {kind.hook} must return subclasses of llmgate.spec.{kind.base.__name__}, not {item!r}"
            )
        yield item


def _check(kind: StageKind, stage_class: type[Stage[Any]], who: str) -> None:
    """Refuse a class that could not be configured or made."""
    where = f"{who}: {stage_class.__module__}.{stage_class.__qualname__}"
    name = getattr(stage_class, "name", None)
    if not isinstance(name, str) or not name:
        raise PluginError(f"{where} has no name: set the class variable ``name`` to the id that ``use:`` takes")
    if not _SLUG.fullmatch(name):
        raise PluginError(f"{where} has the name {name!r}: write lower-case letters, digits and single hyphens")
    if not attrs.has(stage_class.config_class):
        raise PluginError(f"{where} has a config_class that is not an attrs class")
    missing = sorted(getattr(stage_class, "__abstractmethods__", ()))
    if missing:
        raise PluginError(f"{where} is abstract: {kind.base.__name__} also needs {', '.join(missing)}")


def _where(entry: _Entry) -> str:
    stage_class = entry.stage_class
    return f"{stage_class.__module__}.{stage_class.__qualname__} of {entry.distribution} {entry.version}".strip()


def _origin(plugin: object) -> str:
    """What messages call a plugin that was handed over: its module's name."""
    name = getattr(plugin, "__name__", None)
    if isinstance(name, str):
        return name
    return f"{type(plugin).__module__}.{type(plugin).__qualname__}"


def _flat(cause: Exception) -> str:
    return " ".join(str(cause).split())


def _own_version() -> str:
    # Late: see discovery.
    import importlib.metadata

    try:
        return importlib.metadata.version(OWN)
    except importlib.metadata.PackageNotFoundError:
        return ""
