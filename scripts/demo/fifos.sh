# shellcheck shell=bash disable=SC2154  # the variables are demo.sh's
#
# The stage of the checked scene: each client speaks JSON over two pipes. Every event of every client is read,
# in order, and has to be the expected one, so what must not happen is checked as well.

# Seat N types through descriptor 10 + N and is read through 20 + N; 20 is the server's output.
descriptors=(11 12 13 14 20 21 22 23 24)
pids=()

run_stage() {
    # A client that died shows as a failed write, which is reported, instead of ending the script.
    trap '' PIPE
    set_colours
    local started_s=$SECONDS
    open_stage
    play
    printf '\nEverything went as written, in %s s.\n' "$((SECONDS - started_s))"
}

open_stage() {
    mkfifo "$home/0.out"
    (
        close_descriptors
        exec "$server_bin" --credentials "$home/Credentials.txt" --data-dir "$home/data" \
            0 "$block_duration_s" 300 </dev/null >"$home/0.out" 2>"$home/0.err"
    ) &
    pids[0]=$!
    exec 20<"$home/0.out"
    await_line 20 || fail "The server should say where it listens, but $REPLY."
    [[ $REPLY == 'listening 127.0.0.1:'* ]] || fail "The server should say where it listens, but said '$REPLY'."
    port=${REPLY##*:}
    await_line 20 || fail "The server should print the fingerprint of its key, but $REPLY."
    [[ $REPLY == 'fingerprint SHA256:'* ]] || fail "The server should print its fingerprint, but said '$REPLY'."
}

sit_down() {
    seat_of "$1"
    local in=$home/$seat.in out=$home/$seat.out face=--json
    if [ "$2" = plain ]; then face=--plain; fi
    rm -f "$in" "$out"
    mkfifo "$in" "$out"
    client_options "$1"
    (
        close_descriptors
        cd "$home" || exit
        # Each place is a computer of its own, with a key of its own.
        export PARLOUR_CONFIG_DIR=$home/config/$seat
        # shellcheck disable=SC2086  # several words
        exec "$client_bin" "$face" $REPLY 127.0.0.1 "$port" <"$in" >"$out" 2>>"$home/$seat.err"
    ) &
    pids[seat]=$!
    # Each waits for the other end, in this order.
    eval "exec 1$seat>\"\$in\" 2$seat<\"\$out\""
}

type_line() {
    seat_of "$1"
    show "$1" "> $2"
    printf '%s\n' "$2" >&"1$seat" || fail "$1 should type '$2', but the client is gone."
}

type_hidden() {
    seat_of "$1"
    printf '%s\n' "$2" >&"1$seat" || fail "$1 should type a password, but the client is gone."
}

sees() {
    local name=$1 event=$2 line wanted
    seat_of "$name"
    shift 2
    # How often the progress of a transfer is told depends on the machine.
    while
        await_line "2$seat" || fail "$name should see the event '$event' ($*), but $REPLY."
        line=$REPLY
        holds "$line" event=progress
    do :; done
    for wanted in "event=$event" "$@"; do
        holds "$line" "$wanted" ||
            fail "$name should see the event '$event' ($*), but saw $line"
    done
    words "$line"
    show "$name" "$REPLY"
}

sees_progress() {
    local line
    seat_of "$1"
    await_line "2$seat" || fail "$1 should see how far the download is, but $REPLY."
    line=$REPLY
    holds "$line" event=progress || fail "$1 should see how far the download is, but saw $line"
    field have; local have=$REPLY
    field total; show "$1" "$have of $REPLY chunks"
}

# Whether the JSON line $1 has the field and value of $2.
holds() {
    local line=$1 key=${2%%[=~]*} value=${2#*[=~]} end='[,}]'
    if [[ $2 == "$key~"* ]]; then
        field "$key"
        [[ $REPLY == *"$value"* ]]
    else
        [[ $line == *"\"$key\":\"$value\""* || $line == *"\"$key\":$value"$end* ]]
    fi
}

leaves() {
    local code=0
    seat_of "$1"
    # Only the client holds the other end, so the end of its output is its own.
    await_end "$1" "2$seat"
    # bash has something to say about a process that was killed.
    { wait "${pids[seat]}" || code=$?; } 2>/dev/null
    unset "pids[seat]"
    eval "exec 1$seat>&- 2$seat<&-"
    [ "$code" = "$2" ] || fail "The client of $1 should end with exit code $2, but ended with $code."
    show "$1" "(exit code $code)"
}

# The plain face, which this stage does not use otherwise, must show who really wrote that line.
check_plain_face() {
    sit_down barbara plain
    type_hidden barbara barbara
    type_hidden barbara substitute-me
    reads barbara '* You are logged in as barbara.'*
    sees ada presence user=barbara online=true reason=login
    sees alan presence user=barbara online=true reason=login
    sees server presence user=barbara online=true reason=login
    type_line server 'message barbara * The server was stopped.'
    reads barbara '<server> \* The server was stopped.'
    sees server ok command=message to=barbara state=delivered
    type_line barbara 'logout'
    reads barbara '\[1\] goodbye'
    reads barbara '\* You are logged out.'
    leaves barbara 0
    sees ada presence user=barbara online=false reason=logout
    sees alan presence user=barbara online=false reason=logout
    sees server presence user=barbara online=false reason=logout
}

# Awaits a line of the plain face that matches the pattern $2.
reads() {
    local line
    seat_of "$1"
    await_line "2$seat" || fail "$1 should read '$2', but $REPLY."
    line=$REPLY
    # shellcheck disable=SC2053  # a pattern is what it is
    [[ $line == $2 ]] || fail "$1 should read '$2', but read '$line'."
    show "$1" "$line"
}

kill_client() {
    seat_of "$1"
    kill -KILL "${pids[seat]}"
}

freeze_server() {
    kill -STOP "${pids[0]}"
}

thaw_server() {
    kill -CONT "${pids[0]}"
}

stop_server() {
    kill -TERM "${pids[0]}"
}

server_ends() {
    local code=0
    await_end 'The server' 20
    wait "${pids[0]}" || code=$?
    unset 'pids[0]'
    [ "$code" = 0 ] || fail "The server should end with exit code 0, but ended with $code."
}

# Awaits a line from descriptor $1; if there is none, says why.
await_line() {
    local line='' started_s=$SECONDS
    if IFS= read -r -t "$deadline_s" -u "$1" line; then
        REPLY=$line
        return 0
    fi
    # Not every bash has an exit code of its own for a deadline that passed.
    if [ $((SECONDS - started_s)) -lt "$((deadline_s - 1))" ]; then
        REPLY='the program had ended'
    else
        REPLY="nothing came within $deadline_s s"
    fi
    return 1
}

# Awaits the end of what descriptor $2 reads; anything but silence before it is one event too many.
await_end() {
    if await_line "$2"; then fail "$1 should say no more, but said: $REPLY"; fi
    [ "$REPLY" = 'the program had ended' ] || fail "$1 should have ended within $deadline_s s."
}

show_logs() {
    local file
    for file in "$home"/*.err; do
        if [ -s "$file" ]; then
            printf '\n--- standard error of %s\n' "$(seat_name "$file")"
            cat "$file"
        fi
    done
}

seat_name() {
    case ${1##*/} in
        0.err) echo 'the server' ;;
        1.err) echo ada ;;
        2.err) echo alan ;;
        3.err) echo 'grace, edsger and server' ;;
        *) echo barbara ;;
    esac
}

close_stage() {
    local pid tries=0
    close_descriptors
    for pid in ${pids[@]+"${pids[@]}"}; do
        kill -TERM "$pid" 2>/dev/null || true
        # One that was frozen must hear it.
        kill -CONT "$pid" 2>/dev/null || true
    done
    for pid in ${pids[@]+"${pids[@]}"}; do
        while kill -0 "$pid" 2>/dev/null; do
            tries=$((tries + 1))
            if [ "$tries" -gt 20 ]; then kill -KILL "$pid" 2>/dev/null || true; break; fi
            sleep 0.1
        done
        wait "$pid" 2>/dev/null || true
    done
}

# A program that inherits the other end of another's pipe would keep it open.
close_descriptors() {
    local fd
    for fd in "${descriptors[@]}"; do
        eval "exec $fd<&-"
    done
}

show_heading() {
    printf '\n%s%s%s\n' "$bold" "$1" "$plain"
}

show() {
    printf '  %s%-7s |%s %s\n' "$(colour_of "$1")" "$1" "$plain" "$2"
}

set_colours() {
    bold='' plain='' coloured=no
    if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
        bold=$'\033[1m' plain=$'\033[0m' coloured=yes
    fi
}

colour_of() {
    [ "$coloured" = yes ] || return 0
    case $1 in
        ada) printf '\033[36m' ;;
        alan) printf '\033[33m' ;;
        grace) printf '\033[35m' ;;
        edsger) printf '\033[31m' ;;
        server) printf '\033[34m' ;;
        *) printf '\033[32m' ;;
    esac
}
