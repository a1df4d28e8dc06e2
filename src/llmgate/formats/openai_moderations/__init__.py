"""The wire format ``openai-moderations``: whether texts and images are harmful.

Source: OpenAI API reference, "Moderations"; the model is optional there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from llmgate.formats.carried import CarriedFormat
from llmgate.spec import Operation, Outcome

__all__ = ["ModerationsFormat"]


class ModerationsFormat(CarriedFormat):
    """OpenAI moderations."""

    name = "openai-moderations"
    operation = Operation.MODERATION
    answer = "a moderation"
    default_model: ClassVar[str | None] = "omni-moderation-latest"
    needs: ClassVar[Collection[str]] = ("input",)

    def outcome_of(self, value: Mapping[str, Any]) -> Outcome:
        """Model and id; moderations are free."""
        if not isinstance(value.get("results"), list):
            raise self.not_an_answer("results must be an array")
        return super().outcome_of(value)
