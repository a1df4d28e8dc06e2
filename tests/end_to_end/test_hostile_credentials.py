"""5,000 hostile credentials wherever clients put keys: each is refused like all others, and none is an error."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import re
import string
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmgate.testing.upstream import FakeUpstream

from .loopback import loopback

PLACES = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "helicone-auth")
COUNT = 5000
PUBLIC = "8fKw2LmPq0Zx"
PARTS = [
    *(
        "' OR '1'='1",
        "'; DROP TABLE issued_keys;--",
        '" or ""="',
        "1) UNION SELECT * FROM issued_keys--",
        "' AND SLEEP(5)--",
    ),
    *("%27%20or%201=1", "\\'; --", "admin'/*", "';WAITFOR DELAY '0:0:5'--", "$(id)", "`id`", "|id", "&& id", "; id"),
    *("${env:ALICE_KEY}", "{{7*7}}", "${jndi:ldap://127.0.0.1/a}", "%s%s%n", "{0.__class__}", "../../../../etc/passwd"),
    *("*", "%", "_", "%00", "null", "undefined", "None", "true", "0", "-1", "NaN", "[]", "{}", "*)(uid=*", "<script>"),
    *("sk-lg-", f"sk-lg-{PUBLIC}", f"sk-lg-{PUBLIC}-", f"sk-lg-{PUBLIC}-{'A' * 38}", "sha256:", "Bearer", "Basic YTpi"),
    *("eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJhIn0.AAAA", "a.b.c", "eyJ.", "..", "env:ALICE_KEY"),
    *(
        "\xa0",
        "\xff\xfe",
        "\x80",
        "\xc0\xaf",
        "k\xe9y",
        "\xe2\x80\xae",
        "\xed\xa0\x80",
        "\xf0\x9f\x94\x91",
        "\x7f",
        "\t",
    ),
]


def credentials(chance: random.Random) -> Iterator[str]:
    """Texts that a header can carry; the same ones each time."""
    yield from PARTS
    for one, other in itertools.product(PARTS, PARTS):
        yield one + other
    letters = string.ascii_letters + string.digits
    while True:
        kind, size = chance.randrange(4), chance.choice((1, 12, 56, 500, 4000))
        some = "".join(chance.choices(letters, k=size))
        yield (
            some,
            f"sk-lg-{some}",
            f"{chance.choice(PARTS)}{some}",
            "".join(chance.choices(string.printable[:95], k=size)),
        )[kind]


async def send(port: int, lines: list[tuple[str, str]]) -> list[tuple[int, bytes]]:
    """What is answered to requests that carry these headers, on as few connections as will do."""
    answers: list[tuple[int, bytes]] = []
    reader = writer = None
    for place, text in lines:
        if reader is None or writer is None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n{place}: {text}\r\n\r\n".encode("latin-1"))
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        answers.append((int(head.split()[1]), await reader.readexactly(length)))
        if b"connection: close" in head:
            writer.close()
            reader = writer = None
    if writer is not None:
        writer.close()
    return answers


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_each_is_refused_and_none_is_an_error(tmp_path: Path) -> None:
    key = "sk-alice-" + os.urandom(16).hex()
    auth = [
        {"use": "issued-keys", "database": {"url": f"sqlite:///{tmp_path}/keys.db"}},
        {"use": "client-certificates", "rules": [{"dns": "*"}]},
        {"use": "static-keys", "keys": [{"name": "alice", "secret": "env:ALICE_KEY"}]},
    ]
    made = credentials(random.Random(6))
    texts: dict[str, None] = {}
    while len(texts) < COUNT:
        texts[next(made)] = None
    environment = {"ALICE_KEY": key, "LLMGATE_KEY_PEPPER": os.urandom(32).hex()}
    async with FakeUpstream() as upstream:
        config = {"providers": {"openai": {"base-url": upstream.base_url}}, "auth": auth}
        async with loopback(config, environment={"OPENAI_API_KEY": "k", **environment}) as one:
            lines = [(PLACES[number % len(PLACES)], text) for number, text in enumerate(texts)]
            assert len(lines) == COUNT
            shares = [lines[start::10] for start in range(10)]
            answers = [
                answer for share in await asyncio.gather(*(send(one.port, s) for s in shares)) for answer in share
            ]
            good = await send(one.port, [(place, f"Bearer {key}") for place in PLACES])
            assert [status for status, _ in good] == [200] * len(PLACES), "the one good key is still good"
        assert not upstream.requests
    statuses = Counter(status for status, _ in answers)
    assert set(statuses) <= {400, 401}
    assert statuses[401] > 0.9 * COUNT
    # One text for who presents something, one for who presents nothing that can be read; both as OpenAI's clients and
    # as Google's take them, which name the request.
    bodies = {re.sub(rb'"requestId":"[0-9a-f-]{36}"', b"", body) for status, body in answers if status == 401}
    assert len(bodies) <= 4, bodies
    assert not any(key.encode() in body for _, body in answers)
