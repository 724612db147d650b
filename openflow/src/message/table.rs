//! Tables.

use aorta_flow::field::FieldId;

/// What a table has counted (OpenFlow 1.3.5 §7.3.5.4), and to OpenFlow 1.2 what it can do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableStats {
    /// Which.
    pub table: u8,
    /// Packets that were looked up.
    pub lookup_count: u64,
    /// Packets that found a flow.
    pub matched_count: u64,
    /// Flows that it has.
    pub active_count: u32,
    /// What it can do, told to OpenFlow 1.2.
    pub features: TableFeatures,
}

/// What a table is and can do (OpenFlow 1.3.5 §7.3.5.5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableFeatures {
    /// Which.
    pub table: u8,
    /// What is done with the features that are sent: 0 replace, 1 modify, 2 enable, 3 disable
    /// (from OpenFlow 1.5).
    pub command: u8,
    /// 1 ingress, 2 egress, 16 first egress (from OpenFlow 1.5).
    pub features: u32,
    /// Its name; up to 31 bytes are sent.
    pub name: String,
    /// Bits of the metadata that can be matched.
    pub metadata_match: u64,
    /// Bits of the metadata that can be written.
    pub metadata_write: u64,
    /// What is done without a flow (OpenFlow 1.1 to 1.3).
    pub miss_config: TableMiss,
    /// Whether flows can be evicted (from OpenFlow 1.4).
    pub supports_eviction: bool,
    /// Whether it tells how full it is (from OpenFlow 1.4).
    pub supports_vacancy_events: bool,
    /// Flows that it has room for.
    pub max_entries: u32,
    /// What flows with a match can do.
    pub nonmiss: TableAbilities,
    /// What the flow without match can do.
    pub miss: TableAbilities,
    /// Fields that can be matched.
    pub matching: Vec<FieldId>,
    /// Those that can have a mask.
    pub mask: Vec<FieldId>,
    /// Those that needn't be in a match.
    pub wildcard: Vec<FieldId>,
}

/// What flows of a table can do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TableAbilities {
    /// Tables that they can go on in.
    pub next: Vec<u8>,
    /// Instructions: bit N is that of number N.
    pub instructions: u32,
    /// Actions that can be written, by their types.
    pub write_actions: Vec<u16>,
    /// Actions that can be applied, by their types.
    pub apply_actions: Vec<u16>,
    /// Fields that written actions can set.
    pub write_set_fields: Vec<FieldId>,
    /// Fields that applied actions can set.
    pub apply_set_fields: Vec<FieldId>,
}

/// Asks for the tables' features, or changes them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TableFeaturesRequest {
    /// Features that are to be; none of it asks only.
    pub tables: Vec<TableFeatures>,
    /// Whether more parts of the request follow.
    pub more: bool,
}

/// What a table does with packets without a flow (OpenFlow 1.1 and 1.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum TableMiss {
    /// As the version says: to controllers up to 1.2, dropped after it.
    #[default]
    Default,
    /// To controllers.
    Controller,
    /// On to the next table.
    Continue,
    /// Nothing.
    Drop,
}

/// Changes a table's settings (OpenFlow 1.4.1 §7.3.4.2). What isn't mentioned stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TableMod {
    /// Which; all if none.
    pub table: Option<u8>,
    /// What is done without a flow (OpenFlow 1.1 and 1.2).
    pub miss: TableMiss,
    /// Whether flows are evicted.
    pub eviction: Option<Eviction>,
    /// Whether it tells how full it is.
    pub vacancy: Option<Vacancy>,
}

/// Whether flows are evicted when a table is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Eviction {
    /// They are.
    pub enabled: bool,
    /// What goes first: 1 other, 2 importance, 4 lifetime; none if it isn't told.
    pub flags: Option<u32>,
}

/// Whether a table tells how full it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vacancy {
    /// It does.
    pub enabled: bool,
    /// Free room, in percent, under which it tells so.
    pub down_percent: u8,
    /// Free room, in percent, over which it tells so.
    pub up_percent: u8,
    /// Free room now, in percent; of what a switch tells.
    pub vacancy_percent: u8,
}

/// A table's settings (OpenFlow 1.4.1 §7.3.5.16).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableDesc {
    /// Which.
    pub table: u8,
    /// Whether flows are evicted.
    pub eviction: Option<Eviction>,
    /// Whether it tells how full it is.
    pub vacancy: Option<Vacancy>,
}

/// A table is nearly full, or not any more (OpenFlow 1.4.1 §7.4.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableStatus {
    /// Which.
    pub reason: TableReason,
    /// The table.
    pub table: TableDesc,
}

/// What a table tells.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TableReason {
    /// Less room than `down_percent` (number 3).
    VacancyDown,
    /// More room than `up_percent` (number 4).
    VacancyUp,
}
