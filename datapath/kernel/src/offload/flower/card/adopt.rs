//! Going on where an earlier switch ended.

use aorta_placement::Rule;

use super::super::TcSocket;
use super::super::account::{Account, Ownerless, devices};
use super::super::lower::Needs;
use super::{CardError, FlowerCard, Guards};

impl<S: TcSocket> FlowerCard<S> {
    /// Goes on with the filters of an earlier switch of the same mark if they are those of these rules,
    /// all of them, and no others. True if so; otherwise nothing has changed.
    ///
    /// # Errors
    /// When what is there can't be read.
    pub fn adopt(&mut self, rules: &[Rule]) -> Result<bool, CardError> {
        let own = self.found()?.own;
        let Some(mut there) = Ownerless::of(&own, self.lowering.is_in_hardware()) else {
            return Ok(false);
        };
        if self.guards.is_some() || own.is_empty() {
            return Ok(self.guards.is_none() && rules.is_empty());
        }
        self.account = Account::new(self.mark);
        let guards = self.adopt_guards(&mut there);
        let unguarded = guards.missing;
        let all = rules.iter().all(|rule| {
            let how = (&self.lowering, unguarded);
            self.account.adopt(rule, how, &mut there)
        });
        let adopted = all && there.is_empty();
        match adopted {
            true => self.guards = Some(guards),
            false => self.account = Account::new(self.mark),
        }
        Ok(adopted)
    }

    /// Guards that aren't there are those that the card refused.
    fn adopt_guards(&mut self, there: &mut Ownerless) -> Guards {
        let mut guards = Guards {
            filters: Vec::new(),
            missing: Needs::default(),
            said: None,
        };
        for (mut filter, needs) in self.plan_guards(&devices(&self.lowering)) {
            match there.take(filter.place, filter.cookie) {
                Some(handle) => {
                    filter.place.handle = handle;
                    self.account.reserve_handles([handle].into_iter());
                    guards.filters.push(filter);
                }
                None => guards.missing = guards.missing.with(needs),
            }
        }
        guards
    }
}
