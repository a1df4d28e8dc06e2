"""The wire formats of audio: ``openai-speech``, ``openai-transcriptions`` and ``openai-translations``.

Source: OpenAI API reference, "Audio". Speech comes as bytes of the format asked for, or as events; a transcript as
JSON, as plain text or subtitles, or as events.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from llmgate.formats.carried import CarriedFormat
from llmgate.spec import Operation, Outcome

__all__ = ["SpeechFormat", "TranscriptionsFormat", "TranslationsFormat"]


class SpeechFormat(CarriedFormat):
    """Speech from a text."""

    name = "openai-speech"
    operation = Operation.SPEECH
    answer = "speech"
    answers: ClassVar[Collection[str]] = frozenset()
    binary = True
    needs: ClassVar[Collection[str]] = ("input",)


class TranscriptionsFormat(CarriedFormat):
    """Text from speech."""

    name = "openai-transcriptions"
    operation = Operation.TRANSCRIPTION
    answer = "a transcription"
    takes: ClassVar[Collection[str]] = frozenset({"multipart/form-data"})
    answers: ClassVar[Collection[str]] = frozenset(
        {"application/json", "text/plain", "text/vtt", "text/srt", "application/x-subrip", "application/srt"}
    )

    def outcome_of(self, value: Mapping[str, Any]) -> Outcome:
        """Usage in tokens or in seconds."""
        if not isinstance(value.get("text"), str):
            raise self.not_an_answer("text must be a string")
        return super().outcome_of(value)


class TranslationsFormat(TranscriptionsFormat):
    """English text from speech."""

    name = "openai-translations"
    operation = Operation.TRANSLATION
    answer = "a translation"
