//! Tests of whole invocations against a view, without a server.

use super::*;
use crate::args::{Invocation, parse};
use aorta_ovsdb::DatabaseSchema;
use serde_json::Value;

const ROOT: &str = "3a4e666f-b52a-4649-97ff-592a0b122623";
const BRIDGE: &str = "25ebc6f2-7547-4d93-a409-b9f3df050332";
const PORT: &str = "f285d54a-f494-4f18-be5f-ca5fd7e69e41";
const INTERFACE: &str = "683842d8-4c86-4f72-9b0a-3043d4ce5aa3";

/// A bridge `br0` with a port `p1`.
fn sample() -> View {
    let mut view = View::new(&DatabaseSchema::vswitch());
    let port = json!({"name": "p1", "interfaces": ["uuid", INTERFACE]});
    view.apply(&json!({
        "Open_vSwitch": {ROOT: {"initial": {"bridges": ["uuid", BRIDGE], "cur_cfg": 4}}},
        "Bridge": {BRIDGE: {"initial": {"name": "br0", "ports": ["uuid", PORT]}}},
        "Port": {PORT: {"initial": port}},
        "Interface": {INTERFACE: {"initial": {"name": "p1"}}},
    }))
    .unwrap();
    view
}

fn commands(line: &str) -> Vec<Command> {
    let argv: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    match parse(Mode::Vsctl, &argv) {
        Ok(Invocation::Run(_, commands)) => commands,
        other => panic!("{line}: {other:?}"),
    }
}

fn outcome(view: &View, line: &str, wait: bool) -> Result<Outcome, Error> {
    let setting = Setting {
        mode: Mode::Vsctl,
        wait,
        comment: line.to_owned(),
    };
    plan(&commands(line), view, &setting, &mut Vec::new())
}

fn planned(view: &View, line: &str, wait: bool) -> Plan {
    match outcome(view, line, wait) {
        Ok(Outcome::Plan(plan)) => *plan,
        other => panic!("{line}: {other:?}"),
    }
}

fn kinds(plan: &Plan) -> Vec<(&str, &str)> {
    let member = |operation: &'_ Value, name: &str| -> String {
        operation[name].as_str().unwrap_or_default().to_owned()
    };
    let kind = |operation| {
        (
            member(operation, "op").leak(),
            member(operation, "table").leak(),
        )
    };
    plan.operations
        .list
        .iter()
        .map(kind)
        .map(|(op, table)| (&*op, &*table))
        .collect()
}

#[test]
fn adding_a_port_costs_the_same_however_many_there_are() {
    let plan = planned(&sample(), "add-port br0 p2 tag=5", true);
    let expected = [
        ("wait", "Bridge"),
        ("insert", "Port"),
        ("insert", "Interface"),
        ("mutate", "Bridge"),
        ("mutate", "Open_vSwitch"),
        ("select", "Open_vSwitch"),
        ("comment", ""),
    ];
    assert_eq!(kinds(&plan), expected);
    assert_eq!(plan.next_cfg, Some(5));
    assert_eq!(plan.operations.list[0]["rows"], json!([{"name": "br0"}]));
    let text = json!(plan.operations.list).to_string();
    assert!(
        !text.contains(PORT),
        "the ports that are there are not repeated: {text}"
    );
    assert_eq!(plan.new_interfaces.len(), 1);
}

#[test]
fn nothing_is_written_if_nothing_changes() {
    for line in [
        "list-ports br0",
        "--may-exist add-port br0 p1 tag=9",
        "--if-exists del-port p2",
        "set Interface p1 name=p1 -- init",
        "get Interface p1 name",
        "clear Port p1 tag",
    ] {
        let plan = match outcome(&sample(), line, true) {
            Ok(Outcome::Plan(plan)) => plan,
            // Even an equal value is refused for a column that may not change.
            Err(Error::ReadOnly { .. }) => continue,
            other => panic!("{line}: {other:?}"),
        };
        assert!(!plan.operations.writes, "{line}: {:?}", plan.operations);
    }
}

#[test]
fn an_empty_database_gets_its_root_row() {
    let view = View::new(&DatabaseSchema::vswitch());
    assert_eq!(
        kinds(&planned(&view, "list-br", false))[0],
        ("insert", "Open_vSwitch")
    );
}

#[test]
fn later_commands_see_what_earlier_ones_did() {
    let line = "add-br br1 -- add-port br1 p2 -- del-port p1 -- list-br -- list-ports br0 \
                -- list-ports br1 -- iface-to-br p2";
    let plan = planned(&sample(), line, false);
    let printed: Vec<&str> = plan
        .outputs
        .iter()
        .map(|output| output.text.as_str())
        .collect();
    assert_eq!(printed, ["", "", "", "br0\nbr1\n", "", "p2\n", "br1\n"]);
}

#[test]
fn a_port_that_moves_is_deleted_and_made_anew() {
    let line = "add-br br1 -- del-port p1 -- add-port br1 p1 -- set Port p1 tag=7 \
                -- get Port p1 tag";
    let plan = planned(&sample(), line, false);
    assert_eq!(plan.outputs[4].text, "7\n");
}

#[test]
fn waiting_runs_the_commands_again() {
    let waits = outcome(
        &sample(),
        "wait-until Bridge br0 datapath_id!=[] -- add-br br1",
        false,
    );
    assert!(matches!(waits, Ok(Outcome::TryAgain)));
    let waits = outcome(&sample(), "wait-until Bridge br9", false);
    assert!(matches!(waits, Ok(Outcome::TryAgain)));
    assert_eq!(
        planned(&sample(), "wait-until Bridge br0 name=br0", false)
            .outputs
            .len(),
        1
    );
}

#[test]
fn a_missing_bridge_ends_with_status_2() {
    assert!(matches!(
        outcome(&sample(), "br-exists br9", false),
        Ok(Outcome::Exit(2))
    ));
    assert!(matches!(
        outcome(&sample(), "br-exists br0", false),
        Ok(Outcome::Plan(_))
    ));
}

#[test]
fn refusals_say_what_is_in_the_way() {
    let cases = [
        (
            "add-br br0",
            "cannot create a bridge named br0 because a bridge named br0 already exists",
        ),
        (
            "add-port br0 p1",
            "cannot create a port named p1 because a port named p1 already exists on bridge br0",
        ),
        ("add-port br9 p2", "no bridge named br9"),
        (
            "set Interface p9 type=internal",
            "no row \"p9\" in table Interface",
        ),
        (
            "add Port p1 tag 1 2",
            "\"add\" operation would put 2 values in column tag of table Port but the maximum \
             number is 1",
        ),
        (
            "remove Port p1 interfaces 683842d8-4c86-4f72-9b0a-3043d4ce5aa3",
            "\"remove\" operation would put 0 values in column interfaces of table Port but the \
             minimum number is 1",
        ),
    ];
    for (line, message) in cases {
        assert_eq!(
            outcome(&sample(), line, false).unwrap_err().to_string(),
            message
        );
    }
}

#[test]
fn adding_to_a_map_replaces_the_value_of_a_key_once() {
    let mut view = sample();
    let ids = json!({"external_ids": ["map", [["a", "1"], ["c", "1"]]]});
    view.apply(&json!({"Bridge": {BRIDGE: {"modify": ids}}}))
        .unwrap();
    let plan = planned(&view, "add Bridge br0 external_ids a=2 b=3 a=4", false);
    assert_eq!(
        plan.operations.list[1]["mutations"],
        json!([
            ["external_ids", "delete", ["set", ["a"]]],
            ["external_ids", "insert", ["map", [["a", "2"], ["b", "3"]]]],
        ])
    );
}

#[test]
fn what_a_read_value_decides_is_checked_when_written() {
    let line = "get Bridge br0 datapath_type -- set Bridge br0 fail_mode=secure";
    let plan = planned(&sample(), line, false);
    assert_eq!(
        plan.operations.list[0]["columns"],
        json!(["datapath_type", "name"])
    );
}

#[test]
fn questions_to_the_running_switch_stand_alone() {
    let schema = DatabaseSchema::vswitch();
    let mixed = needs(
        &commands("list-br -- status"),
        &schema,
        false,
        Needs::narrow(),
        &mut Vec::new(),
    );
    assert_eq!(
        mixed,
        Err(Error::NotAlone {
            command: "status".into()
        })
    );
}

#[test]
fn only_what_the_commands_look_at_is_fetched() {
    let schema = DatabaseSchema::vswitch();
    let fetched = |line: &str, wait| -> Vec<String> {
        let needs = needs(
            &commands(line),
            &schema,
            wait,
            Needs::whole(),
            &mut Vec::new(),
        )
        .unwrap();
        let tables = needs
            .tables()
            .map(|(table, columns)| format!("{table}: {}", columns.collect::<Vec<_>>().join(" ")));
        tables.collect()
    };
    assert_eq!(fetched("init", false), ["Open_vSwitch: "]);
    assert_eq!(
        fetched("get Interface p1 ofport", true),
        ["Interface: name ofport", "Open_vSwitch: cur_cfg"]
    );
    assert_eq!(
        fetched("set QoS p1 other_config:a=b", false),
        ["Open_vSwitch: ", "Port: name qos", "QoS: other_config"]
    );
}

#[test]
fn commands_that_name_a_row_fetch_no_others() {
    let schema = DatabaseSchema::vswitch();
    let line = "--may-exist add-port br0 p1 -- set Interface p1 external_ids:a=b";
    let needs = needs(
        &commands(line),
        &schema,
        false,
        Needs::narrow(),
        &mut Vec::new(),
    )
    .unwrap()
    .to_json();
    let names = [json!(["name", "==", "br0"]), json!(["name", "==", "p1"])];
    assert_eq!(needs["Interface"][0]["where"], json!(names));
    let fake = json!(["fake_bridge", "==", true]);
    assert_eq!(needs["Port"][0]["where"], json!([fake, names[0], names[1]]));
    assert_eq!(needs["Bridge"][0].get("where"), None);
}

#[test]
fn a_record_that_may_be_a_row_id_is_looked_for_in_all_rows() {
    let schema = DatabaseSchema::vswitch();
    for line in [
        "get Port 25ebc6f2 tag",
        "list Port",
        "find Port name=p1",
        "destroy Port beef",
    ] {
        let needs = needs(
            &commands(line),
            &schema,
            false,
            Needs::narrow(),
            &mut Vec::new(),
        )
        .unwrap();
        assert!(!needs.is_partial(), "{line}");
    }
    let needs = needs(
        &commands("get Port p1 tag"),
        &schema,
        false,
        Needs::narrow(),
        &mut Vec::new(),
    )
    .unwrap();
    assert!(needs.is_partial());
}
