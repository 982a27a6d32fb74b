#!/bin/sh
# Sign and publish one signal: sign_and_publish.sh FIELD VALUE [FIELD VALUE]...
# Needs openssl and redis-cli. The secret stands in openssl's arguments while it runs: on a machine
# with other users, sign in another language.
set -eu

if [ $# -lt 2 ] || [ $(($# % 2)) -ne 0 ]; then
    echo "usage: $0 FIELD VALUE [FIELD VALUE]..." >&2
    exit 2
fi

lower() { printf '%s' "$1" | LC_ALL=C tr 'A-Z' 'a-z'; }
line() { printf '%s=%d:%s\n' "$1" "$(printf '%s' "$2" | wc -c)" "$2"; }

# names FIELD VALUE...: the names in lower case, one a line
names() {
    while [ $# -gt 0 ]; do
        lower "$1"
        echo
        shift 2
    done
}

# line_of NAME FIELD VALUE...: the line of that field
line_of() {
    wanted=$1
    shift
    while [ $# -gt 0 ]; do
        if [ "$(lower "$1")" = "$wanted" ]; then line "$wanted" "$2"; fi
        shift 2
    done
}

# canonical STREAM FIELD VALUE...: what is signed
canonical() {
    printf 'signalpaca-v1\n'
    line stream "$1"
    shift
    for name in $(names "$@" | LC_ALL=C sort); do line_of "$name" "$@"; done
}

has() { names "$@" | grep -qx "$wanted"; }

stream=${STREAM:-nvda}
wanted=signal_id
has "$@" || set -- "$@" signal_id "$(cat /proc/sys/kernel/random/uuid 2>/dev/null || uuidgen)"
wanted=ts
has "$@" || set -- "$@" ts "$(date +%s)000"
set -- "$@" kid "${SIGNAL_HMAC_KEY%%:*}"

signed=$(canonical "$stream" "$@" | openssl dgst -sha256 -hmac "${SIGNAL_HMAC_KEY#*:}")
sig=${signed##* }

if [ -n "${SIGN_ONLY:-}" ]; then
    echo "$sig"
    exit 0
fi

reply=$(redis-cli --no-auth-warning -u "${REDIS_URL:-redis://localhost:6379/0}" XADD "$stream" '*' "$@" sig "$sig")

# redis-cli exits 0 even when Redis answers with an error, so look at the answer.
case $reply in
[0-9]*-[0-9]*) echo "$reply" ;;
*)
    echo "not published: $reply" >&2
    exit 1
    ;;
esac
