//! What commands about flow tables read and print, without asking anybody.

pub mod card;
pub mod colour;
pub mod diff;
pub mod dump;
pub mod explain;
pub mod group;
pub mod lines;
pub mod port;
pub mod ports;
pub mod rate;
pub mod sort;
pub mod trace;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod trace_tests;
