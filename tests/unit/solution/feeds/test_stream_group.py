"""StreamGroup against a client that answers as told."""

from collections.abc import Callable
from typing import Any

import pytest
import redis

from solution.feeds import stream_group as module
from solution.feeds.stream_group import StreamGroup

NOPERM = redis.exceptions.NoPermissionError("this user has no permissions")
OOM = redis.OutOfMemoryError("command not allowed when used memory > 'maxmemory'")
WRONGTYPE = redis.ResponseError("WRONGTYPE Operation against a key")
BUSYGROUP = redis.ResponseError("BUSYGROUP Consumer Group name already exists")
NOGROUP = redis.ResponseError("NOGROUP No such key")


class Wire:
    """Client, pool, connection and pipeline in one; keeps what was packed.

    Args:
        answer: the reply to a command, or the error it raises.
    """

    def __init__(self, answer: Callable[..., Any] = lambda *_: b"OK") -> None:
        self.answer = answer
        self.packed: list[tuple[Any, ...]] = []
        self.replies: list[Any] = []
        self.connection_pool = self

    def set_response_callback(self, command: str, callback: object) -> None:
        """The group asks for raw replies."""

    def execute_command(self, *command: Any) -> Any:
        reply = self.answer(*command)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def get_connection(self) -> "Wire":
        return self

    def pack_command(self, *command: Any) -> tuple[Any, ...]:
        self.packed.append(command)
        return command

    def send_packed_command(self, command: tuple[Any, ...]) -> None:
        pass

    def read_response(self, *, disable_decoding: bool) -> Any:
        assert disable_decoding
        return self.replies.pop(0) if self.replies else None

    def pipeline(self, *, transaction: bool) -> "Wire":
        assert transaction is False
        return self

    def xinfo_groups(self, stream: str) -> Any:
        name = b"g" if stream == "ours" else b"another"
        self.replies.append([{"name": name, "last-delivered-id": b"5-1", "entries-read": 3}])
        return self.replies[-1]

    def xinfo_stream(self, stream: str) -> None:
        self.replies.append({"last-generated-id": b"9-0", "max-deleted-entry-id": b"2-0"})

    def execute(self) -> list[Any]:
        replies, self.replies = self.replies, []
        return replies


def made(wire: Any, *streams: str) -> StreamGroup:
    return StreamGroup(wire, streams or ("s",), "g", "me")


@pytest.mark.parametrize(
    ("create", "pending", "broken"),
    [
        (b"OK", NOGROUP, ""),
        (BUSYGROUP, NOGROUP, ""),
        (WRONGTYPE, WRONGTYPE, "REDIS_WRONGTYPE"),
        (NOPERM, [0, None, None, None], ""),
        (NOPERM, NOPERM, "REDIS_NOPERM"),
        (OOM, [0, None, None, None], ""),
        (OOM, NOGROUP, "REDIS_OUT_OF_MEMORY"),
    ],
)
def test_a_stream_is_left_out_only_if_it_cannot_be_read(
    create: Any, pending: Any, broken: str
) -> None:
    """A refused XGROUP CREATE is no harm where the group is there already."""
    group = made(Wire(lambda name, *_: create if name == "XGROUP" else pending))
    assert group.ensure() == (["s"] if create == b"OK" else [])
    assert [why.partition(":")[0] for why in group.broken.values()] == [broken] * bool(broken)
    assert group.active == (() if broken else ("s",))


@pytest.mark.parametrize(
    "error",
    [redis.ReadOnlyError("a replica"), redis.ResponseError("MISCONF"), redis.ConnectionError("x")],
)
def test_a_fault_of_the_whole_server_is_raised(error: Exception) -> None:
    """No stream is blamed for it."""
    group = made(Wire(lambda *_: error))
    with pytest.raises(type(error)):
        group.ensure()
    assert group.broken == {}


def test_only_what_can_be_read_is_asked_for() -> None:
    """The command is packed anew when a stream breaks or is well again."""
    replies = {"b": WRONGTYPE}
    wire = Wire(lambda _, __, stream, *___: replies.get(stream, BUSYGROUP))
    group = made(wire, "a", "b")
    for _ in range(2):
        group.ensure()
        assert list(group.read_new(3)) == []
    replies.clear()
    group.ensure(("b",))
    assert list(group.read_new(3)) == []
    asked = [command[command.index("STREAMS") + 1 :] for command in wire.packed]
    assert asked == [("a", ">"), ("a", "b", ">", ">")]


def test_packed_commands_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room differs from read to read; a few hundred kinds are kept."""
    monkeypatch.setattr(module, "PACKED_KEPT", 2)
    wire = Wire()
    group = made(wire)
    for count in (1, 1, 2, 3, 1):
        list(group.read_new(count))
    assert len(wire.packed) == 4


def test_entries_keep_every_field_and_tell_what_is_gone() -> None:
    """A field given twice is there twice; no fields at all means deleted."""
    wire = Wire()
    wire.replies = [[[b"s", [[b"1-0", [b"a", b"1", b"a", b"2"]], [b"2-0", None]]]]]
    found = list(made(wire).read_new(2))
    assert found == [("s", ("1-0", ((b"a", b"1"), (b"a", b"2")))), ("s", ("2-0", None))]


def test_tails_of_streams_without_our_group_are_not_known() -> None:
    """Gone in between; the next read says NOGROUP."""
    [(stream, tail)] = made(Wire(), "ours", "theirs").tails().items()
    assert stream == "ours"
    assert (tail.last_generated, tail.last_delivered, tail.max_deleted) == ((9, 0), (5, 1), (2, 0))
    assert (tail.entries_added, tail.entries_read) == (None, 3)


@pytest.mark.parametrize(("first", "lowest"), [(b"4-0", "4-0"), (None, None)])
def test_the_lowest_pending_entry(first: bytes | None, lowest: str | None) -> None:
    """Of all consumers, or none."""
    assert made(Wire(lambda *_: [0, first, None, None])).lowest_pending("s") == lowest


def test_a_rewound_group_is_delivered_everything_again() -> None:
    """From before the first entry, not from the newest."""
    asked: list[tuple[Any, ...]] = []
    made(Wire(lambda *command: asked.append(command))).rewind("s")
    assert asked == [("XGROUP", "SETID", "s", "g", "0")]


@pytest.mark.parametrize(
    ("lowest", "before_ms", "floor"),
    [(None, 9, "5-1"), (b"4-7", 9, "4-7"), (b"4-7", 3, "3-0"), (None, 3, "3-0")],
)
def test_nothing_that_a_group_still_needs_is_trimmed(
    lowest: bytes | None, before_ms: int, floor: str
) -> None:
    """Neither what is pending nor what was never delivered, however old it is."""
    trims: list[tuple[Any, ...]] = []

    def answer(*command: Any) -> Any:
        if command[0] == "XPENDING":
            return [0, lowest, None, None]
        trims.append(command)
        return 2

    assert made(Wire(answer)).trim("s", before_ms) == 2
    assert trims == [("XTRIM", "s", "MINID", "~", floor)]


def test_pending_entries_are_read_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page begins behind the last entry of the one before; a short one is the last."""
    monkeypatch.setattr(module, "PAGE", 2)
    ids, starts = [b"1-0", b"2-0", b"2-1"], []

    def answer(*command: Any) -> Any:
        starts.append(command[3])
        return [(each, b"me", 0, 1) for each in (ids[:2] if command[3] == "-" else ids[2:])]

    assert list(made(Wire(answer)).pending_ids("s", "me")) == ["1-0", "2-0", "2-1"]
    assert starts == ["-", "(2-0"]
