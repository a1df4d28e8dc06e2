"""What a model costs: integer rates, by date, time of day, tier of service and length of the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from .money import nano_usd
from .usage import Usage

if TYPE_CHECKING:
    from fractions import Fraction

__all__ = ["Price", "PriceList", "PriceRow", "Rates"]

_DAY: Final = 86_400
_MILLISECONDS: Final = 3_600_000
_USUAL_TIERS: Final = frozenset({"auto", "default", "on_demand", "standard"})
"""What providers call the tier that is not dearer or cheaper than any other."""


@attrs.frozen
class Rates:
    """What one unit costs, in pico-USD; None where there is no price for it.

    Tokens of a kind that has no price of its own cost what the kind costs that it is part of: those from a cache, of
    sound and of pictures what any input or output costs, reasoning what output costs.

    Args:
        input: An input token.
        output: An output token.
        cache_read: An input token that was read from the provider's prompt cache.
        cache_write: An input token that was written to a cache for five minutes, or for the provider's usual time.
        cache_write_1h: An input token that was written to a cache for an hour; without a price, as ``cache_write``.
        reasoning: An output token spent on reasoning.
        audio_input: An input token of sound.
        audio_output: An output token of sound.
        image_input: An input token of a picture.
        image_output: An output token of a picture.
        cache_read_audio: An input token of sound that was read from a cache; without a price, as ``cache_read``.
        cache_read_image: An input token of a picture that was read from a cache; without a price, as ``cache_read``.
        audio_hour: An hour of sound that is transcribed, translated or made.
        audio_least: How many seconds of sound are billed at least; no rate.
        image: A picture that is made.
        search_unit: A search as rerankers count them.
        web_search: A search of the web that the model makes.
        request: A request, whatever it takes; where searches have no price of their own they are part of it.
    """

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    image_input: int | None = None
    image_output: int | None = None
    cache_read_audio: int | None = None
    cache_read_image: int | None = None
    audio_hour: int | None = None
    audio_least: int = 0
    image: int | None = None
    search_unit: int | None = None
    web_search: int | None = None
    request: int | None = None

    def of(self, usage: Usage) -> int | Fraction | None:
        """What a usage costs in pico-USD; None where a part of it is not known, or has no price.

        Args:
            usage: What the answer took.
        """
        tokens = self._tokens(usage)
        others = self._others(usage)
        if tokens is None or others is None:
            return None
        return tokens + others + (self.request or 0)

    def _tokens(self, usage: Usage) -> int | None:
        given, made = usage.input_tokens, usage.output_tokens
        if self.input is None and self.output is None:
            return 0  # nothing is billed by the token
        if (given is None and self.input) or (made is None and self.output):
            return None
        if (given and self.input is None) or (made and self.output is None):
            return None
        total = (given or 0) * (self.input or 0) + (made or 0) * (self.output or 0)
        if given and (usage.cache_read or usage.cache_write_5m or usage.cache_write_1h):
            total += self._cached(usage)
        if usage.reasoning or usage.audio_output or usage.image_output:
            total += self._made(usage)
        if usage.audio_input or usage.image_input:
            total += self._media(usage)
        return total

    def _made(self, usage: Usage) -> int:
        """By how much reasoning, and sound and pictures that were made, differ from other output."""
        base, left, total = self.output or 0, usage.output_tokens or 0, 0
        for count, rate in (
            (usage.reasoning, self.reasoning),
            (usage.audio_output, self.audio_output),
            (usage.image_output, self.image_output),
        ):
            if count and rate is not None:
                part = min(count, left)
                left -= part
                total += part * (rate - base)
        return total

    def _cached(self, usage: Usage) -> int:
        """By how much input from or for a cache differs from other input."""
        base = self.input or 0
        left = usage.input_tokens or 0
        longer = self.cache_write if self.cache_write_1h is None else self.cache_write_1h
        total = 0
        for count, rate in (
            (usage.cache_read, self.cache_read),
            (usage.cache_write_5m, self.cache_write),
            (usage.cache_write_1h, longer),
        ):
            if count:
                part = min(count, left)  # a provider that counts more cached than given cannot make it cheaper
                left -= part
                total += 0 if rate is None else part * (rate - base)
        return total

    def _media(self, usage: Usage) -> int:
        """By how much tokens of sound and pictures that were given differ from others.

        Where a provider does not say how many of them came from a cache, as few are taken to have as its counts allow.
        """
        base, read = self.input or 0, self.cache_read
        if usage.input_tokens is None:  # nothing was taken off for a cache, either
            given = fresh = (usage.audio_input or 0) + (usage.image_input or 0)
            from_cache = 0
        else:
            given = usage.input_tokens
            cached = (usage.cache_read or 0) + (usage.cache_write_5m or 0) + (usage.cache_write_1h or 0)
            fresh, from_cache = max(0, given - cached), min(usage.cache_read or 0, given)
        total = 0
        for count, told, rate, cache_rate in (
            (usage.audio_input, usage.cache_read_audio, self.audio_input, self.cache_read_audio),
            (usage.image_input, usage.cache_read_image, self.image_input, self.cache_read_image),
        ):
            if not count or rate is None:
                continue
            part = min(count, given)
            overlap = min(max(0, part - fresh) if told is None else told, part, from_cache)
            plain = min(part - overlap, fresh)  # no token is made cheaper twice, whatever a provider counts
            fresh, from_cache = fresh - plain, from_cache - overlap
            total += plain * (rate - base)
            if cache_rate is not None:
                total += overlap * (cache_rate - (base if read is None else read))
        return total

    def _others(self, usage: Usage) -> int | Fraction | None:
        """What is not billed by the token; None where nothing is known of what alone is billed."""
        total: int | Fraction = 0
        known = self.input is not None or self.output is not None or self.request is not None
        if self.audio_hour is not None and usage.audio_seconds is not None:
            seconds = max(usage.audio_seconds, self.audio_least) if usage.audio_seconds else 0.0
            total += _of_an_hour(seconds, self.audio_hour)
            known = True
        for count, rate in (
            (usage.images, self.image),
            (usage.search_units, self.search_unit),
            (usage.web_searches, self.web_search),
        ):
            if rate is not None and count is not None:
                total += count * rate
                known = True
        if usage.web_searches and self.web_search is None and self.request is None:
            return None
        return total if known else None


@attrs.frozen
class PriceRow:
    """One line of a price: rates and when they hold.

    Args:
        rates: The rates.
        since: Seconds since the epoch from which they hold; None for always.
        daily: The part of each day, in seconds of the day in UTC from and to, in which they hold; None for all of it.
            One that ends before it begins lasts over midnight.
        tier: The tier of service that they are for; empty for the usual one.
        longer: Rates that hold for the whole request where its input has more tokens than so many, ascending.
    """

    rates: Rates
    since: float | None = None
    daily: tuple[int, int] | None = None
    tier: str = ""
    longer: Sequence[tuple[int, Rates]] = ()

    def holds(self, at: float) -> bool:
        """Whether it holds at a time, in seconds since the epoch."""
        if self.since is not None and at < self.since:
            return False
        if self.daily is None:
            return True
        begin, end = self.daily
        second = int(at) % _DAY
        return begin <= second < end if begin <= end else second >= begin or second < end

    def rates_for(self, input_tokens: int | None) -> Rates:
        """The rates for an input of that length."""
        found = self.rates
        for above, rates in self.longer:
            if (input_tokens or 0) > above:
                found = rates
        return found


@attrs.frozen
class Price:
    """What a model costs at a provider; of the rows that hold at a time the last one counts.

    Args:
        rows: The rows, those of one tier by date.
        source: Where it was taken from.
    """

    rows: Sequence[PriceRow]
    source: str = ""

    def row(self, at: float, tier: str | None = None) -> PriceRow | None:
        """The row that holds at a time for a tier of service; None where there is none for that tier.

        Args:
            at: Seconds since the epoch.
            tier: What the provider calls the tier in its answer.
        """
        wanted = tier.lower() if tier else ""
        found = next((row for row in reversed(self.rows) if row.tier == wanted and row.holds(at)), None)
        return self.row(at) if found is None and wanted and wanted in _USUAL_TIERS else found

    def cost(self, usage: Usage, at: float, tier: str | None = None) -> int | None:
        """What a usage costs in nano-USD, rounded once; None where that is not known.

        Args:
            usage: What the answer took.
            at: When, in seconds since the epoch.
            tier: What the provider calls the tier of service in its answer.
        """
        row = self.row(at, tier)
        pico = None if row is None else row.rates_for(usage.input_tokens).of(usage)
        return None if pico is None else nano_usd(pico)


def _of_an_hour(seconds: float, rate: int) -> Fraction:
    """The exact part of a rate an hour, which rarely divides by seconds."""
    # Late: costs milliseconds that only transcripts need. No provider counts more finely than to the millisecond.
    from fractions import Fraction

    return Fraction(round(seconds * 1000) * rate, _MILLISECONDS)


class PriceList(Protocol):
    """What a provider's models cost."""

    def price_of(self, model: str) -> Price | None:
        """The price of a model by its name at the provider; None where it is not known."""
        ...
