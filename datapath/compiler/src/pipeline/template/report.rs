//! What became of a table, for people.

use super::image::Search;
use super::{TableImage, Template};

/// How a table is searched, and why.
#[derive(Clone, PartialEq, Debug)]
pub struct TemplateReport {
    /// How, mainly.
    pub template: Template,
    /// Why so, a sentence.
    pub why: String,
    /// Its searches, in the order in which packets go through them.
    pub searches: Vec<SearchReport>,
    /// Searches that a packet goes through at most.
    pub probes_worst: usize,
    /// Searches that a packet goes through on average, packets spread over all rules.
    pub probes_expected: f64,
    /// Bytes of memory for each rule that there is.
    pub bytes_per_rule: u32,
    /// Nanoseconds of a lookup, estimated, packets spread over all rules.
    pub expected_ns: f64,
    /// What would make it cheaper, in sentences.
    pub cheaper: Vec<String>,
}

/// One search of a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SearchReport {
    /// Rules in it.
    pub rules: u32,
    /// What it looks at first: byte offsets of 32-bit words in the key, with the bits.
    pub words: Vec<(i16, u32)>,
    /// Rules that a packet can be compared with, at most.
    pub longest_chain: u32,
    /// Whether it is for parts of conjunctions.
    pub clauses: bool,
}

impl TableImage {
    /// What became of the table. Takes time in proportion to its rules.
    pub fn report(&self) -> TemplateReport {
        let chains = self.longest_chains();
        let searches: Vec<SearchReport> = (0..self.searches.len())
            .map(|index| self.search_report(index, chains[index]))
            .filter(|search| search.rules > 0)
            .collect();
        TemplateReport {
            template: self.template(),
            why: self.why(&searches),
            probes_worst: searches.len(),
            probes_expected: self.probes_expected(),
            bytes_per_rule: self.bytes / self.slab.used().max(1),
            expected_ns: self.cost().expected_ns,
            cheaper: cheaper(&searches),
            searches,
        }
    }

    /// A packet goes on behind the search that has its rule for as long as later ones can have a
    /// better one.
    fn probes_expected(&self) -> f64 {
        let plain = (0..self.searches.len()).filter(|index| !self.searches[*index].is_clauses());
        let plain: Vec<usize> = plain.collect();
        let (mut packets, mut probes) = (0.0, 0.0);
        for (position, &index) in plain.iter().enumerate() {
            for (count, highest) in self.ranks[index].values() {
                let further = plain[position + 1..].iter();
                let further = further.take_while(|later| self.stop(**later) > *highest);
                packets += f64::from(*count);
                probes += f64::from(*count) * (position + 1 + further.count()) as f64;
            }
        }
        if packets > 0.0 { probes / packets } else { 0.0 }
    }

    fn search_report(&self, index: usize, longest_chain: u32) -> SearchReport {
        let rules = self.ranks[index].values().map(|(count, _)| *count).sum();
        let words = match &self.searches[index] {
            Search::Lpm(lpm) => vec![(lpm.word, u32::MAX)],
            Search::Tuple(tuple) => {
                let lanes = tuple.lanes();
                let words = lanes.flat_map(|lane| {
                    [
                        (lane.at, lane.mask as u32),
                        (lane.at + 4, (lane.mask >> 32) as u32),
                    ]
                });
                words.filter(|word| word.1 != 0).collect()
            }
        };
        let clauses = self.searches[index].is_clauses();
        SearchReport {
            rules,
            words,
            longest_chain,
            clauses,
        }
    }

    fn longest_chains(&self) -> Vec<u32> {
        let mut longest = vec![0; self.searches.len()];
        for bucket in 0..self.buckets.count() {
            let mut here = vec![0; self.searches.len()];
            for record in self.buckets.chain(bucket, &self.slab) {
                let search = usize::from(self.slab.info(record).search);
                here[search] += 1;
                longest[search] = longest[search].max(here[search]);
            }
        }
        longest
    }

    fn why(&self, searches: &[SearchReport]) -> String {
        match self.template() {
            Template::Hash => "all flows have the same mask".to_owned(),
            Template::Lpm => "the flows are mostly prefixes of one field".to_owned(),
            Template::Tuple if searches.len() == 1 => {
                "several masks, found with one hash".to_owned()
            }
            Template::Tuple => format!("several masks, found with {} hashes", searches.len()),
        }
    }
}

fn cheaper(searches: &[SearchReport]) -> Vec<String> {
    let mut advice = Vec::new();
    let few = searches
        .iter()
        .filter(|search| search.rules <= 2 && searches.len() > 2);
    for search in few {
        let cost = match search.rules {
            1 => {
                "one flow costs every packet a probe of its own: give it a mask that others have too"
            }
            _ => "two flows cost every packet a probe: give them a mask that others have too",
        };
        advice.push(cost.to_owned());
    }
    for search in searches.iter().filter(|search| search.longest_chain > 16) {
        advice.push(format!(
            "up to {} flows are compared one by one: they differ only in bits that other flows leave out",
            search.longest_chain
        ));
    }
    advice
}
