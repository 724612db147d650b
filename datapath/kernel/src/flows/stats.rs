//! Counters of rules, which outlive the daemon.
//!
//! They grow by new [`RuleCounters`] beside the old ones; what those have counted when their last program has
//! gone is added to the daemon's own row of the new ones. Earlier daemons had a value for each rule and
//! processor in other maps, which are taken over in the same way.

use std::time::Duration;

use aorta_compiler::abi::MapKind;
use aorta_compiler::pipeline::maps::stats;

use super::rule_counters::RuleCounters;
use crate::error::DatapathError;
use crate::map::Map;
use crate::pins::{self, PinDir};

/// Rules that can be counted at first.
const FIRST_ENTRIES: u32 = 4096;
/// Entries that are written with one call.
const ZEROED_AT_ONCE: usize = 4096;

const NAME: &str = "rule_counters";
const OLD: &str = "rule_counters_old";
/// What earlier daemons had.
const EARLIER: [(&str, MapKind); 3] = [
    ("flow_stats", MapKind::PerCpuArray),
    ("flow_stats_old", MapKind::PerCpuArray),
    ("flow_stats_before", MapKind::Array),
];

/// What a flow has counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FlowCounters {
    /// Packets that it matched.
    pub packets: u64,
    /// Their bytes, as they came.
    pub bytes: u64,
    /// Time since the newest; none if there was none.
    pub idle: Option<Duration>,
}

impl FlowCounters {
    /// From a rule's words and the tick counter, of which there are `hz` in a second.
    pub fn new(words: Option<&Words>, now: u64, hz: u32) -> FlowCounters {
        let [packets, bytes, used] = words.copied().unwrap_or_default();
        // A packet may have come after the tick counter was read.
        let ms = now.saturating_sub(used).saturating_mul(1000) / u64::from(hz.max(1));
        FlowCounters {
            packets,
            bytes,
            idle: (used > 0).then_some(Duration::from_millis(ms)),
        }
    }
}

/// One rule's words: packets, bytes, tick.
pub type Words = [u64; 3];

/// Counters of rules.
#[derive(Debug)]
pub struct FlowStats {
    pins: PinDir,
    rows: RuleCounters,
    /// What is to be added to them.
    old: Vec<Old>,
}

/// Counters that programs may still write, until others take their place.
#[derive(Debug)]
struct Old {
    pin: &'static str,
    counters: Counters,
}

#[derive(Debug)]
enum Counters {
    Rows(RuleCounters),
    /// A value for each rule, of each processor or of all of them.
    Values(Map),
}

impl FlowStats {
    /// Adopts what is pinned, and makes what is missing.
    pub fn open(pins: &PinDir) -> Result<FlowStats, DatapathError> {
        let mut old = Vec::new();
        if let Some(rows) = RuleCounters::open(&pins.state(OLD), OLD)? {
            let counters = Counters::Rows(rows);
            old.push(Old { pin: OLD, counters });
        }
        for (pin, kind) in EARLIER {
            let map = Map::open(&pins.state(pin), pin, kind)?;
            if let Some(map) = map.filter(|map| map.value_bytes() == stats::BYTES) {
                let counters = Counters::Values(map);
                old.push(Old { pin, counters });
            }
        }
        let rows = match RuleCounters::open(&pins.state(NAME), NAME)? {
            Some(rows) => rows,
            None => {
                let rules = old.iter().map(|old| old.counters.rules());
                create(pins, rules.max().unwrap_or(0).max(FIRST_ENTRIES))?
            }
        };
        Ok(FlowStats {
            pins: pins.clone(),
            rows,
            old,
        })
    }

    /// The map, for programs.
    pub fn map(&self) -> &Map {
        self.rows.map()
    }

    /// How many rules can be counted.
    pub fn capacity(&self) -> u32 {
        self.rows.rules()
    }

    /// Makes room for more. Programs that use what was there before must be exchanged, and then
    /// [`FlowStats::fold`] called when none of them runs any more.
    pub fn grow(&mut self, entries: u32) -> Result<(), DatapathError> {
        let entries = entries.max(self.capacity()).next_power_of_two();
        let entries = entries.min(stats::MAX_RULES);
        pins::rename(&self.pins.state(NAME), &self.pins.state(OLD))?;
        let rows = create(&self.pins, entries)?;
        let counters = Counters::Rows(std::mem::replace(&mut self.rows, rows));
        self.old.push(Old { pin: OLD, counters });
        Ok(())
    }

    /// Whether the counters before are still in use.
    pub fn is_growing(&self) -> bool {
        !self.old.is_empty()
    }

    /// Takes over what the counters before have counted. A few at a time are taken from there, so that who
    /// is killed meanwhile leaves no more than these to be counted twice.
    pub fn fold(&mut self) -> Result<(), DatapathError> {
        while let Some(old) = self.old.last() {
            let counted = old.counters.first(self.rows.rules())?;
            let counted: Vec<(u32, Words)> = (0..)
                .zip(counted)
                .filter(|(_, words)| *words != [0; 3])
                .collect();
            for some in counted.chunks(old.counters.moved_at_once()) {
                for (rule, words) in some {
                    self.rows.add(*rule, *words);
                }
                let moved: Vec<u32> = some.iter().map(|(rule, _)| *rule).collect();
                old.counters.clear(&moved)?;
            }
            pins::unpin(&self.pins.state(old.pin))?;
            self.old.pop();
        }
        Ok(())
    }

    /// Sets the counters of numbers to 0 that are given to new rules. `ids` ascend.
    pub fn begin(&self, ids: &[u32]) -> Result<(), DatapathError> {
        let there = &ids[..ids.partition_point(|id| *id < self.rows.rules())];
        there.iter().for_each(|id| self.rows.clear(*id));
        self.old.iter().try_for_each(|old| old.counters.clear(ids))
    }

    /// Adds to what a rule has counted.
    pub fn add(&self, id: u32, more: Words) {
        if id < self.rows.rules() {
            self.rows.add(id, more);
        }
    }

    /// Lowers what a rule has counted.
    pub fn subtract(&self, id: u32, packets: u64, bytes: u64) {
        if id < self.rows.rules() {
            let less = [packets.wrapping_neg(), bytes.wrapping_neg(), 0];
            self.rows.add(id, less);
        }
    }

    /// Words of one rule.
    pub fn read_one(&self, id: u32) -> Result<Words, DatapathError> {
        let mut sum = [0; 3];
        if id < self.rows.rules() {
            sum = self.rows.words(id);
        }
        for old in &self.old {
            merge(&mut sum, old.counters.one(id)?);
        }
        Ok(sum)
    }

    /// Words of the first `count` rules: packets, bytes, tick of the newest packet.
    pub fn read(&self, count: u32) -> Result<Vec<Words>, DatapathError> {
        let mut sums = self.rows.first(count);
        for old in &self.old {
            for (sum, more) in sums.iter_mut().zip(old.counters.first(count)?) {
                merge(sum, more);
            }
        }
        Ok(sums)
    }
}

impl Counters {
    fn rules(&self) -> u32 {
        match self {
            Counters::Rows(rows) => rows.rules(),
            Counters::Values(map) => map.max_entries(),
        }
    }

    fn first(&self, count: u32) -> Result<Vec<Words>, DatapathError> {
        let count = count.min(self.rules());
        match self {
            Counters::Rows(rows) => Ok(rows.first(count)),
            Counters::Values(map) => {
                let bytes = map.get_first(count)?;
                Ok(bytes.chunks_exact(map.entry_bytes()).map(summed).collect())
            }
        }
    }

    fn one(&self, id: u32) -> Result<Words, DatapathError> {
        if id >= self.rules() {
            return Ok([0; 3]);
        }
        match self {
            Counters::Rows(rows) => Ok(rows.words(id)),
            Counters::Values(map) => {
                let entry = map.get(&id.to_ne_bytes())?;
                Ok(summed(&entry.unwrap_or_default()))
            }
        }
    }

    /// How many are cleared at once.
    fn moved_at_once(&self) -> usize {
        match self {
            Counters::Rows(_) => 1,
            // Each time is a call.
            Counters::Values(_) => 256,
        }
    }

    /// `ids` ascend.
    fn clear(&self, ids: &[u32]) -> Result<(), DatapathError> {
        let ids = &ids[..ids.partition_point(|id| *id < self.rules())];
        match self {
            Counters::Rows(rows) => ids.iter().for_each(|id| rows.clear(*id)),
            Counters::Values(map) => {
                for ids in ids.chunks(ZEROED_AT_ONCE) {
                    map.set_indices(ids, &vec![0; ids.len() * map.entry_bytes()])?;
                }
            }
        }
        Ok(())
    }
}

fn create(pins: &PinDir, rules: u32) -> Result<RuleCounters, DatapathError> {
    let rows = RuleCounters::create(rules, NAME)?;
    rows.map().pin(&pins.state(NAME))?;
    Ok(rows)
}

/// The words of an entry, all processors together.
fn summed(entry: &[u8]) -> Words {
    let mut sum = [0; 3];
    for cpu in entry.chunks_exact(stats::BYTES) {
        let mut words = [0; 3];
        for (word, bytes) in words.iter_mut().zip(cpu.as_chunks::<8>().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
        merge(&mut sum, words);
    }
    sum
}

/// Adds counters to others; the later tick counts.
pub fn merge(sum: &mut Words, more: Words) {
    sum[0] = sum[0].wrapping_add(more[0]);
    sum[1] = sum[1].wrapping_add(more[1]);
    sum[2] = sum[2].max(more[2]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use aorta_compiler::abi::MapSpec;
    use aorta_ebpf::MapId;
    use std::path::PathBuf;

    /// A directory of pins, which goes at the end of the test.
    struct Pins(PinDir, PathBuf);

    impl Pins {
        fn new(name: &str) -> Pins {
            let root = format!("/sys/fs/bpf/aorta/{name}-{}", std::process::id());
            let root = PathBuf::from(root);
            Pins(PinDir::open(&root).unwrap(), root)
        }
    }

    impl Drop for Pins {
        fn drop(&mut self) {
            PinDir::remove_all(&self.1).unwrap();
        }
    }

    /// What an earlier daemon counted in, a value for each rule.
    fn earlier((name, kind): (&str, MapKind), rules: u32, pins: &PinDir) -> Map {
        let spec = MapSpec {
            id: MapId(u32::MAX),
            name: "earlier",
            kind,
            key_bytes: 4,
            value_bytes: stats::BYTES as u32,
            max_entries: rules,
        };
        let map = Map::create(&spec, name).unwrap();
        map.pin(&pins.state(name)).unwrap();
        map
    }

    /// A value, the same of all processors.
    fn set(map: &Map, rule: u32, words: Words) -> u64 {
        let value: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
        map.set(&rule.to_ne_bytes(), &value).unwrap();
        (map.entry_bytes() / stats::BYTES) as u64
    }

    #[test]
    fn counters_stay_when_there_are_more_and_when_the_daemon_starts_anew() {
        let pins = Pins::new("stats-grow");
        let mut stats = FlowStats::open(&pins.0).unwrap();
        stats.rows.add(7, [1, 100, 5]);
        stats.grow(FIRST_ENTRIES + 1).unwrap();
        assert_eq!(stats.capacity(), 2 * FIRST_ENTRIES);
        stats.rows.add(7, [2, 200, 4]);
        drop(stats);
        let mut stats = FlowStats::open(&pins.0).unwrap();
        assert!(stats.is_growing());
        assert_eq!(stats.read_one(7).unwrap(), [3, 300, 5]);
        let old = RuleCounters::open(&pins.0.state(OLD), OLD)
            .unwrap()
            .unwrap();
        stats.fold().unwrap();
        // A daemon that was killed before the pin went finds nothing to be counted twice.
        assert_eq!(old.words(7), [0; 3]);
        drop(stats);
        let stats = FlowStats::open(&pins.0).unwrap();
        assert!(!stats.is_growing());
        assert_eq!(stats.read(8).unwrap()[7], [3, 300, 5]);
        stats.begin(&[7, 9 * FIRST_ENTRIES]).unwrap();
        assert_eq!(stats.read_one(7).unwrap(), [0; 3]);
    }

    #[test]
    fn what_earlier_daemons_counted_is_taken_over() {
        let pins = Pins::new("stats-earlier");
        let [now, _, before] = EARLIER;
        let now = earlier(now, 2 * FIRST_ENTRIES, &pins.0);
        let before = earlier(before, FIRST_ENTRIES, &pins.0);
        let cpus = set(&now, 3, [1, 60, 9]);
        set(&now, 4, [5, 5, 5]);
        assert_eq!(set(&before, 3, [10, 600, 2]), 1);
        let mut stats = FlowStats::open(&pins.0).unwrap();
        assert_eq!(stats.capacity(), 2 * FIRST_ENTRIES);
        // Programs of the earlier daemon still count there.
        let cpus_and_before = [2 * cpus + 10, 70 * cpus + 600, 9];
        set(&now, 3, [2, 70, 9]);
        assert_eq!(stats.read_one(3).unwrap(), cpus_and_before);
        stats.begin(&[4]).unwrap();
        stats.fold().unwrap();
        let words = stats.read(5).unwrap();
        assert_eq!(words[3..], [cpus_and_before, [0; 3]]);
        for (name, kind) in EARLIER {
            assert!(
                Map::open(&pins.0.state(name), name, kind)
                    .unwrap()
                    .is_none()
            );
        }
    }
}
