"""Signed signals through the real service: who is let in, for what, and how often."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from signal_generator.signing import Key, Signer
from tests.helpers.golden import VECTORS
from tests.helpers.service_process import ROOT, World, world

TV1, OLD, SMALL = "a" * 32, "b" * 40, "c" * 64
KEYS = f"tv1:{TV1},old:{OLD};symbols=AAPL|NVDA\nsmall:{SMALL};max_notional=1000"


@pytest.fixture(scope="module")
def signed_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A service that asks for signatures on two streams."""
    directory = tmp_path_factory.mktemp("signed")
    with world(directory, SIGNAL_HMAC_KEYS=KEYS, STREAMS="nvda,aapl") as made:
        made.start()
        yield made


def sign(
    made: World, kid: str = "tv1", secret: str = TV1, stream: str = "nvda", **fields: str
) -> dict[str, str]:
    """A signed buy."""
    signer = Signer(Key(kid, secret.encode()), stream, now_ms=made.redis_ms)
    return signer({"ticker": "NVDA", "direction": "b", **fields})


def end(made: World, fields: dict[str, str], stream: str = "nvda") -> tuple[str, str]:
    """How an entry with these fields ends: event and reason."""
    entry_id = made.publish_raw(fields, stream)
    made.await_ends([entry_id])
    event = made.final(entry_id)
    return event["event"], event.get("reason", "")


@pytest.mark.parametrize(
    ("kid", "secret", "fields"),
    [
        ("tv1", TV1, {"ticker": "F"}),
        ("old", OLD, {}),
        ("small", SMALL, {"ticker": "F"}),
        ("tv1", TV1, {"ticker": "BRK.B", "x_note": "two\nlines", "strategy": "größe"}),
    ],
)
def test_a_good_signature_trades(
    signed_world: World, kid: str, secret: str, fields: dict[str, str]
) -> None:
    """With any of the keys: how one is replaced by the next."""
    before = len(signed_world.orders())
    assert end(signed_world, sign(signed_world, kid, secret, **fields)) == ("fill", "")
    assert len(signed_world.orders()) == before + 1


def test_what_is_not_signed_right_never_trades(signed_world: World) -> None:
    """Each with its reason; none with an order."""
    made = signed_world
    before = len(made.orders())
    good = sign(made)
    cases = [
        ({"ticker": "NVDA", "direction": "b"}, "nvda", "MISSING_FIELD"),
        ({n: v for n, v in good.items() if n != "ts"}, "nvda", "MISSING_FIELD"),
        ({n: v for n, v in good.items() if n != "signal_id"}, "nvda", "MISSING_FIELD"),
        ({n: v for n, v in good.items() if n != "kid"}, "nvda", "MISSING_FIELD"),
        (good | {"direction": "s"}, "nvda", "BAD_SIGNATURE"),
        (good | {"ts": str(int(good["ts"]) + 1)}, "nvda", "BAD_SIGNATURE"),
        (good | {"qty": "100"}, "nvda", "BAD_SIGNATURE"),
        (good, "aapl", "BAD_SIGNATURE"),
        (sign(made, secret=OLD), "nvda", "BAD_SIGNATURE"),
        (sign(made, kid="nobody"), "nvda", "BAD_SIGNATURE"),
    ]
    for fields, stream, reason in cases:
        assert end(made, fields, stream) == ("dead_letter", reason), fields
    assert len(made.orders()) == before


def test_a_forgery_does_not_take_the_id_of_the_signal_to_come(signed_world: World) -> None:
    """Whoever guesses a signal_id cannot use it up."""
    good = sign(signed_world, signal_id="guessed")
    assert end(signed_world, good | {"direction": "s"})[1] == "BAD_SIGNATURE"
    assert end(signed_world, good) == ("fill", "")


def test_a_replay_is_no_second_order(signed_world: World) -> None:
    """Within its age the first one's outcome is told again; later it is expired."""
    made = signed_world
    good = sign(made)
    before = len(made.orders())
    assert end(made, good) == ("fill", "")
    assert end(made, good) == ("fill", "")
    assert len(made.orders()) == before + 1
    old = sign(made, ts=str(made.redis_ms() - 61_000))
    assert end(made, old) == ("dead_letter", "EXPIRED")
    late = sign(made, ts=str(made.redis_ms() + 60_000))
    assert end(made, late) == ("dead_letter", "FUTURE_TIMESTAMP")
    assert len(made.orders()) == before + 1


def test_what_a_key_may_not_do_is_refused(signed_world: World) -> None:
    """A symbol that is not its own, in either direction; more at once than it may."""
    made = signed_world
    before = len(made.orders())
    assert end(made, sign(made, "old", OLD, ticker="F")) == ("refused", "KEY_LIMIT")
    assert end(made, sign(made, "old", OLD, ticker="F", direction="s")) == ("refused", "KEY_LIMIT")
    assert end(made, sign(made, "small", SMALL, qty="1000")) == ("refused", "KEY_LIMIT")
    assert len(made.orders()) == before


def test_an_exit_is_never_too_large_for_its_key(signed_world: World) -> None:
    """The limit is one on what is opened."""
    made = signed_world
    assert end(made, sign(made, qty="50", ticker="MSFT")) == ("fill", "")
    sale = sign(made, "small", SMALL, ticker="MSFT", direction="s", qty="50")
    assert end(made, sale) == ("fill", "")


def example(made: World, *command: str) -> str:
    """Run a program that signs and publishes; the entry id it prints."""
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "REDIS_URL": made.redis_server.url,
        "SIGNAL_HMAC_KEY": f"tv1:{TV1}",
    }
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split()[1 if "signal_generator" in command else 0]


@pytest.mark.parametrize(
    "command",
    [
        ("-m", "solution", "publish", "NVDA", "b", "--qty", "2"),
        ("-m", "signal_generator", "random", "--always", "--probability", "1", "--count", "1"),
        (
            str(ROOT / "examples/signing/python/sign_and_publish.py"),
            "ticker",
            "F",
            "direction",
            "b",
        ),
    ],
    ids=["publish", "signal_generator", "example"],
)
def test_our_own_producers(signed_world: World, command: tuple[str, ...]) -> None:
    """Each with an implementation of its own."""
    entry_id = example(signed_world, sys.executable, *command)
    signed_world.await_ends([entry_id])
    assert signed_world.final(entry_id).get("reason", "") not in {"BAD_SIGNATURE", "MISSING_FIELD"}


def test_no_secret_is_written_anywhere(signed_world: World) -> None:
    """Neither to the log nor to the ledger."""
    made = signed_world
    written = [service.text.encode() for service in made.services]
    written += [path.read_bytes() for path in Path(made.directory).iterdir() if path.is_file()]
    assert not [s for s in (TV1, OLD, SMALL) if any(s.encode() in data for data in written)]


def test_the_golden_keys_are_no_keys_here(signed_world: World) -> None:
    """A good signature of somebody else's key is none."""
    vector = VECTORS[0]
    key = Key("tv1", vector.secret)
    signed = Signer(key, "nvda", now_ms=signed_world.redis_ms)({"ticker": "F", "direction": "b"})
    assert end(signed_world, signed) == ("dead_letter", "BAD_SIGNATURE")
