//! Many single command lines, each run by both tools on the same database.
//!
//! The lines are in `lines/*.txt`. `lines/differences.txt` lists those whose results differ, and
//! why.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aorta_ctl::schema::Needs;
use aorta_ctl::session::Session;
use aorta_ovsdb::DatabaseSchema;
use tempfile::TempDir;

use super::contents::Contents;
use super::server::{FILE, Server, need};
use super::words::split;

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cli/lines")
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()))
}

/// The lines of a file that aren't comments.
fn lines_of(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// What came of a command line.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    status: String,
    stdout: String,
    pub stderr: String,
    database: Vec<String>,
}

/// One tool with a server of its own.
struct Side {
    dir: PathBuf,
    program: PathBuf,
    session: Session,
    /// Changes of the database that are known.
    seen: u64,
    _server: Server,
}

/// All columns of all tables.
fn everything() -> Needs {
    let mut needs = Needs::whole();
    for table in &DatabaseSchema::vswitch().tables {
        for column in &table.columns {
            needs.column(&table.name, &column.name);
        }
    }
    needs
}

impl Side {
    fn start(dir: &Path, program: &Path, database: &Path) -> Side {
        let server = Server::start_copy(dir, database);
        let mut session = server.session();
        session.monitor(&everything()).unwrap();
        Side {
            seen: session.updates(),
            dir: dir.to_owned(),
            program: program.to_owned(),
            session,
            _server: server,
        }
    }

    /// Runs a command line, and brings the database back afterwards.
    fn run(&mut self, words: &[String], base: &Contents) -> Outcome {
        let output = Command::new(&self.program)
            .env("OVS_RUNDIR", &self.dir)
            .env("OVS_SYSLOG_METHOD", "null")
            .args(["--no-wait", "--timeout=60"])
            .args(words)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let shown = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let text = text.replace(&*self.dir.to_string_lossy(), "DIR");
            let text = text.replace(&*self.program.to_string_lossy(), "PROGRAM");
            normalized(&text, base)
        };
        let (stdout, stderr) = (shown(&output.stdout), shown(&output.stderr));
        let database = self.changes(base);
        let signal = output
            .status
            .signal()
            .map(|signal| format!("signal {signal}"));
        let code = output.status.code().map(|code| code.to_string());
        // The place of rows that are new among others is random.
        let lists = words.iter().any(|word| word == "list" || word == "find");
        let unordered = lists && stdout.contains("NEW");
        Outcome {
            status: signal.or(code).unwrap_or_default(),
            stdout: if unordered { sorted(&stdout) } else { stdout },
            stderr,
            database,
        }
    }
}

impl Side {
    /// The rows as they are if anything has changed; they are brought back.
    fn changes(&mut self, base: &Contents) -> Vec<String> {
        // What others did is told before the answer to this.
        self.session.transact(&[]).unwrap();
        if self.session.updates() == self.seen {
            return Vec::new();
        }
        let contents = Contents::read(&mut self.session);
        base.restore(&mut self.session);
        self.seen = self.session.updates();
        contents.lines(base)
    }
}

/// A text with its lines in alphabetical order, and so the rows of a table in JSON.
fn sorted(text: &str) -> String {
    let mut lines: Vec<String> = text.split('\n').map(sorted_json).collect();
    lines.sort();
    lines.join("\n")
}

fn sorted_json(line: &str) -> String {
    let Ok(mut table) = serde_json::from_str::<serde_json::Value>(line) else {
        return line.to_owned();
    };
    match table.get_mut("data").and_then(|data| data.as_array_mut()) {
        Some(rows) => {
            rows.sort_by_key(ToString::to_string);
            table.to_string()
        }
        None => line.to_owned(),
    }
}

/// A text with unknown row ids and log times replaced.
fn normalized(text: &str, base: &Contents) -> String {
    let is_id_char = |c: char| c.is_ascii_hexdigit() || c == '-';
    let mut result = String::new();
    for piece in text.split_inclusive(|c| !is_id_char(c)) {
        let word = piece.trim_end_matches(|c| !is_id_char(c));
        let looks_like_id = word.len() == 36 && word.matches('-').count() == 4;
        match looks_like_id && !base.has(word) {
            true => result.push_str(&format!("NEW{}", &piece[word.len()..])),
            false => result.push_str(piece),
        }
    }
    // Which of two equal rows the server calls the first depends on their ids.
    let one_of_two = |line: String| match line.split_once(" First row, with UUID") {
        Some((fault, _)) => fault.to_owned(),
        None => line,
    };
    let untimed = |line: &str| match line.split_once("Z|") {
        Some((time, rest)) if time.len() == 19 && time.contains('T') => format!("TIME|{rest}"),
        _ => line.to_owned(),
    };
    result
        .split('\n')
        .map(|line| one_of_two(untimed(line)))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Both tools on equal databases.
pub struct Pair {
    reference: Side,
    ours: Side,
    base: Contents,
    _dir: TempDir,
}

impl Pair {
    /// Starts both with the database that `base.txt` makes.
    pub fn start() -> Pair {
        let dir = TempDir::new().unwrap();
        let program = dir.path().join("ovs-vsctl");
        symlink(env!("CARGO_BIN_EXE_vsctl"), &program).unwrap();
        let reference_program = need("ovs-vsctl");
        let maker = Server::start(&dir.path().join("maker"));
        for line in lines_of(&file("base.txt")) {
            let made = Command::new(&reference_program)
                .args(["--no-wait", "--no-syslog", "--db", &maker.remote])
                .args(split(line))
                .output()
                .unwrap();
            assert!(made.status.success(), "{line}: {made:?}");
        }
        drop(maker);
        let database = dir.path().join("maker").join(FILE);
        let start = |name, program: &Path| Side::start(&dir.path().join(name), program, &database);
        let (mut reference, ours) = (
            start("reference", &reference_program),
            start("ours", &program),
        );
        let base = Contents::read(&mut reference.session);
        Pair {
            reference,
            ours,
            base,
            _dir: dir,
        }
    }

    /// Runs a command line on both sides: the reference's outcome, then ours.
    pub fn run(&mut self, words: &[String]) -> (Outcome, Outcome) {
        (
            self.reference.run(words, &self.base),
            self.ours.run(words, &self.base),
        )
    }
}

/// Where two outcomes differ, in words; empty if they don't.
pub fn difference(expected: &Outcome, found: &Outcome) -> BTreeMap<&'static str, String> {
    let mut parts = BTreeMap::new();
    let mut compare = |part, expected: &str, found: &str| {
        if expected != found {
            parts.insert(
                part,
                format!(
                    "  {part}:\n    - {}\n    + {}",
                    indented(expected),
                    indented(found)
                ),
            );
        }
    };
    compare("status", &expected.status, &found.status);
    compare("stdout", &expected.stdout, &found.stdout);
    compare("stderr", &expected.stderr, &found.stderr);
    let mut both = (expected.database.clone(), found.database.clone());
    both.0
        .retain(|row| match both.1.iter().position(|other| other == row) {
            Some(at) => both.1.remove(at).is_empty(),
            None => true,
        });
    compare("database", &both.0.join("\n"), &both.1.join("\n"));
    parts
}

fn indented(text: &str) -> String {
    text.replace('\n', "\n      ")
}

/// The parts of the results that are known to differ, by command line.
fn known_differences() -> BTreeMap<String, Vec<String>> {
    let text = file("differences.txt");
    let entries = lines_of(&text).map(|entry| {
        let (parts, line) = entry.split_once(": ").unwrap();
        (
            line.to_owned(),
            parts.split(',').map(str::to_owned).collect(),
        )
    });
    entries.collect()
}

/// Compares all lines of a file and tells every unexpected result.
fn compare_file(name: &str) {
    let known = known_differences();
    let mut pair = Pair::start();
    let mut faults = Vec::new();
    for line in lines_of(&file(name)) {
        let (expected, found) = pair.run(&split(line));
        let differing = difference(&expected, &found);
        let allowed = known.get(line).map(Vec::as_slice).unwrap_or_default();
        let is_allowed = |part: &str| allowed.iter().any(|a| a.trim_end_matches('?') == part);
        let unexpected = differing.iter().filter(|(part, _)| !is_allowed(part));
        let told: Vec<&str> = unexpected.map(|(_, text)| text.as_str()).collect();
        if !told.is_empty() {
            faults.push(format!("{line}\n{}", told.join("\n")));
        }
        let stale = allowed
            .iter()
            .filter(|part| !part.ends_with('?') && !differing.contains_key(part.as_str()));
        faults.extend(stale.map(|part| format!("{line}\n  no longer differs: {part}")));
    }
    let count = faults.len();
    assert!(
        faults.is_empty(),
        "{count} lines of {name}:\n{}",
        faults.join("\n")
    );
}

#[test]
fn bridge_commands() {
    compare_file("bridges.txt");
}

#[test]
fn port_commands() {
    compare_file("ports.txt");
}

#[test]
fn connection_commands() {
    compare_file("connections.txt");
}

#[test]
fn database_commands() {
    compare_file("database.txt");
}

#[test]
fn options() {
    compare_file("options.txt");
}

#[test]
fn what_deployment_tools_call() {
    compare_file("clients.txt");
}
