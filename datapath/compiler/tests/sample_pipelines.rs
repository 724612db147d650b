//! The tables of real controllers as programs: what became of each table, within a
//! budget of instructions. A change shows as a difference here. `INSTA_UPDATE=always` blesses what comes out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::fmt::Write;

use aorta_compiler::pipeline::record::RuleId;
use aorta_compiler::pipeline::{Hook, Pipeline, PipelineConfig};
use aorta_flow::Flow;
use aorta_flow::action::Action;
use aorta_testing::{SAMPLES, sample};

/// Most instructions that the program of each sample may have.
const BUDGETS: [usize; 3] = [5_400, 2_200, 24_000];
/// The same of programs for one version of the tables.
const FIXED_BUDGETS: [usize; 3] = [6_000, 2_200, 28_000];

#[test]
fn samples_compile_within_their_budgets() {
    let budgets = BUDGETS.into_iter().zip(FIXED_BUDGETS);
    for ((name, flows), (budget, fixed_budget)) in SAMPLES.into_iter().zip(budgets) {
        let mut case = sample(flows);
        // Clauses aren't compiled.
        let clause = |a: &&Action| matches!(a, Action::Conjunction { .. });
        let has_clause = |flow: &Flow| flow.instructions.all_actions().iter().any(clause);
        case.flows.retain(|flow| !has_clause(flow));
        let tables = case.tables().unwrap();
        let config = PipelineConfig {
            bridge: "br0".into(),
            bridge_slot: 0,
            hook: Hook::Tc,
            version: 1,
            seed: 1,
            counted_rules: 4096,
        };
        let mut rules = HashMap::new();
        let mut rule_of = |flow| {
            let next = RuleId(rules.len() as u32);
            *rules.entry(flow).or_insert(next)
        };
        let pipeline = Pipeline::build(&tables, &mut rule_of, &config);
        let mut pipeline = pipeline.unwrap_or_else(|e| panic!("{name}: {e}"));
        for wanted in pipeline.memories() {
            let mut memory = vec![0; wanted.bytes as usize];
            let filled = pipeline.fill(wanted.table, &mut memory);
            filled.unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        let program = pipeline.program().unwrap_or_else(|e| panic!("{name}: {e}"));
        let report = pipeline.report();
        let len = program.len();
        assert!(
            len <= budget,
            "{name} has {len} instructions, its budget is {budget}"
        );
        let fixed = pipeline.fixed_program(config.version);
        let fixed = fixed.unwrap_or_else(|e| panic!("{name}: {e}"));
        let fixed_len = fixed.map_or(len, |program| program.len());
        assert!(
            fixed_len <= fixed_budget,
            "{name} has {fixed_len} instructions for one version, its budget is {fixed_budget}"
        );
        let mut text = format!(
            "parses {}\n{} shapes of actions\n",
            report.fields.join(" "),
            report.shapes
        );
        for table in report.tables {
            let _ = writeln!(
                text,
                "table {}: {} rules, {}, {} masks, {} probes",
                table.table, table.rules, table.template, table.masks, table.probes
            );
        }
        insta::assert_snapshot!(name, text);
    }
}
