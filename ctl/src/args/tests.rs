//! Tests of the command line's grammar.

use super::*;
use crate::table::{DataFormat, Format};

fn parse_words(mode: Mode, words: &[&str]) -> Result<Invocation, UsageError> {
    let argv: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    parse(mode, &argv)
}

fn run(words: &[&str]) -> (Options, Vec<Command>) {
    match parse_words(Mode::Vsctl, words) {
        Ok(Invocation::Run(options, commands)) => (*options, commands),
        other => panic!("{words:?}: {other:?}"),
    }
}

fn refused(words: &[&str]) -> UsageError {
    parse_words(Mode::OvsVsctl, words).unwrap_err()
}

fn names(commands: &[Command]) -> Vec<&str> {
    commands.iter().map(|command| command.syntax.name).collect()
}

#[test]
fn commands_are_separated_by_dashes_and_the_first_pair_is_optional() {
    for words in [
        &[
            "--timeout=5",
            "--",
            "--may-exist",
            "add-port",
            "br0",
            "p1",
            "--",
            "list-br",
        ][..],
        &[
            "--timeout=5",
            "--may-exist",
            "add-port",
            "br0",
            "p1",
            "--",
            "list-br",
            "--",
        ],
    ] {
        let (options, commands) = run(words);
        assert_eq!(options.timeout, Some(5));
        assert_eq!(names(&commands), ["add-port", "list-br"]);
        assert!(commands[0].has("--may-exist") && !commands[1].has("--may-exist"));
        assert_eq!(commands[0].args, ["br0", "p1"]);
    }
}

#[test]
fn long_options_may_be_shortened_and_take_values_either_way() {
    let (options, commands) = run(&[
        "--no-heading",
        "--columns",
        "name,tag",
        "--timeout",
        "3",
        "list",
        "Port",
    ]);
    assert!(!options.style.headings);
    assert_eq!(options.timeout, Some(3));
    assert_eq!(commands[0].option("--columns"), Some("name,tag"));
}

#[test]
fn short_options_may_be_bundled() {
    let (options, commands) = run(&["-t5", "-vdbg", "-fcsv", "-d", "bare", "list", "Port"]);
    assert_eq!(options.timeout, Some(5));
    assert_eq!(
        (options.style.format, options.style.data),
        (Format::Csv, DataFormat::Bare)
    );
    assert_eq!(names(&commands), ["list"]);
    assert_eq!(run(&["-v", "list-br"]).1.len(), 1);
}

#[test]
fn a_timeout_of_zero_waits_for_ever() {
    assert_eq!(run(&["--timeout=0", "list-br"]).0.timeout, None);
}

#[test]
fn bare_is_a_list_without_punctuation() {
    let style = run(&["--bare", "list", "Port"]).0.style;
    assert_eq!((style.format, style.data), (Format::List, DataFormat::Bare));
    assert!(!style.headings);
}

#[test]
fn values_of_commands_may_look_like_anything() {
    let (_, commands) = run(&["set", "Interface", "p1", "external-ids:a=--b"]);
    assert_eq!(commands[0].args[2], "external-ids:a=--b");
}

#[test]
fn json_may_also_follow_the_command_but_not_in_strict_mode() {
    assert!(run(&["list-br", "--json"]).0.json);
    assert!(run(&["--json", "list-br"]).0.json);
    assert!(matches!(
        refused(&["--json", "list-br"]),
        UsageError::UnknownOption { .. }
    ));
    assert!(matches!(
        refused(&["list-br", "--json"]),
        UsageError::TooManyArguments { .. }
    ));
}

#[test]
fn strict_mode_lacks_commands_of_the_running_switch() {
    assert!(matches!(
        refused(&["status"]),
        UsageError::UnknownCommand { .. }
    ));
    assert_eq!(names(&run(&["status"]).1), ["status"]);
}

#[test]
fn bad_command_lines_are_told_apart() {
    let cases: [(&[&str], &str); 12] = [
        (&[], "missing command name (use --help for help)"),
        (&["--", "--"], "missing command name (use --help for help)"),
        (&["foo"], "unknown command 'foo'; use --help for help"),
        (&["--foo", "list-br"], "unrecognized option '--foo'"),
        (&["-Z", "list-br"], "invalid option -- 'Z'"),
        (
            &["--timeout=x", "list-br"],
            "value x on -t or --timeout is invalid",
        ),
        (&["--timeout"], "option '--timeout' requires an argument"),
        (
            &["--may-exist=1", "add-br", "x"],
            "option '--may-exist' doesn't allow an argument",
        ),
        (
            &["--if-exists", "add-br", "x"],
            "'add-br' command has no '--if-exists' option",
        ),
        (
            &["add-br"],
            "'add-br' command requires at least 1 arguments",
        ),
        (
            &["list-br", "-x"],
            "'list-br' command takes at most 0 arguments (note that options must precede command \
             names and follow a \"--\" argument)",
        ),
        (&["-f", "xml", "list-br"], "unknown output format \"xml\""),
    ];
    for (words, message) in cases {
        assert_eq!(refused(words).to_string(), message, "{words:?}");
    }
}

#[test]
fn ambiguous_options_name_what_they_may_mean() {
    let error = refused(&["--no", "list-br"]).to_string();
    assert!(
        error.contains("--no-headings") && error.contains("--no-wait"),
        "{error}"
    );
}

#[test]
fn the_program_name_decides_the_mode() {
    assert_eq!(Mode::of_program("/usr/bin/ovs-vsctl"), Mode::OvsVsctl);
    assert_eq!(Mode::of_program("target/debug/vsctl"), Mode::Vsctl);
}

#[test]
fn help_and_version_need_no_command() {
    let help = parse_words(Mode::Vsctl, &["--help", "add-br"]).unwrap();
    assert!(matches!(help, Invocation::Help(Some(topic)) if topic == "add-br"));
    assert!(matches!(
        parse_words(Mode::Vsctl, &["-V"]),
        Ok(Invocation::Version)
    ));
}
