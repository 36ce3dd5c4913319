#!/usr/bin/env bash
# Kills servers and clients with SIGKILL at random while users write to each other, starts them again, and in the end
# accounts for every message: what was confirmed was shown, nothing twice, and in order. Everything stays on this
# machine's loopback interface, and ends by itself.
#
#   scripts/torture.sh [options, see --help]       30 s unless told otherwise; `-k 1000` for a thousand kills
#
# Exits with 1 when a promise was not kept.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${PARLOUR_PROFILE:-release}
cargo build --locked --profile "$profile" --quiet -p server -p client -p bench
target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
[ "$profile" = dev ] && profile=debug

# What an interrupted run leaves behind goes with this, unless it is to be kept.
case " $* " in
*" --keep "*) ;;
*)
    TMPDIR=$(mktemp -d)
    export TMPDIR
    trap 'rm -rf "$TMPDIR"' EXIT
    ;;
esac

"$target/$profile/torture" "$@"
