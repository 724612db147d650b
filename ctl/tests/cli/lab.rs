//! Two database servers, two tools, and how their results are compared.

use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::server::{Server, need};

const REFERENCE: &str = "ovs-vsctl";

/// Both tools with a database each.
pub struct Lab {
    reference: Server,
    ours: Server,
    program: PathBuf,
    reference_program: PathBuf,
    _dir: TempDir,
}

impl Lab {
    /// Starts the servers.
    pub fn start() -> Lab {
        let reference_program = need(REFERENCE);
        let dir = TempDir::new().unwrap();
        let program = dir.path().join("ovs-vsctl");
        symlink(env!("CARGO_BIN_EXE_vsctl"), &program).unwrap();
        Lab {
            reference: Server::start(&dir.path().join("reference")),
            ours: Server::start(&dir.path().join("ours")),
            program,
            reference_program,
            _dir: dir,
        }
    }

    /// Runs one command line in both and compares.
    pub fn step(&self, words: &[&str]) {
        self.step_each(words, words);
    }

    /// Runs a command line in which `{TABLE}` stands for the id of the table's only row.
    pub fn step_with_ids(&self, tables: &[&str], line: &str) {
        let filled = |server: &Server, program: &Path| {
            tables.iter().fold(line.to_owned(), |line, table| {
                let query = ["--bare", "--columns=_uuid", "list", table];
                let id = String::from_utf8(run(program, server, &query).stdout).unwrap();
                line.replace(&format!("{{{table}}}"), id.trim())
            })
        };
        let reference = filled(&self.reference, &self.reference_program);
        let ours = filled(&self.ours, &self.program);
        let ours: Vec<&str> = ours.split_whitespace().collect();
        self.step_each(&ours, &reference.split_whitespace().collect::<Vec<_>>());
    }

    fn step_each(&self, words: &[&str], reference: &[&str]) {
        let expected = run(&self.reference_program, &self.reference, reference);
        let found = run(&self.program, &self.ours, words);
        let told = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
        let context = format!(
            "{words:?}\nreference says: {}ours says: {}",
            told(&expected),
            told(&found)
        );
        assert_eq!(
            status(&found),
            status(&expected),
            "exit status of {context}"
        );
        assert_eq!(
            shown(words, &found),
            shown(words, &expected),
            "output of {context}"
        );
        if found.status.code() == Some(1) {
            assert!(told(&found).contains("ovs-vsctl: "), "{context}");
        }
        let (ours, reference) = (self.ours.dump(), self.reference.dump());
        let differing = |one: &[String], other: &[String]| {
            one.iter()
                .filter(|row| !other.contains(row))
                .cloned()
                .collect::<Vec<_>>()
        };
        for (table, rows) in &ours {
            let (extra, missing) = (
                differing(rows, &reference[table]),
                differing(&reference[table], rows),
            );
            assert!(
                extra.is_empty() && missing.is_empty() && rows.len() == reference[table].len(),
                "{table} has {extra:#?} instead of {missing:#?} after {context}"
            );
        }
    }
}

fn run(program: &Path, server: &Server, words: &[&str]) -> Output {
    Command::new(program)
        .args(["--no-wait", "--no-syslog", "--db", &server.remote])
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The exit status as a shell shows it.
fn status(output: &Output) -> Option<i32> {
    output
        .status
        .code()
        .or_else(|| output.status.signal().map(|signal| 128 + signal))
}

/// Standard output without row ids; where rows have no order of their own, in one.
fn shown(words: &[&str], output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let mut lines: Vec<String> = text.split('\n').map(without_ids).collect();
    if words
        .iter()
        .any(|word| matches!(*word, "list" | "find" | "show"))
    {
        lines.sort();
    }
    lines
}

/// A line with every row id, whole or shortened to a link's text, replaced.
pub fn without_ids(line: &str) -> String {
    let is_id_char = |c: char| c.is_ascii_hexdigit() || c == '-';
    let mut text = String::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let end = rest.find(|c| !is_id_char(c)).unwrap_or(rest.len());
        let word = &rest[..end];
        let looks_like_id = word.len() == 36 && word.matches('-').count() == 4;
        let looks_short = word.len() == 8 && text.ends_with("\">");
        if looks_like_id || looks_short {
            text.push_str("ROW-ID");
            rest = &rest[end..];
        } else if end > 0 {
            text.push_str(word);
            rest = &rest[end..];
        } else {
            text.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    text
}
