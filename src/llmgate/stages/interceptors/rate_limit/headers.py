"""What answers say of the limits that a request has met.

Sources: OpenAI documentation, "Rate limits in headers"; Anthropic documentation, "Response headers"; Helicone
documentation, "Custom Rate Limits" (``Helicone-RateLimit-*``) and its gateway (``x-ratelimit-limit``, ``-remaining``,
``-after``); draft-ietf-httpapi-ratelimit-headers-10 (``RateLimit``, ``RateLimit-Policy``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from llmgate.formats import FORMATS, get_format
from llmgate.formats.rate_limits import Allowance, write_rate_limits

from .account import Charge, Counted

__all__ = ["limit_headers"]


def limit_headers(charges: Sequence[Charge], wire_format: str, now: float, policy: str | None) -> dict[str, str]:
    """The headers that tell what is left; of several limits of one unit, the one with the least left is told.

    Args:
        charges: What was charged or refused, each decided.
        wire_format: The format of the request.
        now: Seconds since the epoch.
        policy: The policy that the caller sent, if it sent one; its limit is called ``policy``.
    """
    tightest: dict[str, Charge] = {}
    for charge in charges:
        unit = charge.limit.config.unit
        if unit not in tightest or _tightness(charge) < _tightness(tightest[unit]):
            tightest[unit] = charge
    family = get_format(wire_format).rate_limits if wire_format in FORMATS else None
    told = {subject: _allowance(one) for one in tightest.values() if (subject := one.limit.unit.subject) is not None}
    headers = write_rate_limits(told, family, now)
    headers["ratelimit-policy"] = ", ".join(_policy(one.limit) for one in charges)
    headers["ratelimit"] = ", ".join(f'"{one.limit.name}";r={_left(one)};t={math.ceil(_reset(one))}' for one in charges)
    main = tightest.get("requests") or min(charges, key=_tightness)
    headers["x-ratelimit-limit"] = f"{main.limit.capacity:.0f}"
    headers["x-ratelimit-remaining"] = str(_left(main))
    refused = [one.decision.retry_after for one in charges if one.decision is not None and not one.decision.allowed]
    if refused and math.isfinite(max(refused)):
        headers["x-ratelimit-after"] = str(max(1, math.ceil(max(refused))))
    return headers | _of_policy(charges, policy)


def _policy(limit: Counted) -> str:
    """A limit as an item of ``RateLimit-Policy``; requests at once are a unit of their own and have no window."""
    if limit.period is None:
        return f'"{limit.name}";q={limit.capacity:.0f};qu="concurrent-requests"'
    return f'"{limit.name}";q={limit.capacity:.0f};w={math.ceil(limit.period)}'


def _of_policy(charges: Sequence[Charge], policy: str | None) -> dict[str, str]:
    own = [one for one in charges if one.limit.name == "policy"]
    if policy is None or not own:
        return {}
    return {
        "helicone-ratelimit-limit": f"{own[0].limit.capacity:.0f}",
        "helicone-ratelimit-remaining": str(_left(own[0])),
        "helicone-ratelimit-reset": str(math.ceil(_reset(own[0]))),
        "helicone-ratelimit-policy": policy,
    }


def _tightness(charge: Charge) -> tuple[bool, int]:
    """What is compared: a refusal before anything else, then what is left."""
    return (charge.decision is None or charge.decision.allowed, _left(charge))


def _left(charge: Charge) -> int:
    return charge.decision.remaining if charge.decision is not None else 0


def _reset(charge: Charge) -> float:
    return charge.decision.reset_after if charge.decision is not None else 0.0


def _allowance(charge: Charge) -> Allowance:
    return Allowance(int(charge.limit.capacity), _left(charge), _reset(charge))
