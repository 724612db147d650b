//! Commands between `--`, each with its own options and arguments.

use std::collections::BTreeMap;

use super::options::append;
use super::{Command, Mode};
use crate::commands::{self, OptionSyntax, Syntax, Value};
use crate::error::UsageError;

/// Splits at `--` and checks each command; `local` are options that precede the first.
pub(super) fn split_commands(
    mode: Mode,
    argv: &[String],
    mut local: BTreeMap<String, Option<String>>,
) -> Result<Vec<Command>, UsageError> {
    let mut commands = Vec::new();
    for words in argv.split(|word| word == "--") {
        if words.is_empty() {
            if local.is_empty() {
                continue;
            }
            return Err(UsageError::NoCommand);
        }
        commands.push(parse_command(mode, words, std::mem::take(&mut local))?);
    }
    if commands.is_empty() {
        Err(UsageError::NoCommand)
    } else {
        Ok(commands)
    }
}

fn parse_command(
    mode: Mode,
    words: &[String],
    mut options: BTreeMap<String, Option<String>>,
) -> Result<Command, UsageError> {
    let n_options = words
        .iter()
        .take_while(|word| word.starts_with('-'))
        .count();
    let name = words.get(n_options).ok_or(UsageError::NoCommand);
    let syntax = name.and_then(|name| {
        commands::find(mode, name).ok_or_else(|| UsageError::UnknownCommand {
            command: name.clone(),
        })
    });
    let known = syntax.as_ref().map_or(&[][..], |syntax| syntax.options);
    for word in &words[..n_options] {
        take_option(known, word, &mut options)?;
    }
    let syntax = syntax?;
    let mut args = words[n_options + 1..].to_vec();
    if syntax.group.is_of_switch() {
        // As ovs-ofctl has it, options may stand anywhere.
        let (given, rest) = args.into_iter().partition(|word| is_long(word));
        args = rest;
        let given: Vec<String> = given;
        for word in &given {
            take_option(known, word, &mut options)?;
        }
    }
    check_options(syntax, &options)?;
    check_arguments(syntax, &args)?;
    Ok(Command {
        syntax,
        options,
        args,
    })
}

fn is_long(word: &str) -> bool {
    word.len() > 2 && word.starts_with("--")
}

fn take_option(
    known: &[OptionSyntax],
    word: &str,
    options: &mut BTreeMap<String, Option<String>>,
) -> Result<(), UsageError> {
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (word, None),
    };
    let repeats = known
        .iter()
        .any(|option| option.name == name && option.value == Value::Optional);
    match options.get_mut(name) {
        None => {
            options.insert(name.to_owned(), value);
        }
        Some(before) if repeats => append(before, value),
        Some(_) => {
            return Err(UsageError::OptionTwice {
                option: name.to_owned(),
            });
        }
    }
    Ok(())
}

fn check_options(
    syntax: &Syntax,
    options: &BTreeMap<String, Option<String>>,
) -> Result<(), UsageError> {
    for (name, value) in options {
        let command = syntax.name.to_owned();
        let option = name.clone();
        match syntax.options.iter().find(|known| known.name == name) {
            None => return Err(UsageError::NoSuchOption { command, option }),
            Some(known) if known.value == Value::Required && value.is_none() => {
                return Err(UsageError::CommandValueMissing { command, option });
            }
            Some(known) if known.value == Value::None && value.is_some() => {
                return Err(UsageError::CommandValueNotAllowed { command, option });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn check_arguments(syntax: &Syntax, args: &[String]) -> Result<(), UsageError> {
    let command = syntax.name.to_owned();
    if args.len() < syntax.min_args {
        return Err(UsageError::TooFewArguments {
            command,
            min: syntax.min_args,
        });
    }
    if args.len() > syntax.max_args {
        let misplaced = args.iter().any(|arg| arg.starts_with('-'));
        return Err(UsageError::TooManyArguments {
            command,
            max: syntax.max_args,
            misplaced,
        });
    }
    Ok(())
}
