# shellcheck shell=bash disable=SC2154  # the variables are transfers.sh's
# What other programs take for the same file. Those that are not installed are named, and not missed.
#
# None of them does the same as a client: nc and rsync encrypt nothing, nc checks nothing either; aria2c checks each
# piece by SHA-1 and encrypts nothing.

compare_others() {
    mkdir -p other
    compare nc nc_whole
    compare rsync rsync_whole
    if has aria2c && has opentracker; then
        swarm_of_aria2c
    else
        echo "aria2c, one to four: skipped (it takes aria2c and opentracker)"
    fi
    echo "scp: skipped (it takes a log-in at this machine)"
}

has() { command -v "$1" >/dev/null; }

# compare NAME FUNCTION: how long that takes, with all its children.
compare() {
    has "$1" || { echo "$1: skipped (it is not installed)"; return; }
    local figures
    TIMEFORMAT='%R %U %S'
    figures=$( { time "$2" >/dev/null 2>other.err; } 2>&1 )
    cmp -s ada/file other/file || { echo "$1: skipped (it did not move the file: $(tail -1 other.err))"; return; }
    awk -v n="$1" -v mib="$mebibytes" '{
        printf "%-30s %6.2f s wall, %5.0f MiB/s, %6.2f s CPU\n", n, $1, mib / $1, $2 + $3 }' <<<"$figures"
    rm -f other/file
}

nc_whole() {
    timeout "$patience_s" nc -l -N 127.0.0.1 17170 <ada/file &
    local sender=$!
    # It may not listen yet.
    until timeout "$patience_s" nc -d 127.0.0.1 17170 >other/file && [ -s other/file ]; do
        kill -0 "$sender" || return 0
    done
    wait "$sender"
}

rsync_whole() {
    printf 'use chroot = no\n[files]\npath = %s/ada\n' "$place" >rsync.conf
    timeout "$patience_s" rsync --daemon --no-detach --address=127.0.0.1 --port=17171 --config=rsync.conf &
    local daemon=$!
    until timeout "$patience_s" rsync --whole-file rsync://127.0.0.1:17171/files/file other/; do
        kill -0 "$daemon" || return 0
    done
    kill "$daemon"
    wait "$daemon" || true
}

# One who has the file, four who fetch it, and a tracker that names them to each other.
swarm_of_aria2c() {
    local announce=http://127.0.0.1:17172/announce user number=0 fetchers=()
    torrent ada/file "$announce" >file.torrent
    aria2c -S file.torrent | sed -n 's/^Info Hash: //p' >whitelist
    chmod 755 .
    timeout "$patience_s" opentracker -i 127.0.0.1 -p 17172 -d "$place" -w whitelist >/dev/null 2>&1 &
    pids+=("$!")
    # shellcheck disable=SC2016  # the program that is told expands it
    printf '#!/bin/sh\necho >"$3.done"\n' >tell
    chmod +x tell
    start_aria2c ada 0 -V
    # Until the tracker knows it.
    sleep 2
    for user in bob carol dave erin; do
        mkdir -p "$user"
        number=$((number + 1))
        start_aria2c "$user" "$number" --on-bt-download-complete="$place/tell"
        fetchers+=("$user/file.done")
    done
    begin "${aria2c[@]}"
    until_so ls "${fetchers[@]}" >/dev/null 2>&1
    finish
    for user in bob carol dave erin; do cmp ada/file "$user/file"; done
    report "aria2c, one to four" $((4 * mebibytes))
    stop_all
}

aria2c=()
start_aria2c() { # USER NUMBER OPTION...
    timeout --foreground "$patience_s" aria2c --dir="$1" --listen-port=$((17173 + $2)) --enable-dht=false \
        --enable-dht6=false --file-allocation=none --seed-ratio=0.0 --bt-tracker-interval=1 --quiet "${@:3}" \
        file.torrent >/dev/null 2>&1 &
    pids+=("$!")
    until_so pgrep -P "$!" >/dev/null
    aria2c+=("$(pgrep -P "$!")")
}

# torrent FILE ANNOUNCE: a torrent of it, in pieces of 1 MiB.
torrent() {
    local name=${1##*/} size hashes
    size=$(stat -c %s "$1")
    # As printf takes them: four characters for each byte.
    hashes=$(split -b 1M --filter='sha1sum | cut -c1-40' "$1" | tr -d '\n' | sed 's/../\\x&/g')
    printf 'd8:announce%d:%s4:infod6:lengthi%de4:name%d:%s12:piece lengthi1048576e6:pieces%d:' \
        "${#2}" "$2" "$size" "${#name}" "$name" $((${#hashes} / 4))
    printf '%b' "$hashes"
    printf 'ee'
}
