from __future__ import annotations

import socket

from llmgate.cli.channel import LONGEST, Channel
from llmgate.config.source import MAX_BYTES


async def ends() -> tuple[Channel, Channel]:
    ours, theirs = socket.socketpair()
    return await Channel.over(ours), await Channel.over(theirs)


async def test_messages_arrive_whole_and_in_order():
    ours, theirs = await ends()
    ours.send(stop=True)
    ours.send(source={"text": "a\nb\u2028"}, number=2)
    assert await theirs.receive() == {"stop": True}
    assert await theirs.receive() == {"source": {"text": "a\nb\u2028"}, "number": 2}
    theirs.send(ready=["x"])
    assert await ours.receive() == {"ready": ["x"]}
    await ours.aclose()
    await theirs.aclose()


async def test_the_largest_configuration_fits():
    """The worst case: every byte is a control character, which JSON writes as six."""
    ours, theirs = await ends()
    text = "\x01" * MAX_BYTES
    ours.send(text=text)
    message = await theirs.receive()
    assert message is not None
    assert message["text"] == text
    assert len(text) * 6 < LONGEST
    await ours.aclose()
    await theirs.aclose()


async def test_the_end_of_the_other_side_is_noticed_and_sending_to_it_is_harmless():
    ours, theirs = await ends()
    await theirs.aclose()
    assert await ours.receive() is None
    for _ in range(10):
        ours.send(stop=True)
    await ours.aclose()
