"""``static-keys``: where keys are looked for, what they lead to, and when they stop working."""

from __future__ import annotations

import logging

import pytest

from llmgate.spec import (
    AuthenticationError,
    ConfigError,
    Credentials,
    PluginError,
    Secret,
    SecretNotFoundError,
    SecretRef,
    StageContext,
)
from llmgate.stages.auth import static_keys
from llmgate.stages.auth.static_keys import StaticKey, StaticKeys, StaticKeysConfig, new_key
from llmgate.testing.clock import FakeClock
from llmgate.testing.transport import ScriptedTransport

ALICE, ALICE_HASH = new_key()
BOB, BOB_HASH = new_key()
REF = SecretRef("env", "CAROL_KEY")


class Kept:
    """A secret store of one value that a test can change."""

    def __init__(self, value):
        self.value = value
        self.fetched = 0

    async def fetch(self, ref):
        self.fetched += 1
        if isinstance(self.value, Exception):
            raise self.value
        return Secret(value=self.value, ref=ref)


def context(clock, kept=None):
    def no_state(name):
        raise AssertionError(name)

    return StageContext(
        id="auth[0]",
        clock=clock,
        transport=ScriptedTransport(),
        fetch_secret=(kept or Kept("")).fetch,
        state=no_state,
    )


async def opened(clock, *keys, kept=None, **config):
    stage = StaticKeys(StaticKeysConfig(keys=keys, **config))
    await stage.open(context(clock, kept))
    return stage


@pytest.fixture
def clock():
    return FakeClock()


class TestPlaces:
    @pytest.mark.parametrize("place", ["authorization", "x-api-key", "api-key", "x-goog-api-key", "helicone-auth"])
    async def test_a_key_may_come_from_any_known_place(self, clock, place):
        stage = await opened(clock, StaticKey(name="alice", hash=ALICE_HASH))
        assert (await stage.authenticate(Credentials(tokens={place: ALICE}))).id == "alice"

    async def test_an_unknown_place_is_not_looked_at(self, clock):
        stage = await opened(clock, StaticKey(name="alice", hash=ALICE_HASH))
        assert await stage.authenticate(Credentials(tokens={"cookie": ALICE})) is None

    async def test_any_one_of_several_tokens_will_do(self, clock):
        """SDKs insist on sending a key of their own beside the gateway's."""
        stage = await opened(clock, StaticKey(name="alice", hash=ALICE_HASH))
        tokens = {"authorization": "dummy", "x-api-key": ALICE}
        assert (await stage.authenticate(Credentials(tokens=tokens))).id == "alice"

    async def test_helicone_auth_stands_alone(self, clock):
        """The other places hold a provider's key then: a wrong one there changes nothing, a right one helps nobody."""
        stage = await opened(clock, StaticKey(name="alice", hash=ALICE_HASH), StaticKey(name="bob", hash=BOB_HASH))
        both = Credentials(tokens={"helicone-auth": ALICE, "authorization": BOB})
        assert (await stage.authenticate(both)).id == "alice"
        with pytest.raises(AuthenticationError):
            await stage.authenticate(Credentials(tokens={"helicone-auth": "wrong", "authorization": BOB}))
        assert await stage.authenticate(Credentials(tokens={"helicone-auth": "", "authorization": BOB})) is None


class TestKeys:
    async def test_a_key_carries_its_models(self, clock):
        stage = await opened(clock, StaticKey(name="alice", hash=ALICE_HASH, models=("gpt-*",)))
        principal = await stage.authenticate(Credentials.of(ALICE))
        assert (principal.issuer, principal.kind, principal.models) == ("static-keys", "key", ("gpt-*",))

    async def test_two_keys_of_one_name_work_side_by_side(self, clock):
        """A key is replaced while the old one still works."""
        stage = await opened(clock, StaticKey(name="a", hash=ALICE_HASH), StaticKey(name="a", hash=BOB_HASH))
        first = await stage.authenticate(Credentials.of(ALICE))
        assert first == await stage.authenticate(Credentials.of(BOB))

    async def test_a_key_works_until_it_expires_and_the_record_says_why(self, clock):
        stage = await opened(clock, StaticKey(name="alice", hash=ALICE_HASH, expires="2023-11-14T22:14:00Z"))
        assert (await stage.authenticate(Credentials.of(ALICE))).id == "alice"
        clock.advance(40)
        with pytest.raises(AuthenticationError) as caught:
            await stage.authenticate(Credentials.of(ALICE))
        with pytest.raises(AuthenticationError) as unknown:
            await stage.authenticate(Credentials.of(BOB))
        assert caught.value.reason == "key 'alice' has expired"
        assert unknown.value.reason == "unknown key"
        assert str(caught.value) == str(unknown.value)

    @pytest.mark.parametrize("token", [ALICE, BOB, "short", "x" * 5000], ids=["known", "other", "short", "long"])
    async def test_every_key_costs_one_hash(self, clock, monkeypatch, token):
        """Known or not, expired or not: the work is the same."""
        stage = await opened(clock, *(StaticKey(name=f"k{n}", hash=new_key()[1]) for n in range(50)))
        hashed = []
        monkeypatch.setattr(static_keys, "digest_of", lambda text: hashed.append(text) or b"")
        with pytest.raises(AuthenticationError):
            await stage.authenticate(Credentials.of(token))
        assert hashed == [token]

    async def test_an_unknown_key_may_be_left_to_the_next_provider(self, clock):
        stage = await opened(clock, StaticKey(name="alice", hash=ALICE_HASH, expires="2000-01-01"), unknown="pass")
        assert await stage.authenticate(Credentials.of(BOB)) is None
        with pytest.raises(AuthenticationError):
            await stage.authenticate(Credentials.of(ALICE))

    async def test_a_closed_stage_lets_nobody_in(self, clock):
        stage = await opened(clock, StaticKey(name="alice", hash=ALICE_HASH))
        await stage.aclose()
        with pytest.raises(AuthenticationError):
            await stage.authenticate(Credentials.of(ALICE))


class TestKeptKeys:
    async def test_a_kept_key_is_fetched_again_and_the_old_one_stops_working(self, clock):
        kept = Kept("first-key-0123456789")
        stage = await opened(clock, StaticKey(name="carol", secret=REF), kept=kept)
        assert (await stage.authenticate(Credentials.of("first-key-0123456789"))).id == "carol"
        assert kept.fetched == 1
        kept.value = "second-key-0123456789"
        clock.advance(5)
        assert (await stage.authenticate(Credentials.of("second-key-0123456789"))).id == "carol"
        with pytest.raises(AuthenticationError):
            await stage.authenticate(Credentials.of("first-key-0123456789"))
        assert kept.fetched == 2

    @pytest.mark.parametrize("value", [SecretNotFoundError("gone"), ""])
    async def test_a_key_that_was_taken_away_stops_working(self, clock, value):
        kept = Kept("first-key-0123456789")
        stage = await opened(clock, StaticKey(name="carol", secret=REF), kept=kept)
        kept.value = value
        clock.advance(5)
        with pytest.raises(AuthenticationError):
            await stage.authenticate(Credentials.of("first-key-0123456789"))

    async def test_a_store_that_is_down_does_not_lock_callers_out(self, clock):
        kept = Kept("first-key-0123456789")
        stage = await opened(clock, StaticKey(name="carol", secret=REF), kept=kept)
        kept.value = PluginError("the store is down")
        clock.advance(5)
        assert (await stage.authenticate(Credentials.of("first-key-0123456789"))).id == "carol"

    @pytest.mark.parametrize("value", ["", "  \n"])
    async def test_an_empty_kept_key_stops_the_start(self, clock, value):
        with pytest.raises(ConfigError, match=r"auth\[0\]: key 'carol': env:CAROL_KEY is empty"):
            await opened(clock, StaticKey(name="carol", secret=REF), kept=Kept(value))

    async def test_a_missing_kept_key_stops_the_start(self, clock):
        with pytest.raises(SecretNotFoundError):
            await opened(clock, StaticKey(name="carol", secret=REF), kept=Kept(SecretNotFoundError("env:CAROL_KEY")))

    @pytest.mark.parametrize("value", ["changeme", " ChangeMe\n", "secret", "sk-..."])
    async def test_a_placeholder_stops_the_start(self, clock, value):
        with pytest.raises(ConfigError, match="is a placeholder") as caught:
            await opened(clock, StaticKey(name="carol", secret=REF), kept=Kept(value))
        assert value.strip() not in str(caught.value).replace("a placeholder", "")

    async def test_a_weak_kept_key_is_named_in_the_log_and_not_shown(self, clock, caplog):
        caplog.set_level(logging.WARNING)
        await opened(clock, StaticKey(name="carol", secret=REF), kept=Kept("my-own-key"))
        assert "carol" in caplog.text
        assert "my-own-key" not in caplog.text


class TestConfig:
    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"name": "a"}, "either hash or secret"),
            ({"name": "a", "hash": ALICE_HASH, "secret": REF}, "either hash or secret"),
            ({"name": "a", "hash": "sha256:nonsense"}, "keys new"),
            ({"name": "a", "hash": ALICE_HASH, "expires": "next week"}, "not a date"),
            ({"name": "", "hash": ALICE_HASH}, "name"),
        ],
    )
    def test_a_key_that_cannot_work_is_refused(self, fields, message):
        with pytest.raises(ValueError, match=message):
            StaticKey(**fields)

    def test_one_hash_cannot_be_two_callers(self):
        keys = (StaticKey(name="a", hash=ALICE_HASH), StaticKey(name="b", hash=ALICE_HASH.upper()))
        with pytest.raises(ValueError, match="'a' and 'b' have the same hash"):
            StaticKeysConfig(keys=keys)

    def test_an_unknown_word_is_refused(self):
        with pytest.raises(ValueError, match="refuse, pass"):
            StaticKeysConfig(keys=(), unknown="maybe")

    @pytest.mark.parametrize("expires", ["2027-01-31", "2027-01-31T12:00:00Z", "2027-01-31T12:00:00+02:00"])
    def test_dates_and_times_are_dates(self, expires):
        assert StaticKey(name="a", hash=ALICE_HASH, expires=expires).expires == expires


async def test_a_key_has_the_scopes_that_are_written():
    keys = StaticKeys(StaticKeysConfig(keys=[StaticKey(name="a", hash=ALICE_HASH, scopes=["usage"])]))
    await keys.open(context(FakeClock()))
    principal = await keys.authenticate(Credentials.of(ALICE))
    assert principal is not None
    assert principal.scopes == ["usage"]
    assert not principal.may_ask_for("chat")
    await keys.aclose()
    with pytest.raises(ValueError, match="scopes: 'everything' is not one of chat"):
        StaticKey(name="a", hash=ALICE_HASH, scopes=["everything"])
