//! A target's inputs, one after the other.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::findings::Findings;
use crate::mutator::Mutator;
use crate::targets::{TARGETS, Target};

/// Longest time for an input; one that takes longer is a fault.
const MAX_INPUT_TIME: Duration = Duration::from_secs(20);
/// Address space in bytes; an input that makes a target want more is a fault.
const MAX_MEMORY_BYTES: u64 = 2 << 30;

/// Why nothing was run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No target has that name.
    #[error("no target is called {0}; without a name they are listed")]
    NoTarget(String),
    /// The corpus has nothing.
    #[error("{0}: no file is there; is --root the root of the sources?")]
    NoCorpus(PathBuf),
    /// A file can't be read or written.
    #[error("{0}")]
    File(PathBuf, #[source] io::Error),
}

/// What is to be done.
#[derive(Debug)]
pub struct Plan<'a> {
    /// With which target.
    pub target: &'a Target,
    /// Root of the sources.
    pub root: &'a Path,
    /// Folder of all findings; the target's own is in it.
    pub findings: &'a Path,
    /// Which inputs.
    pub seed: u64,
    /// For how long.
    pub time: Duration,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Inputs tried.
    pub runs: u64,
    /// How long that took.
    pub time: Duration,
    /// Different faults.
    pub findings: usize,
}

impl Outcome {
    /// For programs.
    pub fn to_json(self, target: &str) -> serde_json::Value {
        serde_json::json!({
            "target": target,
            "runs": self.runs,
            "seconds": self.time.as_secs_f64(),
            "findings": self.findings,
        })
    }
}

/// The target of a name.
///
/// # Errors
/// If there is none.
pub fn find(name: &str) -> Result<&'static Target, RunError> {
    let mut targets = TARGETS.iter();
    let found = targets.find(|target| target.name == name);
    found.ok_or_else(|| RunError::NoTarget(name.to_owned()))
}

/// Runs one input; whether it finds no fault.
///
/// # Errors
/// If it can't be read.
pub fn once(target: &Target, input: &Path) -> Result<bool, RunError> {
    let bytes = std::fs::read(input).map_err(|e| RunError::File(input.to_owned(), e))?;
    Ok(catch_unwind(|| (target.entry)(&bytes)).is_ok())
}

/// Tries inputs until the time is over. Faults are told as they are found, and go on.
///
/// # Errors
/// If corpus or findings can't be read or written.
pub fn run(plan: &Plan<'_>, faults: &Faults) -> Result<Outcome, RunError> {
    let folder = plan.findings.join(plan.target.name);
    let failed = |e| RunError::File(folder.clone(), e);
    let mut findings = Findings::open(&folder).map_err(failed)?;
    let corpus = corpus(&plan.root.join(plan.target.corpus))?;
    let mut mutator = Mutator::new(corpus, plan.target.framing, plan.seed);
    let done = Arc::new(AtomicU64::new(0));
    watch(done.clone());
    let begun = Instant::now();
    let mut runs = 0;
    while begun.elapsed() < plan.time {
        let input = mutator.next_input();
        findings.trying(&input).map_err(failed)?;
        let ended = catch_unwind(AssertUnwindSafe(|| (plan.target.entry)(&input)));
        if ended.is_err() {
            let (place, what) = faults.newest();
            if let Some(file) = findings.keep(&input, &place).map_err(failed)? {
                println!(
                    "{}: {place}: {what}\n  {}",
                    plan.target.name,
                    file.display()
                );
            }
        }
        runs += 1;
        done.store(runs, Ordering::Relaxed);
    }
    let outcome = Outcome {
        runs,
        time: begun.elapsed(),
        findings: findings.count(),
    };
    findings.close();
    Ok(outcome)
}

fn corpus(folder: &Path) -> Result<Vec<Box<[u8]>>, RunError> {
    let failed = |e| RunError::File(folder.to_owned(), e);
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let paths: Result<Vec<PathBuf>, io::Error> = entries.map(|e| e.map(|e| e.path())).collect();
    let mut paths = paths.map_err(failed)?;
    // The same seed shall make the same inputs everywhere.
    paths.sort();
    let read = |path: PathBuf| match std::fs::read(&path) {
        Ok(bytes) => Ok(bytes.into_boxed_slice()),
        Err(error) => Err(RunError::File(path, error)),
    };
    let files: Vec<Box<[u8]>> = paths.into_iter().map(read).collect::<Result<_, _>>()?;
    match files.is_empty() {
        true => Err(RunError::NoCorpus(folder.to_owned())),
        false => Ok(files),
    }
}

/// Bounds the memory of this process.
pub fn limit_memory() {
    let limit = Rlimit {
        current: Some(MAX_MEMORY_BYTES),
        maximum: Some(MAX_MEMORY_BYTES),
    };
    if let Err(error) = setrlimit(Resource::As, limit) {
        eprintln!("aorta-mutate: memory isn't limited: {error}");
    }
}

/// Ends the process when an input takes too long: it is in the file of the current one.
fn watch(done: Arc<AtomicU64>) {
    std::thread::spawn(move || {
        let mut before = u64::MAX;
        loop {
            let now = done.load(Ordering::Relaxed);
            if now == before {
                eprintln!("aorta-mutate: an input takes longer than {MAX_INPUT_TIME:?}");
                std::process::abort();
            }
            before = now;
            std::thread::sleep(MAX_INPUT_TIME);
        }
    });
}

/// Where the newest panic was, and what it said.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<(String, String)>>);

impl Faults {
    /// Has panics of this process noted instead of printed.
    pub fn of_process() -> Faults {
        let faults = Faults::default();
        let noted = faults.clone();
        std::panic::set_hook(Box::new(move |info| {
            let place = info.location().map(ToString::to_string);
            let newest = (place.unwrap_or_default(), text(info.payload()));
            *noted.0.lock().unwrap_or_else(PoisonError::into_inner) = newest;
        }));
        faults
    }

    fn newest(&self) -> (String, String) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn text(payload: &dyn Any) -> String {
    let literal = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    let made = || payload.downcast_ref::<String>().cloned();
    literal.or_else(made).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutator::Framing;

    fn stumbles(bytes: &[u8]) {
        assert!(!bytes.contains(&b'x'), "an x");
    }

    #[test]
    fn a_fault_is_kept_once_and_its_input_finds_it_again() {
        let root = tempfile::tempdir().unwrap();
        let target = Target {
            name: "made_up",
            corpus: "corpus",
            entry: stumbles,
            framing: Framing::None,
        };
        std::fs::create_dir(root.path().join("corpus")).unwrap();
        let run_for = |time_ms| {
            let plan = Plan {
                target: &target,
                root: root.path(),
                findings: &root.path().join("found"),
                seed: 1,
                time: Duration::from_millis(time_ms),
            };
            run(&plan, &Faults::default())
        };
        assert!(matches!(run_for(300), Err(RunError::NoCorpus(_))));
        std::fs::write(root.path().join("corpus/one"), "abc x").unwrap();
        // A machine that is busy elsewhere does few in a short time.
        let mut outcomes = [300, 3000, 30_000].into_iter().map(run_for);
        let outcome = outcomes.find_map(|outcome| outcome.ok().filter(|outcome| outcome.runs > 10));
        let outcome = outcome.expect("more than ten inputs are tried");
        assert_eq!(outcome.findings, 1, "{outcome:?}");
        let kept: Vec<_> = std::fs::read_dir(root.path().join("found/made_up"))
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        let [file] = &kept[..] else {
            panic!("{kept:?}")
        };
        assert!(!once(&target, file).unwrap());
        assert!(find("made_up").is_err() && find("frame").is_ok());
    }
}
