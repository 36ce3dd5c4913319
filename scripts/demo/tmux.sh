# shellcheck shell=bash disable=SC2154  # the variables are demo.sh's
#
# The stage of the scene on real screens: the server's log and four terminals in a tmux of its own, typed into
# with send-keys and read with capture-pane. A screen tells nobody that it changed, so it is looked at ten
# times a second.

# With somebody watching, seconds between a typed line and what the next one does.
pace_s=0
driver_pid=
# How many characters of each screen, without white space, the scene is through with.
seen_len=(0 0 0 0 0)

run_stage() {
    command -v tmux >/dev/null || fail 'tmux is not installed. Without --tmux this script does not need it.'
    # Being inside another tmux must not matter.
    unset TMUX
    socket=parlour-demo-$$
    if [ -t 0 ] && [ -t 1 ]; then
        play_for_somebody
    else
        open_stage 120 41
        play
        print_screens
        printf '\nEverything went as written.\n'
    fi
}

# The scene is played in the background while the user looks on. If it fails, it says so in a file, and takes
# the screens away.
play_for_somebody() {
    local size
    size=$(stty size)
    pace_s=1
    open_stage "${size#* }" "${size% *}"
    play_in_background 2>"$home/driver.err" &
    driver_pid=$!
    tm attach-session >/dev/null || true
    end_driver
    if [ -e "$home/failed" ]; then
        cat "$home/driver.err" >&2
        exit 1
    fi
}

play_in_background() {
    trap 'exit 0' TERM
    trap '[ $? = 0 ] || { : >"$home/failed"; end_screens; }' EXIT
    until [ -n "$(tm list-clients)" ]; do sleep 0.1; done
    play
    encore
}

open_stage() {
    cat >"$home/shellrc" <<'END'
PS1='($?) $ '
unset HISTFILE
END
    # The programs are called by their names, as a user would.
    export PATH="${client_bin%/*}:$PATH"
    tm -f /dev/null new-session -d -c "$home" -x "$1" -y "$2" "$(server_command)"
    tm set-option -g remain-on-exit on
    tm set-option -g pane-border-status top
    tm set-option -g pane-border-format ' #{pane_title} '
    tm set-option -g status-left-length 200
    tm set-option -g window-status-format ''
    tm set-option -g window-status-current-format ''
    tm set-option -g status-right ''
    socket_path=$(tm display-message -p '#{socket_path}')
    local seat name
    for name in ada alan grace barbara; do
        seat_of "$name"
        # Each place is a computer of its own, with a key of its own.
        tm split-window -c "$home" \
            "PARLOUR_CONFIG_DIR='$home/config/$seat' exec bash --noprofile --rcfile '$home/shellrc' -i"
        tm select-layout tiled
        tm select-pane -t "$seat" -T "$name"
    done
    tm select-pane -t 0 -T 'the server and its log'
    read_port
    for name in ada alan grace barbara; do
        seat_of "$name"
        await_on_screen "$seat" '(0) $' || fail "No shell came up for $name."
    done
}

server_command() {
    printf "exec parlour-server --credentials Credentials.txt --data-dir data %s %s 300" \
        "${port:-0}" "$block_duration_s"
}

read_port() {
    await_on_screen 0 'listening 127.0.0.1:' || fail 'The server did not say that it listens.'
    port=$(tm capture-pane -p -t 0 | sed -n 's/^listening 127\.0\.0\.1:\([0-9]*\)$/\1/p' | tail -n 1)
    tm display-message -p -t 0 '#{pane_pid}' >"$home/server.pid"
}

sit_down() {
    seat_of "$1"
    tm select-pane -t "$seat" -T "$1"
    client_options "$1"
    press "$seat" "parlour $REPLY 127.0.0.1 $port"
    await_on_screen "$seat" 'Username:' || fail "$1 should be asked for the username."
}

type_line() {
    seat_of "$1"
    sleep "$pace_s"
    press "$seat" "$2"
}

type_hidden() {
    seat_of "$1"
    await_on_screen "$seat" 'Password:' || fail "$1 should be asked for the password."
    press "$seat" "$2"
}

sees() {
    local name=$1 line="{\"event\":\"$2\"" wanted key value
    seat_of "$name"
    shift
    for wanted in "${@:2}"; do
        key=${wanted%%[=~]*} value=${wanted#*[=~]}
        case $wanted in
            "$key~"*) value="\"…$value\"" ;;
            *=true | *=false | *='['*) ;;
            *) value="\"$value\"" ;;
        esac
        line="$line,\"$key\":$value"
    done
    words "$line}"
    await_on_screen "$seat" "$REPLY" || fail "$name should see '$REPLY' within $deadline_s s."
}

sees_progress() {
    seat_of "$1"
    await_on_screen "$seat" 'of 48 chunks,' || fail "$1 should see how far the download is."
}

leaves() {
    seat_of "$1"
    await_on_screen "$seat" "($2) \$" || fail "The client of $1 should end with exit code $2."
}

# Every face on this stage shows who wrote a line.
check_plain_face() { :; }

kill_client() {
    local shell
    seat_of "$1"
    shell=$(tm display-message -p -t "$seat" '#{pane_pid}')
    kill -KILL "$(pgrep -P "$shell")"
}

freeze_server() {
    sleep "$pace_s"
    kill -STOP "$(cat "$home/server.pid")"
}

thaw_server() {
    sleep "$pace_s"
    kill -CONT "$(cat "$home/server.pid")"
}

stop_server() {
    sleep "$pace_s"
    kill -TERM "$(cat "$home/server.pid")"
}

server_ends() {
    local tries=0
    # The pane is dead before its status is known.
    until [ -n "$(tm display-message -p -t 0 '#{pane_dead_status}#{pane_dead_signal}')" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt $((deadline_s * 10)) ] || fail "The server should have ended within $deadline_s s."
        sleep 0.1
    done
    rm "$home/server.pid"
    local code
    code=$(tm display-message -p -t 0 '#{pane_dead_status}')
    [ "$code" = 0 ] || fail "The server should end with exit code 0, but ended with $code."
}

# Everything runs again, for the user to play with.
encore() {
    sleep "$pace_s"
    tm respawn-pane -k -t 0 "$(server_command)"
    seen_len[0]=0
    read_port
    log_in ada first-program
    log_in alan halting-problem
    log_in grace nanosecond-wire
    tm select-pane -t 1
    show_heading 'Now it is yours: all three are logged in again. Ctrl-b o: next pane. Ctrl-b d: the end.'
}

show_heading() {
    # A caption is no format.
    tm set-option -g status-left " ${1//#/##}"
    sleep "$pace_s"
}

# Awaits the text $2 on screen $1, below what was awaited there before; an ellipsis stands for anything.
await_on_screen() {
    local seat=$1 rest=$2… screen part from tries=0
    # Where lines are broken depends on the width, so white space does not count.
    rest=${rest//[[:space:]]/}
    from=${seen_len[seat]}
    while [ -n "$rest" ]; do
        part=${rest%%…*}
        screen=$(tm capture-pane -p -J -S - -t "$seat") || return 1
        screen=${screen//[[:space:]]/}
        screen=${screen:from}
        if [[ $screen == *"$part"* ]]; then
            screen=${screen%%"$part"*}
            from=$((from + ${#screen} + ${#part}))
            rest=${rest#*…}
        else
            tries=$((tries + 1))
            [ "$tries" -lt $((deadline_s * 10)) ] || return 1
            sleep 0.1
        fi
    done
    seen_len[seat]=$from
}

press() {
    tm send-keys -t "$1" -l -- "$2"
    tm send-keys -t "$1" Enter
}

print_screens() {
    local pane
    for pane in 0 1 2 3 4; do
        printf '\n===== %s =====\n' "$(tm display-message -p -t "$pane" '#{pane_title}')"
        # The empty lines at the end go.
        printf '%s\n' "$(tm capture-pane -p -S - -t "$pane")"
    done
}

show_logs() {
    if tm has-session 2>/dev/null; then print_screens; fi
}

close_stage() {
    end_driver
    end_screens
    if [ -n "${socket_path:-}" ]; then rm -f "$socket_path"; fi
}

# The end of tmux hangs up on all that runs in it. The server takes that for a call to read its accounts again,
# so it is ended by itself; its process may be another than when this script started it first.
end_screens() {
    if [ -s "$home/server.pid" ]; then
        kill -TERM "$(cat "$home/server.pid")" 2>/dev/null || true
        # If it was frozen, it must hear that.
        kill -CONT "$(cat "$home/server.pid")" 2>/dev/null || true
    fi
    tm kill-server 2>/dev/null || true
}

end_driver() {
    if [ -n "$driver_pid" ]; then
        kill -TERM "$driver_pid" 2>/dev/null || true
        wait "$driver_pid" 2>/dev/null || true
        driver_pid=
    fi
}

tm() {
    tmux -L "$socket" "$@"
}
