//! The port of a card that runs programs: the rules that it has, kept in step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use aorta_compiler::offload::{
    COUNTERS, CardError, CardLimits, CardProgram, Target, compile, counters,
};
use aorta_flow::OfPort;
use aorta_placement::{Rule, RuleKey, Step, Verdict};
use aya::programs::loaded_programs;
use rustix::io::Errno;

use super::link::{self, CardMode, Exchange};
use super::objects::{CardObjects, ObjectError};
use super::{HwCounters, Refusal, no_room, refusal_of_map};
use crate::map::Map;

/// Names of our programs begin so.
const NAME: &str = "aorta_hw";

/// A port of a card, and what programs for it may be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CardPort {
    /// Its device.
    pub ifindex: u32,
    /// How programs are attached.
    pub mode: CardMode,
    /// Its number.
    pub port: OfPort,
    /// Other ports of the card, with the indices of their devices.
    pub sends: BTreeMap<OfPort, u32>,
    /// What the card allows.
    pub limits: CardLimits,
}

/// What is at a card's port.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FoundPrograms {
    /// Number of a program that an earlier switch has left. It goes on until there is another one.
    pub own: Option<u32>,
    /// What others have put there, one sentence each: it is left alone.
    pub foreign: Vec<String>,
}

/// A program that runs.
#[derive(Debug)]
struct Running {
    compiled: CardProgram,
    objects: CardObjects,
}

/// When a rule's packets were last seen to have become more.
#[derive(Clone, Copy, Debug)]
struct Seen {
    packets: u64,
    at: Option<Instant>,
}

/// The port of a card that runs programs. Dropped, it leaves its program where it is.
#[derive(Debug)]
pub struct EbpfCard {
    port: CardPort,
    target: Target,
    rules: BTreeMap<RuleKey, Rule>,
    /// Places of rules among the counters.
    numbers: BTreeMap<RuleKey, u32>,
    /// Those that are free, the one that was used last at the end.
    free: VecDeque<u32>,
    counted: Option<Arc<Map>>,
    running: Option<Running>,
    seen: BTreeMap<RuleKey, Seen>,
    /// Last counts of rules that have gone.
    gone: Vec<(RuleKey, HwCounters)>,
}

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
    /// A port without rules. Nothing is done to the device yet.
    pub fn new(port: CardPort) -> EbpfCard {
        let numbers = port.limits.max_entries.min(MAX_COUNTERS);
        let target = Target {
            name: format!("{NAME}_{}", port.ifindex),
            port: port.port,
            sends: port.sends.clone(),
            limits: port.limits.clone(),
            counters: numbers,
        };
        EbpfCard {
            port,
            target,
            rules: BTreeMap::new(),
            numbers: BTreeMap::new(),
            free: (1..numbers).collect(),
            counted: None,
            running: None,
            seen: BTreeMap::new(),
            gone: Vec::new(),
        }
    }

    /// The rules that it has.
    pub fn rules(&self) -> &BTreeMap<RuleKey, Rule> {
        &self.rules
    }

    /// The program that runs, if there is one.
    pub fn program(&self) -> Option<&CardProgram> {
        self.running.as_ref().map(|running| &running.compiled)
    }

    /// Its program and maps, if there are any.
    pub fn objects(&self) -> Option<&CardObjects> {
        self.running.as_ref().map(|running| &running.objects)
    }

    /// What is at the port besides what this value put there.
    ///
    /// # Errors
    /// If the device can't be asked.
    pub fn found(&self) -> Result<FoundPrograms, Refusal> {
        let mut found = FoundPrograms::default();
        let Some(id) = link::program_id(self.port.ifindex, self.port.mode)? else {
            return Ok(found);
        };
        if self.running.is_some() {
            return Ok(found);
        }
        match name_of(id) {
            Some(name) if name.starts_with(NAME) => found.own = Some(id),
            name => {
                let name = name.unwrap_or_else(|| "without a name".to_owned());
                found.foreign.push(format!(
                    "device {} runs the program {id} ({name}), which isn't the switch's",
                    self.port.ifindex
                ));
            }
        }
        Ok(found)
    }

    /// Does steps, what became of each. Packets obey the rules before or those after, if these steps
    /// need another program; else they are done one after the other, in their order. One that is refused
    /// leaves what was there.
    pub fn apply(&mut self, steps: &[Step]) -> Vec<Result<(), Refusal>> {
        if steps.is_empty() {
            return Vec::new();
        }
        match self.try_steps(steps) {
            Ok(results) => results,
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

    fn try_steps(&mut self, steps: &[Step]) -> Result<Vec<Result<(), Refusal>>, Failed> {
        let mut rules = self.rules.clone();
        for step in steps {
            step.note(&mut rules);
        }
        if rules.is_empty() {
            self.stop().map_err(Failed::Card)?;
            self.commit(rules, BTreeMap::new());
            return Ok(vec![Ok(()); steps.len()]);
        }
        let numbers = self.numbers_of(&rules)?;
        let list: Vec<Rule> = rules.values().cloned().collect();
        self.clear_counters(&numbers).map_err(Failed::Card)?;
        if let Some(running) = &self.running {
            let next = compile(&list, &numbers, &self.target, Some(&running.compiled));
            if let Ok(next) = next
                && next.has_code_of(&running.compiled)
            {
                let results = running.follow(&next, steps);
                return self.followed(steps, results, next, (rules, numbers));
            }
        }
        let compiled = compile(&list, &numbers, &self.target, None).map_err(Failed::of)?;
        self.run(compiled)?;
        self.commit(rules, numbers);
        Ok(vec![Ok(()); steps.len()])
    }

    /// Takes over what was done in maps.
    fn followed(
        &mut self,
        steps: &[Step],
        results: Vec<Result<(), Refusal>>,
        next: CardProgram,
        (rules, numbers): (BTreeMap<RuleKey, Rule>, BTreeMap<RuleKey, u32>),
    ) -> Result<Vec<Result<(), Refusal>>, Failed> {
        if results.iter().all(Result::is_ok) {
            if let Some(running) = &mut self.running {
                running.compiled = next;
            }
            self.commit(rules, numbers);
            return Ok(results);
        }
        let mut rules = self.rules.clone();
        let done = steps.iter().zip(&results).filter(|(_, done)| done.is_ok());
        for (step, _) in done {
            step.note(&mut rules);
        }
        let numbers: BTreeMap<RuleKey, u32> = numbers
            .into_iter()
            .filter(|(key, _)| rules.contains_key(key))
            .collect();
        let list: Vec<Rule> = rules.values().cloned().collect();
        if let Some(running) = &mut self.running {
            running.compiled = compile(&list, &numbers, &self.target, Some(&running.compiled))
                .map_err(Failed::of)?;
        }
        self.commit(rules, numbers);
        Ok(results)
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
        let Some(counted) = &self.counted else {
            return Ok(());
        };
        let zero = [0; counters::BYTES as usize];
        let new = numbers
            .iter()
            .filter(|(key, _)| !self.numbers.contains_key(key));
        for (_, number) in new {
            let set = counted.set(&number.to_ne_bytes(), &zero);
            set.map_err(|error| refusal_of_map(&error))?;
        }
        Ok(())
    }

    /// Puts a program in the place of the one that runs.
    fn run(&mut self, compiled: CardProgram) -> Result<(), Failed> {
        let ifindex = match self.port.mode {
            CardMode::Hardware => self.port.ifindex,
            CardMode::Stack => 0,
        };
        let objects = CardObjects::load(&compiled, self.counted.clone(), ifindex);
        let objects = objects.map_err(Failed::from)?;
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

    /// The program that an earlier switch has left.
    fn left_program(&self) -> Result<Option<OwnedFd>, Refusal> {
        let found = self.found()?;
        if let Some(foreign) = found.foreign.into_iter().next() {
            return Err(Refusal::new(Errno::BUSY.raw_os_error(), Some(foreign)));
        }
        let program = found
            .own
            .and_then(|id| loaded_programs().flatten().find(|p| p.id() == id));
        let fd = program.and_then(|program| program.fd().ok());
        Ok(fd.and_then(|fd| fd.as_fd().try_clone_to_owned().ok()))
    }

    fn commit(&mut self, rules: BTreeMap<RuleKey, Rule>, numbers: BTreeMap<RuleKey, u32>) {
        let went: Vec<(RuleKey, u32)> = self
            .numbers
            .iter()
            .filter(|(key, _)| !numbers.contains_key(key))
            .map(|(key, number)| (*key, *number))
            .collect();
        for (key, number) in went {
            if let Ok(counters) = self.count(key, number) {
                self.gone.push((key, counters));
            }
            self.seen.remove(&key);
            self.free.push_back(number);
        }
        let used: BTreeSet<u32> = numbers.values().copied().collect();
        self.free.retain(|number| !used.contains(number));
        self.rules = rules;
        self.numbers = numbers;
    }

    /// What packets did to each rule, and once more what they did to rules that have gone since the last
    /// call. When a rule's last packet came isn't known better than from one call to the next.
    ///
    /// # Errors
    /// If the card can't be asked: its device may have gone.
    pub fn counters(&mut self) -> Result<Vec<(RuleKey, HwCounters)>, Refusal> {
        let mut all = std::mem::take(&mut self.gone);
        let numbers: Vec<(RuleKey, u32)> = self.numbers.iter().map(|(k, n)| (*k, *n)).collect();
        for (key, number) in numbers {
            let trap = self
                .rules
                .get(&key)
                .is_some_and(|rule| rule.verdict == Verdict::Trap);
            let counters = self.count(key, number)?;
            if !trap || counters.packets > 0 {
                all.push((key, counters));
            }
        }
        Ok(all)
    }

    fn count(&mut self, key: RuleKey, number: u32) -> Result<HwCounters, Refusal> {
        let Some(counted) = &self.counted else {
            return Ok(HwCounters::default());
        };
        let value = counted.get(&number.to_ne_bytes());
        let value = value.map_err(|error| refusal_of_map(&error))?;
        let word = |at: usize| {
            let bytes = value.as_deref().and_then(|value| value.get(at..at + 8));
            bytes
                .and_then(|bytes| bytes.try_into().ok())
                .map_or(0, u64::from_ne_bytes)
        };
        let packets = word(counters::PACKETS);
        let now = Instant::now();
        let seen = self.seen.entry(key).or_insert(Seen {
            packets: 0,
            at: None,
        });
        if packets != seen.packets {
            *seen = Seen {
                packets,
                at: Some(now),
            };
        }
        let used = seen
            .at
            .map(|at| now.saturating_duration_since(at).as_nanos());
        Ok(HwCounters {
            packets,
            bytes: word(counters::BYTES_SEEN),
            used_ns_ago: used.map(|ns| u64::try_from(ns).unwrap_or(u64::MAX)),
        })
    }

    /// Takes the program off the card, also one that an earlier switch has left, and forgets all rules.
    ///
    /// # Errors
    /// If it may still be there. A device that has gone has none.
    pub fn clear(&mut self) -> Result<(), Refusal> {
        self.stop()?;
        self.commit(BTreeMap::new(), BTreeMap::new());
        self.counted = None;
        Ok(())
    }

    fn stop(&mut self) -> Result<(), Refusal> {
        let left = match self.running {
            Some(_) => None,
            None => match self.found() {
                Ok(found) if found.own.is_some() => self.left_program()?,
                Err(refusal) if !refusal.is_gone() => return Err(refusal),
                _ => None,
            },
        };
        let running = self.running.as_ref().map(|running| running.objects.fd());
        let expected = running.or_else(|| left.as_ref().map(AsFd::as_fd));
        let what = Exchange {
            program: None,
            expected,
        };
        if expected.is_some()
            && let Err(refusal) = link::exchange(self.port.ifindex, self.port.mode, what)
            && !refusal.is_gone()
            // Somebody else's is there by now.
            && refusal.errno != Errno::EXIST.raw_os_error()
        {
            return Err(refusal);
        }
        self.running = None;
        Ok(())
    }
}

/// Rules that are counted at most: with theirs, maps of counters have 64 KiB.
const MAX_COUNTERS: u32 = 4096;

/// The name of a program.
fn name_of(id: u32) -> Option<String> {
    let program = loaded_programs()
        .flatten()
        .find(|program| program.id() == id);
    program.and_then(|program| program.name_as_str().map(str::to_owned))
}

impl Running {
    /// Writes what steps change into maps.
    fn follow(&self, next: &CardProgram, steps: &[Step]) -> Vec<Result<(), Refusal>> {
        let one = |step: &Step| {
            let key = step.key();
            let places = [next.place(key), self.compiled.place(key)];
            for place in places.into_iter().flatten() {
                let Some(map) = self.objects.map(place.map) else {
                    continue;
                };
                let done = match next.value(place) {
                    Some(value) => map.set(&place.key, value),
                    None => map.remove(&place.key),
                };
                done.map_err(|error| refusal_of_map(&error))?;
            }
            Ok(())
        };
        steps.iter().map(one).collect()
    }
}

impl Failed {
    fn of(error: CardError) -> Failed {
        let refusal = no_room(crate::error::chain(&error));
        match error {
            CardError::Rule { key, .. } => Failed::Rule(key, refusal),
            CardError::Pipeline(_) => Failed::Together(refusal),
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
