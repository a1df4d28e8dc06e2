"""What the messages of a control plane add up to: the keys that are good, and since when that is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from llmgate.spec import SharedKey

from .errors import MessageError
from .keys import KeyTable
from .messages import Beat, Delta, KeyList, Message, Refused, SnapshotPart

__all__ = ["KeyFeed"]

MISSED_BEATS: Final = 3
"""Signs of life that may be missed before a control plane that promised them is given up."""


class KeyFeed:
    """Takes in what is said over one connection after the other.

    Args:
        table: The keys; they stay while there is no connection.
        max_keys: The most that are taken.
    """

    def __init__(self, table: KeyTable, max_keys: int) -> None:
        self._table = table
        self._max_keys = max_keys
        self._parts: list[SharedKey] = []
        self._next_part = 0
        self._epoch = ""
        self._revision = 0
        self.synced = False
        """Whether the keys are those of this connection."""
        self.filled = False
        """Whether keys were ever told, or read from a snapshot; no keys at all are keys, too."""
        self.beat: float | None = None
        """Seconds within which something must be said; None where that was not promised."""
        self.age = 0.0
        """Seconds, at the last message, since the control plane had seen its own keys."""
        self._known_since = 0.0

    def begin(self) -> None:
        """A connection begins: nothing that is said builds on an earlier one."""
        self.synced = False
        self._forget_parts()
        self._epoch, self.beat, self.age = "", None, 0.0

    def end(self, now: float, unheard: float) -> None:
        """A connection has ended.

        Args:
            now: Monotonic seconds.
            unheard: Seconds before that in which the other side may have been gone already.
        """
        if self.synced and self.beat is None:
            self._known_since = now - unheard
        self.synced = False
        self._forget_parts()

    def restore(self, keys: Sequence[SharedKey], known_since: float) -> None:
        """Begin with keys of before.

        Args:
            keys: The keys.
            known_since: Monotonic seconds at which they were last known to be good.
        """
        self._table.replace(keys)
        self._known_since, self.filled = known_since, True

    def known_since(self, now: float) -> float:
        """Monotonic seconds at which the keys were last known to be good; now, where each change would be told."""
        return now if self.synced and self.beat is None else self._known_since

    @property
    def slack(self) -> float:
        """Seconds for which nothing need be heard of a control plane that is there."""
        return self.beat * MISSED_BEATS if self.synced and self.beat is not None else 0.0

    def take(self, message: Message, now: float) -> bool:
        """Take in a message.

        Args:
            message: The message.
            now: Monotonic seconds.

        Returns:
            Whether the keys have changed.

        Raises:
            MessageError: it does not fit what was said before, or there are too many keys: the connection is of no use.
        """
        match message:
            case KeyList():
                return self._list(message)
            case SnapshotPart():
                return self._part(message, now)
            case Delta():
                return self._delta(message, now)
            case Beat():
                self._expect(message.epoch)
                if message.revision > self._revision:
                    raise MessageError("changes of keys were lost on the way")
                self._hear(now, message.age)
            case Refused():
                raise MessageError(f"it refuses the gateway's credential ({message.why or 'without a reason'})")
        return False

    def _list(self, message: KeyList) -> bool:
        if not message.whole and not self.filled:
            return False  # a list of keys means nothing before the full state
        self._table.replace(message.keys)
        self.synced = self.filled = True
        self.beat = None
        return True

    def _part(self, message: SnapshotPart, now: float) -> bool:
        if message.part == 0:
            self._forget_parts()
            self._epoch, self._revision = message.epoch, message.revision
        elif message.part != self._next_part or (message.epoch, message.revision) != (self._epoch, self._revision):
            raise MessageError("the parts of its snapshot do not fit together")
        self._next_part = message.part + 1
        self._parts.extend(message.keys)
        if len(self._parts) > self._max_keys:
            raise MessageError(f"it has more than {self._max_keys} keys, the most that are taken (max-keys)")
        if not message.last:
            return False
        self._table.replace(self._parts)
        self._forget_parts()
        self.synced = self.filled = True
        self.beat = message.beat
        self._hear(now, message.age)
        return True

    def _delta(self, message: Delta, now: float) -> bool:
        self._expect(message.epoch)
        if message.revision <= self._revision:
            return False  # said twice
        if message.before > self._revision:
            raise MessageError("changes of keys were lost on the way")
        for key_id in message.withdrawn:
            self._table.drop(key_id)
        for key in message.keys:
            self._table.put(key)
        if len(self._table) > self._max_keys:
            raise MessageError(f"it has more than {self._max_keys} keys, the most that are taken (max-keys)")
        self._revision = message.revision
        self._hear(now, 0.0)
        return True

    def _expect(self, epoch: str) -> None:
        if not self.synced or epoch != self._epoch:
            raise MessageError("it speaks of another state than the one that it has told")

    def _hear(self, now: float, age: float) -> None:
        self.age = age
        self._known_since = max(self._known_since, now - age)

    def _forget_parts(self) -> None:
        self._parts, self._next_part = [], 0
