"""JSON Schema of the configuration, with the keys of the installed stages, so that editors complete and check it.

The schema (draft 2020-12) is made of the key table and of the stages' config classes. It knows kebab-case only, except
for the three keys that the older dialect spells in snake_case by accident.
"""

from __future__ import annotations

import collections.abc
import enum
import pathlib
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Union, get_args, get_origin

import attrs

from llmgate.spec import KINDS, SecretRef, Stage

from .bounds import Bounds, bounds_of
from .keys import Key, children, key_table
from .meanings import key_of, meanings, says_seconds, settable
from .model import RetryBudgetConfig, RetryConfig, ServerConfig, SessionConfig, StreamConfig
from .stages import Find, Names

__all__ = ["schema"]

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_DURATION: Final[Mapping[str, Any]] = {
    "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^[0-9.]+ ?[a-zµ]+( ?[0-9.]+ ?[a-zµ]+)*$"}]
}
_TYPES: Final[Mapping[str, Mapping[str, Any]]] = {
    "text": {"type": ["string", "number", "boolean"]},
    "switch": {"type": "boolean"},
    "count": {"type": "integer"},
    "number": {"type": "number"},
    "duration": _DURATION,
    "list": {"type": "array", "items": {"type": ["string", "number", "boolean"]}},
    "reference": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_-]*:."},
}
_SNAKE: Final = {"dispatcher": ("connection-timeout",), "discover.monitor.health": ("grace-period",),
                 "discover.monitor.health.grace-period": ("min-requests",)}  # fmt: skip
_PATTERNS: Final = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
_OF_MEMBERS: Final[Mapping[str, Any]] = {
    "tags": {"type": "array", "items": {"type": "string"}},
    "for": {"type": "object", "additionalProperties": _PATTERNS, "minProperties": 1},
}
_STAGE: Final[Mapping[str, Any]] = {"anyOf": [{"type": "string"}, {"type": "object", "required": ["use"]}]}
_DIALECT: Final = ("balanced-latency", "latency", "model-latency", "model-weighted", "provider-weighted", "weighted")
_CLASSES: Final[Mapping[str, type[Any]]] = {
    "server": ServerConfig,
    "sessions": SessionConfig,
    "stream": StreamConfig,
    "retries": RetryConfig,
    "retry-budget": RetryBudgetConfig,
}
_LISTS: Final = (list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Collection,
                 collections.abc.Iterable, collections.abc.Set)  # fmt: skip


def schema(find: Find, names: Names) -> dict[str, Any]:
    """The JSON Schema of a configuration.

    Args:
        find: Gives the class of a stage by kind and name.
        names: Lists the stages of a kind; those that cannot be imported are left out of the schema.
    """
    stages = {kind.id: _installed(kind.id, find, names) for kind in KINDS}
    writer = _Writer(stages)
    return {
        "$schema": _DRAFT,
        "title": "llmgate configuration",
        **writer.section(""),
        "$defs": {f"{kind}-stage": _stage_choice(found) for kind, found in stages.items()},
    }


def _installed(kind: str, find: Find, names: Names) -> dict[str, type[Stage[Any]]]:
    return {name: found for name in names(kind) if (found := find(kind, name)) is not None}


@attrs.frozen
class _Writer:
    """Writes sections of the key table."""

    stages: Mapping[str, Mapping[str, type[Stage[Any]]]]

    def section(self, path: str) -> dict[str, Any]:
        """A section with exactly its keys."""
        properties = {name: self._key(key) for name, key in children(path).items()}
        for name in _SNAKE.get(path, ()):
            properties[name.replace("-", "_")] = properties[name]
        if path.endswith("<provider>"):
            properties = {**_fields_of(self.stages["providers"]), **properties}
            properties["secrets"] = {**_members("secret"), "description": properties["secrets"]["description"]}
        if path.endswith("load-balance.chat"):
            words = sorted({*_DIALECT, *self.stages["routing"]})
            properties = {**_fields_of(self.stages["routing"]), **properties}
            properties["strategy"] = {**properties["strategy"], "enum": words}
            properties["providers"] = _members("provider", **_OF_MEMBERS)
            properties["models"] = _members("model", **_OF_MEMBERS)
            properties["over"] = {**_STAGE, "description": properties["over"]["description"]}
        return {"type": ["object", "null"], "properties": properties, "additionalProperties": False}

    def _key(self, key: Key) -> dict[str, Any]:
        described = {"description": key.meaning + ("" if key.status == "works" else f" ({key.status})")}
        return {**self._value(key), **described}

    def _value(self, key: Key) -> dict[str, Any]:
        if key.path == "server.tls":
            own = self.section(key.path)
            enabled = {"type": "object", "properties": {"Enabled": own}, "required": ["Enabled"]}
            return {"anyOf": [{"enum": ["Disabled", "disabled", False, None]}, own, enabled]}
        if key.path == "target-urls":
            return {"anyOf": [{"type": "boolean"}, self.section(key.path)]}
        if key.path == "target-urls.book":
            return {"anyOf": [{"type": "string"}, _reference(key.type)]}
        if key.path == "deployment-target":
            return {"anyOf": [{"type": "string"}, self.section(key.path)]}
        if key.path.endswith("unsupported-parameters"):
            word = children(key.path)["policy"].type
            return {"anyOf": [{"enum": word.split("|")}, self.section(key.path)]}
        if key.path.endswith((".image", ".audio")):
            return self.section(f"{key.path.rpartition('.')[0]}.chat")
        if key.type == "section":
            return self.section(key.path)
        if key.type == "names":
            return {"type": ["object", "null"], "additionalProperties": self._named(key.path)}
        if key.type.startswith("stages:"):
            return {"type": ["array", "null"], "items": _reference(key.type)}
        if key.type in _TYPES:
            return {**_TYPES[key.type], **_limits(_bounds(key.path))}
        return {"enum": key.type.split("|")}

    def _named(self, path: str) -> dict[str, Any]:
        key = next(key for key in key_table() if key.path.startswith(f"{path}.<") and key.path.endswith(">"))
        if key.type.startswith("stage:"):
            # Without `use` the name itself says which stage is meant.
            unnamed = {"type": "object", "not": {"required": ["use"]}}
            return {"anyOf": [_reference(key.type), {"type": "null"}, unnamed]}
        if key.path == "models.<model>":
            return {"anyOf": [_TYPES["text"], _members("model", **{"for": _OF_MEMBERS["for"]})]}
        if key.path.endswith("<model>") and key.type == "list":
            return {"anyOf": [_TYPES["text"], _TYPES["list"]]}
        return {**self._value(key), "description": key.meaning}


def _members(word: str, **more: Any) -> dict[str, Any]:
    """A list of names, each with or without a weight and more."""
    whole = {
        "type": "object",
        "properties": {word: {"type": "string"}, "weight": {"type": "number", "exclusiveMinimum": 0}, **more},
        "required": [word],
        "additionalProperties": False,
    }
    return {"type": "array", "minItems": 1, "items": {"anyOf": [{"type": "string"}, whole]}}


def _reference(kind: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{kind.partition(':')[2]}-stage"}


def _stage_choice(found: Mapping[str, type[Stage[Any]]]) -> dict[str, Any]:
    """Any of the stages of a kind, by bare name or as a mapping."""
    return {"anyOf": [{"enum": sorted(found)}, *(_stage(name, stage) for name, stage in sorted(found.items()))]}


def _stage(name: str, stage: type[Stage[Any]]) -> dict[str, Any]:
    written = _class(stage.config_class)
    return {
        **written,
        "properties": {"use": {"const": name}, **written["properties"]},
        "required": ["use", *written.get("required", ())],
    }


def _class(cls: type[Any], inside: tuple[Any, ...] = ()) -> dict[str, Any]:
    """An attrs class as an object; one that contains itself is not followed."""
    if cls in inside:
        return {"type": "object"}
    inside = (*inside, cls)
    hints = typing.get_type_hints(cls, include_extras=True)
    said = meanings(cls)
    properties: dict[str, Any] = {}
    for field in settable(cls):
        seconds = says_seconds(cls, field)
        written = {**_type(hints.get(field.name, Any), inside, seconds=seconds), **_limits(bounds_of(cls, field))}
        if field.name in said:
            written["description"] = said[field.name].rstrip(".")
        if isinstance(field.default, str | int | float) and not isinstance(field.default, enum.Enum):
            written["default"] = field.default
        properties[key_of(field)] = written
    required = [key_of(field) for field in settable(cls) if field.default is attrs.NOTHING]
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


def _type(wanted: Any, inside: tuple[Any, ...], *, seconds: bool = False) -> dict[str, Any]:
    """A field's type; what has no counterpart allows anything."""
    origin, args = get_origin(wanted), get_args(wanted)
    if origin in (Union, types.UnionType):
        members = [_type(member, inside, seconds=seconds) for member in args if member is not types.NoneType]
        optional = [{"type": "null"}] if types.NoneType in args else []
        return {"anyOf": [*members, *optional]}
    if origin is Literal:
        return {"enum": list(args)}
    if (origin or wanted) in _LISTS:
        return {"type": "array", **({"items": _type(args[0], inside)} if len(set(args) - {Ellipsis}) == 1 else {})}
    if (origin or wanted) in (dict, collections.abc.Mapping, collections.abc.MutableMapping):
        return {"type": "object", **({"additionalProperties": _type(args[1], inside)} if len(args) == 2 else {})}
    return _plain(wanted, inside, seconds=seconds)


def _plain(wanted: Any, inside: tuple[Any, ...], *, seconds: bool) -> dict[str, Any]:
    if wanted is SecretRef:
        return dict(_TYPES["reference"])
    if wanted is float or (wanted is int and seconds):
        return dict(_DURATION)
    if isinstance(wanted, type):
        if issubclass(wanted, enum.Enum):
            return {"enum": [member.value for member in wanted]}
        if attrs.has(wanted):
            return _class(wanted, inside)
        words = {bool: "switch", int: "count", str: "text"}
        for kind, word in words.items():
            if issubclass(wanted, kind):
                return dict(_TYPES[word])
        if issubclass(wanted, pathlib.PurePath):
            return {"type": "string"}
    return {}


def _fields_of(stages: Mapping[str, type[Stage[Any]]]) -> dict[str, Any]:
    """The keys of all stages of a kind together, where which of them applies is said elsewhere."""
    found: dict[str, Any] = {}
    for stage in stages.values():
        found.update(_class(stage.config_class)["properties"])
    return found


def _bounds(path: str) -> Bounds | None:
    section, _, name = path.rpartition(".")
    cls = _CLASSES.get(section.rpartition(".")[2])
    field = attrs.fields_dict(cls).get(name.replace("-", "_")) if cls is not None else None
    return bounds_of(cls, field) if cls is not None and field is not None else None


def _limits(bounds: Bounds | None) -> dict[str, Any]:
    if bounds is None:
        return {}
    words: Sequence[tuple[str, float | None]] = (
        ("minimum", bounds.minimum),
        ("maximum", bounds.maximum),
        ("exclusiveMinimum", bounds.above),
    )
    return {word: value for word, value in words if value is not None}
