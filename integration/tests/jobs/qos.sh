# Disciplines that other kernels lack: each is made, kept over a restart, and given back.
start_switch
eventually "left reaches right for QoS" reaches
vsctl add-flow br0 "priority=200,icmp,icmp_type=8,actions=set_queue:1,NORMAL" || fail "no flow with a queue"

is_root() {
    tc qdisc show dev v-right | grep -q "qdisc $1 [0-9a-f]*: root"
}

shape() {
    vsctl set Port v-right qos=@q -- --id=@q create QoS "type=linux-$1" "other_config:max-rate=8000000" \
        $2 -- --id=@a create Queue other_config:min-rate=800000 other_config:max-rate=4000000 ||
        fail "no row for $1"
    is_root "$1" || fail "no $1: $(tc qdisc show dev v-right) $(vsctl get Interface v-right status)"
    [ -z "$(vsctl --if-exists get Interface v-right status:aorta-qos)" ] ||
        fail "$1: $(vsctl get Interface v-right status:aorta-qos)"
    reaches >/dev/null || fail "nothing passes $1"
}

unshape() {
    vsctl clear Port v-right qos -- --all destroy QoS -- --all destroy Queue
    ! is_root "$1" || fail "$1 stays"
}

# What a class has sent, in packets.
sent_by() {
    tc -s class show dev v-right | grep -A1 "class [a-z]* $1 " | sed -n 's/.* bytes \([0-9]*\) pkt.*/\1/p'
}

for kind in htb hfsc; do
    shape $kind queues:1=@a
    before=$(sent_by 1:2)
    reaches >/dev/null || fail "nothing passes queue 1 of $kind"
    [ "$(sent_by 1:2)" -gt "$before" ] || fail "queue 1 of $kind counts nothing: $(tc -s class show dev v-right)"
    before=$(sent_by 1:2)
    stop_switch
    lines=$(wc -l </run/log)
    start_switch
    is_root $kind || fail "$kind is gone after a restart"
    [ "$(sent_by 1:2)" -ge "$before" ] || fail "$kind is made anew by a restart"
    ! tail -n "+$((lines + 1))" /run/log | grep -E "class 1:|queueing discipline" || fail "$kind changes by a restart"
    tc class show dev v-right
    unshape $kind
done
for kind in sfq codel fq_codel netem; do
    shape $kind
    stop_switch
    lines=$(wc -l </run/log)
    start_switch
    is_root $kind || fail "$kind is gone after a restart"
    ! tail -n "+$((lines + 1))" /run/log | grep "queueing discipline" || fail "$kind changes by a restart"
    unshape $kind
done
stop_switch
echo "disciplines: done"
