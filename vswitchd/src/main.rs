//! Entry point.

mod config;
mod devices;
mod errors;
mod promisc;
mod reconcile;
mod switch;
#[cfg(test)]
mod testing;
mod writeback;

fn main() {}
