# shellcheck shell=bash
# What the scripts share. To be sourced; the caller sets `set -euo pipefail`.

say() { printf '%s\n' "$*"; }

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# Runs a command as root, or says in one line what is missing.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        die "needs root for: $* (run it as root once, or install sudo)"
    fi
}

# uncounted COMMAND...: for what installs or builds something. scripts/test-recipes limits the time of a part, and does not
# count this one.
uncounted() {
    # Not "status", which a COMMAND that is a function of the caller may set.
    local uncounted_status=0
    echo "begin $EPOCHSECONDS" >>"${UNCOUNTED_TIMES:-/dev/null}"
    "$@" || uncounted_status=$?
    echo "end $EPOCHSECONDS" >>"${UNCOUNTED_TIMES:-/dev/null}"
    return "$uncounted_status"
}

# descendants PID: the processes that PID has started, and theirs.
descendants() {
    local child
    # shellcheck disable=SC2013 # words
    for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
        echo "$child"
        descendants "$child"
    done
}

# what_runs PID: the command lines of PID's descendants, for who has to know what somebody waits for.
what_runs() {
    local pid line
    for pid in $(descendants "$1"); do
        line=$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") || continue
        printf '    %s\n' "${line:0:300}"
    done
}

# Debian's name for the architecture of CARGO_BUILD_TARGET, or of this machine. Needs dpkg-dev.
architecture() {
    if [ -n "${CARGO_BUILD_TARGET-}" ]; then
        dpkg-architecture --target-type "${CARGO_BUILD_TARGET%%-*}-linux-gnu" --query DEB_TARGET_ARCH ||
            die "Debian has no architecture for $CARGO_BUILD_TARGET"
    else
        dpkg --print-architecture
    fi
}

# Installs a Debian package, and shows apt's words only when it fails.
install_package() { uncounted install_package_by_apt "$1"; }
install_package_by_apt() {
    local package=$1 log
    command -v apt-get >/dev/null 2>&1 || die "$package is missing and there is no apt-get: install it yourself"
    say "installing $package (apt)"
    log=$(mktemp)
    # The lists of a new machine are empty or old; without an update its names lead nowhere.
    if ! {
        as_root apt-get -q update </dev/null &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
                -o DPkg::Lock::Timeout=300 install "$package" </dev/null
    } >"$log" 2>&1; then
        tail -n 15 "$log" >&2
        rm -f "$log"
        die "cannot install $package: see above"
    fi
    rm -f "$log"
}

# need_command COMMAND PACKAGE: installs Debian's PACKAGE where COMMAND is missing.
need_command() {
    command -v "$1" >/dev/null 2>&1 && return
    install_package "$2"
    command -v "$1" >/dev/null 2>&1 || die "$2 is installed, but $1 is not in PATH"
}

# need_server FILE PACKAGE: installs Debian's PACKAGE where FILE is missing, and keeps what it would start from starting.
need_server() {
    [ -e "$1" ] && return
    local policy=/usr/sbin/policy-rc.d ours=no status=0
    # The one way to say so to a package's scripts; containers have it from the beginning.
    if ! [ -e "$policy" ]; then
        ours=yes
        printf '#!/bin/sh\nexit 101\n' | as_root sh -c "cat >$policy && chmod 755 $policy"
    fi
    (install_package "$2") || status=$?
    if [ "$ours" = yes ]; then as_root rm -f "$policy"; fi
    if [ "$status" -ne 0 ]; then exit "$status"; fi
    [ -e "$1" ] || die "$2 is installed, but there is no $1"
}
