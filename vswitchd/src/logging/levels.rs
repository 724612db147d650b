//! Which lines go where: the state that `vlog/set` changes and `vlog/list` prints. Pure.

use std::fmt::Write as _;

use aorta_api::log::{Destination, Level};

use super::module::{MODULES, module_named};
use super::pattern::{Facility, Pattern};

/// A `vlog/set` that makes no sense. The words are those of Open vSwitch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A word that means nothing.
    #[error("no destination, level, or module \"{0}\"")]
    Unknown(String),
    /// Two of what there may be one of.
    #[error("cannot specify multiple {0}")]
    Multiple(&'static str),
    /// A pattern for nowhere.
    #[error("missing destination")]
    NoDestination,
    /// A pattern for what isn't a destination.
    #[error("unknown destination \"{0}\"")]
    UnknownDestination(String),
    /// No facility of syslog.
    #[error("invalid facility")]
    Facility,
    /// A module that isn't one.
    #[error("unknown module")]
    UnknownModule,
}

/// What one argument of `vlog/set` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spec {
    /// A level for a module or all, at a destination or all.
    Level {
        /// Position in the table of modules.
        module: Option<usize>,
        /// Where.
        destination: Option<Destination>,
        /// The least important that is written.
        level: Level,
    },
    /// How lines look at a destination or all.
    Pattern(Option<Destination>, String),
    /// The facility that syslog is told.
    Facility(Facility),
}

impl Spec {
    /// Parses one argument.
    ///
    /// # Errors
    /// If a word means nothing, or two say the same thing.
    pub fn parse(text: &str) -> Result<Spec, SpecError> {
        let (first, rest) = text.split_once(':').unwrap_or((text, ""));
        if first.eq_ignore_ascii_case("PATTERN") {
            return Spec::pattern(rest);
        }
        if first.eq_ignore_ascii_case("FACILITY") {
            let facility = Facility::named(rest).ok_or(SpecError::Facility)?;
            return Ok(Spec::Facility(facility));
        }
        let (mut module, mut destination, mut level) = (None, None, None);
        let words = text.split([' ', ',', ':']).filter(|word| !word.is_empty());
        for word in words.filter(|word| !word.eq_ignore_ascii_case("any")) {
            if let Some(found) = Destination::named(word) {
                once(&mut destination, found, "destinations")?;
            } else if let Some(found) = Level::named(word) {
                once(&mut level, found, "levels")?;
            } else if let Some(found) = module_named(word) {
                once(&mut module, found, "modules")?;
            } else {
                return Err(SpecError::Unknown(word.to_owned()));
            }
        }
        Ok(Spec::Level {
            module,
            destination,
            level: level.unwrap_or(Level::Dbg),
        })
    }

    fn pattern(rest: &str) -> Result<Spec, SpecError> {
        let (word, pattern) = rest.split_once(':').unwrap_or((rest, ""));
        if word.is_empty() {
            return Err(SpecError::NoDestination);
        }
        let destination = if word.eq_ignore_ascii_case("any") {
            None
        } else {
            let found = Destination::named(word);
            Some(found.ok_or_else(|| SpecError::UnknownDestination(word.to_owned()))?)
        };
        Ok(Spec::Pattern(destination, pattern.to_owned()))
    }
}

fn once<T>(place: &mut Option<T>, found: T, what: &'static str) -> Result<(), SpecError> {
    match place.replace(found) {
        None => Ok(()),
        Some(_) => Err(SpecError::Multiple(what)),
    }
}

/// What holds for one module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    levels: [Level; 3],
    limited: bool,
}

/// What is written where, and how.
#[derive(Debug, Clone)]
pub struct Levels {
    rules: Vec<Rule>,
    patterns: [Pattern; 3],
    facility: Facility,
}

impl Levels {
    /// Lines go to the console, or to the log file only; each module by its own level.
    pub fn new(to_file: bool, level: impl Fn(usize) -> Level) -> Levels {
        let rule = |at| {
            let (console, file) = (if to_file { Level::Off } else { level(at) }, level(at));
            Rule {
                levels: [console, Level::Off, file],
                limited: true,
            }
        };
        Levels {
            rules: (0..MODULES.len()).map(rule).collect(),
            patterns: [
                Pattern::parse("%D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m"),
                Pattern::parse("ovs|%05N|%c%T|%p|%m"),
                Pattern::parse("%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m"),
            ],
            facility: Facility::DAEMON,
        }
    }

    /// The least important level of a module that a destination is given.
    pub fn level(&self, module: usize, destination: Destination) -> Level {
        self.rules
            .get(module)
            .map_or(Level::Off, |rule| rule.levels[destination as usize])
    }

    /// The least important level of a module that is written anywhere.
    pub fn least(&self, module: usize) -> Level {
        let levels = Destination::ALL.map(|to| self.level(module, to));
        levels.into_iter().max().unwrap_or(Level::Off)
    }

    /// Whether a flood of equal lines of a module is held back.
    pub fn limited(&self, module: usize) -> bool {
        self.rules.get(module).is_some_and(|rule| rule.limited)
    }

    /// How lines look.
    pub fn pattern(&self, destination: Destination) -> &Pattern {
        &self.patterns[destination as usize]
    }

    /// The facility that syslog is told.
    pub fn facility(&self) -> Facility {
        self.facility
    }

    /// Does what an argument of `vlog/set` asks for.
    pub fn apply(&mut self, spec: Spec) {
        let wanted = |one: Option<Destination>, to: Destination| one.is_none_or(|one| one == to);
        match spec {
            Spec::Facility(facility) => self.facility = facility,
            Spec::Pattern(destination, text) => {
                for to in Destination::ALL {
                    if wanted(destination, to) {
                        self.patterns[to as usize] = Pattern::parse(&text);
                    }
                }
            }
            Spec::Level {
                module,
                destination,
                level,
            } => {
                for (at, rule) in self.rules.iter_mut().enumerate() {
                    for to in Destination::ALL {
                        if wanted(destination, to) && module.is_none_or(|module| module == at) {
                            rule.levels[to as usize] = level;
                        }
                    }
                }
            }
        }
    }

    /// Holds floods of the named modules' lines back, or doesn't; with no name those of all.
    ///
    /// # Errors
    /// If a name isn't a module's; nothing has changed then.
    pub fn limit(&mut self, names: &[String], limited: bool) -> Result<(), SpecError> {
        let named = |name: &String| module_named(name).ok_or(SpecError::UnknownModule);
        let modules: Vec<usize> = names.iter().map(named).collect::<Result<_, _>>()?;
        for (at, rule) in self.rules.iter_mut().enumerate() {
            if modules.is_empty() || modules.contains(&at) {
                rule.limited = limited;
            }
        }
        Ok(())
    }

    /// The answer to `vlog/list`.
    pub fn list(&self) -> String {
        let mut text = String::from(
            "                 console    syslog    file\n                 -------    ------    ------\n",
        );
        for ((name, _), rule) in MODULES.iter().zip(&self.rules) {
            let [console, syslog, file] = rule.levels.map(Level::name);
            let note = if rule.limited {
                ""
            } else {
                "    (rate limiting disabled)"
            };
            let _ = writeln!(
                text,
                "{name:<16}  {console:>4}       {syslog:>4}       {file:>4}{note}"
            );
        }
        text
    }

    /// The answer to `vlog/list-pattern`.
    pub fn list_patterns(&self) -> String {
        let mut text = String::from(
            "         prefix                            format\n         ------                            ------\n",
        );
        for (name, prefix, destination) in [
            ("SYSLOG", "<%B> %D{%h %e %T} %E %A:", Destination::Syslog),
            ("CONSOLE", "none", Destination::Console),
            ("FILE", "none", Destination::File),
        ] {
            let pattern = self.pattern(destination).text();
            let _ = writeln!(text, "{name:<7}  {prefix:<32}  {pattern}");
        }
        text
    }
}

#[cfg(test)]
#[path = "levels_tests.rs"]
mod tests;
