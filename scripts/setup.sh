#!/usr/bin/env bash
# Brings what a machine lacks, or says exactly what to install. Quick when everything is there.
#
#   scripts/setup.sh WHAT...
#
#   rust        cargo 1.95 or newer, a C compiler
#   dashboard   Node 20 and npm; the page's packages and its build, when they are out of date
#   python      Python 3.11 or newer with the packages of scripts/requirements.txt, in a cache folder
#   strace      strace (Linux)
#   browser     Chromium
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cache=${MILLSTREAM_CACHE:-$HOME/.cache/millstream}

say() { printf '==> %s\n' "$*" >&2; }
stop() { printf 'setup: %s\n' "$*" >&2; exit 1; }

hash_of() { cat "$@" | { sha256sum 2>/dev/null || shasum -a 256; } | cut -c1-16; }

# at_least 1.95 1.96.2: whether the second version is the first or newer.
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# Installs Debian packages if this is Debian and we may, otherwise says how.
install_packages() {
    command -v apt-get >/dev/null || stop "install $* with your system's package manager, then run this again"
    [ "$(id -u)" = 0 ] || stop "run \`sudo apt-get install -y $*\`, then this again"
    say "installing $* (apt-get)"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

setup_rust() {
    command -v cargo >/dev/null || stop "cargo is missing: install rustup from https://rustup.rs, then \`rustup toolchain install 1.95\`"
    local version
    version=$(cargo --version | cut -d' ' -f2)
    at_least 1.95 "$version" || stop "cargo is $version, 1.95 is needed: run \`rustup toolchain install 1.95 && rustup default 1.95\`"
    command -v cc >/dev/null || install_packages build-essential
}

setup_node() {
    command -v npm >/dev/null || stop "Node 20 with npm is missing: see https://nodejs.org/en/download"
    local version
    version=$(node --version | tr -d v)
    at_least 20.19 "$version" || stop "Node is $version, 20.19 is needed: see https://nodejs.org/en/download"
}

# Whether a file of the page is newer than its build.
page_is_stale() {
    [ ! -f dist/index.html ] && return 0
    local newer
    newer=$(find . -type f -newer dist/index.html \
        -not -path './node_modules/*' -not -path './dist/*' -not -path './e2e/*' -not -path './mock/*' -not -path './.*' -print -quit)
    [ -n "$newer" ]
}

setup_dashboard() {
    setup_node
    cd "$root/dashboard"
    local wanted stamp=node_modules/.millstream-lock
    wanted=$(hash_of package-lock.json)
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        say "installing the page's packages (npm ci)"
        npm ci --no-audit --no-fund --loglevel=error
        printf '%s' "$wanted" >"$stamp"
    fi
    if page_is_stale; then
        say "building the page (npm run build)"
        npm run build --silent
        touch dist/index.html
    fi
    cd "$root"
}

setup_python() {
    local python venv
    venv=$("$root/scripts/venv.sh")
    [ -x "$venv/bin/python" ] && [ -f "$venv/.complete" ] && return
    for python in "${PYTHON:-}" python3.11 python3 ""; do
        [ -n "$python" ] && command -v "$python" >/dev/null || continue
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' && break
    done
    [ -n "$python" ] || stop "Python 3.11 or newer is missing: on Debian \`apt-get install python3 python3-venv\`; PYTHON=… names another one"
    "$python" -c 'import ensurepip' 2>/dev/null || install_packages python3-venv
    say "installing the tests' Python packages into $venv"
    rm -rf "$venv"
    mkdir -p "$cache"
    "$python" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -r "$root/scripts/requirements.txt"
    touch "$venv/.complete"
}

setup_strace() {
    [ "$(uname)" = Linux ] || return 0
    command -v strace >/dev/null || install_packages strace
}

setup_browser() {
    [ -n "${CHROMIUM:-}" ] && return
    command -v chromium >/dev/null || command -v chromium-browser >/dev/null && return
    [ "$(uname)" = Linux ] || stop "Chromium is missing: install it and set CHROMIUM to its path"
    install_packages chromium fonts-liberation
}

[ $# -gt 0 ] || stop "name what to set up: rust, dashboard, python, strace, browser"
for what in "$@"; do
    case $what in
    rust | dashboard | python | strace | browser) "setup_$what" ;;
    *) stop "\`$what\` is not known; known: rust, dashboard, python, strace, browser" ;;
    esac
done
