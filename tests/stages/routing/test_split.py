"""``split``: shares are exact over all callers, a caller stays where it is, and a share that grows loses nobody."""

from __future__ import annotations

import math
import random
from collections import Counter

import attrs
import pytest

from llmgate.formats import get_format, read_request
from llmgate.spec import Deployment, ExchangeView, Principal, RoutingContext
from llmgate.stages.routing.split import Split, SplitConfig, segment
from llmgate.testing.samples import sample_deployment, sample_exchange, sample_request

FORMAT = get_format("openai-chat")


def weighted(**weights: float) -> list[Deployment]:
    return [sample_deployment(f"{name}/m", weight=weight) for name, weight in weights.items()]


def of_user(name: str) -> ExchangeView:
    body = f'{{"model":"m","messages":[],"user":"{name}"}}'.encode()
    return ExchangeView(sample_exchange(read_request(FORMAT, body)))


def order(view: ExchangeView, given: list[Deployment], *, seed: str = "", by: str = "user", dice: int = 0) -> str:
    context = RoutingContext(now=0.0, random=random.Random(dice).random)
    return "".join(one.provider_name for one in Split(SplitConfig(by, seed)).rank(view, given, context))


def arms(given: list[Deployment], seed: str = "", users: int = 4000) -> dict[str, str]:
    return {f"user-{n}": order(of_user(f"user-{n}"), given, seed=seed)[0] for n in range(users)}


@pytest.mark.parametrize(
    ("place", "expected"),
    [(0.0, 0), (math.nextafter(0.75, 0), 0), (0.75, 1), (math.nextafter(0.875, 0), 1), (0.875, 2), (1 - 2**-53, 2)],
)
def test_segments_are_exact(place: float, expected: int) -> None:
    assert segment(place, [6, 1, 1]) == expected
    assert segment(place, [0.75, 0.125, 0.125]) == expected


@pytest.mark.parametrize("weights", [[0.1] * 10, [1 / 3] * 3, [1e-300, 1e300], [0, 1, 0]])
def test_the_last_place_belongs_to_somebody_who_weighs_something(weights: list[float]) -> None:
    assert weights[segment(1 - 2**-53, weights)] > 0
    assert weights[segment(0.0, weights)] > 0


def test_who_weighs_nothing_has_no_segment() -> None:
    assert segment(0.0, [0, 0]) == 0
    assert order(of_user("ann"), weighted(a=0, b=1))[0] == "b"


def test_shares_are_kept_over_many_users() -> None:
    share = Counter(arms(weighted(a=95, b=5)).values())["b"] / 4000
    assert share == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / 4000))


def test_a_user_stays_whatever_the_dice_say() -> None:
    given = weighted(a=1, b=1, c=1)
    assert len({order(of_user("ann"), given, dice=dice) for dice in range(20)}) == 1


def test_a_share_that_grows_keeps_the_users_that_it_had() -> None:
    before, after = arms(weighted(a=95, b=5), users=1000), arms(weighted(a=80, b=20), users=1000)
    assert {user for user, arm in before.items() if arm == "b"} < {user for user, arm in after.items() if arm == "b"}


def test_another_seed_deals_anew() -> None:
    one, other = arms(weighted(a=1, b=1), users=400), arms(weighted(a=1, b=1), "spring", users=400)
    assert 150 < sum(one[user] != other[user] for user in one) < 250


def test_the_others_follow_for_failover_in_an_order_of_the_users_own() -> None:
    orders = {order(of_user(f"user-{n}"), weighted(a=1, b=1, c=1)) for n in range(100)}
    assert len(orders) == 6


def test_by_principal_exchange_and_label() -> None:
    given = weighted(**dict.fromkeys("abcdefgh", 1))
    label = attrs.evolve(sample_request(), metadata={"session": "s1"})
    assert len({order(ExchangeView(sample_exchange(label)), given, by="session", dice=n) for n in range(9)}) == 1
    exchange = sample_exchange()
    assert len({order(ExchangeView(exchange), given, by="exchange", dice=n) for n in range(9)}) == 1
    assert len({order(ExchangeView(sample_exchange()), given, by="exchange") for _ in range(9)}) > 1
    issuers = [sample_exchange(principal=Principal(id="ann", issuer=issuer)) for issuer in ("keys", "sso")]
    assert len({order(ExchangeView(one), given, by="principal", dice=n) for one in issuers for n in range(9)}) == 2


def test_who_names_nobody_is_drawn() -> None:
    given, view = weighted(a=3, b=1), ExchangeView(sample_exchange())
    drawn = Counter(order(view, given, dice=dice)[0] for dice in range(2000))
    assert drawn["b"] / 2000 == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(("by", "header"), [("user", "helicone-user-id"), ("session", "helicone-session-id")])
def test_a_header_names_the_user_or_the_session_first(by: str, header: str) -> None:
    given, body = weighted(a=1, b=1, c=1), b'{"model":"m","messages":[],"user":"ann"}'
    for name in (f"user-{n}" for n in range(50)):
        said = ExchangeView(sample_exchange(read_request(FORMAT, body), client_headers={header: name}))
        assert order(said, given, by=by) == order(of_user(name), given), "as if it stood in the body"
    empty = ExchangeView(sample_exchange(read_request(FORMAT, body), client_headers={header: ""}))
    if by == "user":
        assert order(empty, given) == order(of_user("ann"), given)


@pytest.mark.parametrize("by", ["", "  "])
def test_a_name_that_is_none_is_refused(by: str) -> None:
    with pytest.raises(ValueError, match="write user, principal, exchange"):
        SplitConfig(by=by)
