//! Steps of a card's port.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::Arc;

use aorta_compiler::offload::{
    COUNTERS, CardError, CardProgram, EntryChange, Followed, compile, counters,
};
use aorta_placement::{Rule, RuleKey, Step};
use rustix::io::Errno;

use super::card::{EbpfCard, Running};
use super::link::{self, CardMode, Exchange};
use super::objects::{CardObjects, ObjectError};
use super::{Refusal, no_room, refusal_of_map};
use crate::map::Map;

/// Why rules aren't on the card.
enum Failed {
    /// One of them can't be.
    Rule(RuleKey, Refusal),
    /// There are too many, or they ask for too much together.
    Together(Refusal),
    /// The card takes nothing.
    Card(Refusal),
}

impl EbpfCard {
    /// Does steps, in their order; what became of each. Entries of maps change one by one; where a step
    /// needs another program, it and those behind it are done at once: each packet obeys the rules
    /// before or those after. One that is refused leaves what was there.
    pub fn apply(&mut self, steps: &[Step]) -> Vec<Result<(), Refusal>> {
        let mut results = Vec::with_capacity(steps.len());
        for step in steps {
            match self.in_place(step) {
                Some(result) => results.push(result),
                None => break,
            }
        }
        let rest = steps.get(results.len()..).unwrap_or_default();
        results.extend(self.exchange(rest));
        results
    }

    /// Does a step that changes an entry of a map at most; `None` if it needs another program.
    fn in_place(&mut self, step: &Step) -> Option<Result<(), Refusal>> {
        let key = step.key();
        let there = self.numbers.get(&key).copied();
        match step {
            Step::Put(rule) => {
                let number = there.or_else(|| self.free.front().copied())?;
                let running = self.running.as_mut()?;
                let followed = running.compiled.put(rule, number, &self.target);
                if followed == Followed::Exchange {
                    return None;
                }
                let cleared = match there {
                    Some(_) => Ok(()),
                    None => clear(self.counted.as_deref(), key, number),
                };
                if let Err(refusal) = cleared.and_then(|()| running.write(followed)) {
                    self.undo(key, number);
                    return Some(Err(refusal));
                }
                if there.is_none() {
                    self.free.pop_front();
                }
                self.rules.insert(key, rule.clone());
                self.numbers.insert(key, number);
            }
            // Without rules there is no program.
            Step::Remove(_) if self.rules.len() == 1 => return None,
            Step::Remove(_) => {
                let running = self.running.as_mut()?;
                let followed = running.compiled.remove(key);
                if followed == Followed::Exchange {
                    return None;
                }
                if let Err(refusal) = running.write(followed) {
                    self.undo(key, there.unwrap_or_default());
                    return Some(Err(refusal));
                }
                self.forget(key);
            }
        }
        Some(Ok(()))
    }

    /// The card has still what it had of a rule.
    fn undo(&mut self, key: RuleKey, number: u32) {
        if let Some(running) = &mut self.running {
            match self.rules.get(&key) {
                // What was there could stand there before.
                Some(rule) => _ = running.compiled.put(rule, number, &self.target),
                None => _ = running.compiled.remove(key),
            }
        }
    }

    /// Does steps by another program; what became of each.
    fn exchange(&mut self, steps: &[Step]) -> Vec<Result<(), Refusal>> {
        if steps.is_empty() {
            return Vec::new();
        }
        match self.try_steps(steps) {
            Ok(()) => vec![Ok(()); steps.len()],
            Err(Failed::Rule(key, refusal)) if steps.iter().any(|step| step.key() == key) => {
                self.apply_others(steps, key, &refusal)
            }
            Err(Failed::Rule(_, refusal) | Failed::Together(refusal)) if steps.len() > 1 => {
                let (first, second) = steps.split_at(steps.len() / 2);
                tracing::debug!("{refusal}: by halves");
                let mut results = self.apply(first);
                results.extend(self.apply(second));
                results
            }
            Err(Failed::Rule(_, refusal) | Failed::Together(refusal) | Failed::Card(refusal)) => {
                vec![Err(refusal); steps.len()]
            }
        }
    }

    /// All steps but those of a rule, which is refused.
    fn apply_others(
        &mut self,
        steps: &[Step],
        key: RuleKey,
        refusal: &Refusal,
    ) -> Vec<Result<(), Refusal>> {
        let others: Vec<Step> = steps
            .iter()
            .filter(|step| step.key() != key)
            .cloned()
            .collect();
        let mut done = self.apply(&others).into_iter();
        let result = |step: &Step| match step.key() == key {
            true => Err(refusal.clone()),
            false => done.next().unwrap_or_else(|| Err(refusal.clone())),
        };
        steps.iter().map(result).collect()
    }

    fn try_steps(&mut self, steps: &[Step]) -> Result<(), Failed> {
        let mut rules = self.rules.clone();
        for step in steps {
            step.note(&mut rules);
        }
        if rules.is_empty() {
            self.stop().map_err(Failed::Card)?;
            self.commit(rules, BTreeMap::new());
            return Ok(());
        }
        let numbers = self.numbers_of(&rules)?;
        let list: Vec<Rule> = rules.values().cloned().collect();
        self.clear_counters(&numbers).map_err(Failed::Card)?;
        let compiled = compile(&list, &numbers, &self.target).map_err(Failed::of)?;
        self.run(compiled, &numbers)?;
        self.commit(rules, numbers);
        Ok(())
    }

    /// Numbers for all rules: those that have one keep it.
    fn numbers_of(
        &self,
        rules: &BTreeMap<RuleKey, Rule>,
    ) -> Result<BTreeMap<RuleKey, u32>, Failed> {
        let mut free = self.free.iter();
        let mut numbers = BTreeMap::new();
        for key in rules.keys() {
            let number = self.numbers.get(key).or_else(|| free.next());
            let number = number.copied().ok_or_else(|| {
                let limit = self.target.counters - 1;
                Failed::Together(no_room(format!("the card counts {limit} rules")))
            })?;
            numbers.insert(*key, number);
        }
        Ok(numbers)
    }

    /// Counters of rules that are new begin at 0.
    fn clear_counters(&self, numbers: &BTreeMap<RuleKey, u32>) -> Result<(), Refusal> {
        let new = numbers.iter();
        let mut new = new.filter(|(key, _)| !self.numbers.contains_key(key));
        new.try_for_each(|(key, number)| clear(self.counted.as_deref(), *key, *number))
    }

    /// Puts a program in the place of the one that runs.
    fn run(
        &mut self,
        compiled: CardProgram,
        numbers: &BTreeMap<RuleKey, u32>,
    ) -> Result<(), Failed> {
        let ifindex = match self.port.mode {
            CardMode::Hardware => self.port.ifindex,
            CardMode::Stack => 0,
        };
        let objects = CardObjects::load(&compiled, self.counted.clone(), ifindex);
        let objects = objects.map_err(Failed::from)?;
        if self.counted.is_none() {
            let counters = objects.map(COUNTERS).map(Arc::as_ref);
            let mut all = numbers.iter();
            all.try_for_each(|(key, number)| clear(counters, *key, *number))
                .map_err(Failed::Card)?;
        }
        let left = match self.running {
            Some(_) => None,
            None => self.left_program().map_err(Failed::Card)?,
        };
        let running = self.running.as_ref().map(|running| running.objects.fd());
        let expected = running.or_else(|| left.as_ref().map(AsFd::as_fd));
        let what = Exchange {
            program: Some(objects.fd()),
            expected,
        };
        link::exchange(self.port.ifindex, self.port.mode, what).map_err(Failed::Card)?;
        self.counted = objects.map(COUNTERS).cloned();
        self.running = Some(Running { compiled, objects });
        Ok(())
    }
}

/// The counters of a number begin at 0, and are a rule's.
fn clear(counted: Option<&Map>, key: RuleKey, number: u32) -> Result<(), Refusal> {
    let Some(counted) = counted else {
        return Ok(());
    };
    let mut value = [0; counters::BYTES as usize];
    let flow = key.flow.map_or(0, |flow| flow.0);
    value[counters::FLOW..].copy_from_slice(&flow.to_ne_bytes());
    let set = counted.set(&number.to_ne_bytes(), &value);
    set.map_err(|error| refusal_of_map(&error))
}

impl Running {
    /// Writes what changes in a map.
    fn write(&self, followed: Followed) -> Result<(), Refusal> {
        let Followed::Entry(EntryChange { entry, value }) = followed else {
            return Ok(());
        };
        let Some(map) = self.objects.map(entry.map) else {
            return Ok(());
        };
        let done = match value {
            Some(value) => map.set(&entry.key, &value),
            None => map.remove(&entry.key),
        };
        done.map_err(|error| refusal_of_map(&error))
    }
}

impl Failed {
    fn of(error: CardError) -> Failed {
        let refusal = no_room(crate::error::chain(&error));
        match error {
            CardError::Rule { key, .. } => {
                let errno = Errno::OPNOTSUPP.raw_os_error();
                Failed::Rule(key, Refusal::new(errno, Some(refusal.text)))
            }
            _ => Failed::Together(refusal),
        }
    }
}

impl From<ObjectError> for Failed {
    fn from(error: ObjectError) -> Failed {
        let errno = error.errno().unwrap_or(Errno::INVAL.raw_os_error());
        let refusal = Refusal::new(errno, Some(crate::error::chain(&error)));
        let room = [Errno::TOOBIG, Errno::NOSPC, Errno::NOMEM].map(Errno::raw_os_error);
        match room.contains(&errno) {
            true => Failed::Together(refusal),
            false => Failed::Card(refusal),
        }
    }
}
