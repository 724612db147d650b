#!/bin/bash
# Adapter for a bench that measures virtual switches side by side over the same veths: it is called
# in the switch's network namespace with one of the words below. The switch is the release build.
set -eu
root=$(dirname "$(dirname "$(readlink -f "$0")")")
bin=${AORTA_BIN:-$root/target/release}
export OVS_RUNDIR=${BENCH_WORK:-/tmp}/run/aorta
case $1 in
env) echo "sink=tc acl=1" ;;
up)
    mkdir -p "$OVS_RUNDIR"
    rm -f "$OVS_RUNDIR"/conf.db
    "$bin/vswitchd" --rundir "$OVS_RUNDIR" --db "$OVS_RUNDIR/conf.db" --detach \
        --log-file="$OVS_RUNDIR/vswitchd.log" </dev/null >/dev/null 2>&1
    echo "$3" >"$OVS_RUNDIR/out"
    "$bin/vsctl" --timeout=10 add-br br0 -- add-port br0 "$2" -- add-port br0 "$3"
    ;;
pids) cat "$OVS_RUNDIR/ovs-vswitchd.pid" ;;
flows)
    # One bundle: no packet meets empty tables.
    { echo delete && sed "s/OUT/$(cat "$OVS_RUNDIR/out")/g" "$2"; } |
        "$bin/vsctl" --timeout=600 --bundle add-flows br0 -
    ;;
down)
    pid=$(cat "$OVS_RUNDIR/ovs-vswitchd.pid")
    kill "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
    "$bin/vswitchd" --rundir "$OVS_RUNDIR" --teardown
    ;;
*)
    echo "usage: $0 env|up PORT PORT|pids|flows FILE|down" >&2
    exit 2
    ;;
esac
