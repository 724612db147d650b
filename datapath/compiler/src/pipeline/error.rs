//! What of a bridge's tables can't be compiled.

use aorta_ebpf::AssembleError;
use aorta_flow::BridgeName;

use super::template::Why;

/// Why a bridge's tables can't become a program.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// A flow asks for what programs can't do.
    #[error("bridge {bridge}, table {table}, cookie {cookie:#x}: {refusal}")]
    Flow {
        /// The bridge.
        bridge: BridgeName,
        /// The flow's table.
        table: u8,
        /// The flow's cookie.
        cookie: u64,
        /// What.
        refusal: Refusal,
    },
    /// The tables as a whole ask for what programs can't do.
    #[error("bridge {bridge}: {refusal}")]
    Tables {
        /// The bridge.
        bridge: BridgeName,
        /// What.
        refusal: Refusal,
    },
    /// The program could not be assembled: a defect of the compiler.
    #[error("bridge {bridge}: its program could not be assembled")]
    Assemble {
        /// The bridge.
        bridge: BridgeName,
        /// What the assembler refused.
        source: Box<AssembleError>,
    },
    /// A table was named that the pipeline doesn't keep in memory: a defect of the caller.
    #[error("bridge {bridge}: table {table} has no memory")]
    NoMemory {
        /// The bridge.
        bridge: BridgeName,
        /// The table.
        table: u8,
    },
}

/// What programs can't do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// An action without code.
    #[error("{action} is not available in the data path: {reason}")]
    Action {
        /// The action, as text.
        action: String,
        /// Why not.
        reason: &'static str,
    },
    /// A field that packets can't be asked for.
    #[error("{field} can't be matched or read in the data path")]
    Field {
        /// The field.
        field: String,
    },
    /// The actions of clones and buckets change too many fields.
    #[error("actions change {bytes} bytes of fields, a copy can set {limit} aside")]
    TooMuchChanges {
        /// Bytes that they change.
        bytes: usize,
        /// Bytes that can be set aside.
        limit: usize,
    },
    /// A table's rules don't fit into what a table can have.
    #[error("table {table} can't be laid out in memory: {why}")]
    TooRich {
        /// The table.
        table: u8,
        /// Why.
        why: Why,
    },
    /// More meters than there is room for.
    #[error("it has more than {limit} meters")]
    TooManyMeters {
        /// Meters that a bridge can have.
        limit: u32,
    },
    /// A meter with more bands than there is room for.
    #[error("a meter has more than {limit} bands")]
    TooManyBands {
        /// Bands that a meter can have.
        limit: usize,
    },
    /// A group that depends on too many ports and groups.
    #[error("group {group} watches too many ports and groups")]
    TooMuchWatched {
        /// The group.
        group: u32,
    },
    /// More constants than a record holds.
    #[error("its actions have {words} words of constants, {limit} are possible: split the flow")]
    TooManyConstants {
        /// Words of constants.
        words: usize,
        /// Words that a record can have.
        limit: usize,
    },
}
