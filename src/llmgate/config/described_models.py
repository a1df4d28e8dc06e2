"""Reads what the operator says of the models of a provider: ``model-facts``."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from llmgate.spec import DescribedModel

from .decoder import Decoder, UnreadableError
from .quoting import quoted
from .sections import Section, is_null
from .tree import MapNode

__all__ = ["read_described"]

_SIZES = ("context_window", "max_output")


def read_described(decoder: Decoder, section: Section) -> Mapping[str, DescribedModel]:
    """The models under ``model-facts``, by name; those that cannot be read are noted and left out.

    Args:
        decoder: What reads values and notes problems.
        section: The provider.
    """
    node = section.nodes.get("model-facts")
    found: dict[str, DescribedModel] = {}
    if node is None:
        return found
    if not isinstance(node, MapNode):
        decoder.problems.add(node.where, "'model-facts' must be a mapping of models")
        return found
    for entry in node:
        if not isinstance(entry.node, MapNode) or is_null(entry.node):
            decoder.problems.add(entry.where, f"{quoted(entry.key)} must be a mapping such as {{context-window: 8192}}")
            continue
        with contextlib.suppress(UnreadableError):
            model = decoder.read_class(entry.node, DescribedModel, within=f"model-facts.{entry.key}")
            found[entry.key] = model
            for name in _SIZES:
                if (size := getattr(model, name)) is not None and size < 1:
                    decoder.problems.add(entry.where, f"{name.replace('_', '-')!r} must be at least 1, not {size}")
    return found
