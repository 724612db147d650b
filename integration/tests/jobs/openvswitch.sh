# A kernel datapath that an Open vSwitch left behind has the ports' devices, until it is deleted.
vswitchd --rundir /run/aorta --db /run/conf.db --teardown || fail "no teardown"
LD_LIBRARY_PATH=/job ovs-dpctl add-dp ovs-system || fail "no datapath"
LD_LIBRARY_PATH=/job ovs-dpctl add-if ovs-system v-left v-right br0,type=internal || fail "the datapath takes no ports"
start_switch
error=$(vsctl get Interface v-left error)
echo "$error" | grep -q "vswitchd --release-open-vswitch" || fail "v-left: $error"
error=$(vsctl get Interface br0 error)
echo "$error" | grep -q "vswitchd --release-open-vswitch" || fail "br0: $error"
if reaches >/dev/null; then fail "ports of another switch forward"; fi

vswitchd --release-open-vswitch || fail "the datapath stays"
[ -z "$(vswitchd --release-open-vswitch)" ] || fail "the datapath stays"
eventually "left reaches right again" reaches
error=$(vsctl get Interface br0 error)
[ "$error" = "[]" ] || fail "br0: $error"
echo "released"
stop_switch
