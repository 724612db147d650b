//! What tables do with packets that no flow matches, as controllers want it. Pure.

use aorta_flow::table::{Miss, Misses};
use aorta_openflow::message::TableMiss;

use super::table::TableSettings;

/// What the tables of a bridge do, where nothing in particular is asked of one: some controllers
/// expect to get such packets, or none does.
pub fn misses(settings: &TableSettings, expected: bool) -> Misses {
    let one = |(table, miss)| {
        let miss = match miss {
            TableMiss::Default => return None,
            TableMiss::Controller => Miss::Controller,
            TableMiss::Continue => Miss::Continue,
            TableMiss::Drop => Miss::Drop,
        };
        Some((table, miss))
    };
    Misses {
        tables: settings.misses().filter_map(one).collect(),
        others: match expected {
            true => Miss::Controller,
            false => Miss::Drop,
        },
    }
}
