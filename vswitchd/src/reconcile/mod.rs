//! From what is wanted and what there is to what must be done: a pure plan, and its execution.

mod actual;
mod datapath;
mod effects;
mod execute;
mod offload;
mod plan;
mod qos;
mod resolve;

pub use actual::Actual;
pub use datapath::{
    Applied, Counters, Datapath, DatapathError, Fdb, FlowCounters, GroupCounters, Hook, Shorten,
    Upcall, XdpTakes,
};
pub use effects::{EffectError, Effects, HostDevices};
pub use execute::settle;
pub use offload::{
    Adopted, Card, CardError, CardPort, CardRule, CardSpec, Cards, Counted, Language, Looked,
    Metered, Refusal,
};
pub use plan::{Effect, plan};
pub use qos::{Shaping, concerns, egress, wanted};
pub use resolve::{Resolved, bridge_mac, datapath_id, resolve, snapshot};
