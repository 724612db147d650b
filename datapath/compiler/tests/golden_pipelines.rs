//! Programs of small sets of tables as text, with their size: a change shows as a difference here.
//! `INSTA_UPDATE=always` blesses what comes out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aorta_compiler::pipeline::record::RuleId;
use aorta_compiler::pipeline::{Hook, Pipeline, PipelineConfig};
use aorta_compiler::{FlowEntryFacts, Origin, Refuses, XdpEntryFacts, XdpMode};
use aorta_flow::OfPort;
use aorta_flow::table::{FlowMod, Modification, Tables};
use aorta_flow::text::{NoNames, parse_flow_line};

fn pipeline(lines: &str) -> Pipeline {
    let mut tables = Tables::new();
    for line in lines.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let (command, text) = parse_flow_line(line, &NoNames).unwrap();
        let change = Modification::Flow(FlowMod::from_text(command, text));
        if let Err(e) = tables.modify(&change) {
            panic!("{line}: {e}");
        }
    }
    let config = PipelineConfig {
        bridge: "br0".into(),
        bridge_slot: 2,
        hook: Hook::Tc,
        version: 1,
        seed: 7,
        counted_rules: 4096,
    };
    Pipeline::build(&tables, &mut |flow| RuleId(flow.0 as u32), &config).unwrap()
}

fn bless(name: &str, lines: &str, budget: usize) {
    let program = pipeline(lines).program().unwrap();
    let len = program.len();
    assert!(
        len <= budget,
        "{name} has {len} instructions, its budget is {budget}"
    );
    insta::assert_snapshot!(name, format!("{len} instructions\n{program}"));
}

#[test]
fn one_flow() {
    bless("one_flow", "in_port=1 actions=output:2", 530);
}

#[test]
fn five_tuple_as_code() {
    let flows = "tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=1,tp_dst=2 actions=output:2
                 priority=1 actions=drop";
    bless("five_tuple", flows, 990);
}

#[test]
fn one_port_alone() {
    let flows = "in_port=7,tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=1,tp_dst=2 actions=output:2
                 in_port=8 actions=output:3
                 priority=1 actions=drop";
    let facts = FlowEntryFacts {
        port_slot: 3,
        ofport: OfPort(7),
        bridge_slot: 2,
        origin: Origin::Device,
        refuses: Refuses::None,
        guard: None,
    };
    let program = pipeline(flows)
        .port_program(&facts, 5, None)
        .unwrap()
        .unwrap();
    let len = program.len();
    assert!(len <= 860, "{len} instructions");
    insta::assert_snapshot!("one_port", format!("{len} instructions\n{program}"));
}

#[test]
fn one_port_alone_in_xdp() {
    let flows = "in_port=7,tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=1,tp_dst=2 actions=output:2
                 in_port=8 actions=output:3
                 priority=1 actions=drop";
    let facts = XdpEntryFacts {
        port_slot: 3,
        ofport: OfPort(7),
        bridge_slot: 2,
        mode: XdpMode::Native,
    };
    let program = pipeline(flows).xdp_port_program(&facts, 5, None);
    let program = program.unwrap().unwrap();
    let len = program.len();
    assert!(len <= 770, "{len} instructions");
    insta::assert_snapshot!("one_port_xdp", format!("{len} instructions\n{program}"));
}

#[test]
fn constants_from_records() {
    let flow = |n: u32| {
        format!("udp,tp_dst={n} actions=set_field:10.0.0.{n}->ip_dst,dec_ttl,output:{n}\n")
    };
    let flows: String = (1..=20).map(flow).collect();
    bless("records", &flows, 1410);
}

#[test]
fn copies_and_returns() {
    let flows = "in_port=1 actions=clone(set_field:1->reg0,resubmit(,1)),resubmit(,1),output:4
                 table=1,reg0=1 actions=output:2
                 table=1,reg0=0 actions=output:3";
    bless("copies", flows, 610);
}

#[test]
fn what_becomes_of_tables_is_told() {
    let flows: String = (1..=20)
        .map(|n| format!("table=3,udp,tp_dst={n} actions=output:{n}\n"))
        .collect();
    let mut pipeline = pipeline(&format!("in_port=1 actions=goto_table:3\n{flows}"));
    for wanted in pipeline.memories() {
        let mut memory = vec![0; wanted.bytes as usize];
        pipeline.fill(wanted.table, &mut memory).unwrap();
    }
    let report = pipeline.report();
    let tables: Vec<(u8, usize, &str)> = report
        .tables
        .iter()
        .map(|table| (table.table, table.rules, table.template))
        .collect();
    assert_eq!(tables, [(0, 1, "code"), (3, 20, "hash")]);
    assert!(report.fields.contains(&"tcp_dst"), "{:?}", report.fields);
    assert!(report.insns > report.parse_insns);
}
