# The switch at work: a learning bridge, a flow table, a restart.
station left 192.0.2.1
station right 192.0.2.2
start_switch
vsctl add-br br0 -- add-port br0 v-left -- add-port br0 v-right || fail "no bridge"
eventually "left reaches right" reaches
[ "$(vsctl get Interface v-left error)" = "[]" ] || fail "$(vsctl get Interface v-left error)"
echo "switch: $(vsctl get Interface v-left status:aorta-hook) on $(uname -r)"

left=$(vsctl get Interface v-left ofport)
vsctl add-flow br0 "priority=100,icmp,in_port=$left,actions=drop" || fail "no flow"
if reaches >/dev/null; then fail "the flow doesn't drop"; fi
vsctl dump-flows br0 | grep -q n_packets=[1-9] || fail "the flow counts nothing: $(vsctl dump-flows br0)"

# Forwarding goes on without the daemon, with the flow.
stop_switch
if reaches >/dev/null; then fail "the flow is gone with the daemon"; fi
start_switch
vsctl dump-flows br0 | grep -q "icmp" || fail "the flow is gone: $(vsctl dump-flows br0)"
vsctl del-flows br0 icmp || fail "the flow can't be deleted"
eventually "left reaches right again" reaches
stop_switch
ip netns exec left ping -c 3 -i 0.2 -W 1 192.0.2.2 || fail "nothing passes without the daemon"
echo "flows and restarts: done"
