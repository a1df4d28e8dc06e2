"""What answers say of the limits that a request has met.

Sources: OpenAI documentation, "Rate limits in headers"; Anthropic documentation, "Response headers"; Helicone
documentation, "Custom Rate Limits" (``Helicone-RateLimit-*``) and its gateway (``x-ratelimit-limit``, ``-remaining``,
``-after``); draft-ietf-httpapi-ratelimit-headers-10 (``RateLimit``, ``RateLimit-Policy``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from llmgate.formats import FORMATS, get_format
from llmgate.formats.rate_limits import Allowance, write_rate_limits
from llmgate.spec import RateDecision

from .account import Charge

__all__ = ["limit_headers"]

_UNDECIDED: Final = RateDecision(allowed=True, remaining=0, retry_after=0.0, reset_after=0.0)


def limit_headers(charges: Sequence[Charge], wire_format: str, now: float, policy: str | None) -> dict[str, str]:
    """The headers that tell what is left; of several limits of one unit, the one with the least left is told.

    Args:
        charges: What was charged or refused, each decided.
        wire_format: The format of the request.
        now: Seconds since the epoch.
        policy: The policy that the caller sent, if it sent one; its limit is called ``policy``.
    """
    tightest: dict[str, Charge] = {}
    policies, left, refused = [], [], 0.0
    for charge in charges:
        limit, decision = charge.limit, charge.decision or _UNDECIDED
        policies.append(limit.policy)
        left.append(f'"{limit.name}";r={decision.remaining};t={math.ceil(decision.reset_after)}')
        if not decision.allowed:
            refused = max(refused, decision.retry_after)
        rival = tightest.get(limit.config.unit)
        if rival is None or _tightness(charge) < _tightness(rival):
            tightest[limit.config.unit] = charge
    family = get_format(wire_format).rate_limits if wire_format in FORMATS else None
    headers: dict[str, str] = {}
    if family is not None:
        told = {subject: _allowance(one) for one in tightest.values() if (subject := one.limit.unit.subject)}
        headers = write_rate_limits(told, family, now)
    headers["ratelimit-policy"] = ", ".join(policies)
    headers["ratelimit"] = ", ".join(left)
    main = tightest.get("requests") or min(charges, key=_tightness)
    headers["x-ratelimit-limit"] = str(int(main.limit.capacity))
    headers["x-ratelimit-remaining"] = str(_left(main))
    if 0 < refused < math.inf:
        headers["x-ratelimit-after"] = str(max(1, math.ceil(refused)))
    return headers if policy is None else headers | _of_policy(charges, policy)


def _of_policy(charges: Sequence[Charge], policy: str) -> dict[str, str]:
    own = [one for one in charges if one.limit.name == "policy"]
    if not own:
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
