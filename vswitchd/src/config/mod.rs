//! What the database asks for: typed rows, and the desired state that follows from them.
//!
//! Pure: rows in, values out.

mod attached_mac;
mod desired;
mod dummy;
mod flow_table;
mod guard;
mod mac;
mod model;
mod offload;
mod ofport;
mod qos;
mod rows;
mod user_space;
mod vlan;
mod wanted;

pub use desired::{Desired, DesiredBridge, DesiredPort, desired};
pub use dummy::{Devices, Dummy, DummyKind, OPTIONS, Wire};
pub use flow_table::FlowTableRow;
pub use guard::{InterfaceGuard, PortLimits};
pub use mac::stable_mac;
pub use model::Model;
pub use offload::{OffloadCookies, OffloadMode, OffloadWanted};
pub use ofport::AllOfPorts;
pub use qos::{Codel, DEFAULT_QUEUE, HfscQueue, HtbQueue, PortQos, Qos};
pub use rows::{BridgeRow, ControllerRow, InterfaceRow, OpenVswitchRow, PortRow, QosRow, QueueRow};
use user_space::user_space;
pub use wanted::Wanted;
