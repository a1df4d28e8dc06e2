"""What a control plane may say: both dialects read, garbage refused, and none of it shown."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings, strategies as st
from llmgate_control_plane.errors import MessageError
from llmgate_control_plane.keys import KeyTable, read_key, told_by, written_key
from llmgate_control_plane.messages import Beat, Delta, KeyList, Other, Refused, SnapshotPart, read_message
from plane_bench import KEY, OTHER, PEPPER, full, helicone_key, issued, listed, update

from llmgate.spec import CallerLimit, Peppers, Principal, SecretRef

FULL = "3f921480"
"""How the published hash of the key of Helicone's own tests begins."""
SNAPSHOT = {"epoch": "e", "revision": 1, "part": 0, "last": True, "beat": 5, "age": 0, "keys": []}


def read(text: str | bytes, most: int = 100):
    return read_message(text if isinstance(text, bytes) else text.encode(), most)


def test_the_hash_of_a_key_is_helicones():
    assert helicone_key(KEY)["keyHash"].startswith(FULL)
    (digest,) = told_by(None)(KEY)
    assert digest.hex() == helicone_key(KEY)["keyHash"]


def test_the_full_state_and_lists_are_read():
    found = read(full(KEY, OTHER))
    assert isinstance(found, KeyList)
    assert found.whole
    assert [key.principal.id for key in found.keys if key.principal] == ["owner-1", "owner-1"]
    assert found.keys[0].principal is not None
    assert found.keys[0].principal.attributes["organization"] == "org-1"
    again = read(listed(KEY))
    assert isinstance(again, KeyList)
    assert not again.whole


def test_fields_and_messages_of_other_versions_are_passed_over():
    older = {"auth": {}, "keys": [helicone_key(KEY) | {"extra": 1}], "routerId": "r", "routerConfig": "{}"}
    assert isinstance(read(json.dumps({"_type": "Update", "Config": {"data": older}})), KeyList)
    assert read('{"_type": "Ack", "Heartbeat": "Success"}') == Other("Ack")
    assert read('{"_type": "Update", "AuthData": {"data": {}}}') == Other("Update")
    assert read('{"_type": "Error", "Unauthorized": {"message": "who?"}}') == Refused("who?")


def test_the_own_dialect_is_read():
    key = issued(KEY)
    assert read(update("Snapshot", **{**SNAPSHOT, "keys": [written_key(key)]})) == SnapshotPart(
        "e", 1, 0, True, 5.0, 0.0, (read_key(written_key(key)),)
    )
    assert read(update("Delta", epoch="e", **{"from": 1, "to": 2}, keys=[], withdrawn=["x"])) == Delta(
        "e", 1, 2, (), ("x",)
    )
    assert read(update("Beat", epoch="e", revision=4, age=1.5)) == Beat("e", 4, 1.5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '"sk-secret"',
        b"\xff\xfe",
        b'{"_type": "Update", "Config": {"data": ' + b"[" * 5000,
        '{"_type": 1}',
        '{"_type": "Update", "Config": null}',
        '{"_type": "Update", "Config": {"data": {"keys": {}}}}',
        '{"_type": "Update", "Config": {"data": {"keys": [{"keyHash": "zz", "ownerId": "a", "organizationId": "b"}]}}}',
        '{"_type": "Update", "Keys": {"data": [1]}}',
        '{"_type": "Update", "Keys": {"data": null}}',
        '{"_type": "Error", "Unauthorized": {"message": 1}}',
        update("Snapshot", **{**SNAPSHOT, "beat": 0}),
        update("Snapshot", **{**SNAPSHOT, "beat": 1e9}),
        update("Snapshot", **{**SNAPSHOT, "revision": -1}),
        update("Snapshot", **{**SNAPSHOT, "revision": True}),
        update("Snapshot", **{**SNAPSHOT, "age": "0"}),
        update("Snapshot", **{**SNAPSHOT, "last": 1}),
        update("Snapshot", **{**SNAPSHOT, "keys": [{}]}),
        update("Delta", epoch="e", **{"from": 2, "to": 2}, keys=[], withdrawn=[]),
        update("Delta", epoch="e\n", **{"from": 1, "to": 2}, keys=[], withdrawn=[]),
        update("Beat", epoch="e", revision=1, age=-1),
    ],
)
def test_garbage_is_refused_and_not_shown(text):
    with pytest.raises(MessageError) as caught:
        read(text)
    assert "sk-secret" not in str(caught.value)


def test_too_many_keys_are_refused():
    with pytest.raises(MessageError, match="max-keys"):
        read(full(KEY, OTHER), most=1)


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["_type", "Update", "Config", "Keys", "Snapshot", "Delta", "data", "keys", "epoch", "from"]
                )
                | st.text(max_size=4),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_nothing_but_a_message_or_its_error_comes_of_any_json(value):
    for said in (value, {"_type": "Update", "Config": value}, {"_type": "Update", "Snapshot": value}):
        try:
            read(json.dumps(said))
        except MessageError:
            continue


def test_a_key_comes_out_as_it_went_in():
    who = Principal(
        id="f",
        issuer="issued-keys",
        kind="team",
        models=("openai/*",),
        denied_models=("*-pro",),
        scopes=("chat",),
        secrets={"openai": SecretRef("vault", "team-a/openai")},
        limits=(CallerLimit(5, 60.0, "requests"), CallerLimit(2, None, "concurrent")),
        attributes={"owner": "jane", "team": None, "level": 3},
    )
    key = issued(KEY, principal=who, ends_at=5.5, addresses=("192.0.2.0/24", "2001:db8::/32"))
    again = read_key(json.loads(json.dumps(written_key(key))))
    assert again.principal is not None
    assert again.principal.issuer == "control-plane", "each gateway vouches for itself"
    assert (again.hash, again.ends_at, again.addresses) == (key.hash, 5.5, ("192.0.2.0/24", "2001:db8::/32"))
    for name in ("id", "kind", "models", "denied_models", "scopes", "secrets", "limits", "attributes"):
        assert getattr(again.principal, name) == getattr(who, name), name


class TestTable:
    def find(self, table: KeyTable, key: str, address: str = "", now: float = 0.0):
        return table.find(told_by(Peppers([PEPPER.encode()]))(key), address, now)

    def test_a_key_that_is_put_again_is_known_by_its_new_hash_alone(self):
        table = KeyTable()
        table.put(issued(KEY))
        table.put(issued(OTHER, id=issued(KEY).id))
        assert len(table) == 1
        assert self.find(table, KEY) == (None, "unknown key")
        assert self.find(table, OTHER)[0] is not None

    def test_two_names_of_one_hash_do_no_harm(self):
        table = KeyTable()
        table.put(issued(KEY))
        table.put(issued(KEY, id="another"))
        table.drop(issued(KEY).id)
        assert self.find(table, KEY)[0] is not None
        table.drop("another")
        assert self.find(table, KEY)[0] is None
        table.drop("another")

    @pytest.mark.parametrize(
        ("address", "let_in"),
        [
            ("192.0.2.7", True),
            ("::ffff:192.0.2.7", True),
            ("192.0.3.7", False),
            ("2001:db8::7", True),
            ("", False),
            ("x", False),
        ],
    )
    def test_a_key_is_held_to_its_networks(self, address, let_in):
        table = KeyTable()
        table.put(issued(KEY, addresses=("192.0.2.0/24", "2001:db8::/32")))
        assert (self.find(table, KEY, address)[0] is not None) == let_in

    def test_a_key_ends_at_its_time(self):
        table = KeyTable()
        table.put(issued(KEY, ends_at=10.0))
        assert self.find(table, KEY, now=math.nextafter(10.0, 0))[0] is not None
        assert self.find(table, KEY, now=10.0)[0] is None

    def test_as_much_is_hashed_whatever_the_key(self):
        digests = told_by(Peppers([PEPPER.encode(), PEPPER[::-1].encode()]))
        assert {len(digests(key)) for key in ("", KEY, "x" * 10_000, "\udc80")} == {3}
