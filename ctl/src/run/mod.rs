//! From the command line to the exit status: connects, runs the commands, waits for the switch
//! and prints.

mod failure;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aorta_ovsdb::{DatabaseSchema, Remote, Uuid};
use serde_json::{Value, json};

use crate::args::{self, Command, Invocation, Mode, Options};
use crate::commands::Action;
use crate::commands::switch::Colour;
use crate::help;
use crate::manage::{self, Manner};
use crate::output::Printer;
use crate::plan::{self, Outcome, Plan, Setting};
use crate::schema::Needs;
use crate::session::{Deadline, Session, SessionError};
use crate::view::View;
use failure::Failure;

/// Done.
const OK: i32 = 0;
/// Refused or failed.
const FAILED: i32 = 1;
/// The database was written, but an interface could not be set up.
const INTERFACE_FAILED: i32 = 65;
/// What a shell shows for a program that SIGALRM ended, as Open vSwitch's does.
const TIMED_OUT: i32 = 142;

/// Runs the program with its arguments, the zeroth included; answers the exit status.
pub fn main(argv: &[String]) -> i32 {
    let (program, words) = argv
        .split_first()
        .map_or(("", &[][..]), |(p, w)| (p.as_str(), w));
    let mode = Mode::of_program(program);
    match run(mode, words) {
        Ok(status) => status,
        Err(failure) => {
            let mut line = format!("{}: {failure}", mode.program());
            let mut source = std::error::Error::source(&failure);
            while let Some(cause) = source {
                line.push_str(&format!(": {cause}"));
                source = cause.source();
            }
            eprintln!("{line}");
            if failure.timed_out() {
                TIMED_OUT
            } else {
                FAILED
            }
        }
    }
}

fn run(mode: Mode, words: &[String]) -> Result<i32, Failure> {
    let (options, commands) = match args::parse(mode, words)? {
        Invocation::Help(topic) => return print(&help::text(mode, topic.as_deref())),
        Invocation::Version => return print(&version(mode)),
        Invocation::ListCommands => return print(&help::command_list(mode)),
        Invocation::ListOptions => return print(&args::list_options()),
        Invocation::Run(options, commands) => (options, commands),
    };
    if let [command] = commands.as_slice()
        && let Action::Switch(query) = command.syntax.action
    {
        let manner = Manner {
            json: options.json,
            pretty: options.pretty,
            colour: colour(),
            timeout: options.timeout.map(Duration::from_secs),
        };
        return print(&manage::ask(&rundir(), query, command, manner)?);
    }
    Run::new(mode, options, commands, words)?.go()
}

fn version(mode: Mode) -> String {
    // Scripts look for the product and compare the version: under ovs-vsctl's name both are the
    // ones whose behaviour and schema this tool has.
    let (product, version) = match mode {
        Mode::OvsVsctl => ("Open vSwitch", "3.1.0"),
        Mode::Vsctl => ("Aorta", env!("CARGO_PKG_VERSION")),
    };
    let schema = &DatabaseSchema::vswitch().version;
    format!(
        "{} ({product}) {version}\nDB Schema {schema}\n",
        mode.program()
    )
}

fn colour() -> Colour {
    let plain = std::env::var_os("NO_COLOR").is_some() || !io::stdout().is_terminal();
    if plain {
        Colour::Plain
    } else {
        Colour::Terminal
    }
}

/// Where the switch keeps its sockets.
fn rundir() -> PathBuf {
    let set = std::env::var_os("OVS_RUNDIR").filter(|dir| !dir.is_empty());
    set.map_or_else(|| PathBuf::from("/var/run/openvswitch"), PathBuf::from)
}

fn print(text: &str) -> Result<i32, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(OK),
        // The reader has seen enough.
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(OK),
        Err(cause) => Err(Failure::Output(cause)),
    }
}

/// How one attempt ended.
enum Attempt {
    Done(i32),
    /// What the transaction relied on has changed, or what it waits for isn't there yet.
    Again,
}

struct Run {
    mode: Mode,
    options: Options,
    commands: Vec<Command>,
    setting: Setting,
    remote: Remote,
}

impl Run {
    fn new(
        mode: Mode,
        options: Options,
        commands: Vec<Command>,
        words: &[String],
    ) -> Result<Run, Failure> {
        let remote = match &options.db {
            Some(db) => db.parse()?,
            None => Remote::Unix(rundir().join("db.sock")),
        };
        let program = mode.program();
        let comment = format!("{program}: {program} {}", words.join(" "));
        let setting = Setting {
            mode,
            wait: !options.no_wait && !options.dry_run,
            comment,
        };
        Ok(Run {
            mode,
            options,
            commands,
            setting,
            remote,
        })
    }

    fn go(&self) -> Result<i32, Failure> {
        let schema = DatabaseSchema::vswitch();
        let needs = |start| plan::needs(&self.commands, &schema, self.setting.wait, start);
        let narrow = needs(Needs::narrow())?;
        let deadline = self.options.timeout.map(Deadline::after);
        match self.go_with(&narrow, &schema, deadline) {
            // What is wrong can only be told by seeing everything.
            Err(Failure::Command(_) | Failure::Transaction(_)) if narrow.is_partial() => {
                self.go_with(&needs(Needs::whole())?, &schema, deadline)
            }
            result => result,
        }
    }

    fn go_with(
        &self,
        needs: &Needs,
        schema: &Arc<DatabaseSchema>,
        deadline: Option<Deadline>,
    ) -> Result<i32, Failure> {
        let view = View::new(schema);
        let mut session = Session::connect(&self.remote, self.options.retry, deadline, view)?;
        session.monitor(needs)?;
        loop {
            let before = session.updates();
            match self.attempt(&mut session)? {
                Attempt::Done(status) => return Ok(status),
                // The change may have arrived together with the refusal.
                Attempt::Again if session.updates() == before => session.wait_for_update()?,
                Attempt::Again => {}
            }
        }
    }

    fn attempt(&self, session: &mut Session) -> Result<Attempt, Failure> {
        let plan = match plan::plan(&self.commands, &session.view, &self.setting)? {
            Outcome::Plan(plan) => plan,
            Outcome::TryAgain => return Ok(Attempt::Again),
            Outcome::Exit(status) => return Ok(Attempt::Done(status)),
        };
        for warning in &plan.warnings {
            self.complain(warning);
        }
        if !plan.operations.writes {
            self.print_outputs(&plan, &[])?;
            return Ok(Attempt::Done(OK));
        }
        let mut operations = plan.operations.list.clone();
        if self.options.dry_run {
            operations.push(json!({"op": "abort"}));
        }
        let results = session.transact(&operations)?;
        if let Some(error) = first_error(&results) {
            let kind = error
                .get("error")
                .and_then(Value::as_str)
                .unwrap_or_default();
            match kind {
                "timed out" => return Ok(Attempt::Again),
                "aborted" if self.options.dry_run => {}
                _ => return Err(Failure::Transaction(error.clone())),
            }
        }
        self.print_outputs(&plan, &results)?;
        let status = match plan.next_cfg {
            Some(position) => self.wait_for_switch(session, &plan, &results, position)?,
            None => OK,
        };
        Ok(Attempt::Done(status))
    }

    /// Waits until the switch works as the database says, and checks new interfaces.
    fn wait_for_switch(
        &self,
        session: &mut Session,
        plan: &Plan,
        results: &[Value],
        position: usize,
    ) -> Result<i32, Failure> {
        let next = results
            .get(position)
            .and_then(|result| result.pointer("/rows/0/next_cfg"));
        if let Some(next) = next.and_then(Value::as_i64) {
            while plan::current_cfg(&session.view).is_none_or(|current| current < next) {
                session.wait_for_update().map_err(|cause| match cause {
                    SessionError::TimedOut(secs) => Failure::SwitchTimeout(secs),
                    cause => Failure::Session(cause),
                })?;
            }
        }
        let all_work = self.check_interfaces(session, plan, results)?;
        Ok(if all_work || self.mode == Mode::OvsVsctl {
            OK
        } else {
            INTERFACE_FAILED
        })
    }

    /// Reports each new interface that the switch could not set up.
    fn check_interfaces(
        &self,
        session: &mut Session,
        plan: &Plan,
        results: &[Value],
    ) -> Result<bool, Failure> {
        let rows: Vec<Uuid> = plan
            .new_interfaces
            .iter()
            .filter_map(|(row, _)| inserted_id(plan, results, *row))
            .collect();
        if rows.is_empty() {
            return Ok(true);
        }
        let select = |row: &Uuid| {
            json!({
                "op": "select",
                "table": "Interface",
                "where": [["_uuid", "==", ["uuid", row.to_string()]]],
                "columns": ["name", "ofport", "error"],
            })
        };
        let selects: Vec<Value> = rows.iter().map(select).collect();
        let mut all_work = true;
        for found in session.transact(&selects)? {
            if let Some(line) = found.pointer("/rows/0").and_then(interface_problem) {
                self.complain(&line);
                all_work = false;
            }
        }
        Ok(all_work)
    }

    fn print_outputs(&self, plan: &Plan, results: &[Value]) -> Result<i32, Failure> {
        let options = &self.options;
        let mut printer = Printer::new(options.style, options.oneline, options.json);
        for output in &plan.outputs {
            let row = output.row.and_then(|row| inserted_id(plan, results, row));
            printer.add(output, row);
        }
        print(&printer.finish())
    }

    fn complain(&self, line: &str) {
        eprintln!("{}: {line}", self.mode.program());
    }
}

fn first_error(results: &[Value]) -> Option<&Value> {
    results.iter().find(|result| result.get("error").is_some())
}

/// The id that the server gave to the new row of a temporary id.
fn inserted_id(plan: &Plan, results: &[Value], row: Uuid) -> Option<Uuid> {
    let inserts = &plan.operations.inserts;
    let (position, _) = inserts.iter().find(|(_, inserted)| *inserted == row)?;
    let id = results.get(*position)?.pointer("/uuid/1")?.as_str()?;
    Uuid::try_parse(id).ok()
}

/// Why an interface doesn't work, if it doesn't.
fn interface_problem(row: &Value) -> Option<String> {
    let name = row.get("name").and_then(Value::as_str).unwrap_or_default();
    let error = row.get("error").and_then(Value::as_str);
    let works = row
        .get("ofport")
        .and_then(Value::as_i64)
        .is_some_and(|ofport| ofport > 0);
    match error {
        Some(error) => Some(format!(
            "Error detected while setting up '{name}': {error}."
        )),
        None if works => None,
        None => Some(format!("Error detected while setting up '{name}'.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_works_if_it_has_a_number_and_no_error() {
        let none = json!(["set", []]);
        let fine = json!({"name": "p1", "ofport": 3, "error": none});
        assert_eq!(interface_problem(&fine), None);
        let failed = json!({"name": "p1", "ofport": -1, "error": "no such device"});
        let line = "Error detected while setting up 'p1': no such device.";
        assert_eq!(interface_problem(&failed).as_deref(), Some(line));
        let missing = json!({"name": "p1", "ofport": none, "error": none});
        let line = "Error detected while setting up 'p1'.";
        assert_eq!(interface_problem(&missing).as_deref(), Some(line));
    }

    #[test]
    fn the_first_failed_operation_is_found() {
        let error = json!({"error": "timed out", "details": ""});
        let results = [json!({}), Value::Null, error.clone()];
        assert_eq!(first_error(&results), Some(&error));
        assert_eq!(first_error(&results[..2]), None);
    }
}
