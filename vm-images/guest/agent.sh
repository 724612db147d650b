# Runs the commands that arrive on the guest's control port, one at a time.
#
#   host to guest   run ID SECONDS BASE64(command)
#   guest to host   aorta ready
#                   aorta done ID STATUS BASE64(stdout) BASE64(stderr)
#
# An empty output is sent as "-". Commands read nothing and write to files, so that what they
# leave running in the background keeps no pipe open.
port=
until [ -c "$port" ]; do
    sleep 0.05
    # The device's number depends on what else the machine has.
    port=$(echo /dev/vport*p1)
done
exec 3<>"$port"

encoded() {
    if [ -s "$1" ]; then base64 "$1" | tr -d '\n'; else printf -- -; fi
}

echo "aorta ready" >&3
while :; do
    # Reading ends at once while nobody listens at the other side.
    IFS= read -r line <&3 || { sleep 0.05; continue; }
    set -- $line
    [ "$1" = run ] && [ $# -eq 4 ] || continue
    printf '%s' "$4" | base64 -d >/tmp/agent.cmd
    timeout -s KILL "$3" sh /tmp/agent.cmd </dev/null >/tmp/agent.out 2>/tmp/agent.err 3>&-
    status=$?
    printf 'aorta done %s %s %s %s\n' \
        "$2" "$status" "$(encoded /tmp/agent.out)" "$(encoded /tmp/agent.err)" >&3
done
