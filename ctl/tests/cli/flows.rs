//! Commands about flow tables against a switch played by values.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use aorta_api::{EntryCommand, FlowDump};
use tempfile::TempDir;

use super::flow_switch::{State, answer};

/// A switch with bridge `br0`, and a directory for files.
struct Site {
    dir: TempDir,
    state: std::sync::Arc<std::sync::Mutex<State>>,
    _runtime: tokio::runtime::Runtime,
}

impl Site {
    fn start() -> Site {
        let dir = TempDir::new().unwrap();
        let (_runtime, state) = answer(dir.path());
        Site {
            dir,
            state,
            _runtime,
        }
    }

    /// Runs `vsctl` in the directory.
    fn run(&self, line: &str, input: &str) -> Output {
        let words = super::words::split(line);
        let mut child = Command::new(env!("CARGO_BIN_EXE_vsctl"))
            .env("OVS_RUNDIR", self.dir.path())
            .env("OVS_SYSLOG_METHOD", "null")
            .current_dir(self.dir.path())
            .arg("--timeout=60")
            .args(&words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that refuses its arguments needn't read.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn text(&self, line: &str) -> String {
        self.text_with(line, "")
    }

    fn text_with(&self, line: &str, input: &str) -> String {
        let output = self.run(line, input);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{line}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command that fails says.
    fn refusal(&self, line: &str, input: &str) -> String {
        let output = self.run(line, input);
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert_eq!(output.stdout, b"", "{line}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn flows(&self) -> String {
        self.text("--no-stats dump-flows br0")
    }
}

#[test]
fn flows_are_added_changed_deleted_and_shown() {
    let site = Site::start();
    assert_eq!(site.text("add-flow br0 in_port=p1,actions=output:p2"), "");
    site.text("add-flow br0 table=1,priority=5,tcp,actions=drop");
    site.text("add-flow br0 table=1,priority=7,tcp,actions=3");
    let expected = " in_port=1 actions=output:2\n table=1, priority=7,tcp actions=output:3\n \
                    table=1, priority=5,tcp actions=drop\n";
    assert_eq!(site.flows(), expected);
    site.text("mod-flows br0 table=1,actions=NORMAL");
    site.text("del-flows --strict br0 table=1,priority=5,tcp");
    let expected = " in_port=p1 actions=output:p2\n table=1, priority=7,tcp actions=NORMAL\n";
    assert_eq!(site.text("dump-flows br0 --no-stats --names"), expected);
    assert_eq!(
        site.text("dump-flows br0 tcp"),
        "NXST_FLOW reply (xid=0x8):\n cookie=0x0, duration=1.500s, table=1, n_packets=7, \
         n_bytes=420, idle_age=1, priority=7,tcp actions=NORMAL\n"
    );
    let json = site.text("--json dump-flows br0");
    assert_eq!(
        serde_json::from_str::<FlowDump>(&json).unwrap().flows.len(),
        2
    );
    assert_eq!(
        site.text("dump-aggregate br0"),
        "NXST_AGGREGATE reply (xid=0x4): packet_count=14 byte_count=840 flow_count=2\n"
    );
    site.text("del-flows br0");
    assert_eq!(site.flows(), "");
}

#[test]
fn a_file_says_line_by_line_what_to_do() {
    let site = Site::start();
    let file = "# all\nactions=1\ntable=1,udp actions=eth-3 # by name\n\ndelete table=1\n";
    site.file("all.flows", file);
    let told = site.text("--json add-flows br0 all.flows");
    assert_eq!(told, "{\"changed\":3}\n");
    assert_eq!(site.flows(), " actions=output:1\n");
    site.text_with("add-flows br0 -", "table=2 actions=2\n");
    site.text_with("add-flow br0 -", "table=3 actions=3\n");
    assert_eq!(site.state.lock().unwrap().calls, 3);
    site.text_with("del-flows br0 -", "table=2\ntable=3\n");
    assert_eq!(site.flows(), " actions=output:1\n");
}

#[test]
fn nothing_is_sent_unless_all_of_it_can_be_read() {
    let site = Site::start();
    site.file("bad.flows", "actions=1\n\ntcp,tp_dts=80,actions=2\n");
    let said = site.refusal("add-flows br0 bad.flows", "");
    let expected = "vsctl: bad.flows:3: column 5: there is no field \"tp_dts\"; did you mean \
                    \"tp_dst\"?\n  tcp,tp_dts=80,actions=2\n      ^^^^^^\n";
    assert_eq!(said, expected);
    let said = site.refusal("add-flows br0 -", "actions=1\nactions=nowhere\n");
    assert!(said.starts_with("vsctl: -:2: column 9: "), "{said}");
    let said = site.refusal("add-flow br0 tcp", "");
    assert!(
        said.starts_with("vsctl: column 4: this needs actions="),
        "{said}"
    );
    let said = site.refusal("del-flows br0 tcp,actions=1", "");
    assert!(said.contains("no actions belong here"), "{said}");
    let said = site.refusal("add-flows br0 missing.flows", "");
    assert!(
        said.contains("missing.flows: cannot read it (No such file"),
        "{said}"
    );
    assert_eq!(site.state.lock().unwrap().calls, 0);
}

#[test]
fn what_the_tables_refuse_is_told_with_its_line() {
    let site = Site::start();
    site.file("group.flows", "actions=1\n\ntable=1 actions=group:77\n");
    let said = site.refusal("add-flows br0 group.flows", "");
    let expected = "vsctl: group.flows:3: there is no group 77 (OFPBAC_BAD_OUT_GROUP)\n  table=1 \
                    actions=group:77\n";
    assert_eq!(said, expected);
    assert_eq!(site.flows(), "", "all or nothing");
    let said = site.refusal("dump-flows br9", "");
    assert_eq!(said, "vsctl: no bridge named br9\n");
}

#[test]
fn sets_of_flows_are_compared_and_replaced() {
    let site = Site::start();
    let file = "priority=10,in_port=p1,actions=p2\ntable=2,udp actions=drop\n";
    site.file("all.flows", file);
    site.file(
        "same.flows",
        "table=2,udp actions=drop\npriority=10,in_port=1,actions=2\n",
    );
    let output = site.run("diff-flows all.flows br0", "");
    assert_eq!(output.status.code(), Some(2));
    let expected = "-priority=10,in_port=1 actions=output:2\n-table=2 udp actions=drop\n";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    site.text("replace-flows br0 all.flows");
    for same in [
        "br0 all.flows",
        "all.flows br0",
        "br0 same.flows",
        "./same.flows br0",
        "br0 br0",
    ] {
        assert_eq!(site.text(&format!("diff-flows {same}")), "");
    }
    assert_eq!(site.text_with("diff-flows br0 -", file), "");
    let output = site.run(
        "--names --json diff-flows br0 -",
        "table=2,udp actions=drop\n",
    );
    let expected = "[{\"old\":\"priority=10,in_port=p1 actions=output:p2\",\"new\":null}]\n";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    let said = site.refusal("diff-flows br0 br9", "");
    assert_eq!(said, "vsctl: no bridge named br9\n");
}

#[test]
fn options_are_taken_before_and_behind_the_command() {
    let site = Site::start();
    site.text_with(
        "add-flows br0 -",
        "priority=1,actions=1\npriority=9,table=1,actions=2\n",
    );
    let up = " priority=1 actions=output:1\n table=1, priority=9 actions=output:2\n";
    assert_eq!(site.text("--sort --no-stats dump-flows br0"), up);
    assert_eq!(
        site.text("dump-flows --sort=in_port --sort=priority br0 --no-stats"),
        up
    );
    let down = site.text("dump-flows br0 --no-stats --rsort");
    assert!(down.starts_with(" table=1"), "{down}");
    let said = site.refusal("dump-flows br0 --sort=nonsense", "");
    assert_eq!(said, "vsctl: there is no field \"nonsense\" to sort by\n");
    let said = site.refusal("dump-flows br0 --color=blue", "");
    assert_eq!(said, "vsctl: --color=blue is not always, never or auto\n");
    let said = site.refusal("dump-flows br0 --strict", "");
    assert!(said.contains("--strict"), "{said}");
    let rates = site.text("--rate=0.01 dump-flows br0");
    assert!(
        rates.ends_with("flow\n2 flows without a packet\n"),
        "{rates}"
    );
}

#[test]
fn lines_of_groups_go_in_calls_of_their_own() {
    let site = Site::start();
    site.file("groups", "group_id=1,type=all\nadd group_id=2,type=all\nadd_or_mod group_id=2,type=all,bucket=p1\ndelete group_id=1\n");
    site.text("add-groups br0 groups");
    site.text("--may-create mod-group br0 group_id=3,type=indirect,bucket=output:1");
    site.text("del-groups br0");
    let mods = std::mem::take(&mut site.state.lock().unwrap().group_mods);
    let told: Vec<_> = mods.iter().map(|m| (m.command, m.entries.len())).collect();
    let expected = [
        (EntryCommand::Add, 2),
        (EntryCommand::MayCreate, 1),
        (EntryCommand::Delete, 1),
        (EntryCommand::MayCreate, 1),
        (EntryCommand::Delete, 1),
    ];
    assert_eq!(told, expected);
    assert_eq!(mods[0].entries[1], "group_id=2,type=all");
    let said = site.refusal("--bundle add-groups br0 groups", "");
    assert!(
        said.starts_with("vsctl: groups:3: a bundle of groups"),
        "{said}"
    );
    let said = site.refusal("add-group br0 group_id=1,type=some", "");
    assert!(
        said.starts_with("vsctl: column 17: there is no type of group"),
        "{said}"
    );
    let said = site.refusal("dump-groups br0 group=1", "");
    assert!(
        said.contains("is not a group: its number, or all"),
        "{said}"
    );
}

#[test]
fn packets_are_traced_by_fields_or_bytes() {
    let site = Site::start();
    let text = site.text("trace br0 in_port=1,tcp");
    assert!(text.starts_with("packet: in_port=1,tcp\n"), "{text}");
    let text = site.text("--json trace br0 ffff.ffff:0011 --in-port=p1");
    assert!(text.contains("\"packet\":\"ffff.ffff:0011\"") && text.contains("\"drop\":\"p1\""));
    let text = site.text("explain br0");
    assert!(
        text.starts_with("Bridge br0  0 flows in 0 tables, at tcx: w\n"),
        "{text}"
    );
    let ports = site.text("dump-ports br0 p2");
    assert!(ports.contains("\n  port  2: rx pkts=2, bytes=0"), "{ports}");
    let said = site.refusal("dump-ports br0 p9", "");
    assert_eq!(said, "vsctl: bridge br0 has no port p9\n");
}

#[test]
fn what_a_card_would_take_is_planned() {
    let site = Site::start();
    site.text("add-flow br0 priority=9,in_port=p1,tcp,actions=p2");
    site.text("add-flow br0 priority=8,in_port=p1,udp,actions=controller");
    site.text("add-flow br0 priority=7,actions=NORMAL");
    let text = site.text("--offload=p1,2 --offload-rules=100 explain br0");
    let expected = "\
Bridge br0  a card with ports p1, p2, programmed by TC flower, with room for 100 rules
  would take 1 of 3 flows by 1 rule, 0 of which leave their packets to software

  flows where    the first                         why
  ----- -------- --------------------------------- ----------------------------------
  1     nic      table=0,priority=9,tcp,in_port=p1
  1     software table=0,priority=7                NORMAL: the device can't do it
  1     software table=0,priority=8,udp,in_port=p1 controller: the device can't do it
";
    assert_eq!(text, expected);
    let flows = site.text("--json --offload=p1,p2 explain br0");
    assert!(flows.contains("\"max_rules\":65536"), "{flows}");
    for (options, why) in [
        ("--offload=p9", "bridge br0 has no port p9"),
        (
            "--offload=p1 --offload-rules=x",
            "--offload-rules=x is not a number of rules",
        ),
    ] {
        let said = site.refusal(&format!("{options} explain br0"), "");
        assert_eq!(said, format!("vsctl: {why}\n"));
    }
}

#[test]
fn an_earlier_switch_is_told_to_be_one() {
    let site = Site::start();
    let said = site.refusal("dump-meters br0", "");
    let expected = "vsctl: the running vswitchd doesn't know meter_dump: it is of an earlier \
                    version than vsctl\n";
    assert_eq!(said, expected);
}

#[test]
fn under_the_other_name_these_commands_are_unknown() {
    let site = Site::start();
    let program = site.dir.path().join("ovs-vsctl");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_vsctl"), &program).unwrap();
    for command in ["dump-flows", "trace", "add-group", "--strict del-flows"] {
        let output = Command::new(&program)
            .env("OVS_SYSLOG_METHOD", "null")
            .args(command.split(' '))
            .arg("br0")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("unknown command") || said.contains("unrecognized option"),
            "{said}"
        );
    }
}
