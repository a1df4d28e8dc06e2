"""The wire formats of images: ``openai-images`` (generations), ``openai-image-edits``, ``openai-image-variations``.

Source: OpenAI API reference, "Images". Generations and edits may be streamed: partial images, then the whole one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from llmgate.formats.carried import CarriedFormat
from llmgate.spec import Operation, Outcome

__all__ = ["ImageEditsFormat", "ImageVariationsFormat", "ImagesFormat"]


class ImagesFormat(CarriedFormat):
    """Images from a text."""

    name = "openai-images"
    operation = Operation.IMAGE_GENERATION
    answer = "an image"
    default_model: ClassVar[str | None] = "dall-e-2"
    needs: ClassVar[Collection[str]] = ("prompt",)

    def outcome_of(self, value: Mapping[str, Any]) -> Outcome:
        """Usage; how many images there are, where nothing else is counted."""
        if not isinstance(value.get("data"), list):
            raise self.not_an_answer("data must be an array")
        return super().outcome_of(value)


class ImageEditsFormat(ImagesFormat):
    """Images from images and a text: a form with files, or JSON that refers to them."""

    name = "openai-image-edits"
    operation = Operation.IMAGE_EDIT
    takes: ClassVar[Collection[str]] = frozenset({"multipart/form-data", "application/json"})


class ImageVariationsFormat(ImagesFormat):
    """Variations of an image: a form with a file."""

    name = "openai-image-variations"
    operation = Operation.IMAGE_VARIATION
    takes: ClassVar[Collection[str]] = frozenset({"multipart/form-data"})
    needs: ClassVar[Collection[str]] = ()
