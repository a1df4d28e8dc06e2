"""What a control plane says, as values. Two dialects of one protocol, JSON in text frames.

Helicone's (https://github.com/Helicone/ai-gateway, ``control_plane/types.rs``, as its serialisation writes them)::

    {"_type": "Update", "Config": {"data": {"auth": {"userId", "organizationId"}, "keys": [KEY, …]}}}
    {"_type": "Update", "Keys": {"data": [KEY, …]}}             KEY: {"keyHash", "ownerId", "organizationId"}
    {"_type": "Error", "Unauthorized": {"message": "…"}}

and llmgate's own, which adds versions, so that what has changed is enough, and signs of life::

    {"_type": "Update", "Snapshot": {"epoch", "revision", "part", "last", "beat", "age", "keys": [KEY, …]}}
    {"_type": "Update", "Delta": {"epoch", "from", "to", "keys": [KEY, …], "withdrawn": ["id", …]}}
    {"_type": "Update", "Beat": {"epoch", "revision", "age"}}

What is neither is passed over, as the gateways that know only the older ones do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from llmgate.codecs import jsons
from llmgate.spec import Principal, SharedKey

from .errors import MessageError
from .keys import BEARER, ISSUER, read_hash, read_key

__all__ = ["Beat", "Delta", "KeyList", "Message", "Other", "Refused", "SnapshotPart", "read_message", "written"]

SHORTEST_BEAT: Final = 0.05
LONGEST_BEAT: Final = 3600.0
_LONGEST_WORD: Final = 200


@attrs.frozen
class KeyList:
    """All keys there are, as Helicone's control plane says it.

    Args:
        keys: The keys.
        whole: Whether it is the full state, which comes first.
    """

    keys: Sequence[SharedKey]
    whole: bool


@attrs.frozen
class Refused:
    """The control plane does not know the gateway.

    Args:
        why: Its own words.
    """

    why: str


@attrs.frozen
class SnapshotPart:
    """A part of all keys there are.

    Args:
        epoch: Which run of the control plane counts the revisions.
        revision: How far its keys had been changed then.
        part: Which part, counted from 0.
        last: Whether it is the last one.
        beat: Seconds within which something is said again.
        age: Seconds since the control plane itself has last seen its keys.
        keys: The keys of this part.
    """

    epoch: str
    revision: int
    part: int
    last: bool
    beat: float
    age: float
    keys: Sequence[SharedKey]


@attrs.frozen
class Delta:
    """What has changed from one revision to another.

    Args:
        epoch: As in ``SnapshotPart``.
        before: The revision that it changes.
        revision: The one that it leads to.
        keys: Keys that are new or other than before.
        withdrawn: The ids of those that are good no longer.
    """

    epoch: str
    before: int
    revision: int
    keys: Sequence[SharedKey]
    withdrawn: Sequence[str]


@attrs.frozen
class Beat:
    """A sign of life.

    Args:
        epoch: As in ``SnapshotPart``.
        revision: As there.
        age: As there.
    """

    epoch: str
    revision: int
    age: float


@attrs.frozen
class Other:
    """Something that means nothing here.

    Args:
        what: What it calls itself.
    """

    what: str


Message: TypeAlias = KeyList | Refused | SnapshotPart | Delta | Beat | Other


def read_message(data: bytes, max_keys: int) -> Message:
    """What a message says.

    Args:
        data: JSON.
        max_keys: Keys above which it is refused.

    Raises:
        MessageError: it is not JSON, or not as the protocol wants it; the text shows none of it.
    """
    try:
        value = jsons.loads(data)
    except jsons.JSONError:
        raise MessageError("it sent a message that is not JSON") from None
    if not isinstance(value, dict) or not isinstance(value.get("_type"), str):
        raise MessageError("it sent a message without a type")
    kind = value["_type"]
    for name, read in _READERS.get(kind, {}).items():
        if name in value:
            try:
                found: Message = read(value[name], max_keys)
            except (KeyError, TypeError, ValueError):
                raise MessageError(f"its message {kind}/{name} is not written as the protocol wants it") from None
            return found
    return Other(kind[:_LONGEST_WORD] if kind.isprintable() else "?")


def written(kind: str, name: str, value: Mapping[str, Any]) -> bytes:
    """A message.

    Args:
        kind: ``Update`` or ``Error``.
        name: Which of them.
        value: What it says.
    """
    return jsons.dumps({"_type": kind, name: value})


def _config(value: Any, max_keys: int) -> KeyList:
    data = value["data"]
    return KeyList(_helicone_keys(data["keys"], max_keys), whole=True)


def _keys(value: Any, max_keys: int) -> KeyList:
    return KeyList(_helicone_keys(value["data"], max_keys), whole=False)


def _helicone_keys(value: Any, max_keys: int) -> Sequence[SharedKey]:
    return tuple(_helicone_key(one) for one in _bounded(value, max_keys))


def _helicone_key(value: Any) -> SharedKey:
    """A key of Helicone's: whose it is, and nothing that it may not do.

    The owner is the principal: its keys spend from the same limits, as they do there.
    """
    digest = read_hash(value["keyHash"])
    key_id = digest.hex()[:12]
    who = Principal(
        id=_word(value["ownerId"]),
        issuer=ISSUER,
        attributes={"key": key_id, "organization": _word(value["organizationId"])},
    )
    return SharedKey(digest.hex(), digest, BEARER, who)


def _refused(value: Any, _: int) -> Refused:
    message = value["message"]
    if not isinstance(message, str):
        raise TypeError
    return Refused(message[:_LONGEST_WORD] if message.isprintable() else "")


def _snapshot(value: Any, max_keys: int) -> SnapshotPart:
    beat = _number(value["beat"])
    if not SHORTEST_BEAT <= beat <= LONGEST_BEAT or not isinstance(value["last"], bool):
        raise ValueError
    return SnapshotPart(
        epoch=_word(value["epoch"]),
        revision=_count(value["revision"]),
        part=_count(value["part"]),
        last=value["last"],
        beat=beat,
        age=_number(value["age"]),
        keys=tuple(read_key(one) for one in _bounded(value["keys"], max_keys)),
    )


def _delta(value: Any, max_keys: int) -> Delta:
    before, revision = _count(value["from"]), _count(value["to"])
    if revision <= before:
        raise ValueError
    return Delta(
        epoch=_word(value["epoch"]),
        before=before,
        revision=revision,
        keys=tuple(read_key(one) for one in _bounded(value["keys"], max_keys)),
        withdrawn=tuple(_word(one) for one in _bounded(value["withdrawn"], max_keys)),
    )


def _beat(value: Any, _: int) -> Beat:
    return Beat(_word(value["epoch"]), _count(value["revision"]), _number(value["age"]))


_READERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "Update": {"Config": _config, "Keys": _keys, "Snapshot": _snapshot, "Delta": _delta, "Beat": _beat},
    "Error": {"Unauthorized": _refused},
}


def _bounded(value: Any, most: int) -> Sequence[Any]:
    if not isinstance(value, list):
        raise TypeError
    if len(value) > most:
        raise MessageError(f"it has more than {most} keys, the most that are taken (max-keys)")
    return value


def _word(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_WORD or not value.isprintable():
        raise TypeError
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise TypeError
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise TypeError
    return float(value)
