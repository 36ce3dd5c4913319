#!/usr/bin/env bash
# Moves a file between clients of this build over loopback and says how long it took and what it cost:
# one source; four sources, each capped; one source to four at once. Beside it what TLS alone moves.
#   scripts/transfers.sh [MEBIBYTES] [DIRECTORY]
# DIRECTORY should lie in memory (the default does) or on the disk that is to be measured.
set -euo pipefail
cd "$(dirname "$0")/.."
mebibytes=${1:-1024}
place=$(mktemp -d "${2:-/dev/shm}/parlour-transfers.XXXXXX")
cap=${PARLOUR_CAP:-16M}
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$place"' EXIT

cargo build --locked --release --quiet -p server -p client -p bench
bin=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release
cd "$place"
users=(ada bob carol dave erin)
for user in "${users[@]}"; do echo "$user pw"; done >credentials
chmod 600 credentials
export PARLOUR_PASSWORD=pw

# What a process and its children have used so far, in hundredths of a second.
cpu() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
now() { date +%s%N; }

start_server() {
    "$bin/parlour-server" -c credentials -d "$place/data" 0 60 0 >server.out 2>server.err &
    server=$!
    pids+=("$server")
    until grep -q '^listening' server.out; do sleep 0.05; done
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
    # Both ends are held open here, so that a command does not end the input.
    PARLOUR_CONFIG_DIR="$place/$user.conf" "$bin/parlour" --json --user "$user" --dir "$user" "$@" 127.0.0.1 "$port" \
        <>"$user.in" >"$user.out" 2>"$user.err" &
    client[$user]=$!
    pids+=("$!")
    until grep -q '"login"' "$user.out"; do sleep 0.05; done
}

# say USER COMMAND...
say() { echo "${*:2}" >"$1.in"; }

# await USER COMMAND: the answer to a command, which must have succeeded.
await() {
    until grep -Eq "\"event\":\"(ok|error)\".*\"command\":\"$2\"" "$1.out"; do sleep 0.02; done
    grep -q "\"event\":\"ok\".*\"command\":\"$2\"" "$1.out" || { tail -1 "$1.out" >&2; exit 1; }
}

stop_all() {
    kill "${pids[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    pids=()
    rm -rf data ./*.out ./*.in ./*.conf
}

report() { # NAME BEGIN END MEBIBYTES USER...
    local name=$1 begin=$2 end=$3 moved=$4
    shift 4
    local used=0 user
    for user in "$@"; do used=$((used + $(cpu "${client[$user]}"))); done
    local peak=0 high
    for user in "$@"; do
        high=$(awk '/VmHWM/ { print $2 }' "/proc/${client[$user]}/status")
        [ "$high" -le "$peak" ] || peak=$high
    done
    awk -v n="$name" -v ns=$((end - begin)) -v mib="$moved" -v cpu="$used" -v kib="$peak" 'BEGIN {
        printf "%-28s %6.2f s wall, %5.0f MiB/s, %5.2f s CPU in all, %3.0f MiB at most in a client\n",
            n, ns / 1e9, mib / (ns / 1e9), cpu / 100, kib / 1024 }'
}

mkdir -p ada
head -c "${mebibytes}M" /dev/urandom >ada/file

"$bin/tls" "$mebibytes"
start_server
start_client ada
start_client bob
begin=$(now)
say ada register file 256
await ada register
report "register" "$begin" "$(now)" "$mebibytes" ada
begin=$(now)
say bob download file
await bob download
report "one source" "$begin" "$(now)" "$mebibytes" ada bob
cmp ada/file bob/file
stop_all
rm -rf bob ada/.parlour

# A smaller file for the capped runs: what matters is how the sums compare.
small=$((mebibytes / 16))
mv ada/file whole
head -c "${small}M" whole >ada/file
for sources in 1 4; do
    start_server
    start_client ada --upload-limit "$cap"
    say ada register file 256
    await ada register
    for user in bob carol dave; do
        [ "$sources" = 4 ] || break
        # Each holds the whole file already, from before.
        start_client "$user" --upload-limit "$cap"
        say "$user" download file
        await "$user" download
    done
    start_client erin
    begin=$(now)
    say erin download file
    await erin download
    end=$(now)
    report "$sources capped at $cap each" "$begin" "$end" "$small" erin
    [ "$sources" = 4 ] && awk -v one="$one" -v four=$((end - begin)) \
        'BEGIN { printf "%-28s %.2f times one\n", "four capped sources", one / four }'
    one=$((end - begin))
    stop_all
    rm -rf bob carol dave erin ada/.parlour
done

mv whole ada/file
start_server
for user in "${users[@]}"; do start_client "$user"; done
say ada register file 256
await ada register
begin=$(now)
for user in bob carol dave erin; do say "$user" download file; done
for user in bob carol dave erin; do await "$user" download; done
report "one to four at once" "$begin" "$(now)" $((4 * mebibytes)) "${users[@]}"
for user in bob carol dave erin; do cmp ada/file "$user/file"; done
