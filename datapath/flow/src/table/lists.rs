//! Equal lists of actions, kept once.

use std::collections::HashSet;
use std::sync::Arc;

use crate::action::Instructions;

/// Lists fewer than this are not looked through for those that nobody uses.
const FEW: usize = 256;

/// What the flows of a bridge do: most of them one of a few things.
#[derive(Clone, Default, Debug)]
pub(super) struct Lists {
    all: HashSet<Arc<Instructions>>,
    /// How many there were when those without a user were last left out.
    used: usize,
}

impl Lists {
    /// The one that is kept of all that are equal to this one.
    pub fn shared(&mut self, wanted: &Arc<Instructions>) -> Arc<Instructions> {
        if let Some(kept) = self.all.get(wanted) {
            return Arc::clone(kept);
        }
        if self.all.len() >= FEW.max(2 * self.used) {
            self.all.retain(|kept| Arc::strong_count(kept) > 1);
            self.used = self.all.len();
        }
        self.all.insert(Arc::clone(wanted));
        Arc::clone(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OfPort;
    use crate::action::Action;

    fn to(port: u16) -> Arc<Instructions> {
        Instructions::apply(vec![Action::Output(OfPort(port))]).into()
    }

    #[test]
    fn equal_ones_are_one() {
        let mut lists = Lists::default();
        let first = lists.shared(&to(1));
        assert!(Arc::ptr_eq(&first, &lists.shared(&to(1))));
        assert!(!Arc::ptr_eq(&first, &lists.shared(&to(2))));
    }

    #[test]
    fn those_that_nobody_uses_don_t_pile_up() {
        let mut lists = Lists::default();
        let used: Vec<_> = (0..100).map(|port| lists.shared(&to(port))).collect();
        for port in 0..20_000 {
            lists.shared(&to(port));
        }
        assert!(lists.all.len() <= FEW, "{}", lists.all.len());
        assert!(Arc::ptr_eq(&used[7], &lists.shared(&to(7))));
    }
}
