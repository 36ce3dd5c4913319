# shellcheck shell=bash disable=SC2154  # the variables are transfers.sh's
# Four sources against one, each capped far below what this machine can do, so that the caps decide.

# Mebibytes per second and source. A source may send a quarter of a second's worth at once when it begins; the file is
# so large that this is less than 2 % of it even for four together.
cap=4
capped_mebibytes=$((52 * cap))

compare_capped() {
    head -c "${capped_mebibytes}M" /dev/urandom >ada/file
    start_server
    for user in ada bob carol dave; do start_client "$user"; done
    say ada register file 256
    await ada register
    for user in bob carol dave; do say "$user" download file; done
    for user in bob carol dave; do await "$user" download; done
    leave ada bob carol dave

    measure_capped ada
    local one_ns=$wall_ns
    measure_capped ada bob carol dave
    awk -v one="$one_ns" -v four="$wall_ns" \
        'BEGIN { printf "%-30s %6.2f times one\n", "four capped sources", one / four }'
    stop_all
    rm -rf bob carol dave
}

# measure_capped USER...: erin fetches the file from these, who hold it already.
measure_capped() {
    local user pids_of=()
    for user in "$@"; do
        start_client "$user" --upload-limit "${cap}M"
        pids_of+=("${client[$user]}")
    done
    start_client erin
    until_so finds_holders "$#"
    begin "${client[erin]}" "${pids_of[@]}"
    say erin download file
    await erin download
    finish
    report "$# capped at $cap MiB/s each" "$capped_mebibytes"
    leave erin "$@"
    rm -rf erin
}
