//! Another program for changed tables: what stays, and what changes in place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use aorta_compiler::pipeline::record::RuleId;
use aorta_compiler::pipeline::{Hook, Outcome, Pipeline, PipelineConfig};
use aorta_flow::table::{Change, FlowId, FlowMod, Modification, Tables};
use aorta_flow::text::{NoNames, parse_flow_line};

fn rule_of(flow: FlowId) -> RuleId {
    RuleId(flow.0 as u32)
}

fn config(version: u32) -> PipelineConfig {
    PipelineConfig {
        bridge: "br0".into(),
        bridge_slot: 0,
        hook: Hook::Tc,
        version,
        seed: u64::from(version),
        counted_rules: 4096,
    }
}

struct Bridge {
    tables: Tables,
    pipeline: Pipeline,
    memories: BTreeMap<u8, Vec<u8>>,
    version: u32,
}

fn modify(tables: &mut Tables, line: &str) -> Vec<Change> {
    let (command, text) = parse_flow_line(line, &NoNames).unwrap();
    let change = Modification::Flow(FlowMod::from_text(command, text));
    tables.modify(&change).unwrap()
}

/// Table 0 is code; tables 1 and 2 have 20 flows each.
fn bridge() -> Bridge {
    let mut tables = Tables::new();
    modify(&mut tables, "in_port=1 actions=resubmit(,1),resubmit(,2)");
    for port in 1..=20 {
        modify(
            &mut tables,
            &format!("table=1,udp,tp_dst={port} actions=output:2"),
        );
        modify(
            &mut tables,
            &format!("table=2,udp,tp_src={port} actions=output:3"),
        );
    }
    let mut pipeline = Pipeline::build(&tables, &mut rule_of, &config(1)).unwrap();
    let mut memories = BTreeMap::new();
    for wanted in pipeline.memories() {
        assert!(!wanted.kept);
        let mut memory = vec![0; wanted.bytes as usize];
        pipeline.fill(wanted.table, &mut memory).unwrap();
        memories.insert(wanted.table, memory);
    }
    Bridge {
        tables,
        pipeline,
        memories,
        version: 1,
    }
}

impl Bridge {
    fn change(&mut self, changes: &[Change]) -> Outcome {
        let version = self.version + 1;
        let outcome = self
            .pipeline
            .change(changes, &mut rule_of, version, &mut self.memories);
        outcome.unwrap()
    }

    fn add(&mut self, line: &str) -> (Vec<Change>, Outcome) {
        let changes = modify(&mut self.tables, line);
        let outcome = self.change(&changes);
        (changes, outcome)
    }

    /// The tables whose memories the new pipeline keeps.
    fn rebuild(&mut self, changes: &[Change]) -> Vec<u8> {
        self.version += 1;
        let config = config(self.version);
        let rebuilt = self.pipeline.rebuild(
            &self.tables,
            changes,
            &mut rule_of,
            &config,
            &mut self.memories,
        );
        self.pipeline = rebuilt.unwrap();
        let mut kept = Vec::new();
        for wanted in self.pipeline.memories() {
            if wanted.kept {
                assert_eq!(self.memories[&wanted.table].len(), wanted.bytes as usize);
                kept.push(wanted.table);
                continue;
            }
            let mut memory = vec![0; wanted.bytes as usize];
            self.pipeline.fill(wanted.table, &mut memory).unwrap();
            self.memories.insert(wanted.table, memory);
        }
        self.pipeline.program().unwrap();
        kept
    }
}

fn why(outcome: Outcome) -> String {
    match outcome {
        Outcome::Rebuild { why } => why,
        Outcome::InPlace { .. } => panic!("in place"),
    }
}

#[test]
fn memories_of_tables_that_stay_are_kept() {
    let mut bridge = bridge();
    let (changes, outcome) = bridge.add("in_port=2 actions=output:4");
    assert_eq!(why(outcome), "table 0 is code");
    assert_eq!(bridge.rebuild(&changes), [1, 2]);
    let (_, outcome) = bridge.add("table=1,udp,tp_dst=21 actions=output:2");
    assert!(matches!(outcome, Outcome::InPlace { .. }), "{outcome:?}");
}

#[test]
fn a_table_that_needs_other_code_keeps_its_memory() {
    let mut bridge = bridge();
    let (changes, outcome) = bridge.add("table=1,udp,tp_dst=30 actions=output:2,output:3");
    let reason = why(outcome);
    assert!(reason.contains("does what the new one does"), "{reason}");
    assert_eq!(bridge.rebuild(&changes), [1, 2]);
    let (_, outcome) = bridge.add("table=1,udp,tp_dst=31 actions=output:4,output:5");
    assert!(matches!(outcome, Outcome::InPlace { .. }), "{outcome:?}");
}

#[test]
fn a_table_gets_other_memory_where_a_flow_doesn_t_fit() {
    let mut bridge = bridge();
    let set = "set_field:02:00:00:00:00:01->eth_dst,set_field:02:00:00:00:00:02->eth_src";
    let line = format!("table=1,udp,tp_dst=30 actions={set},output:2");
    let (changes, outcome) = bridge.add(&line);
    why(outcome);
    assert_eq!(bridge.rebuild(&changes), [2], "records have too few places");
}

#[test]
fn what_was_retired_before_is_reclaimed_by_the_next_pipeline() {
    let mut bridge = bridge();
    let held = |bridge: &Bridge| {
        let tables = bridge.pipeline.report().tables;
        tables.iter().find(|t| t.table == 1).map(|t| t.rules)
    };
    let (_, outcome) = bridge.add("delete_strict table=1,priority=32768,udp,tp_dst=3");
    let Outcome::InPlace { retired } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(retired.records.len(), 1);
    bridge.version += 1;
    let changes = modify(&mut bridge.tables, "in_port=2 actions=output:4");
    assert_eq!(bridge.rebuild(&changes), [1, 2]);
    assert_eq!(held(&bridge), Some(20));
    bridge.pipeline.reclaim(&retired, &mut bridge.memories);
    assert_eq!(held(&bridge), Some(19));
}

#[test]
fn a_field_that_came_later_is_still_parsed_after_a_rebuild() {
    let mut bridge = bridge();
    // Both ports are parsed, because each table asks for one of them.
    let (changes, outcome) = bridge.add("table=1,udp,tp_src=7,tp_dst=7 actions=output:2");
    match outcome {
        Outcome::InPlace { .. } => bridge.version += 1,
        Outcome::Rebuild { .. } => assert_eq!(bridge.rebuild(&changes), [2]),
    }
    let changes = modify(&mut bridge.tables, "delete table=2");
    let all = bridge.rebuild(&changes);
    assert!(all.len() <= 1);
    let fields = bridge.pipeline.report().fields;
    assert!(fields.contains(&"tcp_src"), "{fields:?}");
}

#[test]
fn a_table_that_grows_flow_by_flow_is_outgrown_a_few_times() {
    let mut bridge = bridge();
    let (mut flows, mut outgrown_at) = (20, Vec::new());
    while flows < 4000 {
        flows += 1;
        let line = format!("table=1,udp,tp_dst={flows} actions=output:2");
        let (changes, outcome) = bridge.add(&line);
        match outcome {
            Outcome::InPlace { .. } => bridge.version += 1,
            Outcome::Rebuild { why } => {
                assert_eq!(why, "table 1: its memory is full");
                assert_eq!(bridge.rebuild(&changes), [2]);
                outgrown_at.push(flows);
            }
        }
    }
    assert!(outgrown_at.len() <= 3, "{outgrown_at:?}");
}

#[test]
fn what_is_known_to_be_too_much_is_not_begun() {
    let mut bridge = bridge();
    let many = 100..400;
    let changes: Vec<Change> = many
        .flat_map(|port| {
            let line = format!("table=1,udp,tp_dst={port} actions=output:2");
            modify(&mut bridge.tables, &line)
        })
        .collect();
    let before = bridge.memories.clone();
    let outcome = bridge.change(&changes);
    assert_eq!(why(outcome), "table 1: its memory is full");
    assert_eq!(bridge.memories, before);
    assert_eq!(bridge.rebuild(&changes), [2]);
}
