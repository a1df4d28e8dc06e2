"""Forms with files (``multipart/form-data``) on the bytes that travel: a scanner that holds none of them.

Servers differ in what they make of a form that is loosely written: two fields of one name, a name that is escaped, a
line end that is bare. A gateway that reads one model and forwards another can be talked past. So the scanner follows a
form to its end while it is passed on, and refuses everything on which two servers could differ. The grammar is RFC 7578
on RFC 2046, section 5.1.1, narrowed.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Final
from urllib.parse import unquote

import attrs

from llmgate.spec import InvalidRequestError, Upload

__all__ = ["Field", "Form", "FormScanner", "MultipartError", "boundary_of", "encode_form"]

MAX_HEADERS: Final = 16 * 1024
"""Bytes of the headers of one part."""

MAX_PARTS: Final = 1000
MAX_VALUE: Final = 8 * 1024
"""Bytes of the value of a field that is looked for."""

_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_PARAMETER: Final = re.compile(r';[ \t]*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=(?:"((?:[^"\\\r\n]|\\.)*)"|([^\s";]+))[ \t]*')
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\x00]*)")


class MultipartError(InvalidRequestError):
    """The form is not one, or one that two servers may read differently (400)."""

    default_code = "invalid_form"


@attrs.frozen
class Field:
    """A text field of a form.

    Args:
        value: Its value.
        start: Where the value begins, counted in bytes from the beginning of the body.
        end: Where it ends.
        length: Where its part says how long it is; None where it does not.
    """

    value: str
    start: int
    end: int
    length: tuple[int, int] | None = None


def boundary_of(content_type: str) -> bytes:
    """What separates the parts of a form.

    Args:
        content_type: The value of the header.

    Raises:
        MultipartError: it is no form with a boundary as RFC 2046, section 5.1.1, has it.
    """
    kind, _, rest = content_type.partition(";")
    given = _parameters(f";{rest}" if rest else "")
    if kind.strip().lower() != "multipart/form-data" or given is None:
        raise MultipartError("the content type is no multipart/form-data with a boundary")
    boundaries = [value for name, value in given if name == "boundary"]
    if len(boundaries) != 1 or not _BOUNDARY.fullmatch(boundaries[0]):
        raise MultipartError("the content type must name one boundary of 1 to 70 plain characters")
    return boundaries[0].encode("ascii")


class FormScanner:
    """Follows a form as it passes, in pieces of any size, and notes the values of the fields looked for.

    Args:
        boundary: What separates its parts.
        wanted: The names looked for.
    """

    def __init__(self, boundary: bytes, wanted: Collection[str]) -> None:
        self.fields: dict[str, Field] = {}
        self.finished = False
        """Whether the last boundary has come."""
        self._wanted = wanted
        self._delimiter = b"\r\n--" + boundary
        self._held = bytearray(b"\r\n")  # so that the first boundary looks like all others
        self._place = -2  # where in the body the first held byte stands
        self._step = self._read_opening
        self._parts = 0
        self._name: str | None = None
        self._length: tuple[int, int] | None = None

    def feed(self, data: bytes) -> None:
        """Take the next piece; ``b""`` is the end of the body.

        Raises:
            MultipartError: the form is not one, or could be read in two ways.
        """
        if not data:
            if not self.finished:
                raise MultipartError("the form ends without its last boundary")
            return
        self._held += data
        while self._step():
            pass

    def _read_opening(self) -> bool:
        if len(self._held) < len(self._delimiter):
            if not self._delimiter.startswith(self._held):
                self._refuse_opening()
            return False
        if not self._held.startswith(self._delimiter):
            self._refuse_opening()
        self._drop(len(self._delimiter))
        self._step = self._read_boundary_end
        return True

    def _read_boundary_end(self) -> bool:
        if len(self._held) < 2:
            return False
        after = bytes(self._held[:2])
        self._drop(2)
        if after == b"--":
            self.finished = True
            self._step = self._read_epilogue
        elif after == b"\r\n":
            self._parts += 1
            if self._parts > MAX_PARTS:
                raise MultipartError(f"the form has more than {MAX_PARTS} parts")
            self._step = self._read_headers
        else:
            raise MultipartError("a boundary of the form is followed by something else than a line end")
        return True

    def _read_headers(self) -> bool:
        end = self._held.find(b"\r\n\r\n", 0, MAX_HEADERS + 4)
        if end < 0:
            if len(self._held) > MAX_HEADERS:
                raise MultipartError(f"the headers of a part are larger than {MAX_HEADERS} bytes")
            return False
        self._read_part(bytes(self._held[:end]))
        self._drop(end + 4)
        self._step = self._read_content
        return True

    def _read_content(self) -> bool:
        end = self._held.find(self._delimiter)
        if end < 0:
            if self._name is None:
                self._drop(max(0, len(self._held) - len(self._delimiter) + 1))
            else:
                self._bound(self._name, len(self._held) - len(self._delimiter))
            return False
        if self._name is not None:
            self._note(self._name, bytes(self._held[:end]))
        self._drop(end + len(self._delimiter))
        self._step = self._read_boundary_end
        return True

    def _read_epilogue(self) -> bool:
        if self._held.strip(b"\r\n"):
            raise MultipartError("something follows the last boundary of the form")
        self._drop(len(self._held))
        return False

    def _read_part(self, head: bytes) -> None:
        """Read the headers of a part: its name where that is looked for, and where its length stands."""
        name: str | None = None
        place = self._place
        self._name, self._length = None, None
        for line in head.split(b"\r\n"):
            match = _HEADER.fullmatch(line)
            if match is None:
                raise MultipartError("a part of the form has a header that is none")
            header = match[1].lower()
            if header == b"content-disposition":
                if name is not None:
                    raise MultipartError("a part of the form has two names")
                name = _name_in(match[2])
            elif header == b"content-length":
                self._length = place + match.start(2), place + match.end(2)
            elif header == b"content-transfer-encoding" and match[2].strip().lower() not in {
                b"binary",
                b"8bit",
                b"7bit",
            }:
                raise MultipartError("a part of the form has a transfer encoding, which RFC 7578 does not allow")
            place += len(line) + 2
        if name is None:
            raise MultipartError("a part of the form has no name")
        if name in self._wanted:
            self._name = name
            if b"filename" in head.lower():
                raise MultipartError(f"the field {name!r} must be text, not a file", param=name)

    def _bound(self, name: str, size: int) -> None:
        if size > MAX_VALUE:
            raise MultipartError(f"the field {name!r} is longer than {MAX_VALUE} bytes", param=name)

    def _note(self, name: str, value: bytes) -> None:
        self._bound(name, len(value))
        if name in self.fields:
            raise MultipartError(f"the form has the field {name!r} twice", param=name)
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError:
            raise MultipartError(f"the field {name!r} is not UTF-8", param=name) from None
        if not text.isprintable():
            raise MultipartError(f"the field {name!r} holds control characters", param=name)
        self.fields[name] = Field(text, self._place, self._place + len(value), self._length)

    def _drop(self, count: int) -> None:
        del self._held[:count]
        self._place += count

    def _refuse_opening(self) -> None:
        raise MultipartError("the form does not begin with its boundary")


def _parameters(text: str) -> list[tuple[str, str]] | None:
    """The parameters of a header value, names in lower case; None when it is not written as it should be."""
    found, place = [], 0
    text = text.rstrip(" \t;")
    while place < len(text):
        match = _PARAMETER.match(text, place)
        if match is None:
            return None
        found.append((match[1].lower(), match[2] if match[2] is not None else match[3]))
        place = match.end()
    return found


def _name_in(disposition: bytes) -> str:
    """The name in a content disposition, as every server reads it.

    Raises:
        MultipartError: servers may read it differently.
    """
    kind, _, rest = disposition.decode("utf-8", "replace").partition(";")
    given = _parameters(f";{rest}" if rest else "")
    if given is None or kind.strip().lower() != "form-data":
        raise MultipartError("a part of the form has no content disposition of form-data")
    names = [value for name, value in given if name.startswith("name")]
    if len(names) != 1 or ("name", names[0]) not in given:
        raise MultipartError("a part of the form must have one name, without a charset")
    name = names[0]
    if "\\" in name or unquote(name) != name or name.startswith("=?") or name != name.strip():
        raise MultipartError("the name of a part of the form is escaped: write it plainly")
    return name


@attrs.frozen
class _Splice:
    """A span of a body and what stands there instead."""

    start: int
    end: int
    text: bytes


class Form:
    """A form on its way through: its fields so far, and the edits to be made in it as it passes; an ``Upload``.

    Args:
        upload: The body.
        boundary: What separates its parts.
        fields: The fields that have been looked for and found.
        edits: New values by name.
    """

    def __init__(
        self, upload: Upload, boundary: bytes, fields: Mapping[str, Field], edits: Mapping[str, str] | None = None
    ) -> None:
        self._upload = upload
        self._boundary = boundary
        self._fields = fields
        self._edits = edits or {}

    @property
    def media_type(self) -> str:
        """The content type, boundary included."""
        return self._upload.media_type

    @property
    def length(self) -> int | None:
        """Its size with the edits made."""
        length = self._upload.length
        grown = sum(len(one.text) - (one.end - one.start) for one in self._splices())
        return None if length is None else length + grown

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent once more."""
        return self._upload.repeatable

    @property
    def failure(self) -> Exception | None:
        """What reading it failed with."""
        return self._upload.failure

    def text(self, name: str) -> str | None:
        """The value of a field, None where it has not come."""
        field = self._fields.get(name)
        return self._edits.get(name, None if field is None else field.value)

    def edited(self, name: str, value: str) -> Form:
        """The form with the value of one field changed, or with the field put in front; every other byte stays.

        Args:
            name: The field.
            value: Its new value.
        """
        return Form(self._upload, self._boundary, self._fields, {**self._edits, name: value})

    def _splices(self) -> list[_Splice]:
        splices = []
        for name, value in self._edits.items():
            field, text = self._fields.get(name), value.encode("utf-8")
            if field is None:
                head = b'Content-Disposition: form-data; name="' + name.encode("ascii") + b'"'
                part = b"--" + self._boundary + b"\r\n" + head + b"\r\n\r\n" + text + b"\r\n"
                splices.append(_Splice(0, 0, part))
                continue
            splices.append(_Splice(field.start, field.end, text))
            if field.length is not None:
                splices.append(_Splice(*field.length, b"%d" % len(text)))
        return sorted(splices, key=lambda one: one.start)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body with the edits made."""
        place = 0
        left = self._splices()
        async for piece in self._upload.pieces():
            start, end = place, place + len(piece)
            place = end
            done = start
            while left and left[0].start < end:
                one = left[0]
                if one.start >= start and (before := piece[done - start : one.start - start] + one.text):
                    yield before
                done = min(one.end, end)
                if one.end > end:
                    break  # the rest of the span comes with the next piece
                left.pop(0)
            if done < end:
                yield piece[done - start :] if done > start else piece


def encode_form(
    fields: Mapping[str, str | Sequence[str]], files: Sequence[tuple[str, str, bytes, str]], boundary: str
) -> bytes:
    """Write a form.

    Args:
        fields: Text fields, in order; a sequence writes one part for each value.
        files: Name, file name, content and content type of each file.
        boundary: What separates the parts; it must not occur in any of them.
    """
    pieces: list[bytes] = []
    for name, value in fields.items():
        for one in [value] if isinstance(value, str) else value:
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
            pieces += [head.encode(), one.encode(), b"\r\n"]
    for name, file_name, content, media_type in files:
        plain = file_name.translate({ord('"'): "%22", ord("\r"): "%0D", ord("\n"): "%0A"})
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{plain}"\r\n'
        pieces += [head.encode(), f"Content-Type: {media_type}\r\n\r\n".encode(), content, b"\r\n"]
    return b"".join([*pieces, f"--{boundary}--\r\n".encode()])
