"""What a caller can ask for, in OpenTelemetry GenAI's words where it has one."""

from __future__ import annotations

import enum
from typing import Final

__all__ = ["HOUSEKEEPING", "METRICS_SCOPE", "READING_SCOPES", "SCOPES", "Operation"]


class Operation(enum.StrEnum):
    """The kind of work that a request asks for."""

    CHAT = "chat"
    TEXT_COMPLETION = "text_completion"
    EMBEDDINGS = "embeddings"
    COUNT_TOKENS = "count_tokens"
    IMAGE_GENERATION = "image_generation"
    IMAGE_EDIT = "image_edit"
    IMAGE_VARIATION = "image_variation"
    SPEECH = "speech"
    TRANSCRIPTION = "transcription"
    TRANSLATION = "translation"
    MODERATION = "moderation"
    RERANK = "rerank"
    FILES = "files"
    BATCHES = "batches"
    REALTIME = "realtime"
    RESPONSES_SESSION = "responses_session"
    RELAY = "relay"
    MODELS = "models"
    RECORDS = "records"


HOUSEKEEPING: Final = frozenset({Operation.MODELS, Operation.RECORDS})
"""What is asked of the gateway about itself: recorded like everything, and no usage."""

READING_SCOPES: Final = ("admin", "usage")
"""Scopes by which a principal may see everybody's records; it has to have one by name, not by having no scopes."""

METRICS_SCOPE: Final = "metrics"
"""The scope by which a principal may see what all requests add up to, and none of them."""

SCOPES: Final = (*(operation.value for operation in Operation), *READING_SCOPES, METRICS_SCOPE)
"""Every word that a principal's scopes may hold."""
