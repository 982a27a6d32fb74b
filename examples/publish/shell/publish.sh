#!/bin/sh
# Publish one signal: publish.sh TICKER b|s [FIELD VALUE]...
# Prints the entry id. SIGNAL_ID names the signal; give it again to repeat a publish safely.
set -eu

if [ $# -lt 2 ] || [ $(($# % 2)) -ne 0 ]; then
    echo "usage: $0 TICKER b|s [FIELD VALUE]..." >&2
    exit 2
fi

new_id() {
    if command -v uuidgen >/dev/null 2>&1; then
        uuidgen
    else
        cat /proc/sys/kernel/random/uuid
    fi
}

ticker=$1
direction=$2
shift 2
signal_id=${SIGNAL_ID:-$(new_id)}

reply=$(redis-cli -u "${REDIS_URL:-redis://localhost:6379/0}" \
    XADD "${STREAM:-nvda}" '*' ticker "$ticker" direction "$direction" signal_id "$signal_id" "$@")

# redis-cli exits 0 even when Redis answers with an error, so look at the answer.
case $reply in
[0-9]*-[0-9]*) echo "$reply" ;;
*)
    echo "not published: $reply" >&2
    exit 1
    ;;
esac
