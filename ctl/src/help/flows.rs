//! What there is to know of the commands about flow tables, groups and meters.

/// What their options do.
pub(super) const OPTIONS: [(&str, &str); 15] = [
    (
        "--bundle",
        "all lines or none, even of a file so large that it goes in several calls",
    ),
    (
        "--strict",
        "only the flow of exactly this match and priority",
    ),
    ("--may-create", "add the group if it isn't there"),
    (
        "--names",
        "show ports by name; so on a terminal unless --no-names",
    ),
    ("--no-names", "show ports by number"),
    ("--stats", "show duration and counters, as by default"),
    (
        "--no-stats",
        "leave out duration, counters, and cookie and table if they are 0",
    ),
    (
        "--sort",
        "by priority, or by a field; fields after another by commas",
    ),
    ("--rsort", "the same, the largest first"),
    (
        "--rate",
        "packets a second between two looks, VALUE seconds apart (1)",
    ),
    (
        "--placement",
        "tell below each flow where it runs, and why not further up",
    ),
    (
        "--color",
        "always, never or auto: on a terminal, as by default",
    ),
    (
        "--offload",
        "plan for a network card with these ports, with commas between them",
    ),
    (
        "--offload-rules",
        "how many rules that card has room for (65536)",
    ),
    (
        "--in-port",
        "where a packet of bytes comes in: number, name or LOCAL",
    ),
];

const FLOW: &str = "FLOW is MATCH,...,actions=ACTION,... with table=, priority=, cookie=, idle_timeout=, ... before\n\
     the actions, as in ovs-ofctl(8). Ports go by number or name. docs/fields.md has all fields.";

const COVERS: &str = "FLOW covers flows that match the same packets or fewer of them; table=, cookie=VALUE/MASK,\n\
     out_port= and out_group= narrow it. It has no actions, and no priority unless with --strict.";

const FILE: &str = "Each line is a flow. It may begin with add, modify, modify_strict, delete or delete_strict;\n\
     what follows # is skipped. All lines are checked before any is sent, and taken over at once\n\
     or not at all: no packet meets one half of them.";

const GROUP: &str = "GROUP is group_id=N,type=all|select|indirect|ff,bucket=[weight:N,][watch_port:P,]actions=...,...\n\
     A select group may have selection_method=hash|dp_hash and fields(FIELD,...).";

const METER: &str = "METER is meter=N,kbps|pktps[,burst][,stats],bands=type=drop,rate=N[,burst_size=N], or\n\
     type=dscp_remark,rate=N,prec_level=N.";

/// What more there is to know, by command.
pub(super) const NOTES: [(&str, &str); 21] = [
    ("add-flow", FLOW),
    ("add-flows", FILE),
    (
        "mod-flows",
        "FLOW covers flows that match the same packets or fewer of them, whatever their priority.\n\
         Counters and timeouts go on. With --strict, priority and match must be the same.",
    ),
    ("del-flows", COVERS),
    (
        "replace-flows",
        "Flows that the file has, too, stay with their counters. All of it happens at once: each\n\
         packet meets the tables as they were or as the file has them.",
    ),
    (
        "diff-flows",
        "SOURCE is a bridge or a file; a file if it begins with / or . or exists, - for standard\n\
         input. Lines with - are only in the first, with + only in the second. Flags don't count.\n\
         Exit status: 0 equal, 2 different, 1 trouble.",
    ),
    (
        "dump-flows",
        "FLOW covers flows that match the same packets or fewer of them; table=, cookie=VALUE/MASK,\n\
         out_port= and out_group= narrow it. It has no actions, and no priority unless with --strict.\n\
         With --placement: nic(CARD) decides before the host sees the packet; xdp and tc are the\n\
         kernel's programs, user space is the daemon. A flow may be at several: docs/offload.md.",
    ),
    ("dump-aggregate", COVERS),
    (
        "trace",
        "FLOW is a match, such as in_port=tap0,tcp,nw_dst=10.0.0.1; fields that it leaves out are 0.\n\
         HEX is an Ethernet frame. Nothing is sent or counted. The last lines tell in which program\n\
         each table's lookup runs, and why there.",
    ),
    (
        "explain",
        "Templates: code (few flows, compared one by one), hash (one mask), tuple (several masks),\n\
         lpm (prefixes). Probes are the places of memory that a packet's lookup looks at. Tables that\n\
         no packet can reach are in no program, and not listed.\n\
         With --offload it plans instead: which flows a network card with these ports of the bridge\n\
         would take if it did all that TC flower can say, and why it would leave the others. Nothing\n\
         changes in the switch.",
    ),
    ("add-group", GROUP),
    (
        "add-groups",
        "Each line is a group. It may begin with add, modify, add_or_mod, delete, insert_bucket or\n\
         remove_bucket; what follows # is skipped. Lines that do the same and follow each other\n\
         are taken over at once or not at all.",
    ),
    ("mod-group", GROUP),
    (
        "del-groups",
        "GROUP is group_id=N. Flows that lead to it go, too.",
    ),
    (
        "insert-buckets",
        "GROUP is group_id=N,command_bucket_id=first|last|ID,bucket=...; ID is the bucket behind\n\
         which the new ones come.",
    ),
    (
        "remove-buckets",
        "GROUP is group_id=N,command_bucket_id=first|last|all|ID.",
    ),
    ("dump-groups", "GROUP is the number of one."),
    ("add-meter", METER),
    ("mod-meter", METER),
    ("del-meters", "METER is meter=N; flows that use it go, too."),
    (
        "dump-ports",
        "PORT is a number, a name or LOCAL. What the switch doesn't count is shown as ?.",
    ),
];

/// Command lines to learn from, by command.
pub(super) const EXAMPLES: [(&str, &[&str]); 17] = [
    (
        "add-flow",
        &[
            "add-flow br0 actions=NORMAL",
            "add-flow br0 in_port=tap0,arp,actions=NORMAL",
            "add-flow br0 priority=100,tcp,tp_dst=22,nw_src=10.0.0.0/8,actions=resubmit(,10)",
            "add-flow br0 table=10,actions=output:eth1",
        ],
    ),
    ("add-flows", &["add-flows br0 acl.flows", "add-flows br0 -"]),
    (
        "mod-flows",
        &[
            "mod-flows br0 table=10,actions=drop",
            "--strict mod-flows br0 priority=100,tcp,actions=NORMAL",
        ],
    ),
    (
        "del-flows",
        &[
            "del-flows br0",
            "del-flows br0 cookie=0x7/-1",
            "del-flows br0 table=10,ip,out_port=eth1",
            "--strict del-flows br0 priority=100,tcp",
        ],
    ),
    ("replace-flows", &["replace-flows br0 all.flows"]),
    (
        "diff-flows",
        &["diff-flows br0 all.flows", "diff-flows br0 br1"],
    ),
    (
        "dump-flows",
        &[
            "dump-flows br0",
            "--no-stats --rsort dump-flows br0 table=10",
            "--rate=5 dump-flows br0",
            "--json dump-flows br0 cookie=0x7/-1",
        ],
    ),
    ("dump-aggregate", &["dump-aggregate br0 out_port=eth1"]),
    (
        "trace",
        &[
            "trace br0 in_port=tap0,tcp,nw_src=10.0.0.5,nw_dst=10.1.0.9,tp_dst=22",
            "--in-port=tap0 trace br0 ffffffffffff5254001122330806",
        ],
    ),
    (
        "explain",
        &[
            "explain br0",
            "--json explain br0",
            "--offload=pf0,vf0 --offload-rules=4096 explain br0",
        ],
    ),
    (
        "add-group",
        &[
            "add-group br0 group_id=1,type=select,bucket=weight:2,actions=output:1,bucket=output:2",
            "add-group br0 group_id=2,type=ff,bucket=watch_port:1,output:1,bucket=watch_port:2,output:2",
        ],
    ),
    (
        "mod-group",
        &["--may-create mod-group br0 group_id=1,type=all,bucket=output:1"],
    ),
    ("del-groups", &["del-groups br0 group_id=1"]),
    (
        "insert-buckets",
        &["insert-buckets br0 group_id=1,command_bucket_id=last,bucket=bucket_id:7,output:3"],
    ),
    (
        "remove-buckets",
        &["remove-buckets br0 group_id=1,command_bucket_id=7"],
    ),
    (
        "add-meter",
        &["add-meter br0 meter=1,kbps,burst,bands=type=drop,rate=10000,burst_size=1000"],
    ),
    ("del-meters", &["del-meters br0 meter=1"]),
];
