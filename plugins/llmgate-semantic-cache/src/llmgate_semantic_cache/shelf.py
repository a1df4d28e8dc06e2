"""The answers that are kept, apart by partition; nothing is ever looked for outside the partition of the question."""

from __future__ import annotations

import operator
from array import array
from collections import OrderedDict
from collections.abc import Sequence

import attrs

from llmgate.spec import Outcome

__all__ = ["Kept", "Shelf"]


@attrs.frozen
class Kept:
    """An answer.

    Args:
        vector: The embedding of its question.
        literals: The literals of its question.
        body: The answer as it went down.
        media_type: The content type of a whole answer.
        outcome: What was seen of it.
        served_by: The model that answered.
        stored: When it was kept, in monotonic seconds.
    """

    vector: array[float] = attrs.field(repr=False)
    literals: Sequence[str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    media_type: str
    outcome: Outcome
    served_by: str
    stored: float


class Shelf:
    """Where answers are kept, in this process.

    Args:
        max_partitions: Partitions that are kept; those used longest ago go.
        max_entries: Answers in each.
        max_age: Seconds for which one is given again.
    """

    def __init__(self, max_partitions: int, max_entries: int, max_age: float) -> None:
        self._max_partitions = max_partitions
        self._max_entries = max_entries
        self._max_age = max_age
        self._partitions: OrderedDict[str, list[Kept]] = OrderedDict()

    def __contains__(self, partition: str) -> bool:
        """Whether anything is kept in a partition."""
        return partition in self._partitions

    def __len__(self) -> int:
        """How many answers are kept."""
        return sum(map(len, self._partitions.values()))

    def find(
        self, partition: str, vector: array[float], literals: Sequence[str] | None, similarity: float, now: float
    ) -> tuple[Kept, float] | None:
        """The answer whose question is nearest, and how near; None where none is near enough.

        Args:
            partition: Where to look.
            vector: The embedding of the question.
            literals: What must be in both questions; None for nothing.
            similarity: The cosine that is near enough.
            now: Monotonic seconds.
        """
        entries = self._partitions.get(partition)
        if entries is None:
            return None
        self._partitions.move_to_end(partition)
        entries[:] = [one for one in entries if now - one.stored < self._max_age]
        best: tuple[Kept, float] | None = None
        for one in entries:
            if len(one.vector) != len(vector) or (literals is not None and one.literals != literals):
                continue
            cosine = sum(map(operator.mul, one.vector, vector))
            if cosine >= similarity and (best is None or cosine > best[1]):
                best = one, min(cosine, 1.0)
        if best is not None:
            entries.remove(best[0])
            entries.append(best[0])
        return best

    def keep(self, partition: str, kept: Kept) -> None:
        """Keep an answer; where there is no room, the one used longest ago goes."""
        entries = self._partitions.setdefault(partition, [])
        self._partitions.move_to_end(partition)
        entries.append(kept)
        if len(entries) > self._max_entries:
            del entries[0]
        if len(self._partitions) > self._max_partitions:
            self._partitions.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._partitions.clear()
