#!/usr/bin/env bash
# Attacks a server of its own in every way at once while two honest users talk, and tells what they felt. Everything
# stays on this machine's loopback interface, and ends by itself. Loopback is exempt from the limits per address, so
# this is the worst case. Linux only: the figures come from /proc.
#
#   scripts/attack.sh [--quick] [options of the attack, see --help]
#
# Exits with 1 when a bound is missed. --quick: about 15 s, and no bound on times or memory that a busy machine might miss;
# it fails when a message is lost or a descriptor left behind.
set -euo pipefail
cd "$(dirname "$0")/.."

[ "$(uname -s)" = Linux ] || { echo "attack.sh: only Linux has the figures in /proc" >&2; exit 2; }

options=()
if [ "${1:-}" = --quick ]; then
    shift
    options=(--attack 5 --calm 1 --recovery 5000 --p99 20000 --turn 20000 --memory 10000)
fi

cargo build --locked --release --quiet -p server -p bench
target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')

# Each side needs some 2,500 descriptors.
ulimit -n "$(ulimit -Hn)" 2>/dev/null || echo "attack.sh: at most $(ulimit -n) descriptors" >&2

# What an interrupted run leaves behind goes with this.
TMPDIR=$(mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

"$target/release/attack" "${options[@]}" "$@"
