//! Why a flow isn't on a card.

use std::fmt;

use aorta_flow::OfPort;
use aorta_flow::field::FieldId;
use aorta_flow::table::FlowId;

/// Why a flow isn't on a card.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Packets that the card sees never match it.
    NotFromDevice,
    /// No flow on the card leads to its table.
    NotReached,
    /// The operator wants it in software.
    Excluded,
    /// It matches a field that the card doesn't.
    Key(FieldId),
    /// It matches a field with a mask, and the card matches it whole.
    Mask(FieldId),
    /// It changes a field that the card doesn't.
    Set(FieldId),
    /// It does something that the card can't; its name.
    Action(&'static str),
    /// It sends to a port that isn't the card's.
    Output(OfPort),
    /// It sends more copies than the card does.
    TooManyOutputs {
        /// Copies.
        wanted: usize,
        /// Most that the card sends.
        most: usize,
    },
    /// It needs to know whether a packet is tagged, and its match doesn't say.
    TagUnknown,
    /// It changes a field, and its match doesn't say that its packets have it.
    FieldUnknown(FieldId),
    /// It leads to more tables than the card has.
    TooManyTables {
        /// Most that the card has.
        most: usize,
    },
    /// It leads to a table in which its packets could meet a flow that isn't on the card.
    LeadsTo {
        /// The table.
        table: u8,
        /// The flow there; none for what is done with packets that match no flow.
        flow: Option<FlowId>,
    },
    /// An older flow of the same priority matches some of its packets, and the card doesn't know which
    /// is older.
    Tie(FlowId),
    /// A flow of higher priority that some of its packets match can't be on the card.
    Overtaken(FlowId),
    /// The card is full.
    Full {
        /// Rules that it holds.
        max_rules: usize,
    },
    /// The card refused it; what it said.
    Refused(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NotFromDevice => f.write_str("no packet from the device matches it"),
            Reason::NotReached => f.write_str("no flow on the device leads to its table"),
            Reason::Excluded => f.write_str("the operator keeps it in software"),
            Reason::Key(field) => write!(f, "matches {field}: the device lacks the key"),
            Reason::Mask(field) => {
                write!(
                    f,
                    "matches some bits of {field}: the device matches all of them or none"
                )
            }
            Reason::Set(field) => write!(f, "changes {field}: the device can't"),
            Reason::Action(name) => write!(f, "{name}: the device can't do it"),
            Reason::Output(port) => write!(f, "sends to port {port}, which isn't the device's"),
            Reason::TooManyOutputs { wanted, most } => {
                write!(f, "sends {wanted} copies: the device sends {most} at most")
            }
            Reason::TagUnknown => {
                f.write_str("changes a VLAN tag, and its match doesn't say whether there is one")
            }
            Reason::FieldUnknown(field) => write!(
                f,
                "changes {field}, and its match doesn't say whether packets have it"
            ),
            Reason::TooManyTables { most } => {
                write!(f, "leads to another table: the device has {most}")
            }
            Reason::LeadsTo {
                table,
                flow: Some(_),
            } => {
                write!(
                    f,
                    "leads to table {table}, where its packets can meet a flow that can't be offloaded"
                )
            }
            Reason::LeadsTo { table, flow: None } => {
                write!(
                    f,
                    "leads to table {table}, which doesn't drop packets that match no flow"
                )
            }
            Reason::Tie(_) => f.write_str("an older overlapping flow has the same priority"),
            Reason::Overtaken(_) => {
                f.write_str("a higher-priority overlapping flow can't be offloaded")
            }
            Reason::Full { max_rules } => write!(f, "table full: {max_rules} of {max_rules}"),
            Reason::Refused(why) => write!(f, "device refused: {why}"),
        }
    }
}
