"""Money is integers: rates in pico-USD (10^-12), amounts in nano-USD (10^-9), rounded once, half to even."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fractions import Fraction

__all__ = ["nano_usd", "usd"]

_PICO_PER_NANO: Final = 1000
_NANO_PER_USD: Final = 10**9


def nano_usd(pico: int | Fraction) -> int:
    """An amount in nano-USD, rounded half to even.

    Args:
        pico: The exact amount in pico-USD.
    """
    whole, rest = divmod(pico, _PICO_PER_NANO)
    doubled = rest * 2
    return whole + (1 if doubled > _PICO_PER_NANO or (doubled == _PICO_PER_NANO and whole % 2) else 0)


def usd(nano: int) -> str:
    """An amount in USD with all its nine decimals, as headers and JSON say it.

    Args:
        nano: The amount in nano-USD, 0 or more.
    """
    whole, rest = divmod(nano, _NANO_PER_USD)
    return f"{whole}.{rest:09d}"
