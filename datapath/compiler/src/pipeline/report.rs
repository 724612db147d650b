//! What became of a bridge's tables, for people.

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
