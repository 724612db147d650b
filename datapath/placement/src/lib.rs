//! Which flows a network card takes, and why the others run in software. Pure.
//!
//! The card sees packets first. What it decides, the switch never sees; what it leaves, the switch
//! sees as it came. So a flow may be on the card only if no packet of the flow ought to have gone to
//! another one that isn't there, and if all that becomes of its packets is known there:
//!
//! - In table 0, where packets come from the card's ports, each flow of higher priority that some
//!   packet matches too must be on the card, at least as a *trap*: a rule that leaves its packets to
//!   software. A trap may match more than its flow, if the card doesn't know all that it matches.
//! - From where a flow on the card leads on, every flow that its packets could meet must be on the
//!   card. There is no way back: a packet that was begun there is ended there.
//!
//! A card takes the rule of the highest priority that matches. Among flows of one priority the oldest
//! one comes first; a card doesn't know that, so that none is there of which an older one takes some
//! packets.
//!
//! [`place()`] says what that comes to; a [`Planner`] keeps it up with changes; [`steps()`] lead from one
//! placement to another while packets come.
//!
//! A packet is thus counted in one place only, and software never meets half-changed ones.
#![forbid(unsafe_code)]

mod capabilities;
mod choose;
mod close;
mod form;
mod guard;
mod making;
mod meaning;
mod overlaps;
mod place;
mod planner;
mod reason;
mod rule;
mod steps;
mod told;

pub use capabilities::{Capabilities, Device, KeySupport};
pub use meaning::{Finds, Meaning, Outcome};
pub use place::{Decision, Placement, place};
pub use planner::{Difference, Planner};
pub use reason::Reason;
pub use rule::{PolicedRate, Policer, Rule, RuleKey, Verdict};
pub use steps::{Step, Steps, steps};
pub use told::Told;
