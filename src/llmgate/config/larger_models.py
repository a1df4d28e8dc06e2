"""Reads the models that are tried when a request is too long for those asked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from .decoder import UnreadableError
from .members import split_model
from .model import MemberConfig
from .problems import Where
from .quoting import quoted
from .sections import Section
from .stages import StageReader

__all__ = ["read_larger_models"]

_KEY = "larger-models"


def read_larger_models(
    stages: StageReader, section: Section, named: Callable[[str, Where], None]
) -> Sequence[MemberConfig]:
    """The models under ``larger-models``, in written order; those that cannot be read are noted and left out.

    Args:
        stages: What reads stages.
        section: The scope.
        named: Told each provider that an entry names, and the place of it.
    """
    node = section.nodes.get(_KEY)
    found: dict[tuple[str, str], MemberConfig] = {}
    if node is None:
        return ()
    decoder = stages.decoder
    with contextlib.suppress(UnreadableError):
        for item in decoder.items_of(node, _KEY):
            with contextlib.suppress(UnreadableError):
                text = decoder.read(item, str, _KEY)
                split = split_model(text)
                if split is None:
                    raise decoder.refuse(item.where, f"{quoted(text)} is no model here: write provider/model")
                named(split[0], item.where)
                if split in found:
                    decoder.problems.add(item.where, f"{quoted(text)} is listed twice in {_KEY}")
                found[split] = MemberConfig(*split)
    return tuple(found.values())
