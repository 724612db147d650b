//! The log: to stderr, to syslog, or to a file that can be opened anew after a rotation; each
//! part of the daemon by its own level, which `vlog/set` changes while it runs.

mod date;
mod layer;
mod levels;
mod limit;
mod module;
mod output;
mod pattern;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use aorta_api::log::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use layer::LogLayer;
use levels::{Levels, Spec, SpecError};
use module::MODULES;
use output::Outputs;
use pattern::{Facility, Pattern, Record};

/// Environment variable that says what is logged at the start.
const VARIABLE: &str = "AORTA_LOG";
/// What is logged without it.
const DEFAULT: &str = "info";

/// The log file can't be written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The operating system refuses.
    #[error("cannot write the log file {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The daemon was started without one. The words are those of Open vSwitch.
    #[error("Logging to file not configured")]
    NoFile,
}

/// What all that log share.
#[derive(Debug)]
struct Shared {
    levels: RwLock<Levels>,
    outputs: Mutex<Outputs>,
    host: String,
    started: Instant,
}

impl Shared {
    fn outputs(&self) -> MutexGuard<'_, Outputs> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn levels<T>(&self, read: impl FnOnce(&Levels) -> T) -> T {
        read(&self.levels.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Levels) -> T) -> T {
        let result = change(&mut self.levels.write().unwrap_or_else(PoisonError::into_inner));
        // Places that are silent by the old levels were told to ask no more.
        tracing::callsite::rebuild_interest_cache();
        result
    }
}

/// What can be done to the log while it is written.
#[derive(Debug, Clone)]
pub struct LogControl(Arc<Shared>);

impl LogControl {
    fn new(levels: Levels, file: Option<&Path>) -> Result<LogControl, LogError> {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Ok(LogControl(Arc::new(Shared {
            levels: RwLock::new(levels),
            outputs: Mutex::new(Outputs::open(file)?),
            host: host.trim().to_owned(),
            started: Instant::now(),
        })))
    }

    /// A log that nothing is written to.
    ///
    /// # Errors
    /// None: there is no file.
    pub fn apart() -> Result<LogControl, LogError> {
        LogControl::new(Levels::new(false, |_| Level::Info), None)
    }

    /// The same, for tests.
    #[cfg(test)]
    pub fn none() -> LogControl {
        LogControl::apart().unwrap()
    }

    /// What is written where (`vlog/list`).
    pub fn list(&self) -> String {
        self.0.levels(Levels::list)
    }

    /// How lines look (`vlog/list-pattern`).
    pub fn list_patterns(&self) -> String {
        self.0.levels(Levels::list_patterns)
    }

    /// Changes what is written where: those before the first that makes no sense.
    ///
    /// # Errors
    /// If one makes no sense.
    pub fn set(&self, specifications: &[String]) -> Result<(), SpecError> {
        for text in specifications {
            let spec = Spec::parse(text)?;
            self.0.change(|levels| levels.apply(spec));
        }
        Ok(())
    }

    /// Holds floods of equal lines back, or doesn't; of the modules named, or of all.
    ///
    /// # Errors
    /// If a module isn't one.
    pub fn limit(&self, modules: &[String], limited: bool) -> Result<(), SpecError> {
        self.0.change(|levels| levels.limit(modules, limited))
    }

    /// Opens the file anew, after it was moved away or closed.
    ///
    /// # Errors
    /// If it can't be opened, or there is none.
    pub fn reopen(&self) -> Result<(), LogError> {
        self.0.outputs().reopen()
    }

    /// Closes the file; lines for it are lost until it is opened anew.
    pub fn close(&self) {
        self.0.outputs().close();
    }

    /// Whether the log goes to a file.
    pub fn has_file(&self) -> bool {
        self.0.outputs().has_file()
    }
}

/// An empty line as a pattern has it, for fuzzers.
pub fn empty_line(pattern: &str) -> String {
    Pattern::parse(pattern).render(&Record {
        application: "",
        host: "",
        module: "",
        level: Level::Info,
        message: "",
        sequence: 1,
        pid: 1,
        time_ms: 0,
        uptime_ms: 0,
        facility: Facility::DAEMON,
    })
}

/// Starts logging.
///
/// # Errors
/// If the file can't be opened.
pub fn start(file: Option<&Path>) -> Result<LogControl, LogError> {
    let wanted: Option<Targets> = std::env::var(VARIABLE).ok().and_then(|v| v.parse().ok());
    let wanted = wanted.or_else(|| DEFAULT.parse().ok()).unwrap_or_default();
    let log = LogControl::new(Levels::new(file.is_some(), |at| initial(&wanted, at)), file)?;
    let layer = LogLayer(Arc::clone(&log.0));
    tracing_subscriber::registry().with(layer).init();
    Ok(log)
}

/// The level of a module by `AORTA_LOG`: the least important line that any of its parts writes.
fn initial(wanted: &Targets, module: usize) -> Level {
    let targets = MODULES
        .get(module)
        .map_or(&[""][..], |(_, targets)| targets);
    let levels = [
        tracing::Level::TRACE,
        tracing::Level::DEBUG,
        tracing::Level::INFO,
        tracing::Level::WARN,
        tracing::Level::ERROR,
    ];
    let enabled = levels.iter().find(|level| {
        targets
            .iter()
            .any(|target| wanted.would_enable(target, level))
    });
    enabled.map_or(Level::Off, module::level_of)
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As long as there is but one subscriber, tracing asks the thread that changes levels, here
    /// that of another test, for what is wanted everywhere.
    fn second_subscriber() -> tracing::Dispatch {
        tracing::Dispatch::new(tracing_subscriber::registry())
    }

    #[test]
    fn the_environment_sets_levels_by_target() {
        let wanted: Targets = "warn,aorta_ovsdb=debug,vswitchd::switch=off"
            .parse()
            .unwrap();
        let levels = Levels::new(false, |at| initial(&wanted, at));
        let of = |name| levels.least(module::module_named(name).unwrap());
        assert_eq!(of("daemon"), Level::Warn);
        assert_eq!(of("jsonrpc"), Level::Dbg);
        assert_eq!(of("ovsdb_server"), Level::Dbg);
        assert_eq!(of("dpif"), Level::Warn);
    }

    #[test]
    fn a_change_of_levels_takes_effect_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let _second = second_subscriber();
        let log = LogControl::new(Levels::new(true, |_| Level::Info), Some(&path)).unwrap();
        log.set(&["PATTERN:file:%c %p %m".into()]).unwrap();
        let subscriber = tracing_subscriber::registry().with(LogLayer(Arc::clone(&log.0)));
        tracing::subscriber::with_default(subscriber, || {
            let speak = |n: u8| tracing::debug!(target: "vswitchd::unixctl", n, "line");
            speak(1);
            log.set(&["unixctl:file:dbg".into()]).unwrap();
            speak(2);
            log.set(&["unixctl:file:info".into()]).unwrap();
            speak(3);
            tracing::warn!(target: "aorta_ovsdb::log", "two\nlines");
        });
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "unixctl DBG line n=2\novsdb_log WARN two\nlines\n");
        let refused = log.set(&["api:err".into(), "nonsense".into()]).unwrap_err();
        assert!(refused.to_string().contains("nonsense"));
        assert!(
            log.list().contains("\napi                ERR"),
            "those before it count"
        );
    }

    #[test]
    fn floods_are_held_back_unless_they_are_wanted() {
        let _second = second_subscriber();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let log = LogControl::new(Levels::new(true, |_| Level::Info), Some(&path)).unwrap();
        let subscriber = tracing_subscriber::registry().with(LogLayer(Arc::clone(&log.0)));
        let lines = || fs::read_to_string(&path).unwrap().lines().count();
        tracing::subscriber::with_default(subscriber, || {
            let flood = || (0..2000).for_each(|n| tracing::info!(target: "vswitchd", "line {n}"));
            flood();
            let held = lines();
            assert!((500..1000).contains(&held), "{held}");
            log.limit(&["daemon".into()], false).unwrap();
            flood();
            assert!(lines() >= held + 2000);
        });
    }
}
