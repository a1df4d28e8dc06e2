"""More than a thousand tokens that somebody would like to have taken: by who has all that is public, and good ones."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import attrs
from identity_provider import IdentityProvider, edwards, elliptic, part, sign
from joserfc.jwk import RSAKey

__all__ = ["Forger"]

ALGORITHMS = [
    "none",
    "None",
    "NONE",
    "nOnE",
    "",
    " ",
    "HS256",
    "HS384",
    "HS512",
    "hs256",
    "rs256",
    "RS256 ",
    "RS1",
    "RS257",
    "ES256K",
    "PS999",
    "A128KW",
    "dir",
    "RSA-OAEP",
    "RSA1_5",
    "RS256\x00",
    "\uff32S256",
    "../RS256",
    "*",
    None,
    1,
    0,
    True,
    [],
    ["RS256"],
    {},
    {"RS256": 1},
    1e308,
    "x" * 5000,
]
TYPES = ["JWE", "logout+jwt", "dpop+jwt", "secevent+jwt", "at+jwt;x", "application/json", "", " ", 1, [], {}, True, "\uff41t+jwt"]  # fmt: skip  # noqa: E501
KIDS = [
    "../../etc/passwd",
    "' or '1'='1",
    "k1'--",
    "K1",
    "k1 ",
    " k1",
    "k1\x00",
    "k1\n",
    "/dev/null",
    "http://evil.example",
    "k1/../k1",
    "\uff4b1",
    "%6b1",
    "",
    "0",
    0,
    1,
    [],
    ["k1"],
    {},
    {"kid": "k1"},
    True,
    "x" * 9000,
    "🔑",
    "${env:HOME}",
]
MOMENTS = ["9999999999", "", [], {}, True, False, None, -1, -1e9, 1e-9, 0, 0.5, "NaN", "2030-01-01", [9999999999]]
AUDIENCES = [
    "",
    "LLMGATE",
    "llmgate ",
    " llmgate",
    "llmgate\x00",
    "llmgat",
    "llmgatee",
    "\uff4clmgate",
    [],
    [[]],
    {},
    ["llmgate"] * 0,
    [["llmgate"]],
    {"llmgate": 1},
    0,
    1,
    True,
    None,
    [1, "llmgate"],
    ["llmgat", "e"],
    "llmgate,other",
    "llmgate other",
    "https://llmgate",
    "*",
    ["*"],
]
BONDS = [
    *({}, None, [], "x5t#S256", 1, True, {"jkt": "AAAA"}, {"jwk": {}}, {"x5t": "AAAA"}, {"X5T#S256": "A" * 43}),
    *({"x5t#S256": value} for value in (None, 1, [], {}, "", "AAAA", "A" * 42 + "=", "B" * 43, "0" * 64)),
    {"x5t#S256": "A" * 43},
    {"x5t#S256": "A" * 43, "jkt": "A" * 43},
]
NOBODY = ["", None, [], {}, True, 1.5, "a\nb", "a\x00", "x" * 600, "\u202e", ["jane"]]


@attrs.frozen
class Forger:
    """Makes tokens that are not to be taken.

    Args:
        issuer: Who is imitated; its one key has the name ``k1``.
        now: Seconds since the epoch.
    """

    issuer: IdentityProvider
    now: float

    @property
    def header(self) -> dict[str, Any]:
        """What a good token's header says."""
        return {"alg": "RS256", "typ": "JWT", "kid": "k1"}

    @property
    def claims(self) -> dict[str, Any]:
        """What a good token claims."""
        return self.issuer.claims(self.now)

    def signed(self, header: bytes | Mapping[str, Any], claims: bytes | Mapping[str, Any]) -> str:
        """A token that the issuer has signed."""
        return sign(header, claims, self.issuer.keys[0], "RS256")

    def all(self) -> Iterator[str]:
        """Every one."""
        for makes in (self.unsigned, self.of_what_is_public, self.of_keys_brought_along, self.of_other_kinds):
            yield from makes()
        for makes in (self.of_odd_headers, self.of_odd_claims, self.of_spoiled_json, self.rewritten, self.of_chance):
            yield from makes()

    def unsigned(self) -> Iterator[str]:
        """No signature, and that of another token."""
        signature = self.issuer.token(self.now).split(".")[2]
        for algorithm, sealed in product(ALGORITHMS, ["", signature, "AAAA"]):
            yield f"{part({**self.header, 'alg': algorithm})}.{part(self.claims)}.{sealed}"

    def of_what_is_public(self) -> Iterator[str]:
        """The issuer's public key taken for a shared one."""
        key = self.issuer.keys[0]
        public, pem = key.as_dict(private=False), key.as_pem(private=False)
        known = [pem, pem.strip(), key.as_der(private=False), json.dumps(public).encode(), public["n"].encode(), b"k1"]
        for secret, algorithm in product(
            [*known, b"", self.issuer.url.encode(), b"secret"], ["HS256", "HS384", "HS512"]
        ):
            for header in ({**self.header, "alg": algorithm}, {"alg": algorithm}):
                text = f"{part(header)}.{part(self.claims)}"
                digest = hmac.new(secret, text.encode(), getattr(hashlib, f"sha{algorithm[2:]}")).digest()
                yield f"{text}.{part(digest)}"

    def of_keys_brought_along(self) -> Iterator[str]:
        """Keys of the forger's own: shown, pointed to, or called like the issuer's."""
        mine = RSAKey.generate_key(2048, {"kid": "k1"})
        own = mine.as_dict(private=False)
        shown: list[dict[str, Any]] = [{}, {"jwk": own}, {"jwk": mine.as_dict(private=True)}]
        shown += [{name: f"{self.issuer.url}/evil"} for name in ("jku", "x5u")] + [{"x5c": [part(mine.as_der())]}]
        shown += [{"jwk": own, "kid": None}, {"jku": f"{self.issuer.url}/jwks?evil", "kid": "evil"}, {"x5t": "AAAA"}]
        for more, algorithm in product(shown, ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]):
            yield sign({**self.header, **more, "alg": algorithm}, self.claims, mine, algorithm)

    def of_other_kinds(self) -> Iterator[str]:
        """Keys of other kinds and curves, and signatures that are made otherwise than is said."""
        curves = [
            (elliptic(curve=name), made) for name, made in (("P-256", "ES256"), ("P-384", "ES384"), ("P-521", "ES512"))
        ]
        others = [*curves, (edwards(), "Ed25519"), (edwards(curve="Ed448"), "Ed448")]
        for (other, made), said in product(
            others, ["ES256", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448", "RS256", "PS256"]
        ):
            yield sign({"alg": said, "kid": "k1"}, self.claims, other, made)
            yield sign({"alg": said, "jwk": other.as_dict(private=False)}, self.claims, other, made)
        for algorithm in ("RS384", "RS512", "PS256", "PS384", "PS512"):
            yield sign(self.header, self.claims, self.issuer.keys[0], algorithm)

    def of_odd_headers(self) -> Iterator[str]:
        """What an issuer says of no token of its own, although it has signed it."""
        for name, odd in (("kid", KIDS), ("typ", TYPES), ("alg", ALGORITHMS)):
            yield from (self.signed({**self.header, name: value}, self.claims) for value in odd)
        for name in ("crit", "b64", "zip", "enc", "cty"):
            for value in ([], [name], ["exp"], True, False, "JWT", None, "DEF", {}, 0):
                yield self.signed({**self.header, name: value}, self.claims)

    def of_odd_claims(self) -> Iterator[str]:
        """Times, audiences and names that are none, although the issuer has signed them."""
        for name, value in product(("exp", "nbf", "iat"), MOMENTS):
            early = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
            if name == "exp" or not early:
                yield self.signed(self.header, {**self.claims, name: value})
        for name, shift in (
            ("exp", -31),
            ("exp", -(10**9)),
            ("nbf", 32),
            ("iat", 32),
            ("nbf", 10**12),
            ("iat", 10**15),
        ):
            yield self.signed(self.header, {**self.claims, name: self.now + shift})
        for name, odd in (("aud", AUDIENCES), ("sub", NOBODY), ("cnf", BONDS)):
            yield from (self.signed(self.header, {**self.claims, name: value}) for value in odd)
        for missing in ("aud", "exp", "sub"):
            yield self.signed(self.header, {name: one for name, one in self.claims.items() if name != missing})
        for url in (
            f"{self.issuer.url}/",
            self.issuer.url.upper(),
            f"{self.issuer.url} ",
            "",
            None,
            [self.issuer.url],
            {},
            0,
        ):
            yield self.signed(self.header, {**self.claims, "iss": url})

    def of_spoiled_json(self) -> Iterator[str]:
        """What two readers could read differently, although the issuer has signed it."""
        plain, header = json.dumps(self.claims).encode(), json.dumps(self.header).encode()
        spoiled = [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"\xef\xbb\xbf{}", b"{}x", b"{}\x00", b"[" * 9000]
        more = [
            b'"sub":"root"',
            b'"\\u0073ub":"root"',
            b'"x":NaN',
            b'"x":"\\ud800"',
            b'"x":{"a":1,"a":2}',
            b'"x":1e999',
        ]
        spoiled += [plain[:-1] + b"," + member + b"}" for member in (*more, b'"x":' + b"9" * 5000 + b"e999")]
        spoiled += [b'{"a":' * 3000 + b"1" + b"}" * 3000]
        for content in spoiled:
            yield self.signed(content, self.claims)
            yield self.signed(self.header, content)
        yield self.signed(header[:-1] + b',"alg":"none"}', self.claims)
        yield self.signed(b'{"alg":"none",' + header[1:], self.claims)

    def rewritten(self) -> Iterator[str]:
        """A good token, written otherwise, cut, stuck together, blown up, put into another."""
        good = self.issuer.token(self.now)
        head, body, signature = good.split(".")
        yield from (
            f"{good}=",
            f"{good}==",
            f"{head}=.{body}.{signature}",
            f"{head}.{body}=.{signature}",
            f"{good}\x00",
        )
        yield from (f"{good}.", f"{good}.{good}", f".{good}", f"{head}..{signature}", f"{head}.{body}.", f"{good} x")
        yield from (f"{head}.{body}", f"{head}.{body}.{signature}.AA.AA", f"{head}.....", good[::-1], good.swapcase())
        yield from (f"{head}.{body}.{signature[:-1]}{last}" for last in "AQgw_-" if last != signature[-1])
        yield from (f"{head}.{body}.{part(bytes(size))}" for size in (0, 1, 255, 256, 257, 512, 5000))
        plain = json.dumps(self.claims).encode()
        yield from (f"{head}.{part(b' ' * size + plain)}.{signature}" for size in (1, 1000, 100_000, 1_000_000))
        yield self.signed({**self.header, "pad": "x" * 100_000}, self.claims)
        yield self.signed(self.header, {**self.claims, "pad": "x" * 100_000})
        yield self.signed({**self.header, "cty": "JWT"}, good.encode())
        yield f"{part({'alg': 'RSA-OAEP', 'enc': 'A256GCM', 'cty': 'JWT'})}.AAAA.AAAA.AAAA.AAAA"
        yield f"{part({'alg': 'dir', 'enc': 'A256GCM', 'zip': 'DEF'})}..AAAA.{'A' * 10_000}.AAAA"
        yield from (good[:cut] for cut in range(0, len(good), 3))

    def of_chance(self) -> Iterator[str]:
        """A good token with a character changed or put in."""
        good, chance = self.issuer.token(self.now), random.Random(6)
        for _ in range(400):
            place = chance.randrange(len(good))
            other = chance.choice("ABCxyz0189-_.=+/ \n\x00\xe9\U0001f511\udc80")
            yield good[:place] + other + good[place + chance.randrange(2) :]
