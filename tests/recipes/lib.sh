# shellcheck shell=bash disable=SC2034 # out, err and server are for the parts
# What the parts share: checks, a folder of their own, servers that end with them. To be sourced first, by a part that
# was started in any folder; not executable, so not a part.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
: "${MCFLUSH:?names the mcflush to test: run this by scripts/test-recipes}"

folder=$(mktemp -d)
pids=()
at_exit=()
finish() {
    local status=$? command pid
    set +e
    for command in ${at_exit[@]+"${at_exit[@]}"}; do "$command"; done
    for pid in ${pids[@]+"${pids[@]}"}; do
        kill "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    rm -rf "$folder"
    if [ "$status" -eq 0 ] && [ "$failures" -gt 0 ]; then status=1; fi
    exit "$status"
}
failures=0
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

ok() { printf 'ok %s\n' "$1"; }

# not_ok WHAT [WHY]: the part goes on.
not_ok() {
    failures=$((failures + 1))
    printf 'not ok %s\n' "$1"
    if [ -n "${2-}" ]; then printf '%s\n' "$2" | sed 's/^/    /'; fi
}

# equal WHAT EXPECTED ACTUAL
equal() {
    if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "expected: $2"$'\n'"found:    $3"; fi
}

# matches WHAT PATTERN TEXT: an extended regular expression, found in one of the text's lines.
matches() {
    if grep -qE -- "$2" <<<"$3"; then ok "$1"; else not_ok "$1" "expected: /$2/"$'\n'"found:    $3"; fi
}

# run COMMAND...: sets status, out and err, and never fails.
run() {
    status=0
    "$@" >"$folder/.out" 2>"$folder/.err" </dev/null || status=$?
    out=$(cat "$folder/.out")
    err=$(cat "$folder/.err")
}

# until_true SECONDS COMMAND...: false when it has not become true in that time.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        if [ "$SECONDS" -ge "$end" ]; then return 1; fi
        sleep 0.05
    done
}

# start_memcached: sets server to its address; it ends with the part.
start_memcached() {
    local user=() port_file pid
    if [ "$(id -u)" -eq 0 ]; then user=(-u root); fi
    port_file=$(mktemp -u "$folder/port.XXXXXX")
    # Port -1: the server takes a free one and writes it down.
    MEMCACHED_PORT_FILENAME=$port_file memcached ${user[@]+"${user[@]}"} -l 127.0.0.1 -p -1 -U 0 -m 64 &
    pid=$!
    pids+=("$pid")
    until_true 60 grep -q '^TCP INET: ' "$port_file" || die "memcached did not start: run 'memcached -p 0 -v' to see why"
    server=127.0.0.1:$(sed -n 's/^TCP INET: //p' "$port_file" | head -n 1)
}

# talk SERVER LINE...: sends lines and prints the answers, until the server has closed.
talk() {
    local to=$1 line
    shift
    exec 7<>"/dev/tcp/${to%:*}/${to##*:}"
    for line; do printf '%s\r\n' "$line" >&7; done
    printf 'quit\r\n' >&7
    tr -d '\r' <&7
    exec 7>&-
}

# fill SERVER PREFIX...: 20 items under each.
fill() {
    local to=$1 prefix lines=() i
    shift
    for prefix; do
        for i in {1..20}; do lines+=("set $prefix$i 0 0 1 noreply" x); done
    done
    talk "$to" "${lines[@]}" >/dev/null
}

# readable SERVER PREFIX: how many of those 20 a client gets.
readable() {
    local lines=() i
    for i in {1..20}; do lines+=("get $2$i"); done
    talk "$1" "${lines[@]}" | grep -c '^VALUE ' || true
}

# free_port: a port that nothing listens on, below those the system gives to outgoing connections. Whoever starts a server
# on it tries another one when that fails, since somebody may be quicker.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        if ! (exec 6<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
}

# How many runs of `mcflush --all` a server has seen. Before 1.6.19 a run is two flush_alls: the second takes what was being
# changed at the first.
flush_runs() {
    talk "$1" stats | awk '
        /^STAT version / { split($3, part, "."); number = part[1] * 1000000 + part[2] * 1000 + part[3] }
        /^STAT cmd_flush / { flushes = $3 + 0 }
        END { print flushes / (number < 1006019 ? 2 : 1) }'
}
