use std::collections::BTreeMap;

use aorta_api::{
    CardExplain, FlowExplain, FlowTrace, TableExplain, TraceFlow, TraceLine, TraceOutput,
    TracePlace,
};

use super::*;
use crate::commands::switch::Colour;

fn flow(priority: u16, matching: &str, cookie: &str) -> TraceFlow {
    TraceFlow {
        cookie: cookie.into(),
        priority,
        matching: matching.into(),
    }
}

fn table(depth: u32, table: u8, flow: Option<TraceFlow>) -> TraceLine {
    TraceLine {
        depth,
        table: Some(table),
        flow,
        ..TraceLine::default()
    }
}

fn action(depth: u32, action: &str, note: Option<&str>) -> TraceLine {
    TraceLine {
        depth,
        action: Some(action.into()),
        note: note.map(str::to_owned),
        ..TraceLine::default()
    }
}

fn note(depth: u32, note: &str) -> TraceLine {
    TraceLine {
        depth,
        note: Some(note.into()),
        ..TraceLine::default()
    }
}

#[test]
fn a_trace_can_be_read_at_night() {
    let place = |table, why: &str| TracePlace {
        table,
        template: "hash".into(),
        hook: "tcx".into(),
        why: why.into(),
    };
    let trace = FlowTrace {
        packet: "in_port=1,tcp,nw_ttl=64".into(),
        trace: vec![
            table(0, 0, Some(flow(10, "in_port=1", "0x5"))),
            action(0, "resubmit(,2)", None),
            table(1, 2, Some(flow(0, "", "0x0"))),
            action(1, "dec_ttl", None),
            note(1, "nw_ttl: 64 -> 63"),
            action(1, "output:2", Some("p2")),
            note(1, "one"),
            note(1, "two"),
            action(0, "resubmit(,3)", None),
            table(1, 3, None),
        ],
        final_packet: "in_port=1,tcp,nw_ttl=63".into(),
        outputs: vec![TraceOutput {
            port: "p2".into(),
            packet: "in_port=1,tcp,nw_ttl=63".into(),
            frame: None,
        }],
        drop: None,
        places: vec![
            place(0, "one mask"),
            place(2, "one mask"),
            place(3, "a"),
            place(4, "one mask"),
            place(5, "one mask"),
        ],
        text: String::new(),
    };
    let expected = "\
packet: in_port=1,tcp,nw_ttl=64

table 0: priority 10, in_port=1, cookie 0x5
    resubmit(,2)
  table 2: priority 0, matches everything
      dec_ttl  # nw_ttl: 64 -> 63
      output:2  # p2
      # one
      # two
    resubmit(,3)
table 3: no flow matches

final packet: with nw_ttl=63
out: p2, with nw_ttl=63

where it runs:
  tables 0, 2, 4-5: hash at tcx: one mask
  table 3: hash at tcx: a
";
    assert_eq!(trace::text(&trace, Colour::Plain), expected);
    let dropped = FlowTrace {
        drop: Some("no-flow".into()),
        outputs: vec![],
        ..trace
    };
    let text = trace::text(&dropped, Colour::Plain);
    assert!(text.contains("\ndropped: no-flow\n"), "{text}");
    let popped = FlowTrace {
        packet: "ip,in_port=1,dl_vlan=5,nw_ttl=64".into(),
        final_packet: "ip,in_port=ANY,nw_ttl=64".into(),
        ..dropped
    };
    let text = trace::text(&popped, Colour::Plain);
    assert!(text.contains("final packet: without dl_vlan\n"), "{text}");
}

#[test]
fn an_explanation_tells_cost_and_advice() {
    let table = TableExplain {
        table: 0,
        flows: 100_000,
        template: "tuple".into(),
        why: "13 masks".into(),
        masks: 13,
        probes_per_packet: 3.25,
        program_insns: 210,
        memory_bytes: 24 << 20,
        cheaper: vec!["Without the mask of tp_src it would have 5 masks.".into()],
        ..TableExplain::default()
    };
    let told = FlowExplain {
        tables: vec![table],
        program_insns: 400,
        load_ms: 12.34,
        hook: "tcx".into(),
        why: "tap devices keep offloads there".into(),
        guards: BTreeMap::from([("tap0".into(), "at most 1000 kbit/s".into())]),
        ..FlowExplain::default()
    };
    let expected = "\
Bridge br0  100000 flows in 1 table, at tcx: tap devices keep offloads there
  one program of 400 instructions, loaded in 12.3 ms
  guarded:
    tap0: at most 1000 kbit/s

  table flows  template masks probes/packet instructions memory why
  ----- ------ -------- ----- ------------- ------------ ------ --------
  0     100000 tuple    13    3.2           210          24 MiB 13 masks

  table 0 would be cheaper:
    Without the mask of tp_src it would have 5 masks.
";
    assert_eq!(explain::text("br0", &told, Colour::Plain), expected);
}

#[test]
fn cards_are_told_behind_tables() {
    let card = |name: &str, trouble: &str| CardExplain {
        name: name.into(),
        language: "flower".into(),
        ports: vec!["p0".into(), "vf1".into()],
        flows: 3,
        rules: 5,
        traps: 2,
        refusals: 1,
        trouble: trouble.into(),
        foreign: vec![],
    };
    let told = FlowExplain {
        tables: vec![TableExplain {
            table: 0,
            flows: 4,
            places: [("nic(pf0)".to_owned(), 3), ("tc".to_owned(), 1)].into(),
            ..TableExplain::default()
        }],
        cards: vec![card("pf0", ""), card("pf1", "no such device")],
        ..FlowExplain::default()
    };
    let text = explain::text("br0", &told, Colour::Plain);
    let expected = "
  nic(pf0), ports p0, vf1, by flower: 3 flows by 5 rules, 2 of which leave their packets to software; 1 refused

  nic(pf1), ports p0, vf1, by flower: not used: no such device
  table 0: 3 at nic(pf0); 1 at tc
";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn what_runs_nowhere_is_said_so() {
    let told = FlowExplain {
        hook: "none".into(),
        why: "Linux 6.9 is needed".into(),
        ..FlowExplain::default()
    };
    let expected = "Bridge br0  0 flows in 0 tables, not in the kernel: Linux 6.9 is needed\n";
    assert_eq!(explain::text("br0", &told, Colour::Plain), expected);
}

#[test]
fn copies_stand_deeper_than_what_makes_them() {
    let any = || Some(flow(0, "", ""));
    let trace = FlowTrace {
        packet: "in_port=1".into(),
        trace: vec![
            table(0, 0, any()),
            action(0, "resubmit(,1)", None),
            table(1, 1, any()),
            action(1, "output:1", None),
            action(0, "clone(output:2,resubmit(,3))", None),
            action(1, "output:2", None),
            action(1, "resubmit(,3)", None),
            table(2, 3, None),
        ],
        final_packet: "in_port=1".into(),
        outputs: vec![],
        drop: None,
        places: vec![],
        text: String::new(),
    };
    let expected = "\
packet: in_port=1

table 0: priority 0, matches everything
    resubmit(,1)
  table 1: priority 0, matches everything
      output:1
    clone(output:2,resubmit(,3))
      output:2
      resubmit(,3)
  table 3: no flow matches

final packet: as it came
nothing leaves
";
    assert_eq!(trace::text(&trace, Colour::Plain), expected);
}
