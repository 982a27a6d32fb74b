# For scripts/compose-smoke; source it. What the containers are asked, and what counts as an answer.
# Uses $project, $engine, $image, compose, say, pass, fail, equal, wait_for.

# --- containers ---

cid() { compose ps -q "$1" 2>/dev/null | head -n 1; }
inspect() { timeout 10 docker inspect --format "$2" "$1"; }
healthy() { [ "$(inspect "$1" '{{.State.Health.Status}}')" = healthy ]; }
redis_cli() { timeout 10 docker exec "$redis" redis-cli "$@"; }
signalpaca() { timeout 20 docker exec "$trader" signalpaca "$@"; }

find_containers() {
    redis=$(cid redis) exchange=$(cid exchange) trader=$(cid trader) generator=$(cid generator)
    [ -n "$redis" ] && [ -n "$exchange" ] && [ -n "$trader" ] && [ -n "$generator" ]
}

all_healthy() {
    local name
    find_containers || return 1
    for name in "$redis" "$exchange" "$trader" "$generator"; do healthy "$name" || return 1; done
}

# What a crash is. `docker kill` would count as stopped by hand, after which nothing restarts it.
crash() {
    local pid
    pid=$(inspect "$1" '{{.State.Pid}}')
    if [ "$engine" = own ] && [ "${pid:-0}" -gt 1 ]; then
        kill -9 "$pid"
    else
        timeout 10 docker kill -s KILL "$1" && timeout 20 docker start "$1"
    fi
}

# crash_and_return NAME CONTAINER
crash_and_return() {
    local before
    before=$(inspect "$2" '{{.State.StartedAt}}')
    crash "$2" >/dev/null 2>&1
    back() { [ "$(inspect "$2" '{{.State.StartedAt}}')" != "$before" ] && healthy "$2"; }
    if wait_for 45 back "$1" "$2"; then
        pass "$1 comes back healthy after SIGKILL (restarts: $(inspect "$2" '{{.RestartCount}}'))"
    else
        fail "$1 comes back healthy after SIGKILL"
    fi
}

# --- settings ---

# setting NAME: "value source" as the service sees it, on standard input the output of `config`.
setting() { awk -v name="$1" '$1 == name {print $2, $3}'; }
with_keys() {
    timeout 20 docker run --rm --network none --read-only -e ALPACA_API_KEY=PKEXAMPLE \
        -e ALPACA_SECRET_KEY=example "$image" signalpaca config 2>/dev/null
}

# --- signals ---

# From the host, through the published port, with nothing but the shell.
publish() {
    local reply
    exec 3<>"/dev/tcp/127.0.0.1/$REDIS_PORT" || return 1
    printf 'XADD nvda * %s\r\n' "$*" >&3
    read -r -t 5 -u 3 reply
    read -r -t 5 -u 3 reply
    exec 3>&-
    reply=${reply%$'\r'}
    case $reply in *-*) printf '%s\n' "$reply" ;; *) return 1 ;; esac
}

# events ENTRY: "event reason filled_qty final" for each line of `executions` about this entry.
events() {
    redis_cli EVAL "
        local out = {}
        for _, entry in ipairs(redis.call('XRANGE', 'executions', '-', '+')) do
            local f = {}
            for i = 1, #entry[2], 2 do f[entry[2][i]] = entry[2][i + 1] end
            if f.entry_id == ARGV[1] then
                out[#out + 1] = (f.event or '') .. ' ' .. (f.reason or '-') .. ' '
                    .. (f.filled_qty or '0') .. ' ' .. (f.final or '0')
            end
        end
        return out" 0 "$1"
}
has_event() { events "$1" | grep -q -- "$2"; }

# expect TEXT ENTRY PATTERN
expect() {
    if wait_for 15 has_event "$2" "$3"; then
        pass "$1: $(events "$2" | tr '\n' ';')"
    else
        fail "$1: $(events "$2" | tr '\n' ';')"
    fi
}

# Entries of the stream that have no end, more than one, or two orders; a line each. An event that
# was published again after a crash bears the same event_id and counts once.
unsettled() {
    redis_cli EVAL "
        local told, ends, ids, out = {}, {}, {}, {}
        for _, entry in ipairs(redis.call('XRANGE', 'executions', '-', '+')) do
            local f = {}
            for i = 1, #entry[2], 2 do f[entry[2][i]] = entry[2][i + 1] end
            local id = f.entry_id or '?'
            if not told[f.event_id] then
                told[f.event_id] = true
                if f.final == '1' then ends[id] = (ends[id] or 0) + 1 end
            end
            if f.client_order_id then
                ids[id] = ids[id] or f.client_order_id
                if ids[id] ~= f.client_order_id then out[#out + 1] = id .. ' two orders' end
            end
        end
        for _, entry in ipairs(redis.call('XRANGE', 'nvda', '-', '+')) do
            local n = ends[entry[1]] or 0
            if n ~= 1 then out[#out + 1] = entry[1] .. ' ends: ' .. n end
        end
        return out" 0
}
settled() { [ "$(redis_cli PING)" = PONG ] && [ -z "$(unsettled)" ]; }

# Orders that the exchange itself has, and entries that are said to have sent one: as many, if
# nothing was sent twice.
exchange_orders() {
    timeout 10 docker exec "$exchange" python -c "
import json, urllib.request as r
head = {'APCA-API-KEY-ID': 'PKLOCALEXCHANGE', 'APCA-API-SECRET-KEY': 'no-secret-on-the-local-exchange'}
url = 'http://127.0.0.1:8787/v2/orders?status=all&limit=500'
print(len(json.load(r.urlopen(r.Request(url, headers=head), timeout=5))))"
}
entries_with_order() {
    redis_cli EVAL "
        local seen, n = {}, 0
        for _, entry in ipairs(redis.call('XRANGE', 'executions', '-', '+')) do
            local f = {}
            for i = 1, #entry[2], 2 do f[entry[2][i]] = entry[2][i + 1] end
            if f.order_id and not seen[f.entry_id] then seen[f.entry_id] = true; n = n + 1 end
        end
        return n" 0
}

# 24 signals, one every few milliseconds.
burst() {
    local i
    for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
        publish "Ticker NVDA Direction b qty 1" >/dev/null || return 1
        publish "Ticker NVDA Direction s qty 1" >/dev/null || return 1
    done
}

once_each() {
    if wait_for 20 settled; then
        pass "$1: each entry has exactly one end"
    else
        fail "$1: entries without exactly one end"
        unsettled | while read -r entry rest; do
            say "      $entry $rest: $(events "$entry" | tr '\n' ';')"
        done
    fi
    equal "$1: orders at the exchange are as many as entries that sent one" \
        "$(entries_with_order)" "$(exchange_orders)"
}
