//! Flow tables, groups and meters of bridges.

mod answer;
mod bridge;
mod error;
mod expiry;
mod history;
mod input;
pub mod journal;
mod learn;
mod learned;
mod moment;
mod names;
mod odp;
mod odp_text;
mod placer;
mod replace;
#[cfg(test)]
mod tests;
mod trace;

pub use answer::{FlowDumped, GroupDumped, MeterDumped, flow_entry, group_entry, meter_entry};
pub use bridge::{Ages, BridgeFlows, Pending};
pub use error::FlowError;
pub use history::{changed, everything, gone};
pub use input::{filter, flow_mods, flows, group_mods, meter_id, meter_mods, number};
pub use journal::{Journal, JournalError, Restored, RestoredBridge};
pub use moment::Moment;
pub use names::PortNames;
pub use odp::{OdpFlow, looks_like_odp, parse as parse_odp};
pub use odp_text::{OdpStyle, odp_line};
pub use placer::Placer;
pub use replace::{difference, wanted_position};
pub use trace::TraceJob;
