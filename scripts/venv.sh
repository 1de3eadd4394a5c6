#!/usr/bin/env bash
# Prints the folder of the tests' Python packages: outside the checkout, one for each state of requirements.txt.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
hash=$( { sha256sum 2>/dev/null || shasum -a 256; } <"$root/scripts/requirements.txt" | cut -c1-16)
printf '%s\n' "${MILLSTREAM_CACHE:-$HOME/.cache/millstream}/venv-$hash"
