"""What answers say of the limits that a request has met.

Sources: OpenAI documentation, "Rate limits in headers"; Anthropic documentation, "Response headers"; Helicone
documentation, "Custom Rate Limits" (``Helicone-RateLimit-*``) and its gateway (``x-ratelimit-limit``, ``-remaining``,
``-after``); draft-ietf-httpapi-ratelimit-headers-10 (``RateLimit``, ``RateLimit-Policy``).
"""

from __future__ import annotations

import math
from collections.abc import ItemsView, Iterator, Mapping, Sequence
from typing import Final

from llmgate.formats import FORMATS, get_format
from llmgate.formats.rate_limits import Allowance, limit_header_names, reset_text, write_rate_limits
from llmgate.spec import RateDecision

from .account import Charge, Counted

__all__ = ["HeaderPlan", "PlannedHeaders", "limit_headers", "policy_headers"]

_UNDECIDED: Final = RateDecision(allowed=True, remaining=0, retry_after=0.0, reset_after=0.0)


class PlannedHeaders(Mapping[str, str]):
    """The headers of a plan, written when somebody looks at them: a caller in process does not.

    Args:
        plan: The plan.
        decisions: What the store has said of each of its limits, in their order.
        now: When, in seconds since the epoch, where the plan tells the time.
    """

    __slots__ = ("_decisions", "_now", "_plan", "_written")

    def __init__(self, plan: HeaderPlan, decisions: Sequence[RateDecision], now: float) -> None:
        self._plan = plan
        self._decisions = decisions
        self._now = now
        self._written: dict[str, str] | None = None

    def __getitem__(self, name: str) -> str:
        return self._text()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._text())

    def __len__(self) -> int:
        return len(self._text())

    def items(self) -> ItemsView[str, str]:
        """The headers, without a look-up for each."""
        return self._text().items()

    def _text(self) -> dict[str, str]:
        if self._written is None:
            self._written = self._plan.headers(self._decisions, self._now)
        return self._written


class HeaderPlan:
    """``limit_headers`` of limits that have all granted, with everything prepared that does not change.

    Args:
        limits: The limits, in order.
        wire_format: The format of the requests.
    """

    def __init__(self, limits: Sequence[Counted], wire_format: str) -> None:
        units = [limit.config.unit for limit in limits]
        self.fits = "requests" in units and len(set(units)) == len(units)
        """Whether it can be planned: no unit is limited twice, so that it is known which limit is told of each."""
        if not self.fits:
            return
        self._limits = limits
        self._windows = any(limit.config.window is not None for limit in limits)
        self._form = ", ".join(f'"{limit.name}";r=%d;t=%d' for limit in limits)  # names hold no percent sign
        self._main = units.index("requests")
        self._family = get_format(wire_format).rate_limits if wire_format in FORMATS else None
        self.tells_time = self._family == "anthropic"
        """Whether it says at what time all is there again, rather than in how many seconds."""
        self._fixed: dict[str, str] = {}
        self._changing: list[tuple[int, str, str]] = []
        for index, limit in enumerate(limits):
            names = limit.unit.subject and limit_header_names(self._family, limit.unit.subject)
            if names:
                self._fixed |= dict.fromkeys(names, str(int(limit.capacity)))
                self._changing.append((index, names[1], names[2]))
        self._fixed["ratelimit-policy"] = ", ".join(limit.policy for limit in limits)
        self._fixed["ratelimit"] = ""
        self._fixed["x-ratelimit-limit"] = str(int(limits[self._main].capacity))

    def headers(self, decisions: Sequence[RateDecision], now: float) -> dict[str, str]:
        """The headers.

        Args:
            decisions: What the store has said of each of the limits, in their order.
            now: Seconds since the epoch, where ``tells_time``.
        """
        headers = self._fixed.copy()
        told: list[int] = []
        for decision in decisions:
            told.append(decision.remaining)
            told.append(math.ceil(decision.reset_after))
        headers["ratelimit"] = self._form % tuple(told)
        if self._windows:
            headers["ratelimit-policy"] = ", ".join([limit.policy for limit in self._limits])
        if self._changing:
            family = self._family
            for index, remaining, reset in self._changing:
                decision = decisions[index]
                headers[remaining] = str(decision.remaining)
                headers[reset] = reset_text(family, decision.reset_after, now)
        headers["x-ratelimit-remaining"] = str(told[2 * self._main])
        return headers


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
    return headers if policy is None else headers | policy_headers(charges, policy)


def policy_headers(charges: Sequence[Charge], policy: str) -> dict[str, str]:
    """The headers that tell what is left of a caller's own policy; none where it is not among the charges.

    Args:
        charges: What was charged or refused, each decided.
        policy: The policy as the caller sent it.
    """
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
