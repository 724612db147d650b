# A kernel that is too old: the switch says what it lacks, port by port, and stays there.
station left 192.0.2.1
start_switch
vsctl --timeout=10 add-br br0 -- add-port br0 v-left || echo "add-port says so, too"
[ "$(vsctl get Interface v-left ofport)" = -1 ] || fail "the port has a number"
echo "port: $(vsctl get Interface v-left error)"
echo "status: $(vsctl status)"
vsctl add-flow br0 "priority=1,icmp,actions=drop" 2>&1 && fail "a flow is taken"
vsctl get Interface v-left error | grep -q "Linux 6.6" || fail "the error doesn't name the kernel"
vsctl show || fail "the switch is gone"
