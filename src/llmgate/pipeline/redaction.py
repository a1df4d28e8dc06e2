"""Takes secrets out of texts before they are kept: by the name that a value stands under, and by its shape."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmgate.codecs.jsons import JSONError, dumps, loads

__all__ = ["Redaction"]

MARK: Final = "[redacted]"
_KEYS: Final = frozenset(
    {
        "accesstoken", "apikey", "authorization", "authtoken", "bearertoken", "clientsecret", "cookie", "credential",
        "credentials", "idtoken", "passphrase", "passwd", "password", "privatekey", "proxyauthorization", "pwd",
        "refreshtoken", "secret", "secretaccesskey", "secretkey", "sessiontoken", "setcookie", "token", "xapikey",
    }
)  # fmt: skip
"""Names of secrets, without the signs between their words."""
_SHAPES: Final[Sequence[tuple[Sequence[str], str]]] = (
    (
        ("PRIVATE KEY-----",),
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]{0,20000}?(?:-----END [A-Z ]{0,40}KEY-----|\Z)",
    ),
    (("eyJ",), r"\beyJ[A-Za-z0-9_-]{8,4096}\.eyJ[A-Za-z0-9_-]{8,8192}\.[A-Za-z0-9_-]{8,2048}"),
    (("sk-", "sk_", "rk_", "pk_"), r"\b(?:sk|rk|pk)[-_][A-Za-z0-9_-]{16,256}"),
    (("AKIA", "ASIA", "ABIA", "ACCA"), r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"),
    (("AIza", "ya29."), r"\b(?:AIza[A-Za-z0-9_-]{30,64}|ya29\.[A-Za-z0-9_-]{20,2048})"),
    (
        ("gsk_", "hf_", "xai-", "r8_", "nvapi-", "pplx-", "fw_", "tgp_v1_", "csk-", "llmg_"),
        r"\b(?:gsk|hf|xai|r8|nvapi|pplx|fw|tgp_v1|csk|llmg)[-_][A-Za-z0-9_-]{20,256}",
    ),
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"), r"\b(?:gh[pousr]|github_pat)_[A-Za-z0-9_]{20,255}"),
    (("glpat-",), r"\bglpat-[A-Za-z0-9_-]{16,64}"),
    (("xox",), r"\bxox[abeoprs]-[A-Za-z0-9-]{10,256}"),
    (("hvs.", "hvb.", "hvr."), r"\bhv[sbr]\.[A-Za-z0-9_-]{20,256}"),
    (("whsec_",), r"\bwhsec_[A-Za-z0-9+/=]{20,128}"),
    (("earer ", "EARER "), r"(?i:\bbearer\s{1,4})[A-Za-z0-9._~+/-]{16,4096}=*"),
    (("://",), r"(?<=://)[^\s/:@]{0,128}:[^\s/@]{1,256}(?=@)"),
)
"""Texts of which one is in every secret of a kind, and its shape: keys of vendors, tokens, passwords in addresses."""
_PAIR: Final = re.compile(r'"([^"\\]{2,64})"(\s{0,8}:\s{0,8})"((?:[^"\\]|\\.)+)"?')
"""A member of an object within a text, such as the arguments of a tool."""
_BINARY: Final = re.compile(r"(?<![A-Za-z0-9+/_-])([A-Za-z0-9+/_-]{1024,}={0,2})")
_SIGNS: Final = re.compile(r"[^a-z0-9]")
_DEPTH: Final = 100
_LONG: Final = 1024


class Redaction:
    """What is taken out.

    Args:
        keys: More names of secrets; upper and lower case and the signs between words make no difference.
        patterns: More regular expressions of what is a secret by its shape.

    Raises:
        re.error: a pattern is none.
    """

    def __init__(self, keys: Sequence[str] = (), patterns: Sequence[str] = ()) -> None:
        self._keys = _KEYS | {_name(one) for one in keys}
        self._shapes = [(needles, re.compile(shape)) for needles, shape in _SHAPES]
        self._shapes += [((), re.compile(one)) for one in patterns]

    def text(self, text: str) -> tuple[str, int]:
        """A text without secrets, and how many were taken out of it."""
        total = 0
        for needles, shape in self._shapes:
            if not needles or any(one in text for one in needles):
                text, count = shape.subn(MARK, text)
                total += count
        if '":' in text or '" :' in text:
            text, count = self._pairs(text)
            total += count
        if len(text) >= _LONG and max(map(len, text.split()), default=0) >= _LONG:
            text = _BINARY.sub(_digest, text)
        return text, total

    def body(self, data: bytes) -> tuple[str, int]:
        """A body without secrets, by name too where it is JSON, and how many were taken out of it."""
        try:
            value = loads(data)
        except JSONError:
            return self.text(data.decode("utf-8", "replace"))
        redacted, count = self._value(value, 0)
        try:
            return dumps(redacted).decode(), count
        except JSONError:
            return self.text(data.decode("utf-8", "replace"))

    def _pairs(self, text: str) -> tuple[str, int]:
        count = 0

        def without(match: re.Match[str]) -> str:
            nonlocal count
            if match[3] == MARK or _name(match[1]) not in self._keys:
                return match[0]
            count += 1
            return f'"{match[1]}"{match[2]}"{MARK}"'

        return _PAIR.sub(without, text), count

    def _value(self, value: Any, depth: int) -> tuple[Any, int]:
        if isinstance(value, str):
            return self.text(value)
        if depth > _DEPTH:
            return MARK, 1
        if isinstance(value, Mapping):
            return self._members(value, depth)
        if isinstance(value, list):
            items = [self._value(one, depth + 1) for one in value]
            return [one for one, _ in items], sum(count for _, count in items)
        return value, 0

    def _members(self, value: Mapping[str, Any], depth: int) -> tuple[dict[str, Any], int]:
        kept, total = {}, 0
        for name, one in value.items():
            if isinstance(one, str) and one and _name(name) in self._keys:
                kept[name], count = MARK, 1
            else:
                kept[name], count = self._value(one, depth + 1)
            total += count
        return kept, total


def _name(text: str) -> str:
    return _SIGNS.sub("", text.lower())


def _digest(match: re.Match[str]) -> str:
    """What stands for a picture or a sound: how long it was, and which."""
    return f"[{len(match[1])} characters of base64, sha256 {hashlib.sha256(match[1].encode()).hexdigest()}]"
