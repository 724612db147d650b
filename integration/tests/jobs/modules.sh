# Modules are loaded, netdevsim makes devices, and traffic control works on them.
for module in netdevsim veth bridge tun vxlan openvswitch cls_bpf cls_flower cls_matchall \
    sch_ingress sch_htb act_mirred act_vlan act_police act_gact act_skbedit act_tunnel_key act_ct; do
    [ -d /sys/module/$module ] || fail "module $module is not loaded"
done
echo "1 1" >/sys/bus/netdevsim/new_device || fail "netdevsim makes no device"
sim=$(ls /sys/bus/netdevsim/devices/netdevsim1/net)
ip link set "$sim" up || fail "$sim can't be set up"
ethtool -K "$sim" hw-tc-offload on || fail "$sim has no hw-tc-offload"
ip link add sink type dummy && ip link set sink up
tc qdisc add dev "$sim" clsact || fail "no clsact"
tc filter add dev "$sim" ingress protocol ip flower skip_hw dst_ip 192.0.2.1 action vlan push id 5 \
    action mirred egress redirect dev sink || fail "no flower"
tc filter show dev "$sim" ingress | grep -q not_in_hw || fail "flower isn't shown"
tc qdisc del dev "$sim" clsact
echo "modules: netdevsim as $sim, flower, mirred"
