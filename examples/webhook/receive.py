"""Take charting alerts over HTTP and publish each as one signal: receive.py --port 8080

POST the alert's JSON object to /SECRET, where SECRET is the environment's WEBHOOK_SECRET. The body
goes into the stream as it is, in the one field `json`; whether it is a valid signal is for the
service to say, which refuses with a reason and never loses it. Answers: 200 and the entry id, 400
for what is no JSON object, 404 for a wrong secret, 503 where Redis did not take it: send it again,
with a `signal_id` it cannot trade twice.

Put it behind a proxy that speaks TLS: whoever reads the secret on its way can trade.
"""

import argparse
import hmac
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

LONGEST = 16_384
SECONDS = 5.0


class Receiver(BaseHTTPRequestHandler):
    """One alert."""

    timeout = SECONDS  # a sender that stalls holds one thread this long
    secret = ""
    stream = ""
    client: redis.Redis

    def do_POST(self) -> None:
        """Publish the body."""
        if not hmac.compare_digest(self.path.strip("/").encode(), self.secret.encode()):
            return self.answer(404, "not found")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LONGEST:
            return self.answer(400, f"at most {LONGEST} bytes, with a Content-Length")
        body = self.rfile.read(int(length))
        if not is_object(body):
            return self.answer(400, "the body must be one JSON object")
        try:
            entry: bytes = self.client.xadd(self.stream, {"json": body})
        except redis.RedisError:
            return self.answer(503, "not published, or not known to be: send it again")
        return self.answer(200, entry.decode())

    def answer(self, code: int, text: str) -> None:
        """A line of text."""
        self.send_response(code)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.end_headers()
        self.wfile.write(f"{text}\n".encode())

    def log_message(self, *_: object) -> None:
        """Nothing: the usual line has the path, and so the secret."""


def is_object(body: bytes) -> bool:
    """Whether it is one JSON object."""
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


def main() -> None:
    """Serve until interrupted."""
    options = argparse.ArgumentParser(description="Charting alerts to signals.")
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=8080)
    chosen = options.parse_args()
    Receiver.secret = os.environ.get("WEBHOOK_SECRET", "")
    if len(Receiver.secret) < 32:
        sys.exit("WEBHOOK_SECRET must have at least 32 characters: openssl rand -hex 32")
    Receiver.stream = os.environ.get("STREAM", "nvda")
    # No silent repeats: an alert without signal_id that is added twice trades twice.
    Receiver.client = redis.Redis.from_url(
        os.environ.get("REDIS_URL", "redis://localhost:6379/0"),
        socket_timeout=SECONDS,
        socket_connect_timeout=SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    with ThreadingHTTPServer((chosen.host, chosen.port), Receiver) as server:
        host, port = server.server_address[:2]
        print(f"listening on http://{host}:{port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
