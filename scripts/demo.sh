#!/usr/bin/env bash
#
# Plays a short scene on a real server with real clients and checks every step of it. Runs on the bash 3.2
# that macOS ships: no coprocesses, no associative arrays, whole seconds in `read -t`.
#
# The scene is written once. A stage plays it: demo/fifos.sh over pipes in the JSON face, demo/tmux.sh on
# screens. Each stage defines
#   open_stage                         start the server; sets $port
#   sit_down NAME FACE                 start a client at NAME's seat
#   type_line NAME LINE                type a line there; type_hidden: the same, where no echo is expected
#   sees NAME EVENT [KEY=VALUE|KEY~PART]...
#                                      await that event as the next thing there; a value that stands alone
#                                      must be equal, a PART must occur
#   leaves NAME CODE                   await the end of the client there
#   sees_progress NAME                 await a sign of how far a download is
#   kill_client NAME                   send SIGKILL
#   freeze_server, thaw_server         send SIGSTOP; SIGCONT
#   stop_server, server_ends           send SIGTERM; await the end and exit code 0
#   show_logs, close_stage             for a failure; for every end

set -euo pipefail

usage() {
    cat <<'END'
Usage: scripts/demo.sh [--tmux]

Builds Parlour, starts a server with accounts of its own, and plays a short scene with the clients of ada,
alan, grace and barbara. Every step is checked. Nothing stays behind.

  --tmux      play it on the real screens, in a tmux session of its own; detach (Ctrl-b d) to end it.
              Without a terminal the screens are printed at the end.
  -h, --help  print this help

PARLOUR_PROFILE=dev builds without optimisation. CARGO_TARGET_DIR says where to build, as for cargo.
Exit codes: 0 the scene went as written, 1 it did not or could not be played, 2 wrong usage.
END
}

stage=fifos
while [ $# -gt 0 ]; do
    case $1 in
        --tmux) stage=tmux ;;
        -h | --help) usage; exit 0 ;;
        *) printf 'demo.sh: unknown argument %s\n\n' "'$1'" >&2; usage >&2; exit 2 ;;
    esac
    shift
done

root=$(cd "$(dirname "$0")/.." && pwd)
# Seconds for any one event; the programs need milliseconds.
deadline_s=5
# Longer than the scene, so that the lock still holds when the right password is tried.
block_duration_s=60
home=
port=
step=0

main() {
    # What the caller has set for his own sessions must not reach these.
    unset PARLOUR_PASSWORD RUST_LOG
    build
    home=$(mktemp -d "${TMPDIR:-/tmp}/parlour-demo.XXXXXX")
    trap clean_up EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    write_credentials
    make_files
    run_stage
}

clean_up() {
    # A signal may come amid `IFS= read`, and what that sets holds here too.
    local status=$? IFS=$' \t\n'
    trap - EXIT
    close_stage || true
    rm -rf "$home"
    exit "$status"
}

build() {
    local built profile=--release
    if [ "${PARLOUR_PROFILE:-release}" = dev ]; then profile=; fi
    # cargo itself says where it put the programs, whatever decided on that.
    built=$(cd "$root" && cargo build ${profile:+"$profile"} -p server -p client \
        --message-format=json-render-diagnostics) || fail 'The build failed; cargo said why above.'
    server_bin=$(executable parlour-server)
    client_bin=$(executable parlour)
}

executable() {
    local path
    path=$(printf '%s\n' "$built" | sed -n 's|.*"executable":"\([^"]*/'"$1"'\(\.exe\)\{0,1\}\)".*|\1|p' | tail -n 1)
    [ -x "$path" ] || fail "The build made no program '$1'."
    printf '%s\n' "$path"
}

# The account 'server' is there to show that it is an ordinary one.
write_credentials() {
    (umask 077 && cat >"$home/Credentials.txt") <<'END'
ada first-program
alan halting-problem
grace nanosecond-wire
barbara substitute-me
edsger shortest-path
server not-the-server
END
}

# A directory for the files of each, and a tape that nobody has seen before.
make_files() {
    mkdir -p "$home/files/ada" "$home/files/alan" "$home/files/grace" "$home/files/barbara" \
        "$home/files/edsger" "$home/files/server"
    head -c 6291456 /dev/urandom >"$home/files/ada/tape"
}

# How a client is started at the place of $1, relative to $home. Barbara's line is slow enough to watch.
client_options() {
    REPLY="--dir files/$1"
    if [ "$1" = barbara ]; then REPLY="$REPLY --download-limit 3M"; fi
}

play() {
    heading 'They come in, and see each other come'
    log_in ada first-program
    log_in alan halting-problem
    sees ada presence user=alan online=true reason=login
    log_in grace nanosecond-wire
    sees ada presence user=grace online=true reason=login
    sees alan presence user=grace online=true reason=login

    heading 'Who else is here?'
    type_line grace 'whoelse'
    sees grace ok command=whoelse 'users=["ada","alan"]'

    heading 'A message arrives; the sender knows it'
    type_line ada 'message alan Does it halt?'
    sees alan message from=ada 'text=Does it halt?' offline=false
    sees ada ok command=message to=alan state=delivered

    heading 'Grace is away; a message waits for her'
    type_line grace 'logout'
    sees grace ok command=logout
    sees grace disconnected reason=logout
    leaves grace 0
    sees ada presence user=grace online=false reason=logout
    sees alan presence user=grace online=false reason=logout
    type_line ada 'message grace There is a moth in the relay.'
    sees ada ok command=message to=grace state=stored

    heading 'She comes back and gets it before anything else'
    log_in grace nanosecond-wire
    sees grace message from=ada 'text=There is a moth in the relay.' offline=true
    sees ada presence user=grace online=true reason=login
    sees alan presence user=grace online=true reason=login

    heading 'A broadcast reaches everyone'
    type_line grace 'broadcast Found it. Taped it into the log.'
    sees ada broadcast from=grace 'text=Found it. Taped it into the log.'
    sees alan broadcast from=grace 'text=Found it. Taped it into the log.'
    sees grace ok command=broadcast delivered=2 blocked=false

    heading 'Alan blocks Ada; she learns it only from her own commands'
    type_line alan 'block ada'
    sees alan ok command=block user=ada
    type_line ada 'message alan Are you there?'
    sees ada error command=message code=blocked 'text~blocked you'
    type_line ada 'broadcast Tea?'
    sees grace broadcast from=ada 'text=Tea?'
    sees ada ok command=broadcast delivered=1 blocked=true

    heading 'He unblocks her'
    type_line alan 'unblock ada'
    sees alan ok command=unblock user=ada
    type_line ada 'message alan Milk?'
    sees alan message from=ada 'text=Milk?' offline=false
    sees ada ok command=message to=alan state=delivered

    heading 'Ada and Alan talk past the server, which is frozen meanwhile (SIGSTOP)'
    type_line ada 'startprivate alan'
    sees alan private-opened user=ada way=direct
    sees ada private-opened user=alan way=direct
    sees ada ok command=startprivate user=alan
    freeze_server
    type_line ada 'private alan Can the server hear us?'
    sees alan private from=ada 'text=Can the server hear us?'
    sees ada ok command=private to=alan
    type_line alan 'private ada It cannot even move.'
    sees ada private from=alan 'text=It cannot even move.'
    sees alan ok command=private to=ada
    thaw_server
    type_line ada 'stopprivate alan'
    sees alan private-closed user=ada reason=stopped
    sees ada private-closed user=alan reason=stopped
    sees ada ok command=stopprivate user=alan

    heading 'Ada offers a tape in 48 pieces; Alan and Grace fetch it'
    type_line ada 'register tape 48'
    sees ada ok command=register file=tape chunks=48
    type_line alan 'download tape'
    sees alan ok command=download file=tape complete=true sources~ada
    type_line grace 'download tape'
    sees grace ok command=download file=tape complete=true
    same_tape alan
    same_tape grace

    heading 'Barbara fetches it from all three, and Alan is killed midway (SIGKILL)'
    log_in barbara substitute-me
    sees ada presence user=barbara online=true reason=login
    sees alan presence user=barbara online=true reason=login
    sees grace presence user=barbara online=true reason=login
    type_line barbara 'download tape'
    sees_progress barbara
    kill_client alan
    leaves alan 137
    sees ada presence user=alan online=false reason=lost
    sees grace presence user=alan online=false reason=lost
    sees barbara presence user=alan online=false reason=lost
    sees barbara ok command=download file=tape complete=true sources~ada
    same_tape barbara
    type_line barbara 'logout'
    sees barbara ok command=logout
    sees barbara disconnected reason=logout
    leaves barbara 0
    sees ada presence user=barbara online=false reason=logout
    sees grace presence user=barbara online=false reason=logout
    log_in alan halting-problem
    sees ada presence user=alan online=true reason=login
    sees grace presence user=alan online=true reason=login

    heading "At Grace's place someone guesses Edsger's password; three wrong ones lock the account"
    type_line grace 'logout'
    sees grace ok command=logout
    sees grace disconnected reason=logout
    leaves grace 0
    sees ada presence user=grace online=false reason=logout
    sees alan presence user=grace online=false reason=logout
    sit_down edsger talk
    type_line edsger edsger
    type_hidden edsger longest-path
    sees edsger login-failed code=bad-credentials final=false 'text~wrong'
    type_hidden edsger some-path
    sees edsger login-failed code=bad-credentials final=false 'text~wrong'
    type_hidden edsger any-path
    sees edsger login-failed code=locked final=true 'text~locked'
    leaves edsger 3

    heading 'Now the right password is refused too'
    sit_down edsger talk
    type_line edsger edsger
    type_hidden edsger shortest-path
    sees edsger login-failed code=locked final=true 'text~locked'
    leaves edsger 3

    heading "A user named 'server' cannot pass for the server"
    log_in server not-the-server
    sees ada presence user=server online=true reason=login
    sees alan presence user=server online=true reason=login
    type_line server 'message alan * The server was stopped.'
    sees alan message from=server 'text=* The server was stopped.' offline=false
    sees server ok command=message to=alan state=delivered
    check_plain_face

    heading 'The server stops (SIGTERM), and every client says so'
    stop_server
    sees ada disconnected reason=shutdown
    sees alan disconnected reason=shutdown
    sees server disconnected reason=shutdown
    leaves ada 1
    leaves alan 1
    leaves server 1
    server_ends
}

log_in() {
    sit_down "$1" talk
    type_line "$1" "$1"
    type_hidden "$1" "$2"
    sees "$1" login user="$1"
}

# The copy of $1 must be the same as Ada's, byte for byte.
same_tape() {
    cmp -s "$home/files/ada/tape" "$home/files/$1/tape" || fail "The tape that $1 has fetched is not Ada's."
}

heading() {
    step=$((step + 1))
    show_heading "$step. $1"
}

# Where someone sits: four places, the third also for whoever comes after Grace.
seat_of() {
    case $1 in
        ada) seat=1 ;;
        alan) seat=2 ;;
        barbara) seat=4 ;;
        *) seat=3 ;;
    esac
}

# The plain face's wording of the event in the JSON line $1, without the command's number; an ellipsis stands
# for what is not known beforehand.
words() {
    local line=$1 name
    field user; local user=$REPLY
    field from; local from=$REPLY
    field text; local text=$REPLY
    field to; local to=$REPLY
    field users; local users=$REPLY
    field reason; local reason=$REPLY
    field delivered; local delivered=$REPLY
    field blocked; local blocked=$REPLY
    field offline; local offline=$REPLY
    field command; local command=$REPLY
    field state; local state=$REPLY
    field sent_at; local sent_at=$REPLY
    field file; local file=$REPLY
    field chunks; local chunks=$REPLY
    field path; local path=$REPLY
    field sources; local sources=$REPLY
    field event; name=$REPLY
    case $name/$command$reason$state$offline in
        login/*) REPLY="* You are logged in as $user." ;;
        login-failed/*) REPLY="* Log-in refused: $text" ;;
        message/false) REPLY="<$from> $text" ;;
        message/true) REPLY="<$from, ${sent_at:-…}> $text" ;;
        broadcast/*) REPLY="<$from to all> $text" ;;
        presence/login) REPLY="* $user came online." ;;
        presence/logout) REPLY="* $user logged out." ;;
        presence/lost) REPLY="* $user lost the connection." ;;
        private-opened/*) REPLY="* A private connection with $user stands. 'private $user <text>' uses it." ;;
        private/*) REPLY="<$from in private> $text" ;;
        private-closed/stopped) REPLY="* The private connection with $user is closed." ;;
        disconnected/logout) REPLY='* You are logged out.' ;;
        disconnected/shutdown) REPLY='* The server was stopped.' ;;
        error/*) REPLY="$command failed: $text" ;;
        ok/messagedelivered) REPLY="delivered to $to" ;;
        ok/messagestored) REPLY="kept for $to until the next log-in" ;;
        ok/broadcast)
            REPLY="sent to $delivered user"
            if [ "$delivered" != 1 ]; then REPLY=${REPLY}s; fi
            if [ "$blocked" = true ]; then REPLY="$REPLY; some did not get it"; fi
            ;;
        ok/whoelse) REPLY="online: $users" ;;
        ok/block) REPLY="$user is blocked" ;;
        ok/unblock) REPLY="$user is not blocked any more" ;;
        ok/startprivate) REPLY="you can talk to $user in private" ;;
        ok/private) REPLY="delivered to $to in private" ;;
        ok/stopprivate) REPLY="the private connection with $user is closed" ;;
        ok/register) REPLY="$file is registered: 6.0 MiB in $chunks chunks" ;;
        ok/download) REPLY="$file is complete: ${path:-…} 6.0 MiB from $sources" ;;
        ok/logout) REPLY='goodbye' ;;
        *) REPLY=$line ;;
    esac
}

# The field $1 of the JSON object in $line, or nothing: strings without their quotes, lists with commas.
field() {
    local pattern='"'$1'":("(([^"\]|\\.)*)"|\[([^]]*)\]|([^],}]*))'
    REPLY=
    if [[ $line =~ $pattern ]]; then
        REPLY=${BASH_REMATCH[2]}${BASH_REMATCH[4]}${BASH_REMATCH[5]}
        if [ -n "${BASH_REMATCH[4]}" ]; then
            REPLY=${REPLY//\"/}
            REPLY=${REPLY//,/, }
        fi
    fi
}

fail() {
    printf '\ndemo.sh: %s\n' "$1" >&2
    if [ -n "$home" ]; then show_logs >&2; fi
    exit 1
}

# shellcheck source=scripts/demo/fifos.sh
. "$root/scripts/demo/$stage.sh"
main
