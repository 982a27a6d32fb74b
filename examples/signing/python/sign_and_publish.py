"""Sign and publish one signal: ``python sign_and_publish.py FIELD VALUE [FIELD VALUE]...``."""

import hashlib
import hmac
import os
import sys
import time
import uuid


def canonical(stream: str, fields: dict[str, str]) -> bytes:
    """What is signed: a version, the stream, and every field but sig, with its length in bytes."""
    lines = [("stream", stream), *sorted((n, v) for n, v in fields.items() if n != "sig")]
    text = "".join(f"{name}={len(value.encode())}:{value}\n" for name, value in lines)
    return f"signalpaca-v1\n{text}".encode()


def sign(secret: str, stream: str, fields: dict[str, str]) -> str:
    """HMAC-SHA256 as 64 lower-case hexadecimal digits; names of fields are in lower case."""
    return hmac.new(secret.encode(), canonical(stream, fields), hashlib.sha256).hexdigest()


def main(arguments: list[str]) -> int:
    """Sign what the command line says."""
    if not arguments or len(arguments) % 2:
        print("usage: sign_and_publish.py FIELD VALUE [FIELD VALUE]...", file=sys.stderr)
        return 2
    kid, _, secret = os.environ["SIGNAL_HMAC_KEY"].partition(":")
    stream = os.environ.get("STREAM", "nvda")
    fields = {n.lower(): v for n, v in zip(arguments[::2], arguments[1::2], strict=True)}
    fields.setdefault("signal_id", str(uuid.uuid4()))
    fields.setdefault("ts", str(time.time_ns() // 1_000_000))
    fields["kid"] = kid
    fields["sig"] = sign(secret, stream, fields)
    if os.environ.get("SIGN_ONLY"):
        print(fields["sig"])
        return 0
    import redis

    url = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
    with redis.Redis.from_url(url, decode_responses=True, socket_timeout=2) as client:
        print(client.xadd(stream, fields))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
