//! What became of a bridge's tables, for people.

use super::codegen::Generated;
use super::plan::{Plan, TablePlan};

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
        let insns = |number| generated.tables.get(number).copied().unwrap_or(0);
        let tables = plan.limits.reachable.iter().map(|number| TableReport {
            table: *number,
            insns: insns(number),
            ..plan
                .tables
                .get(number)
                .map(TableReport::of)
                .unwrap_or_default()
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

impl TableReport {
    fn of(table: &TablePlan) -> TableReport {
        let Some(image) = &table.image else {
            let rules = table.rules.len();
            return TableReport {
                rules,
                template: "code",
                why: "few enough flows to be compared one by one".to_owned(),
                probes: rules,
                ..TableReport::default()
            };
        };
        let report = image.report();
        TableReport {
            rules: report.searches.iter().map(|s| s.rules as usize).sum(),
            template: report.template.name(),
            why: report.why,
            masks: report.searches.len(),
            probes: report.probes_worst,
            bytes: image.memory_bytes(),
            cheaper: report.cheaper,
            ..TableReport::default()
        }
    }
}
