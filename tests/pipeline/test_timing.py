"""Until when an exchange must be done."""

from __future__ import annotations

import pytest

from llmgate import GatewayTimeoutError, ProviderError
from llmgate.formats import get_format, read_request
from llmgate.spec import Credentials, GatewayRequest, Principal
from scripted import OpenBench, bench

__all__ = ["bench"]

BODY = b'{"model":"alpha/m","messages":[{"role":"user","content":"x"}]%s}'


def asking(*, stream: bool = False, deadline: float | None = None) -> GatewayRequest:
    body = BODY % (b',"stream":true' if stream else b"")
    return read_request(get_format("openai-chat"), body, deadline=deadline)


async def test_the_earliest_of_all_deadlines_holds(bench: OpenBench) -> None:
    async with bench(timeouts={"total": "100s"}) as b:
        frame = b.pipeline.exchange()
        frame.exchange.principal = Principal.local()
        assert frame.remaining() == 100
        frame._begin(asking(deadline=b.clock.monotonic() + 7))
        assert frame.remaining() == 7
        b.clock.advance(3)
        assert frame.remaining() == 4


@pytest.mark.parametrize(("repeated", "left"), [(False, 5), (True, 100)])
async def test_what_a_caller_waits_for_does_not_bound_a_request_that_he_does_not_wait_for(
    bench: OpenBench, repeated: bool, left: float
) -> None:
    async with bench(timeouts={"total": "100s"}) as b:
        frame = b.pipeline.exchange(credentials=Credentials(headers={"llmgate-timeout": "5"}))
        frame.repeated, frame.exchange.principal = repeated, Principal.local()
        frame._begin(asking())
        assert frame.remaining() == pytest.approx(left, abs=0.5)


async def test_what_is_not_done_by_then_is_the_exchanges_error(bench: OpenBench) -> None:
    async with bench() as b:
        frame = b.pipeline.exchange()
        with pytest.raises(GatewayTimeoutError, match="not answered within"), frame._timed():
            raise TimeoutError
        assert isinstance(frame.exchange.error, GatewayTimeoutError)
        other = b.pipeline.exchange()
        with pytest.raises(ProviderError, match="broken"), other._timed():
            raise ProviderError("broken", provider_name="alpha")
        assert isinstance(other.exchange.error, ProviderError)
