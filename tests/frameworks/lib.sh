# shellcheck shell=bash disable=SC2034 # apps is for the parts
# Two apps, shop and blog, on one memcached through one library. docs/FRAMEWORKS.md says what prefix to give and what the
# library's own clear does; `check` holds its table against what happens. To be sourced first; not a part.
# shellcheck source=tests/recipes/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../recipes/lib.sh"
apps=$root/tests/frameworks/apps
document=$root/docs/FRAMEWORKS.md
memcacheds=$root/.cache/memcached
uncounted "$root/scripts/fetch-memcached" >/dev/null

# need PACKAGE COMMAND...: installs Debian's PACKAGE where the command fails.
need() {
    local package=$1
    shift
    "$@" >/dev/null 2>&1 && return
    install_package "$package"
    "$@" >/dev/null || die "$package is installed, but this fails: $*"
}

# The names of an app's 500 entries, each after its kind.
export NAMES=$folder/names
for i in {1..100}; do
    printf 'colon\tuser:%d\n' "$i"
    printf 'space\tuser name %d\n' "$i"
    printf 'UTF-8\tgröße✓%d\n' "$i"
    printf 'long\t%0300d\n' "$i"
    printf 'slash\t%d%%/a%%20b%%\n' "$i"
done >"$NAMES"

# cell ROW COLUMN: of the document's table, without the quotes of code.
cell() {
    awk -F ' *[|] *' -v row="$1" -v column="$2" '$2 == row { print $(column + 1) }' "$document" | tr -d '`'
}

# foreign SERVER COMMAND: one line for each of 100 keys that are nobody's; prints the answers.
foreign() {
    local lines=() i
    for i in {1..100}; do
        case $2 in
        set) lines+=("set foreign$i 0 0 1" x) ;;
        get) lines+=("get foreign$i") ;;
        esac
    done
    talk "$1" "${lines[@]}"
}
foreign_left() { foreign "$1" get | grep -c '^VALUE ' || true; }

# app ACTION NAME: by the library, which the caller of check gave; prints what it found.
app() {
    run env "SERVER=$server" "${library[@]}" "$@"
    if [ "$status" -ne 0 ]; then out="failed: $(tail -n 3 <<<"$err")"; fi
    printf '%s' "$out"
}

# own_clear_leaves EXPECTED: to be tried again, since current servers keep some of what was read right before a flush.
own_clear_leaves() {
    app clear shop >/dev/null
    left="$(foreign_left "$server") of 100, $(app count blog) of 500"
    [ "$left" = "$1" ]
}

# shows_prefix PREFIX: of the server, by mcflush namespaces.
shows_prefix() {
    local separators
    separators=$(tr -cd ':/.|' <<<"$1")
    "$MCFLUSH" namespaces --depth "${#separators}" "$server" 2>/dev/null | cut -d ' ' -f 1 | grep -qxF -- "$1"
}

# check ROW COMMAND...: COMMAND takes an action (fill, count, clear), then shop or blog. After it server still runs, with
# the entries of both.
check() {
    local row=$1 version what prefix expected
    shift
    library=("$@")
    prefix=$(cell "$row" 3)
    if [ -z "$prefix" ]; then
        not_ok "$row" "no such row in docs/FRAMEWORKS.md"
        return
    fi
    for version in debian sid; do
        PATH=$memcacheds/$version:$PATH start_memcached
        what="$row, $("$memcacheds/$version/memcached" -V)"
        foreign "$server" set >/dev/null
        equal "$what: names it refuses" "$(cell "$row" 4)" "$(app fill shop)"
        app fill blog >/dev/null
        equal "$what: both apps filled" "500 500" "$(app count shop) $(app count blog)"

        # "What is my prefix?", as deep as this one is. LRU dumps show what was read just now a moment later.
        if until_true 60 shows_prefix "$prefix"; then
            ok "$what: mcflush namespaces shows $prefix"
        else
            not_ok "$what: mcflush namespaces shows $prefix" "$("$MCFLUSH" namespaces "$server" 2>&1)"
        fi

        run "$MCFLUSH" "--prefix=$prefix" "$server"
        matches "$what: mcflush --prefix $prefix" "^$server: complete, 500 keys deleted" "$out$err"
        equal "$what: shop's left, blog's left" "0 500" "$(app count shop) $(app count blog)"
        equal "$what: nobody else's key is gone" 100 "$(foreign_left "$server")"

        app fill shop >/dev/null
        expected="$(cell "$row" 5), $(cell "$row" 6)"
        until_true 60 own_clear_leaves "$expected" || true
        equal "$what: others' keys and blog's entries after its own clear" "$expected" "$left"
        app fill shop >/dev/null
        app fill blog >/dev/null
    done
}
