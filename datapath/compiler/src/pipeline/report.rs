//! What became of a bridge's tables, for people.

use super::codegen::Generated;
use super::plan::Plan;

/// What became of a bridge's tables.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Each table that packets can reach.
    pub tables: Vec<TableReport>,
    /// Instructions of the whole program.
    pub insns: usize,
    /// Instructions that parse the packet.
    pub parse_insns: usize,
    /// Names of the fields that are parsed.
    pub fields: Vec<&'static str>,
    /// Different shapes of action lists.
    pub shapes: usize,
}

/// What became of one table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TableReport {
    /// Its number.
    pub table: u8,
    /// How many flows it has.
    pub rules: usize,
    /// How it is looked up: `code`, `hash`, `tuple`, `lpm`.
    pub template: &'static str,
    /// Why so.
    pub why: String,
    /// Different masks.
    pub masks: usize,
    /// Places that a lookup visits at most.
    pub probes: usize,
    /// Instructions of lookup and actions.
    pub insns: usize,
    /// Bytes of its memory.
    pub bytes: u32,
    /// What would make it cheaper.
    pub cheaper: Vec<String>,
}

impl Report {
    pub(super) fn of(plan: &Plan, generated: &Generated) -> Report {
        let tables = plan.limits.reachable.iter().map(|number| {
            let table = plan.tables.get(number);
            let rules = table.map_or(0, |table| table.rules.len());
            TableReport {
                table: *number,
                rules,
                template: "code",
                why: format!("{rules} rules are compared one by one"),
                probes: rules,
                insns: generated.tables.get(number).copied().unwrap_or(0),
                ..TableReport::default()
            }
        });
        Report {
            tables: tables.collect(),
            insns: generated.program.len(),
            parse_insns: generated.parse_insns,
            fields: generated.fields.iter().map(|field| field.name()).collect(),
            shapes: plan.shapes.len(),
        }
    }
}
