"""What is the same for the streams of all formats, on a format of one word a line."""

from __future__ import annotations

import pytest

from llmgate.formats.reading import FrameReader
from llmgate.spec import ChoiceDelta, ErrorDetail, GatewayChunk, ProviderProtocolError, Text


class Lines:
    def __init__(self) -> None:
        self._held = b""

    @property
    def pending(self) -> bool:
        return bool(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        *whole, self._held = (self._held + data).split(b"\n")
        if any(len(one) > 9 for one in (*whole, self._held)):
            raise ValueError("a word is too long")
        return [one + b"\n" for one in whole]


class WordReader(FrameReader):
    frame_end = b"\n"

    def __init__(self, *, marked: bool = True) -> None:
        super().__init__(Lines(), "words")
        self.looked_at: list[bytes] = []
        self._marked = marked

    def _observe(self, raw: bytes) -> bool:
        self.looked_at.append(raw)
        if raw == b"bad\n":
            raise self._broken("it is bad")
        if raw == b"error\n":
            self.outcome.error = ErrorDetail("no more")
            return False
        if raw == b"end\n" and self._marked:
            self._note_terminal(raw)
            return False
        self.outcome.content = True
        return raw != b"secret\n"

    def _decode(self, raw: bytes) -> GatewayChunk:
        shown = self._observe(raw)
        choices = (ChoiceDelta(parts=(Text(raw.decode()),)),) if shown else ()
        return GatewayChunk(choices, final=self.outcome.complete, error=self.outcome.error, raw=raw if shown else b"")

    def _is_plain(self, raw: bytes) -> bool:
        return raw == b"word\n"

    def _ends(self, raw: bytes) -> bool:
        return raw == b"end\n"

    def _closes_well(self) -> bool:
        return not self._marked and self.outcome.content


def test_whole_frames_go_on_as_the_very_bytes_that_came():
    data = b"first\nword\n"
    assert WordReader().relay(data) is data


def test_part_of_a_frame_waits_for_the_rest():
    reader = WordReader()
    assert reader.relay(b"fi") == b""
    assert reader.relay(b"rst\nsec") == b"first\n"
    assert reader.relay(b"ret\nword\n") == b"word\n"


def test_plain_frames_are_not_read_once_there_is_content():
    reader = WordReader()
    reader.relay(b"word\nword\nother\n")
    assert reader.looked_at == [b"word\n", b"other\n"]


def test_the_terminal_marker_is_kept_and_nothing_is_read_behind_it():
    reader = WordReader()
    assert reader.relay(b"word\nend\nword\n") == b"word\n"
    assert (reader.terminal, reader.outcome.complete) == (b"end\n", True)
    assert reader.relay(b"word\n") == b""
    reader.finish()


def test_what_came_before_a_broken_frame_goes_out_first():
    for step in (WordReader.relay, WordReader.decode):
        reader = WordReader()
        assert step(reader, b"word\nbad\nword\n")
        with pytest.raises(ProviderProtocolError, match="not one of words: it is bad"):
            step(reader, b"word\n")
        with pytest.raises(ProviderProtocolError, match="it is bad"):
            reader.finish()


def test_what_the_splitter_refuses_breaks_the_stream():
    reader = WordReader()
    with pytest.raises(ProviderProtocolError, match="too long"):
        reader.relay(b"a" * 10)
    with pytest.raises(ProviderProtocolError, match="too long"):
        reader.decode(b"word\n")


def test_an_error_ends_a_stream_without_its_frame():
    reader = WordReader()
    assert reader.relay(b"word\nerror\nword\n") == b"word\n"
    assert reader.outcome.error == ErrorDetail("no more")
    with pytest.raises(ProviderProtocolError, match="ended before its terminal marker"):
        reader.finish()


def test_decoding_gives_a_chunk_for_each_frame():
    chunks = WordReader().decode(b"word\nsecret\nend\nword\n")
    assert [(one.text, one.raw, one.final) for one in chunks] == [
        ("word\n", b"word\n", False),
        ("", b"", False),
        ("", b"", True),
    ]


def test_a_terminal_marker_that_lacks_its_end_is_still_one():
    reader = WordReader()
    reader.relay(b"word\nend")
    reader.finish()
    assert (reader.terminal, reader.outcome.complete) == (b"end\n", True)


def test_a_stream_that_is_cut_is_not_complete():
    for data in (b"word\n", b"word\nen"):
        reader = WordReader()
        reader.relay(data)
        with pytest.raises(ProviderProtocolError) as failure:
            reader.finish()
        assert (failure.value.code, failure.value.retryable) == ("incomplete_stream", True)


def test_a_format_without_a_marker_says_itself_whether_a_stream_may_end():
    reader = WordReader(marked=False)
    with pytest.raises(ProviderProtocolError):
        reader.finish()
    reader.relay(b"word\n")
    reader.finish()
    assert reader.outcome.complete
