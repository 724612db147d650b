//! The port of a card that runs programs: the rules that it has, kept in step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use aorta_compiler::offload::{CardLimits, CardProgram, MAX_COUNTERS, Target, counters};
use aorta_flow::OfPort;
use aorta_placement::{Rule, RuleKey, Verdict};
use aya::programs::loaded_programs;
use rustix::io::Errno;

use super::link::{self, CardMode, Exchange};
use super::objects::CardObjects;
use super::{HwCounters, Refusal, refusal_of_map};
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
pub(super) struct Running {
    /// What it is made of.
    pub compiled: CardProgram,
    /// It, and its maps.
    pub objects: CardObjects,
}

/// When a rule's packets were last seen to have become more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    packets: u64,
    at: Option<Instant>,
}

/// The port of a card that runs programs. Dropped, it leaves its program where it is.
#[derive(Debug)]
pub struct EbpfCard {
    pub(super) port: CardPort,
    pub(super) target: Target,
    pub(super) rules: BTreeMap<RuleKey, Rule>,
    /// Places of rules among the counters.
    pub(super) numbers: BTreeMap<RuleKey, u32>,
    /// Those that are free, the one that was used last at the end.
    pub(super) free: VecDeque<u32>,
    pub(super) counted: Option<Arc<Map>>,
    pub(super) running: Option<Running>,
    pub(super) seen: BTreeMap<RuleKey, Seen>,
    /// Last counts of rules that have gone.
    pub(super) gone: Vec<(RuleKey, HwCounters)>,
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

    /// The program that an earlier switch has left.
    pub(super) fn left_program(&self) -> Result<Option<OwnedFd>, Refusal> {
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

    /// These are the rules now, with these numbers.
    pub(super) fn commit(
        &mut self,
        rules: BTreeMap<RuleKey, Rule>,
        numbers: BTreeMap<RuleKey, u32>,
    ) {
        let keys = self.numbers.keys().copied();
        let went: Vec<RuleKey> = keys.filter(|key| !numbers.contains_key(key)).collect();
        for key in went {
            self.forget(key);
        }
        let used: BTreeSet<u32> = numbers.values().copied().collect();
        self.free.retain(|number| !used.contains(number));
        self.rules = rules;
        self.numbers = numbers;
    }

    /// A rule isn't there any more: what it counted is told once more.
    pub(super) fn forget(&mut self, key: RuleKey) {
        self.rules.remove(&key);
        if let Some(number) = self.numbers.remove(&key) {
            if let Ok(counters) = self.count(key, number) {
                self.gone.push((key, counters));
            }
            self.free.push_back(number);
        }
        self.seen.remove(&key);
    }

    /// What packets did to rules that have gone since the last call.
    pub fn ended(&mut self) -> Vec<(RuleKey, HwCounters)> {
        std::mem::take(&mut self.gone)
    }

    /// What packets did to each rule that is there. When a rule's last packet came isn't known better than from one call to the next.
    ///
    /// # Errors
    /// If the card can't be asked: its device may have gone.
    pub fn counters(&mut self) -> Result<Vec<(RuleKey, HwCounters)>, Refusal> {
        let mut all = Vec::new();
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

    pub(super) fn stop(&mut self) -> Result<(), Refusal> {
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

/// The name of a program.
fn name_of(id: u32) -> Option<String> {
    let program = loaded_programs()
        .flatten()
        .find(|program| program.id() == id);
    program.and_then(|program| program.name_as_str().map(str::to_owned))
}
