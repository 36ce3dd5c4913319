# shellcheck shell=bash disable=SC2154  # the variables are transfers.sh's
# A download from one honest source and three who send nothing but wrong bytes.

compare_liars() {
    start_server
    start_client ada
    say ada register file 256
    await ada register
    "$bin/liars" "$port" ada/file 256 bob carol dave 2>liars.err &
    pids+=("$!")
    start_client erin
    until_so finds_holders 4
    begin "${client[ada]}" "${client[erin]}"
    say erin download file
    await erin download
    finish
    report "three liars of four sources" "$mebibytes"
    cmp ada/file erin/file
    grep '"command":"download"' erin.out | sed 's/.*"wasted":\([0-9]*\).*/\1/' | awk -v mib="$mebibytes" '{
        printf "%-30s %6.1f MiB, %.1f %% of the file\n", "came from them for nothing", $1 / 2 ^ 20, $1 / 2 ^ 20 / mib * 100 }'
    stop_all
    rm -rf erin ada/.parlour
}
