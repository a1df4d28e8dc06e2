"""What an answer took, counted the same way whatever the provider calls it: tokens, pictures, seconds, searches."""

from __future__ import annotations

import attrs

__all__ = ["Usage"]


@attrs.frozen(slots=False)
class Usage:
    """What one answer took; None means unknown, which is not zero.

    Args:
        input_tokens: All input tokens, cached ones included.
        output_tokens: All output tokens, reasoning included.
        cache_read: The part of the input that was read from the provider's prompt cache.
        cache_write_5m: The part of the input written to a five-minute cache.
        cache_write_1h: The part of the input written to a one-hour cache.
        reasoning: The part of the output spent on reasoning.
        audio_input: The part of the input that is audio.
        audio_output: The part of the output that is audio.
        images: How many images were made.
        audio_seconds: How much audio was transcribed or translated, in seconds, where that is what is billed.
        search_units: How many searches a reranking counts as, as Cohere bills them.
        image_input: The part of the input that is pictures.
        image_output: The part of the output that is pictures.
        cache_read_audio: The part of ``cache_read`` that is audio.
        cache_read_image: The part of ``cache_read`` that is pictures.
        web_searches: How many searches of the web the model made at its provider.
        cost_nano: What it cost, in nano-USD, where a caller is to read it within a stream; None elsewhere.
        estimated: True where the gateway had to estimate because the provider did not say.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    estimated: bool = False
    images: int | None = None
    audio_seconds: float | None = None
    search_units: int | None = None
    image_input: int | None = None
    image_output: int | None = None
    cache_read_audio: int | None = None
    cache_read_image: int | None = None
    web_searches: int | None = None
    cost_nano: int | None = None

    @property
    def total_tokens(self) -> int | None:
        """Input and output together, None while either is unknown."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return self.input_tokens + self.output_tokens
