"""Who made a model, told by its id: what the service passes on to the model differs from maker to maker.

Source: Amazon Bedrock user guide, "Supported foundation models", "Inference profiles". An id is ``maker.model``, with a
region's prefix in front where it is a profile (``us.``, ``eu.``, ``apac.``, ``global.``), and stands at the end of an
ARN of either. The ARN of an application's own profile, of provisioned throughput or of a prompt tells nothing.
"""

from __future__ import annotations

from typing import Final

__all__ = ["AMAZON", "ANTHROPIC", "OPENAI", "caches", "maker_of"]

ANTHROPIC: Final = "anthropic"
AMAZON: Final = "amazon"
OPENAI: Final = "openai"

_OTHERS: Final = ("ai21", "cohere", "deepseek", "google", "meta", "minimax", "mistral", "moonshot", "moonshotai")
_MORE: Final = ("nvidia", "qwen", "stability", "twelvelabs", "writer", "xai", "zai")
_MAKERS: Final = frozenset({ANTHROPIC, AMAZON, OPENAI, *_OTHERS, *_MORE})


def maker_of(model: str) -> str:
    """The maker; ``""`` where the id does not tell."""
    name = model.rpartition("/")[2].lower()
    if "claude" in name:
        return ANTHROPIC
    return next((part for part in name.split(".")[:-1] if part in _MAKERS), "")


def caches(maker: str) -> bool:
    """Whether models of a maker take points up to which a prompt is cached."""
    return maker in (ANTHROPIC, AMAZON, "")
