# Flows of two tables: what a port sends to servers' addresses is looked up by its five fields; the
# rest goes by NORMAL. Port, address of one of the servers, what becomes of what is let through.
pipeline() {
    echo "priority=300,in_port=$1,dl_dst=$2 actions=goto_table:1"
    for server in $(seq 11 30); do
        echo "priority=300,in_port=$1,dl_dst=02:00:00:00:01:$server actions=goto_table:1"
    done
    echo "priority=100 actions=normal"
    for port in $(seq 40001 40020); do
        echo "table=1,priority=200,tcp,nw_src=192.0.2.1,nw_dst=192.0.2.3,tp_src=$port,tp_dst=80 actions=drop"
    done
    echo "table=1,priority=150,udp,nw_dst=192.0.2.3,tp_dst=7 actions=$3"
    echo "table=1,priority=100,icmp,nw_src=192.0.2.1,nw_dst=192.0.2.3 actions=drop"
    echo "table=1,priority=0 actions=drop"
}
