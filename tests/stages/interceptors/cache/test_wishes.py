from __future__ import annotations

from typing import Any

import pytest

from llmgate.spec import InvalidRequestError
from llmgate.stages.interceptors.cache.config import CacheConfig
from llmgate.stages.interceptors.cache.directives import read_directives
from llmgate.stages.interceptors.cache.wishes import WishBook, Wishes, read_wishes
from llmgate.testing.samples import sample_exchange, sample_view


def wishes(headers: dict[str, str] | None = None, **config: Any) -> Wishes | None:
    settings = CacheConfig(**config)
    controls = sample_view(sample_exchange(client_headers=headers or {})).controls
    book = WishBook(settings, directive := read_directives(settings.directive))
    found = read_wishes(settings, directive, controls)
    assert [book.read(controls) for _ in range(2)] == [found, found], "what has been said before means the same"
    return found


def some(headers: dict[str, str] | None = None, **config: Any) -> Wishes:
    found = wishes(headers, **config)
    assert found is not None
    return found


@pytest.mark.parametrize("prefix", ["helicone-cache-", "llmgate-cache-"])
class TestHeaders:
    def test_a_request_can_turn_it_off_and_on(self, prefix):
        assert wishes({f"{prefix}enabled": "false"}) is None
        assert wishes({}, enabled=False) is None
        assert wishes({f"{prefix}enabled": "TRUE"}, enabled=False) is not None

    def test_reading_and_saving_are_apart(self, prefix):
        found = some({f"{prefix}read": "false"})
        assert (found.reads, found.saves) == (False, True)
        found = some({f"{prefix}save": "false"})
        assert (found.reads, found.saves) == (True, False)

    def test_buckets_seed_and_ignored_keys(self, prefix):
        headers = {f"{prefix}bucket-max-size": "3", f"{prefix}seed": "s", f"{prefix}ignore-keys": "b, a,,b"}
        found = some(headers, seed="own", ignore_keys=("user",))
        assert (found.buckets, found.seed, found.ignored) == (3, ("own", "s"), ("a", "b", "user"))

    @pytest.mark.parametrize(
        ("name", "value"),
        [("enabled", "maybe"), ("read", ""), ("bucket-max-size", "0"), ("bucket-max-size", "21"),
         ("bucket-max-size", "x"), ("ignore-keys", ",".join(map(str, range(101))))],
    )  # fmt: skip
    def test_what_cannot_be_understood_is_refused(self, prefix, name, value):
        with pytest.raises(InvalidRequestError) as caught:
            wishes({prefix + name: value})
        assert caught.value.code == "invalid_cache_control"
        assert name in caught.value.message


def test_a_wrong_cache_control_is_refused():
    with pytest.raises(InvalidRequestError, match="cache-control: max-age needs a whole number"):
        wishes({"cache-control": "max-age=x"})


@pytest.mark.parametrize(
    ("asked", "directive", "lifetime"),
    [
        (None, "", 604800),
        (None, "max-age=60", 60),
        ("max-age=5", "max-age=60", 5),
        ("max-age=999", "max-age=60", 60),  # a caller gets no longer than the operator allows
        ("max-age=999", "", 999),
        ("max-age=999999999", "", 365 * 86400),
        ("s-maxage=7, max-age=9", "", 7),
        ("no-cache", "max-age=60", 60),
    ],
)
def test_how_long_an_answer_is_fresh(asked, directive, lifetime):
    headers = {} if asked is None else {"cache-control": asked}
    assert some(headers, directive=directive).lifetime == lifetime


def test_what_a_directive_of_the_request_asks_for():
    found = some({"cache-control": "max-age=9, max-stale=3, min-fresh=2, only-if-cached"}, directive="max-age=60")
    assert (found.oldest, found.stale, found.margin, found.only) == (9, 3, 2, True)
    assert wishes({"cache-control": "no-store"}) is None
    assert not some({"cache-control": "no-cache"}).reads
    assert not some({"cache-control": "max-age=0"}).saves
    assert some(directive="max-age=5, stale-while-revalidate=9").revalidate == 9
