//! The words behind `top`.

use std::time::Duration;

use super::view::Sort;

/// Shortest time between two looks.
pub const SHORTEST: Duration = Duration::from_millis(100);
/// Longest time between two looks.
pub const LONGEST: Duration = Duration::from_secs(3600);

/// What the words ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Only this bridge.
    pub bridge: Option<String>,
    /// Print lines one below the other, for programs and files.
    pub batch: bool,
    /// End after so many.
    pub count: Option<u64>,
    /// Time between two looks.
    pub interval: Duration,
    /// By what ports are sorted.
    pub sort: Sort,
}

/// The words make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// No such option.
    #[error("top doesn't know {0}: -b, -n COUNT, -d SECONDS, -s COLUMN")]
    Unknown(String),
    /// Its value is missing.
    #[error("top {0} needs a value")]
    NoValue(String),
    /// Not a whole number from 1.
    #[error("top -n takes a number from 1, not {0}")]
    Count(String),
    /// Not a time.
    #[error("top -d takes seconds from 0.1 to 3600, not {0}")]
    Interval(String),
    /// No such column.
    #[error("top -s takes one of {names}, not {0}", names = Sort::names())]
    Sort(String),
    /// Two bridges.
    #[error("top takes one bridge: {0} or {1}?")]
    Bridges(String, String),
}

impl Default for Options {
    fn default() -> Self {
        Options {
            bridge: None,
            batch: false,
            count: None,
            interval: Duration::from_secs(1),
            sort: Sort::Received,
        }
    }
}

impl Options {
    /// Reads the words.
    ///
    /// # Errors
    /// If they make no sense.
    pub fn parse(words: &[String]) -> Result<Options, OptionsError> {
        let mut options = Options::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || {
                let value = words.next().cloned();
                value.ok_or_else(|| OptionsError::NoValue(word.clone()))
            };
            match word.as_str() {
                "-b" => options.batch = true,
                "-n" => options.count = Some(count(value()?)?),
                "-d" => options.interval = interval(value()?)?,
                "-s" => options.sort = sort(value()?)?,
                other if other.starts_with('-') => {
                    return Err(OptionsError::Unknown(other.to_owned()));
                }
                bridge => {
                    if let Some(first) = options.bridge.replace(bridge.to_owned()) {
                        return Err(OptionsError::Bridges(first, bridge.to_owned()));
                    }
                }
            }
        }
        Ok(options)
    }
}

fn count(text: String) -> Result<u64, OptionsError> {
    let number = text.parse().ok().filter(|count| *count > 0);
    number.ok_or(OptionsError::Count(text))
}

fn interval(text: String) -> Result<Duration, OptionsError> {
    let seconds = text.parse::<f64>().ok();
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.filter(|time| (SHORTEST..=LONGEST).contains(time))
        .ok_or(OptionsError::Interval(text))
}

fn sort(text: String) -> Result<Sort, OptionsError> {
    let found = Sort::ALL.into_iter().find(|sort| sort.name() == text);
    found.ok_or(OptionsError::Sort(text))
}
