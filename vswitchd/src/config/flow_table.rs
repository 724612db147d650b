//! Table Flow_Table: names and room of flow tables.

use std::collections::{BTreeMap, HashMap};

use aorta_flow::table::MAX_TABLE;
use aorta_ovsdb::{Row, Uuid};

/// A row of table Flow_Table. `prefixes` and `groups` are for lookups and choices that this switch
/// makes otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlowTableRow {
    /// What the table is called; none is by its number.
    pub name: Option<String>,
    /// How many flows it has room for; none for any number.
    pub max_flows: Option<u32>,
    /// Whether a new flow takes the place of another when it is full.
    pub evicts: bool,
}

impl From<&Row> for FlowTableRow {
    fn from(row: &Row) -> Self {
        FlowTableRow {
            name: row.str("name").map(str::to_owned),
            max_flows: row.int("flow_limit").and_then(|n| u32::try_from(n).ok()),
            evicts: row.str("overflow_policy") == Some("evict"),
        }
    }
}

/// The rows of a bridge's tables by their numbers.
pub fn flow_tables(
    numbered: &BTreeMap<i64, Uuid>,
    rows: &HashMap<Uuid, FlowTableRow>,
) -> BTreeMap<u8, FlowTableRow> {
    let one = |(number, row): (&i64, &Uuid)| {
        let number = u8::try_from(*number).ok().filter(|n| *n <= MAX_TABLE)?;
        Some((number, rows.get(row)?.clone()))
    };
    numbered.iter().filter_map(one).collect()
}
