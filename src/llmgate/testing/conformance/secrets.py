"""What every secret store promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest

from llmgate.spec import Secret, SecretCache, SecretNotFoundError, SecretRef, SecretUnavailableError, StageContext
from llmgate.testing.clock import FakeClock

from .base import StageConformance

__all__ = ["SecretConformance"]

_CANARY: Final = "canary-5f0c1b7e"

_AWKWARD: Final = (
    "with spaces inside",
    "quote\"d 'twice'",
    "equals=signs=and#hashes",
    "back\\slash $HOME ${HOME} `pwd`",
    "пароль-ñ-密-\U0001f511",
    "x" * 8192,
)


class SecretConformance(StageConformance):
    """Secret stores; a subclass says how a secret gets into the store and out of it.

    A store that wants its secrets kept (``caching``) is tested behind the cache that the pipeline puts in front of it.

    Attributes:
        path: What the store calls the kit's secret.
        notices_within: Seconds of the kit's clock after which a changed value must be seen.
        multiline: Whether a value may contain line ends.
    """

    kind = "secrets"
    path: ClassVar[str] = "CANARY"
    notices_within: ClassVar[float] = 5.0
    multiline: ClassVar[bool] = False

    def plant(self, context: StageContext, path: str, value: str) -> None:
        """Put a secret into the store, or another value in its place."""
        raise NotImplementedError("tell the kit how a secret gets into the store")

    def uproot(self, context: StageContext, path: str) -> None:
        """Take a secret out of the store."""
        raise NotImplementedError("tell the kit how a secret gets out of the store")

    def cut(self, context: StageContext) -> None:
        """Make the store's source unreachable; for a store with ``caching``."""
        raise NotImplementedError("tell the kit how the store's source is lost")

    @asynccontextmanager
    async def kept(self, context: StageContext) -> AsyncIterator[Any]:
        """A new store, open, behind the pipeline's cache where it wants one; closed on leaving."""
        async with self.opened(context) as stage:
            if stage.caching is None:
                yield stage
                return
            cache = SecretCache(stage.fetch, stage.caching, context.clock, renew=stage.refresh)
            try:
                yield cache
            finally:
                await cache.aclose()

    def make_context(self, directory: Path, clock: FakeClock) -> StageContext:
        """A context in which the kit's secret is there."""
        context = super().make_context(directory, clock)
        self.plant(context, self.path, _CANARY)
        return context

    @property
    def ref(self) -> SecretRef:
        """The reference to the kit's secret."""
        return SecretRef(self.stage_class.name, self.path)

    @pytest.mark.asyncio
    async def test_finds_a_secret(self, context: StageContext) -> None:
        """The secret that is there comes back, says where it is from, and never prints itself."""
        async with self.kept(context) as stage:
            secret = await stage.fetch(self.ref)
            assert isinstance(secret, Secret)
            assert secret.reveal() == _CANARY
            assert secret.ref == self.ref, "put the reference into the Secret"
            assert _CANARY not in f"{secret!r} {secret} {secret.version} {stage!r}"

    @pytest.mark.asyncio
    async def test_says_what_is_missing(self, context: StageContext) -> None:
        """An absent secret is named by its reference, with what to do, and without any value."""
        missing = SecretRef(self.stage_class.name, "NO_SUCH_SECRET")
        async with self.kept(context) as stage:
            with pytest.raises(SecretNotFoundError) as caught:
                await stage.fetch(missing)
        assert str(missing) in str(caught.value), "name the reference in the message"
        assert _CANARY not in str(caught.value)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("path", ["", " ", "\x00", "../..", "/", "a" * 5000, "no/such/secret", "ключ"])
    async def test_awkward_names_are_not_found(self, context: StageContext, path: str) -> None:
        """A name that leads nowhere is ``SecretNotFoundError``, never another error."""
        async with self.kept(context) as stage:
            with pytest.raises(SecretNotFoundError):
                await stage.fetch(SecretRef(self.stage_class.name, path))

    @pytest.mark.asyncio
    async def test_awkward_values_come_back_whole(self, context: StageContext, clock: FakeClock) -> None:
        """Nothing in a value is interpreted."""
        values = [*_AWKWARD, "two\nlines"] if self.multiline else _AWKWARD
        async with self.kept(context) as stage:
            for value in values:
                self.plant(context, self.path, value)
                clock.advance(self.notices_within)
                assert (await stage.fetch(self.ref)).reveal() == value

    @pytest.mark.asyncio
    async def test_many_ask_at_once(self, context: StageContext) -> None:
        """Every attempt fetches: concurrent callers get the same answer."""
        async with self.kept(context) as stage:
            found = await asyncio.gather(*(stage.fetch(self.ref) for _ in range(100)))
            assert {secret.reveal() for secret in found} == {_CANARY}

    @pytest.mark.asyncio
    async def test_notices_a_changed_value(self, context: StageContext, clock: FakeClock) -> None:
        """A rotated secret is seen within seconds, without a restart."""
        async with self.kept(context) as stage:
            before = await stage.fetch(self.ref)
            self.plant(context, self.path, "another-value")
            clock.advance(self.notices_within)
            after = await stage.fetch(self.ref)
            assert after.reveal() == "another-value"
            assert after.fingerprint != before.fingerprint

    @pytest.mark.asyncio
    async def test_looks_again_when_it_is_told_to(self, context: StageContext) -> None:
        """After a refusal ``refresh`` gives what the source has now, whatever is cached."""
        async with self.kept(context) as stage:
            await stage.fetch(self.ref)
            self.plant(context, self.path, "another-value")
            assert (await stage.refresh(self.ref)).reveal() == "another-value"
            assert (await stage.fetch(self.ref)).reveal() == "another-value"

    @pytest.mark.asyncio
    async def test_notices_that_a_secret_is_gone(self, context: StageContext, clock: FakeClock) -> None:
        """A secret that was taken away works no longer, and works again when it is back."""
        async with self.kept(context) as stage:
            await stage.fetch(self.ref)
            self.uproot(context, self.path)
            clock.advance(self.notices_within)
            with pytest.raises(SecretNotFoundError):
                await stage.fetch(self.ref)
            self.plant(context, self.path, "back")
            clock.advance(self.notices_within)
            assert (await stage.fetch(self.ref)).reveal() == "back"

    @pytest.mark.asyncio
    async def test_nobody_who_can_say_is_not_nothing_there(self, context: StageContext, clock: FakeClock) -> None:
        """While its source does not answer a secret is used on, and none is said to be gone."""
        if self.make_stage().caching is None:
            return
        async with self.kept(context) as stage:
            await stage.fetch(self.ref)
            self.cut(context)
            clock.advance(self.notices_within)
            assert (await stage.fetch(self.ref)).reveal() == _CANARY
            with pytest.raises(SecretUnavailableError) as caught:
                await stage.fetch(SecretRef(self.stage_class.name, f"{self.path}-other"))
        assert str(caught.value).startswith(self.stage_class.name), "name the reference in the message"

    @pytest.mark.asyncio
    async def test_an_empty_value_is_no_secret(self, context: StageContext, clock: FakeClock) -> None:
        """An empty credential must never be sent anywhere."""
        async with self.kept(context) as stage:
            self.plant(context, self.path, "")
            clock.advance(self.notices_within)
            with pytest.raises(SecretNotFoundError):
                await stage.fetch(self.ref)
