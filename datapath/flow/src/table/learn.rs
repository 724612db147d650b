//! Whether there is room for a flow that packets ask for.

use super::{TableFlow, Tables};
use crate::Flow;

impl Tables {
    /// Whether a flow may be learned: it is there already, by priority and match, or fewer than
    /// `limit` flows of its table have its cookie, where 0 is no limit and `asked` of them are on
    /// their way.
    pub fn may_learn(&self, flow: &Flow, limit: u32, asked: usize) -> bool {
        let table = self.table(flow.table);
        let there = table.and_then(|table| table.exact(flow.priority, &flow.matching));
        if limit == 0 || there.is_some() {
            return true;
        }
        let alike = |entry: &&TableFlow| entry.flow.cookie == flow.cookie;
        let alike = table.map_or(0, |table| table.entries().filter(alike).count());
        alike + asked < limit as usize
    }
}
