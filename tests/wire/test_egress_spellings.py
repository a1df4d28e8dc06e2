"""More than 500 spellings of forbidden addresses, through the real transport: no connection is even begun.

What is watched is the last step before the kernel, so it does not matter which parser, which resolver or which check
on the way stops a spelling.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address
from typing import Any

import attrs
import pytest

from llmgate.spec import ProviderConnectionError, ProviderError, ProviderRequest, Timeouts
from llmgate.wire.egress import PUBLIC_TARGETS, EgressPolicy
from llmgate.wire.transport import AiohttpTransport

FORBIDDEN_V4 = [
    "127.0.0.1", "127.1.2.3", "127.255.255.254", "0.0.0.0", "0.0.0.1", "10.0.0.1", "10.255.255.255", "172.16.0.1",
    "172.31.255.255", "192.168.0.1", "192.168.255.255", "169.254.169.254", "169.254.170.2", "169.254.0.1",
    "100.64.0.1", "100.127.255.255", "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.0.8", "198.18.0.1",
    "198.19.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255", "192.88.99.1",
]  # fmt: skip
FORBIDDEN_V6 = [
    "::", "::1", "fe80::1", "febf::1", "fc00::1", "fd00::1", "fd00:ec2::254", "fd20:ce::254", "ff02::1", "fec0::1",
    "2001:db8::1", "100::1", "5f00::1", "2001:2::1", "2001:10::1", "3fff::1",
]  # fmt: skip
NAMES = {
    "localhost": "127.0.0.1",
    "LOCALHOST": "127.0.0.1",
    "localhost.": "127.0.0.1",
    "any.localhost": "127.0.0.1",
    "host.docker.internal": "172.17.0.1",
    "metadata.google.internal": "169.254.169.254",
    "metadata": "169.254.169.254",
    "instance-data.ec2.internal": "169.254.169.254",
    "kubernetes.default.svc": "10.96.0.1",
    "kubernetes.default.svc.cluster.local": "10.96.0.1",
    "redis": "172.18.0.2",
    "127.0.0.1.nip.io": "127.0.0.1",
    "spoofed.example": "::ffff:127.0.0.1",
    "six.example": "64:ff9b::a9fe:a9fe",
    "four.example": "2002:7f00:1::",
    "teredo.example": "2001:0:7f00:1::1",
}
"""Names that lead to forbidden addresses, whoever says so."""


def spellings_v4(text: str) -> Iterator[str]:
    """One IPv4 address as parsers of the last forty years take it."""
    value = int(IPv4Address(text))
    a, b, c, d = value >> 24, value >> 16 & 255, value >> 8 & 255, value & 255
    yield text
    yield f"{text}."
    yield str(value)
    yield hex(value)
    yield f"0X{value:08X}"
    yield f"0{value:o}"
    yield f"{a:#x}.{b:#x}.{c:#x}.{d:#x}"
    yield f"0{a:o}.0{b:o}.0{c:o}.0{d:o}"
    yield f"{a:03}.{b:03}.{c:03}.{d:03}"
    yield f"{a}.{value & 0xFFFFFF}"
    yield f"{a}.{b}.{value & 0xFFFF}"
    yield f"0x{a:x}.{value & 0xFFFFFF}"
    yield f"{a + 256}.{b}.{c}.{d}"
    yield text.replace(".", "%2e")
    yield text.replace(".", "\u3002")
    yield text.replace(".", "\uff0e")
    yield "".join(chr(0xFF10 + int(sign)) if sign.isdigit() else sign for sign in text)
    yield "".join(
        "\u24ea\u2460\u2461\u2462\u2463\u2464\u2465\u2466\u2467\u2468"[int(s)] if s.isdigit() else s for s in text
    )
    yield f"user:password@{text}"
    yield f"api.openai.com@{text}"
    yield f"api.openai.com%40{text}"
    yield f" {text}"
    yield f"{text}\t"
    yield f"{text[:2]}\n{text[2:]}"
    high, low = value >> 16, value & 0xFFFF
    for form in (
        f"::ffff:{text}", f"::ffff:{high:x}:{low:x}", f"::FFFF:{high:X}:{low:X}", f"0:0:0:0:0:ffff:{high:x}:{low:x}",
        f"0000:0000:0000:0000:0000:ffff:{high:04x}:{low:04x}", f"::ffff:0:{high:x}:{low:x}", f"64:ff9b::{text}",
        f"64:ff9b::{high:x}:{low:x}", f"64:ff9b:1::{high:x}:{low:x}", f"2002:{high:x}:{low:x}::",
        f"2002:{high:x}:{low:x}::1", f"2001:0:{high:x}:{low:x}::1",
        f"2001:0:808:808:0:0:{high ^ 0xFFFF:x}:{low ^ 0xFFFF:x}",
    ):  # fmt: skip
        yield f"[{form}]"


def spellings_v6(text: str) -> Iterator[str]:
    address = ip_address(text)
    yield f"[{text}]"
    yield f"[{text.upper()}]"
    yield f"[{address.exploded}]"
    yield f"[{text}%25eth0]"
    yield f"[{text}%eth0]"
    yield f"[{text}%1]"
    yield f"user@[{text}]"


EVERY = sorted(
    {form for text in FORBIDDEN_V4 for form in spellings_v4(text)}
    | {form for text in FORBIDDEN_V6 for form in spellings_v6(text)}
    | set(NAMES)
)
PUBLIC = [
    *(f"{n}.{n}.{n}.{n}" for n in (1, 8, 9, 64, 104, 151, 185, 199, 208)),
    "11.0.0.1", "172.15.255.255", "172.32.0.1", "192.167.1.1", "192.169.1.1", "169.253.1.1", "169.255.1.1",
    "100.63.255.255", "100.128.0.1", "168.63.129.15", "198.17.0.1", "198.20.0.1", "192.0.1.1", "223.255.255.255",
    "126.255.255.255", "128.0.0.1", "203.0.112.1", "[2606:4700::1111]", "[2001:4860:4860::8888]", "[2a00:1450::1]",
    "[2620:fe::fe]", "[2400:cb00::1]", "api.openai.com", "API.OPENAI.COM", "api.groq.com", "a-b.example", "x.ai",
    "openrouter.ai", "api.x.ai", "gateway.ai.cloudflare.com", "us-central1-aiplatform.googleapis.com",
    "bedrock-runtime.eu-west-1.amazonaws.com", "api.mistral.ai", "api.cohere.ai", "api.deepseek.com",
    "api.perplexity.ai", "api.together.xyz", "api.fireworks.ai", "api.lemonfox.ai", "qstash.upstash.io",
    "api.firecrawl.dev", "api.novita.ai", "api.avian.io",
]  # fmt: skip


class Kernel:
    """What would have been connected to, and what names lead to."""

    def __init__(self) -> None:
        self.connected: list[str] = []
        self.answers: dict[str, list[str]] = {name.lower(): [address] for name, address in NAMES.items()}
        self.looked_up: list[str] = []

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        self.connected.append(address[0])
        sock.close()
        raise ConnectionRefusedError("seen, and that is all")

    def getaddrinfo(self, host: Any, port: Any, *_: Any, **__: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else str(host)
        self.looked_up.append(name)
        addresses = self.answers.get(name.lower(), ["93.184.216.34"])
        if addresses and addresses[0] == "next":
            del addresses[0]
            addresses = [addresses.pop(0)]
        found = []
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            place = (address, int(port), 0, 0) if ":" in address else (address, int(port))
            found.append((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place))
        return found


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    one = Kernel()
    loop = asyncio.SelectorEventLoop
    monkeypatch.setattr(loop, "sock_connect", one.sock_connect)
    monkeypatch.setattr(socket, "getaddrinfo", one.getaddrinfo)
    return one


async def attempt(host: str, policy: EgressPolicy = PUBLIC_TARGETS, port: int = 8443) -> ProviderError:
    """Send a request with a secret in it, and return what became of it."""
    transport = AiohttpTransport(egress=policy)
    origin = f"https://{host}:{port}"
    request = ProviderRequest(
        "POST", f"{origin}/v1", {"authorization": "Bearer s"}, b"{}", origin=origin, timeouts=Timeouts(connect=2)
    )
    try:
        await transport.send(request)
    except ProviderError as error:
        return error
    finally:
        await transport.aclose()
    raise AssertionError(f"{host!r} was answered")


def test_there_are_more_than_500() -> None:
    assert len(EVERY) > 500
    assert len(PUBLIC) >= 50


async def test_no_spelling_of_a_forbidden_address_is_connected_to(kernel: Kernel) -> None:
    """Where a spelling is a name to the resolver, it leads to a public address: whatever is connected to is that."""
    for host in EVERY:
        before = len(kernel.connected)
        error = await attempt(host)
        assert isinstance(error, ProviderConnectionError), host
        reached = kernel.connected[before:]
        if reached:
            assert reached == ["93.184.216.34"] * len(reached), (host, reached)
            assert kernel.looked_up[-1].lower() not in kernel.answers, host
        else:
            assert error.code == "provider_address_refused", (host, error.code)
            assert "127.0.0.1" not in str(error)


async def test_public_addresses_are_connected_to(kernel: Kernel) -> None:
    for host in PUBLIC:
        before = len(kernel.connected)
        error = await attempt(host)
        assert len(kernel.connected) > before, (host, error)


async def test_a_listed_host_and_port_is_reached_and_nothing_beside_it(kernel: Kernel) -> None:
    listed = frozenset(
        {("127.0.0.1", 8443), ("redis", 8443), ("metadata", 8443), ("169.254.1.1", 8443), ("fd00::1", 8443)}
    )
    policy = attrs.evolve(PUBLIC_TARGETS, listed=listed)
    for host in ("127.0.0.1", "redis", "REDIS", "169.254.1.1", "[fd00::1]"):
        await attempt(host, policy)
    assert kernel.connected == ["127.0.0.1", "172.18.0.2", "172.18.0.2", "169.254.1.1", "fd00::1"]
    for host, port in (
        ("127.0.0.1", 8444),
        ("127.0.0.2", 8443),
        ("redis", 6379),
        ("10.0.0.1", 8443),
        ("metadata", 8443),
    ):
        error = await attempt(host, policy, port)
        assert error.code == "provider_address_refused", (host, port)
    assert len(kernel.connected) == 5


async def test_one_pool_never_serves_a_listed_and_another_host(kernel: Kernel) -> None:
    transport = AiohttpTransport(egress=attrs.evolve(PUBLIC_TARGETS, listed=frozenset({("127.0.0.1", 8443)})))
    for host in ("127.0.0.1", "127.0.0.2", "localhost"):
        origin = f"https://{host}:8443"
        with pytest.raises(ProviderConnectionError):
            await transport.send(ProviderRequest("GET", f"{origin}/", {}, origin=origin, pool="one"))
    await transport.aclose()
    assert kernel.connected == ["127.0.0.1"]


@pytest.mark.parametrize(
    "answers",
    [
        ["127.0.0.1"],
        ["::ffff:127.0.0.1"],
        ["::1", "127.0.0.1"],
        ["93.184.216.34", "127.0.0.1"],
        ["127.0.0.1", "93.184.216.34"],
        ["169.254.169.254", "93.184.216.34", "fd00:ec2::254"],
    ],
)
async def test_whatever_a_name_server_says_only_public_addresses_are_connected_to(
    kernel: Kernel, answers: list[str]
) -> None:
    kernel.answers["rebound.example"] = answers
    await attempt("rebound.example")
    assert set(kernel.connected) <= {"93.184.216.34"}


async def test_an_answer_that_changes_between_two_looks_changes_nothing(kernel: Kernel) -> None:
    """The address that is judged is the one that is connected to: there is no second look-up to win a race against."""
    kernel.answers["rebound.example"] = ["next", *(["93.184.216.34", "127.0.0.1"] * 40)]
    transport = AiohttpTransport(egress=PUBLIC_TARGETS)
    for number in range(40):
        if kernel.answers["rebound.example"][0] != "next":
            kernel.answers["rebound.example"].insert(0, "next")
        origin = "https://rebound.example:8443"
        request = ProviderRequest("GET", f"{origin}/", {}, origin=origin, pool=f"fresh look-up {number}")
        with pytest.raises(ProviderConnectionError):
            await transport.send(request)
    await transport.aclose()
    assert "127.0.0.1" not in kernel.connected
    assert kernel.connected.count("93.184.216.34") == 20
