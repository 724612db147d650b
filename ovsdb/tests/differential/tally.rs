//! What was compared, and what differed.
use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::compare::{is_choice_of_table, is_of_clock, normal, without_words};

/// No more differences than these are told in full.
const TOLD: usize = 12;

#[derive(Default)]
pub struct Tally {
    seed: usize,
    /// Monitors of the segment, for a difference in what they tell.
    monitors: Vec<String>,
    committed: usize,
    refused: usize,
    other: usize,
    notifications: usize,
    /// Files with the contents that the server had, and those of the reference without.
    files: usize,
    bad_files: usize,
    /// Errors with the same name and other words, other than for the choice of a row.
    wording: BTreeMap<(String, String), (usize, String)>,
    /// Requests that the reference did not survive.
    deaths: Vec<String>,
    failures: usize,
    /// What differed, until it is known whether it counts.
    pending: Vec<Difference>,
    /// Segments in which the reference broke its own rules.
    broken: usize,
    /// Whether weak references led nowhere at the reference after the last exchange.
    pub is_stale: bool,
}

/// What differed after a request.
struct Difference {
    request: Value,
    story: String,
    /// The words on both sides, if nothing else differed.
    words: Option<(String, String)>,
}

impl Tally {
    /// Begins a segment.
    pub fn start(&mut self, seed: usize) {
        self.seed = seed;
        self.monitors.clear();
        self.is_stale = false;
    }

    /// Compares what two servers said to a request: notifications, then the reply.
    pub fn compare(&mut self, request: &Value, found: &[Value], expected: &[Value]) {
        let results = expected.last().and_then(|reply| reply["result"].as_array());
        let is_refused = results.is_some_and(|all| all.iter().any(|r| r.get("error").is_some()));
        match (request["method"].as_str(), is_refused) {
            (Some("transact"), true) => self.refused += 1,
            (Some("transact"), false) => self.committed += 1,
            _ => {
                self.other += 1;
                self.monitors.push(request.to_string());
            }
        }
        self.notifications += expected.len() - 1;
        let (found, expected) = (normal(found), normal(expected));
        if found == expected {
            return;
        }
        let (mut our_words, mut their_words) = (Vec::new(), Vec::new());
        let equal =
            without_words(&found, &mut our_words) == without_words(&expected, &mut their_words);
        if !equal {
            self.fail(request, &found, &expected);
            return;
        }
        for (ours, theirs) in our_words.into_iter().zip(their_words) {
            let is_alike = is_choice_of_table(&ours, &theirs) || is_of_clock(&ours, &theirs);
            if ours != theirs && !is_alike {
                self.pending.push(Difference {
                    request: request["id"].clone(),
                    story: format!("seed {}: {request}", self.seed),
                    words: Some((ours, theirs)),
                });
            }
        }
    }

    fn fail(&mut self, request: &Value, found: &Value, expected: &Value) {
        let mut story = String::new();
        if found.to_string().contains("\"update") || expected.to_string().contains("\"update") {
            story = format!("monitors:\n  {}\n", self.monitors.join("\n  "));
        }
        let seed = self.seed;
        let sides = format!("seed {seed}: {request}\nours   {found}\ntheirs {expected}\n");
        self.pending.push(Difference {
            request: request["id"].clone(),
            story: story + &sides,
            words: None,
        });
    }

    /// The id of the first request after which something differed, since the last call of
    /// [`Tally::settle`].
    pub fn first_pending(&self) -> Option<Value> {
        self.pending.first().map(|first| first.request.clone())
    }

    /// Counts what differed, unless the reference is at fault.
    pub fn settle(&mut self, is_reference_broken: bool) {
        let pending = std::mem::take(&mut self.pending);
        if is_reference_broken {
            self.broken += 1;
            return;
        }
        for Difference { story, words, .. } in pending {
            if let Some(words) = words {
                self.wording.entry(words).or_insert((0, story)).0 += 1;
                continue;
            }
            self.failures += 1;
            if self.failures <= TOLD {
                println!("{story}");
            }
        }
    }

    /// Takes note of a request that the reference did not survive.
    pub fn died(&mut self, request: &Value) {
        self.deaths.push(format!("seed {}: {request}", self.seed));
    }

    /// Takes note of whether what ovsdb-tool finds in the files is what the servers had. It is not
    /// always so with the reference's own.
    pub fn files(&mut self, ours: bool, theirs: bool) {
        self.files += usize::from(ours);
        self.bad_files += usize::from(!theirs);
        if !ours {
            println!("seed {}: the file has other contents", self.seed);
            self.failures += 1;
        }
    }

    /// Fails if something differed, or too little happened for that to mean something.
    pub fn check(&self, total: usize) {
        assert_eq!(self.failures, 0, "differences");
        assert!(self.wording.is_empty(), "errors with other words");
        let least = self.committed.min(self.refused).min(self.notifications);
        assert!(least > total / 10 && self.files > 0, "{self}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((ours, theirs), (count, example)) in &self.wording {
            writeln!(
                f,
                "{count} times\n  ours   {ours}\n  theirs {theirs}\n  {example:.600}"
            )?;
        }
        for death in &self.deaths {
            writeln!(f, "the reference died: {death}")?;
        }
        writeln!(
            f,
            "{} segments ended because the reference died, {} because it left weak references to \
             deleted rows",
            self.deaths.len(),
            self.broken
        )?;
        write!(
            f,
            "{} transactions committed and {} refused, {} other requests, {} notifications, \
             {} files (of the reference's, {} are bad); {} differences",
            self.committed,
            self.refused,
            self.other,
            self.notifications,
            self.files,
            self.bad_files,
            self.failures
        )
    }
}
