# What jobs share.
fail() {
    echo "failed: $*"
    [ ! -e /run/log ] || tail -n 30 /run/log
    exit 1
}

# Waits up to a minute for a command to succeed.
eventually() {
    what=$1
    shift
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || fail "not in time: $what"
        sleep 0.1
    done
}

start_switch() {
    vswitchd --rundir /run/aorta --db /run/conf.db >>/run/log 2>&1 &
    switch=$!
    eventually "the switch answers" vsctl --timeout=1 show
}

stop_switch() {
    kill "$switch"
    wait "$switch"
}

# A namespace whose eth0 has an address; its other end is a device here.
station() {
    ip netns add "$1"
    ip link add "v-$1" type veth peer name eth0 netns "$1"
    ip link set "v-$1" up
    ip -n "$1" addr add "$2/24" dev eth0
    ip -n "$1" link set eth0 up
    ip -n "$1" link set lo up
}

reaches() {
    ip netns exec left ping -c 1 -W 1 192.0.2.2
}

export NO_COLOR=1
export OVS_RUNDIR=/run/aorta OVS_DBDIR=/run
mkdir -p /run/netns
