# The switch with a card of netdevsim's: a pipeline of two tables as a program of the card, changed,
# refused and killed under traffic. The card's program sees no packets there: what packets do is what
# software does, which is all of it.

# A netdevsim device whose name is told; `hw-tc-offload` as netdevsim has it.
netdevsim() {
    echo "$1 1" >/sys/bus/netdevsim/new_device || fail "no netdevsim $1"
    ls "/sys/bus/netdevsim/devices/netdevsim$1/net"
}

index() {
    cat "/sys/class/net/$1/ifindex"
}

debugfs=/sys/kernel/debug/netdevsim/netdevsim1
[ -d /sys/kernel/debug/netdevsim ] || mount -t debugfs none /sys/kernel/debug

# Number of the program that the card runs; 0 if none.
program() {
    cat $debugfs/ports/0/bpf_offloaded_id
}

# The kernel forgets programs a while after their last user.
bound() {
    [ "$(ls $debugfs/bpf_bound_progs | wc -l)" = "$1" ]
}

turn() {
    echo "$2" >"$debugfs/$1" || fail "$1 can't be $2"
}

offload() {
    vsctl set Open_vSwitch . "other_config:hw-offload=$1" || fail "hw-offload=$1"
}

# The flow whose text has this in it, with the line below that tells where it is.
flow() {
    vsctl dump-flows --placement br0 | grep -A 1 -e "$1" || fail "no flow $1"
}

is_placed() {
    flow "$1" | tail -n 1 | grep -q "^ *nic($card)"
}

# The flow isn't on the card, because of this.
is_left() {
    told=$(flow "$1" | tail -n 1)
    echo "$told" | grep -q "^ *tc (.*$2" || { echo "$told"; return 1; }
}

status() {
    vsctl get Interface "$card" "status:$1"
}

reason_is() {
    status aorta-offload-reason | grep -q "$1"
}

# What there is to see, if it is asked for.
show() {
    [ -n "$SHOW" ] || return 0
    echo "=== $1"
    vsctl dump-flows --placement br0
    vsctl explain br0
    vsctl get Interface "$card" status
    ip -d link show dev "$card"
    if [ -x /job/bpftool ]; then bpftool prog show | grep -A 3 offloaded_to; fi
    for program in $debugfs/bpf_bound_progs/*; do
        [ ! -d "$program" ] || echo "bound: program $(cat "$program/id"), $(cat "$program/state"), loaded $(cat "$program/loaded")"
    done
}

# Two replies of one station, none of the other, which table 1 keeps packets from.
check_traffic() {
    ip netns exec left ping -c 2 -i 0.2 -W 2 192.0.2.2 >/dev/null || fail "$1: left doesn't reach right"
    if ip netns exec left ping -c 1 -W 1 192.0.2.3 >/dev/null; then fail "$1: left reaches guarded"; fi
}

# A card whose other end is a station.
card=$(netdevsim 1)
peer=$(netdevsim 2)
ip netns add left
ip link set "$peer" netns left name eth0
ip -n left addr add 192.0.2.1/24 dev eth0
ip -n left link set eth0 up
ip link set "$card" up
exec 3</proc/self/ns/net 4</run/netns/left
peer_index=$(ip -n left -o link show eth0 | cut -d: -f1)
echo "3:$(index "$card") 4:$peer_index" >/sys/bus/netdevsim/link_device || fail "no link"
exec 3<&- 4<&-
station right 192.0.2.2
station guarded 192.0.2.3
address() {
    ip -n "$1" -o link show eth0 | sed 's/.*link.ether \([0-9a-f:]*\).*/\1/'
}
right=$(address right)
guarded=$(address guarded)

start_switch
vsctl add-br br0 -- set Bridge br0 fail_mode=secure -- add-port br0 "$card" -- add-port br0 v-right \
    -- add-port br0 v-guarded || fail "no bridge"
vsctl set Interface "$card" other_config:aorta-offload=ebpf
in_port=$(vsctl get Interface "$card" ofport)
pipeline "$in_port" "$guarded" in_port >/run/flows
vsctl add-flows br0 /run/flows || fail "no flows"
eventually "left reaches right" reaches
[ "$(program)" = 0 ] || fail "hw-offload is off"
# All of what follows is under traffic.
/bin/ip netns exec left ping -i 0.1 -W 3 192.0.2.2 >/run/replies &
pings=$!
/bin/ip netns exec left ping -i 0.3 192.0.2.3 >/run/none &
none=$!

# Placed.
offload true
eventually "the pipeline is on the card" is_placed "dl_dst=$guarded"
for part in "tp_src=40012" "tp_dst=7" "icmp" "table=1.*priority=0"; do
    is_placed "$part" || fail "$(flow "$part")"
done
is_left "actions=NORMAL" "NORMAL: the device can't do it" || fail "NORMAL"
by() { [ "$(status aorta-offload)" = "$1" ]; }
eventually "it is told" by ebpf
first=$(program)
[ "$first" != 0 ] && bound 1 || fail "program $first"
check_traffic placed
show placed

# Replaced: an entry of a map, then another program.
vsctl add-flow br0 "priority=300,in_port=$in_port,dl_dst=02:00:00:00:01:31 actions=goto_table:1"
is_placed "dl_dst=02:00:00:00:01:31" || fail "$(flow "dl_dst=02:00:00:00:01:31")"
[ "$(program)" = "$first" ] || fail "another program for an entry"
vsctl add-flow br0 "table=1,priority=250,tcp,nw_src=192.0.2.0/28,nw_dst=192.0.2.3,tp_dst=443 actions=drop"
is_placed "tp_dst=443" || fail "$(flow "tp_dst=443")"
second=$(program)
[ "$second" != "$first" ] && [ "$second" != 0 ] || fail "program $second after $first"
eventually "the first program goes" bound 1
check_traffic replaced
show replaced
echo "replaced: program $first by $second"

# Refused: what was there stays, what is new is in software.
refused() {
    turn "$1" N
    vsctl add-flow br0 "priority=$3,in_port=$in_port,dl_dst=$right,udp,nw_src=192.0.2.0/$4,tp_src=$3 actions=drop" ||
        fail "no flow"
    is_left "tp_src=$3" "device refused: .*$2" || fail "$1: $(flow "tp_src=$3")"
    [ "$(program)" = "$there" ] || fail "$1: program $(program) instead of $there"
    is_placed "tp_dst=443" || fail "$1: $(flow "tp_dst=443")"
    eventually "$1: one program" bound 1
    eventually "$1: the reason is told" reason_is "$2"
    check_traffic "$1"
    show "refused by $1"
    turn "$1" Y
    offload false
    eventually "no program" bound 0
    offload true
    eventually "$1: placed again" is_placed "tp_src=$3"
    there=$(program)
    check_traffic "after $1"
}
there=$second
refused bpf_bind_accept "Operation not supported" 301 29
refused ports/0/bpf_xdpoffload_accept "XDP offload disabled in DebugFS" 302 30
refused ports/0/bpf_map_accept "map" 303 31

# Refused in table 1: what the card begins it must end, so all that leads there comes back to software.
turn bpf_bind_accept N
vsctl add-flow br0 "table=1,priority=310,udp,nw_src=192.0.2.0/27,tp_src=310 actions=drop" || fail "no flow"
eventually "table 1 is in software" is_left "dl_dst=$guarded" "leads to table 1"
is_left "tp_src=310" "device refused: .*Operation not supported" || fail "$(flow "tp_src=310")"
eventually "the reason is told" reason_is "Operation not supported"
is_placed "tp_src=301" || fail "$(flow "tp_src=301")"
eventually "one program" bound 1
check_traffic "refused in table 1"
show "refused in table 1"
turn bpf_bind_accept Y
offload false
eventually "no program" bound 0
offload true
eventually "placed with all of table 1" is_placed "tp_src=310"

# Refused altogether, from the beginning.
offload false
eventually "no program" bound 0
turn bpf_bind_accept N
offload true
eventually "the reason is told" reason_is "netdevsim runs no eBPF programs"
by off && [ "$(program)" = 0 ] || fail "program $(program)"
is_left "dl_dst=$guarded" "no port of the bridge belongs to a card" || fail "$(flow "dl_dst=$guarded")"
check_traffic "refused altogether"
show "refused altogether"
turn bpf_bind_accept Y
offload false
offload true
eventually "placed again" is_placed "dl_dst=$guarded"

# Killed, and started again.
there=$(program)
kill -9 "$switch"
wait "$switch"
[ "$(program)" = "$there" ] || fail "the program is gone with the daemon"
check_traffic killed
start_switch
eventually "placed by the next daemon" is_placed "tp_dst=443"
for part in "dl_dst=$guarded" "dl_dst=02:00:00:00:01:31" "tp_src=301" "tp_src=302" "tp_src=303" "icmp"; do
    is_placed "$part" || fail "$(flow "$part")"
done
eventually "one program only" bound 1
[ "$(program)" != 0 ] || fail "no program"
check_traffic "started again"
show "killed and started again"

# By flower, which netdevsim's driver refuses; then not at all.
vsctl set Interface "$card" other_config:aorta-offload=flower
ethtool -K "$card" hw-tc-offload on
ethtool -K "$card" hw-tc-offload off
offload false
offload true
eventually "what to do is told" reason_is "ethtool -K $card hw-tc-offload on"
ethtool -K "$card" hw-tc-offload on
offload false
offload true
eventually "by flower" by flower
vsctl add-flow br0 "priority=299,in_port=$in_port,dl_dst=02:00:00:00:02:01 actions=drop" || fail "no flow"
show "by flower"
words="only offload of BPF classifiers supported"
is_left "dl_dst=02:00:00:00:02:01" "device refused: .*$words" || fail "$(flow "dl_dst=02:00:00:00:02:01")"
is_left "tp_src=301" "device refused: the card can't leave .*: .*$words" || fail "$(flow "tp_src=301")"
is_left "dl_dst=$guarded" "leads to table 1" || fail "$(flow "dl_dst=$guarded")"
eventually "the driver's words" reason_is "$words"
[ "$(program)" = 0 ] || fail "program $(program)"
check_traffic flower
offload false
eventually "nothing bound" bound 0
[ -z "$(tc filter show dev "$card" ingress)" ] || fail "filters: $(tc filter show dev "$card" ingress)"

kill -INT "$pings" "$none"
wait "$pings" "$none"
replies=$(grep -c icmp_seq= /run/replies)
last=$(sed -n 's/.*icmp_seq=\([0-9]*\) .*/\1/p' /run/replies | tail -n 1)
[ "$replies" -gt 100 ] && [ "$replies" = "$last" ] || fail "$replies replies, the last of them to request $last"
grep -q " 100% packet loss" /run/none || fail "$(tail -n 3 /run/none)"
echo "all the time: $replies replies to $last requests; of guarded: $(grep loss /run/none)"
counted=$(flow icmp | sed -n 's/.*n_packets=\([0-9]*\),.*/\1/p')
echo "counted by the flow that drops these: $counted"
[ "$counted" -ge "$(sed -n 's/^\([0-9]*\) packets transmitted.*/\1/p' /run/none)" ] || fail "$(flow icmp)"
stop_switch
echo "offload: all of it was seen"
