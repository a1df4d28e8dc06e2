"""Until when an exchange must be done: by its own deadline, and before its caller gives up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from llmgate.spec import GatewayError, GatewayRequest, GatewayTimeoutError
from llmgate.wire.alarm import Alarm

from .attempts import Attempts
from .patience import patience_of

__all__ = ["Timed"]


class Timed(Attempts):
    """What an exchange's frame knows of its time."""

    _deadline: float
    _last_word: float

    def remaining(self) -> float:
        """Seconds until the exchange must be over; while there is no content, until there must be some."""
        until = self._deadline if self.exchange.first_content is None else self._last_word
        return until - self.clock.monotonic()

    def failed(self, error: GatewayError) -> GatewayError:
        """Keep what the exchange failed with, and give it back to be raised."""
        self.exchange.error = error
        return error

    def _heed(self, request: GatewayRequest) -> None:
        """Be done before the caller gives up; a stream has given a sign of life by ``commit-after`` at the latest."""
        patience = patience_of(self.exchange.client_headers)
        if patience is None:
            return
        now = self.clock.monotonic()
        self._last_word = self._deadline = min(self._deadline, now + patience.whole)
        if not request.stream or patience.silence <= self.snapshot.config.stream.commit_after:
            self._deadline = min(self._deadline, now + patience.silence)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """Work that must be done by the deadline, and whose error is the exchange's."""
        try:
            with Alarm(self.remaining()):
                yield
        except TimeoutError:
            raise self.failed(self._timed_out()) from None
        except GatewayError as error:
            raise self.failed(error) from None

    def _timed_out(self) -> GatewayTimeoutError:
        limit = self._deadline - self.exchange.started
        return GatewayTimeoutError(f"the request was not answered within {limit:g} s")
