#!/usr/bin/env bash
# Moves a file between clients of this build over loopback and says how long it took and what it cost: one source; chat
# meanwhile; four sources, each capped; three liars of four sources; one source to four at once. Beside it what TLS
# alone moves, and what nc, rsync and aria2c take for the same where they are installed.
#   scripts/transfers.sh [MEBIBYTES] [DIRECTORY]
# DIRECTORY should lie in memory (the default does) or on the disk that is to be measured. CPU time is that of all who
# take part, this machine's kernel included; the server's is left out. Each wait ends after five minutes at most. Linux
# only: the figures come from /proc.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts=$PWD/scripts
mebibytes=${1:-1024}
patience_s=300
place=$(mktemp -d "${2:-/dev/shm}/parlour-transfers.XXXXXX")
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$place"' EXIT

cargo build --locked --release --quiet -p server -p client -p bench
bin=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release
cd "$place"
users=(ada bob carol dave erin)
for user in "${users[@]}"; do echo "$user pw"; done >credentials
chmod 600 credentials
export PARLOUR_PASSWORD=pw

# until_so COMMAND...: waits until it succeeds.
until_so() {
    local end=$((SECONDS + patience_s))
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || { echo "transfers.sh: waited in vain for: $*" >&2; exit 1; }
        sleep 0.02
    done
}

start_server() {
    : >server.out
    "$bin/parlour-server" -c credentials -d "$place/data" 0 60 0 >server.out 2>server.err &
    pids+=("$!")
    until_so grep -q '^listening' server.out
    port=$(sed -n 's/^listening .*://p' server.out)
}

# start_client USER OPTION...: a client in a directory of its own.
declare -A client
start_client() {
    local user=$1
    shift
    mkdir -p "$user"
    rm -f "$user.in"
    mkfifo "$user.in"
    : >"$user.out"
    # Both ends are held open here, so that a command does not end the input.
    PARLOUR_CONFIG_DIR="$place/$user.conf" "$bin/parlour" --json --user "$user" --dir "$user" "$@" 127.0.0.1 "$port" \
        <>"$user.in" >"$user.out" 2>"$user.err" &
    client[$user]=$!
    pids+=("$!")
    until_so grep -q '"login"' "$user.out"
}

# say USER COMMAND...
say() { echo "${*:2}" >"$1.in"; }

# await USER COMMAND: the answer to a command, which must have succeeded.
await() {
    until_so grep -Eq "\"event\":\"(ok|error)\".*\"command\":\"$2\"" "$1.out"
    grep -q "\"event\":\"ok\".*\"command\":\"$2\"" "$1.out" || { tail -1 "$1.out" >&2; exit 1; }
}

# finds_holders COUNT: whether erin is told that as many have the file.
finds_holders() {
    local before
    before=$(grep -c '"command":"searchFile"' erin.out || true)
    say erin searchFile file
    until_so has_searched "$before"
    [ "$(grep '"command":"searchFile"' erin.out | tail -1 | grep -o '"user"' | wc -l)" -eq "$1" ]
}

has_searched() { [ "$(grep -c '"command":"searchFile"' erin.out)" -gt "$1" ]; }

# leave USER...: they log out, and keep what they have.
leave() {
    local user
    for user in "$@"; do say "$user" logout; done
    for user in "$@"; do wait "${client[$user]}" || true; done
}

stop_all() {
    kill "${pids[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    pids=()
    rm -rf data ./*.out ./*.in ./*.conf
}

# What processes have used so far, in hundredths of a second.
cpu() { for pid in "$@"; do awk '{ print $14 + $15 }' "/proc/$pid/stat"; done | awk '{ sum += $1 } END { print sum + 0 }'; }

# begin PID...: from now on is measured what they do.
begin() {
    measured=("$@")
    cpu_before=$(cpu "$@")
    began=$(date +%s%N)
}

# finish: no longer.
finish() {
    wall_ns=$(($(date +%s%N) - began))
    cpu_used=$(($(cpu "${measured[@]}") - cpu_before))
}

# report NAME MEBIBYTES: what was measured.
report() {
    local peak=0 high pid
    for pid in "${measured[@]}"; do
        high=$(awk '/VmHWM/ { print $2 }' "/proc/$pid/status")
        [ "$high" -le "$peak" ] || peak=$high
    done
    awk -v n="$1" -v ns="$wall_ns" -v mib="$2" -v cpu="$cpu_used" -v kib="$peak" 'BEGIN {
        printf "%-30s %6.2f s wall, %5.0f MiB/s, %6.2f s CPU, %3.0f MiB at most in one process\n",
            n, ns / 1e9, mib / (ns / 1e9), cpu / 100, kib / 1024 }'
}

# shellcheck source=scripts/transfers/capped.sh
. "$scripts/transfers/capped.sh"
# shellcheck source=scripts/transfers/liars.sh
. "$scripts/transfers/liars.sh"
# shellcheck source=scripts/transfers/others.sh
. "$scripts/transfers/others.sh"

mkdir -p ada
head -c "${mebibytes}M" /dev/urandom >ada/file

"$bin/tls" "$mebibytes"
start_server
start_client ada
start_client bob
begin "${client[ada]}"
say ada register file 256
await ada register
finish
report "register" "$mebibytes"
begin "${client[ada]}" "${client[bob]}"
say bob download file
await bob download
finish
report "one source" "$mebibytes"
cmp ada/file bob/file
leave ada bob
rm -rf bob
timeout "$patience_s" "$bin/answers" "$bin/parlour" "$port" ada bob
stop_all
rm -rf bob ada/.parlour

compare_liars
mv ada/file whole
compare_capped
rm -rf ada/.parlour
mv whole ada/file

start_server
for user in "${users[@]}"; do start_client "$user"; done
say ada register file 256
await ada register
begin "${client[@]}"
for user in bob carol dave erin; do say "$user" download file; done
for user in bob carol dave erin; do await "$user" download; done
finish
report "one to four at once" $((4 * mebibytes))
for user in bob carol dave erin; do cmp ada/file "$user/file"; done
stop_all
rm -rf bob carol dave erin

compare_others
