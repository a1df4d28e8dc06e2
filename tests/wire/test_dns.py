"""Text records over UDP and TCP; nothing but the answer to the question that was asked is believed."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from llmgate.wire.dns import NameLookupError, NameServers, configured_servers
from name_server import NameServer, name_server


def servers(*found: NameServer, timeout: float = 0.5) -> NameServers:
    return NameServers([one.address for one in found], timeout=timeout)


async def test_the_texts_of_a_name_are_found() -> None:
    with name_server({"a.example": ["one", "two words", "ü", ""], "b.example": []}) as server:
        assert await servers(server).texts("a.example") == ["one", "two words", "ü", ""]
        assert await servers(server).texts("A.example.") == ["one", "two words", "ü", ""]
        assert await servers(server).texts("b.example") == []
        assert await servers(server).texts("none.example") == ()


async def test_what_does_not_fit_a_datagram_comes_over_tcp() -> None:
    with name_server({"a.example": ["x" * 700, "y"]}) as server:
        assert await servers(server).texts("a.example") == ["x" * 700, "y"]
        assert server.asked == ["a.example"] * 2


async def test_the_next_server_is_asked_where_one_fails() -> None:
    with name_server({"a.example": ["from the first"]}) as first, name_server({"a.example": ["b"]}) as second:
        first.code = 2
        assert await servers(first, second).texts("a.example") == ["b"]
        first.spoil = lambda answer, tcp: []
        assert await servers(first, second).texts("a.example") == ["b"]


async def test_where_none_answers_it_says_which_were_asked() -> None:
    with name_server({}) as server:
        server.code = 5
        with pytest.raises(NameLookupError, match=rf"127\.0\.0\.1:{server.port} \(it failed with code 5\)"):
            await servers(server).texts("a.example")
    with pytest.raises(NameLookupError, match="none is configured"):
        await servers().texts("a.example")


@pytest.mark.parametrize(
    "forge",
    [
        lambda answer: bytes([answer[0] ^ 1]) + answer[1:],
        lambda answer: answer[:2] + b"\x01\x00" + answer[4:],
        lambda answer: answer.replace(b"\x01a\x07example", b"\x01b\x07example", 1),
        lambda answer: b"",
        lambda answer: answer[:11],
    ],
)
async def test_an_answer_to_another_question_is_not_believed(forge: object) -> None:
    with name_server({"a.example": ["true"]}) as server:
        server.spoil = lambda answer, tcp: [forge(answer).replace(b"true", b"lies"), answer]  # type: ignore[operator]
        assert await servers(server).texts("a.example") == ["true"]
        server.texts = {"a.example": ["x" * 700]}
        server.spoil = lambda answer, tcp: [forge(answer)] if tcp else [answer]  # type: ignore[operator]
        with pytest.raises(NameLookupError):
            await servers(server).texts("a.example")


@pytest.mark.parametrize("length", [20, 30, 40, 44])
async def test_an_answer_that_is_cut_off_is_no_answer(length: int) -> None:
    with name_server({"a.example": ["a text of some length"]}) as server:
        server.spoil = lambda answer, tcp: [answer[:length]]
        with pytest.raises(NameLookupError):
            await servers(server).texts("a.example")


async def test_aliases_before_the_text_are_passed_over_and_names_that_do_not_end_are_not() -> None:
    alias = b"\xc0\x0c" + struct.pack(">HHIH", 5, 1, 60, 4) + b"\x01z\xc0\x0e"

    def with_alias(answer: bytes, tcp: bool) -> list[bytes]:
        end = answer.index(b"\0", 12) + 5
        return [answer[:6] + struct.pack(">H", 2) + answer[8:end] + alias + answer[end:]]

    with name_server({"a.example": ["behind it"]}) as server:
        server.spoil = with_alias
        assert await servers(server).texts("a.example") == ["behind it"]
        server.spoil = lambda answer, tcp: [answer[: answer.index(b"\0", 12) + 5] + b"\x01a" * 4000]
        with pytest.raises(NameLookupError):
            await servers(server).texts("a.example")


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64 + ".example", "a." * 130, "ä.example"])
async def test_what_is_no_host_name_is_not_asked_for(name: str) -> None:
    with name_server({}) as server:
        with pytest.raises(NameLookupError):
            await servers(server).texts(name)
        assert server.asked == []


def test_the_servers_of_this_machine(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(
        "# comment\nsearch a.example\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver\noptions x\n"
    )
    assert configured_servers(path) == [("10.0.0.1", 53), ("fe80::1", 53)]
    assert configured_servers(tmp_path / "none") == ()
