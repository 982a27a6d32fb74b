#!/bin/sh
# Publish the JSON object on standard input as one signal: publish_json.sh <alert.json
# Prints the entry id. The stream is STREAM (nvda), the server REDIS_URL.
set -eu

message=$(cat)
case $message in
"{"*"}") ;;
*)
    echo "standard input must be one JSON object" >&2
    exit 2
    ;;
esac

reply=$(redis-cli -u "${REDIS_URL:-redis://localhost:6379/0}" \
    XADD "${STREAM:-nvda}" '*' json "$message")

# redis-cli exits 0 even when Redis answers with an error, so look at the answer.
case $reply in
[0-9]*-[0-9]*) echo "$reply" ;;
*)
    echo "not published: $reply" >&2
    exit 1
    ;;
esac
