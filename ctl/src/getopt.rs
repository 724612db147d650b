//! Options as getopt_long(3) reads them, for the programs whose command line is options and words
//! in any order.

use crate::error::UsageError;

/// Whether an option has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// It has none.
    Nothing,
    /// It may have one, behind `=` or, of a short option, in the same word.
    Optional,
    /// It has one, which may be the next word.
    Value,
}

/// An option that a program has.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Its long name, without dashes.
    pub long: &'static str,
    /// Its letter.
    pub short: Option<char>,
    /// Whether it has a value.
    pub takes: Takes,
}

/// An option of a program.
pub const fn known(long: &'static str, short: Option<char>, takes: Takes) -> Known {
    Known { long, short, takes }
}

/// An option as it was given: its long name, and its value.
pub type Given = (&'static str, Option<String>);

/// What a command line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// Options, in the order in which they were given.
    pub options: Vec<Given>,
    /// The words that are none.
    pub words: Vec<String>,
    /// What is wrong with the option behind the last of them, which only counts if none of these
    /// ends the program before.
    pub fault: Option<UsageError>,
}

/// Reads a command line. With `mixed`, options may stand behind other words; without, the first
/// word that is no option ends them, as `--` always does.
pub fn read(all: &[Known], argv: &[String], mixed: bool) -> Line {
    let mut line = Line::default();
    let mut rest = argv.iter();
    while let Some(word) = rest.next() {
        let read = if word == "--" {
            line.words.extend(rest.by_ref().cloned());
            Ok(())
        } else if let Some(long) = word.strip_prefix("--") {
            take_long(all, long, &mut rest).map(|given| line.options.push(given))
        } else if word.len() > 1 && word.starts_with('-') {
            take_short(all, &word[1..], &mut rest, &mut line.options)
        } else {
            line.words.push(word.clone());
            if !mixed {
                line.words.extend(rest.by_ref().cloned());
            }
            Ok(())
        };
        if let Err(fault) = read {
            line.fault = Some(fault);
            return line;
        }
    }
    line
}

fn take_long<'a>(
    all: &[Known],
    text: &str,
    rest: &mut impl Iterator<Item = &'a String>,
) -> Result<Given, UsageError> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    let option = find(all, name)?;
    let shown = || format!("--{}", option.long);
    let value = match (option.takes, value) {
        (Takes::Nothing, Some(_)) => return Err(UsageError::NoValueAllowed { option: shown() }),
        (Takes::Value, None) => {
            let next = rest.next().cloned();
            Some(next.ok_or_else(|| UsageError::ValueMissing { option: shown() })?)
        }
        (_, value) => value,
    };
    Ok((option.long, value))
}

/// A long option by its name or the beginning of it.
fn find<'a>(all: &'a [Known], name: &str) -> Result<&'a Known, UsageError> {
    if let Some(option) = all.iter().find(|option| option.long == name) {
        return Ok(option);
    }
    let fitting: Vec<&Known> = all
        .iter()
        .filter(|option| option.long.starts_with(name))
        .collect();
    match fitting.as_slice() {
        [option] => Ok(option),
        [] => Err(UsageError::UnknownOption {
            option: format!("--{name}"),
        }),
        several => Err(UsageError::AmbiguousOption {
            option: format!("--{name}"),
            candidates: several
                .iter()
                .map(|option| format!("--{}", option.long))
                .collect(),
        }),
    }
}

/// One or more letters; the first that has a value takes the rest of the word, or the next word.
fn take_short<'a>(
    all: &[Known],
    letters: &str,
    rest: &mut impl Iterator<Item = &'a String>,
    given: &mut Vec<Given>,
) -> Result<(), UsageError> {
    let mut letters = letters.chars();
    while let Some(letter) = letters.next() {
        let option = all.iter().find(|option| option.short == Some(letter));
        let option = option.ok_or(UsageError::UnknownShortOption { letter })?;
        if option.takes == Takes::Nothing {
            given.push((option.long, None));
            continue;
        }
        let attached = Some(letters.as_str().to_owned()).filter(|value| !value.is_empty());
        let value = match (option.takes, attached) {
            (Takes::Value, None) => {
                let next = rest.next().cloned();
                Some(next.ok_or(UsageError::ShortValueMissing { letter })?)
            }
            (_, attached) => attached,
        };
        given.push((option.long, value));
        return Ok(());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Known; 4] = [
        known("more", Some('m'), Takes::Nothing),
        known("sort", None, Takes::Optional),
        known("strict", None, Takes::Nothing),
        known("timeout", Some('t'), Takes::Value),
    ];

    fn line(text: &str, mixed: bool) -> Line {
        let argv: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        read(&ALL, &argv, mixed)
    }

    #[test]
    fn options_stand_anywhere_until_two_dashes() {
        let read = line("-mmt3 add --st br0 --sort=x - -t 4 -- -m --bad", true);
        let words: Vec<&str> = read.words.iter().map(String::as_str).collect();
        assert_eq!(words, ["add", "br0", "-", "-m", "--bad"]);
        let value = |text: &str| Some(text.to_owned());
        let expected = [
            ("more", None),
            ("more", None),
            ("timeout", value("3")),
            ("strict", None),
            ("sort", value("x")),
            ("timeout", value("4")),
        ];
        assert_eq!(read.options, expected);
        assert_eq!(read.fault, None);
    }

    #[test]
    fn without_mixing_the_first_word_ends_options() {
        let read = line("-m version -m --bad", false);
        assert_eq!(read.words, ["version", "-m", "--bad"]);
        assert_eq!(read.options.len(), 1);
    }

    #[test]
    fn faults_keep_what_stood_before_them() {
        let fault = |text| line(text, true).fault.map(|fault| fault.to_string());
        for (text, expected) in [
            ("--bad", "unrecognized option '--bad'"),
            ("-mx", "invalid option -- 'x'"),
            ("--timeout", "option '--timeout' requires an argument"),
            ("a -t", "option requires an argument -- 't'"),
            ("--more=1", "option '--more' doesn't allow an argument"),
            (
                "--s",
                "option '--s' is ambiguous; possibilities: '--sort' '--strict'",
            ),
        ] {
            assert_eq!(fault(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(line("-m --bad", true).options, [("more", None)]);
    }
}
