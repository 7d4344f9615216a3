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

# need_command COMMAND PACKAGE: installs Debian's PACKAGE where COMMAND is missing.
need_command() {
    local command=$1 package=$2 log
    command -v "$command" >/dev/null 2>&1 && return
    command -v apt-get >/dev/null 2>&1 || die "$command is missing and there is no apt-get: install $package yourself"
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
    command -v "$command" >/dev/null 2>&1 || die "$package is installed, but $command is not in PATH"
}
