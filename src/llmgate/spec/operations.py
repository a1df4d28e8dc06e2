"""What a caller can ask for, in OpenTelemetry GenAI's words where it has one."""

from __future__ import annotations

import enum

__all__ = ["Operation"]


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
