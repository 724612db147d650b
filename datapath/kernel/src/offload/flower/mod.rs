//! Cards that are programmed by TC flower (tc-flower(8)).
//!
//! A table is a chain of the ingress of each port, table 0 the one where packets begin. A rule is one
//! filter or a few on each port that it is for: [`lower`] says which. [`FlowerCard`] keeps account of
//! them, [`TcSocket`] brings them to the kernel ([`KernelTc`]) or to a card in memory
//! ([`fake::FakeNic`]). Why it is so: `docs/adr/016-openflow-tables-as-tc-chains.md`.

mod account;
mod card;
mod cookie;
pub mod fake;
mod filter;
mod keys;
pub mod lower;
mod netlink;
mod socket;

pub use account::HwCounters;
pub use card::{CardError, FlowerCard, Found};
pub use cookie::CardMark;
pub use filter::{
    Cookie, Csum, Filter, FilterCounters, Header, Listed, MplsChange, MplsLabel, OwnListed, Pedit,
    Place, Police, PoliceCounters, Running, Side, TcAction,
};
pub use keys::{Key, KeyPart, Keys};
pub use lower::{Lowering, Stacks};
pub use socket::{KernelTc, Refusal, Request, TcSocket};
