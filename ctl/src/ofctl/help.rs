//! What the program says about itself.

use super::commands::COMMANDS;
use super::{Done, OK, Ofctl};

/// What `--help` prints.
pub const HELP: &str = "\
ovs-ofctl: speaks OpenFlow to a switch
usage: ovs-ofctl [OPTION]... COMMAND [ARGUMENT]...

The switch:
  show SWITCH                       its features, ports and configuration
  dump-desc SWITCH                  what it is called
  get-frags SWITCH                  what it does with fragments of IP
  set-frags SWITCH MODE             change that: normal, drop, reassemble, nx-match
  dump-ipfix-bridge SWITCH          what IPFIX of the bridge has counted
  dump-ipfix-flow SWITCH            what IPFIX of flows has counted
  probe SWITCH                      does it answer?
  ping SWITCH [BYTES]               how long does it take?
  benchmark SWITCH BYTES COUNT      how many answers in a second?

Ports and queues:
  dump-ports SWITCH [PORT]          what they have counted
  dump-ports-desc SWITCH [PORT]     what they are
  mod-port SWITCH PORT SETTING      up, down, [no-]flood, [no-]forward, [no-]receive,
                                    [no-]packet-in, [no-]stp
  queue-stats SWITCH [PORT [QUEUE]]      what queues have counted
  queue-get-config SWITCH [PORT [QUEUE]] how they are configured

Tables:
  dump-tables SWITCH                what they have counted
  dump-table-features SWITCH        what they can do (OpenFlow 1.3 and later)
  dump-table-desc SWITCH            how they are set (OpenFlow 1.4 and later)
  mod-table SWITCH TABLE SETTING    OpenFlow 1.1 and 1.2: controller, continue, drop;
                                    1.4 and later: evict, noevict, vacancy:LOW,HIGH, novacancy

Flows (FLOW: see ovs-fields(7), ovs-actions(7)):
  dump-flows SWITCH [FLOW]          flows, or those that FLOW covers
  dump-aggregate SWITCH [FLOW]      what they have counted together
  add-flow SWITCH FLOW              add a flow, or replace the same one
  add-flows SWITCH FILE             do what the lines of FILE say
  mod-flows SWITCH FLOW             change actions of flows that FLOW covers; of one with --strict
  del-flows SWITCH [FLOW]           delete flows that FLOW covers; one with --strict
  replace-flows SWITCH FILE         make the flows those of FILE
  diff-flows SOURCE SOURCE          compare the flows of switches or files
  packet-out SWITCH \"in_port=PORT packet=HEX actions=ACTIONS\"
                                    send a packet as if it had come in at PORT

Groups and meters:
  add-group, mod-group SWITCH GROUP    add or change one (--may-create: either)
  add-groups SWITCH FILE               do what the lines of FILE say
  del-groups SWITCH [group_id=ID]      delete one, or all
  insert-buckets, remove-buckets SWITCH GROUP
  dump-groups, dump-group-stats SWITCH [group_id=ID]
  dump-group-features SWITCH           what it can do with groups
  add-meter, mod-meter SWITCH METER    add or change one (OpenFlow 1.3 and later)
  del-meters SWITCH [meter=ID]         delete one, or all
  dump-meters, meter-stats SWITCH [meter=ID]
  meter-features SWITCH                what it can do with meters

All at once:
  bundle SWITCH FILE                flows, groups and packets of FILE, all or nothing

Connections and tunnels:
  ct-flush SWITCH [zone=N] [TUPLE [REPLY-TUPLE]]  forget tracked connections
  ct-flush-zone SWITCH ZONE                       forget those of a zone
  add-tlv-map SWITCH MAP, del-tlv-map SWITCH [MAP], dump-tlv-map SWITCH
                                    which options of tunnels are which fields

What a switch says:
  monitor SWITCH [BYTES] [invalid_ttl] [resume] [watch:[SPEC]]  all that it sends;
                                    with resume, paused packets go on at once
  snoop SWITCH                      what it and its controllers say
  ofp-parse FILE                    print the messages in FILE
  ofp-parse-pcap FILE [PORT]...     print the messages in a capture of packets
  ofp-print HEX                     print a message
  parse-flow FLOW, parse-flows FILE, parse-group GROUP
                                    what would be sent, without a switch
  print-error NAME                  numbers of an error

SWITCH is a bridge's name, the path of a socket, tcp:HOST[:PORT], ssl:HOST[:PORT] or unix:PATH.

Options:
  -O, --protocols=VERSIONS   OpenFlow10 (the default) to OpenFlow15, with commas between
  -F, --flow-format=FORMATS  how flows may be written
  -P, --packet-in-format=F   how packets come: standard, nxt_packet_in, nxt_packet_in2
  --bundle                   change flows all at once, or not at all
  --strict                   change or delete only the one flow of this match and priority
  --may-create               mod-group may add the group
  --readd                    replace-flows adds flows that are the same, too
  --read-only                refuse commands that change something
  --names, --no-names        use names of ports and tables, or numbers
  --stats, --no-stats        show counters, or not
  --sort[=FIELD], --rsort[=FIELD]  sort flows, upwards or downwards
  --color[=WHEN]             colours: always, never, auto
  -m, --more                 print more of messages; may be given several times
  --timestamp                print times in front of messages (monitor, snoop)
  -t, --timeout=SECONDS      give up after so many seconds
  -p, --private-key=FILE, -c, --certificate=FILE, -C, --ca-cert=FILE  for ssl:
  -v, --verbose=SPEC, --log-file[=FILE], --syslog-method=M, --syslog-target=HOST:PORT
  --user=USER[:GROUP]        give up other rights at once
  -h, --help, -V, --version

Options of monitor and snoop:
  --detach                   go on in the background once messages can come; output to
                             standard error goes on, so redirect it: 2>FILE
  --no-chdir                 stay in the directory then, instead of going to /
  --pidfile[=FILE]           write the process number there; ovs-ofctl.pid in the run directory
  --overwrite-pidfile        even if another process has the file
  --monitor                  start again after a crash
  --unixctl=SOCKET           where `ovs-appctl -t SOCKET COMMAND` is answered; none for nowhere. With a
                             pidfile it is `ovs-appctl -t ovs-ofctl`. list-commands lists the commands

Exit status: 0 done, 1 refused or failed, 2 sets of flows differ (diff-flows).
";

/// Prints how the program is used.
pub fn run(ofctl: &Ofctl, _: &[&str]) -> Done {
    ofctl.print(HELP)?;
    Ok(OK)
}

/// Prints the commands.
pub fn list(ofctl: &Ofctl, _: &[&str]) -> Done {
    let mut text = String::from("The available commands are:\n");
    for command in COMMANDS {
        text.push_str(&format!("  {:<22}  {}\n", command.name, command.usage));
    }
    ofctl.print(&text)?;
    Ok(OK)
}
