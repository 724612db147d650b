//! The way of the commands through the database: connect, transact, wait for the switch, print.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use aorta_ovsdb::{DatabaseSchema, Remote, Tls, Uuid};
use serde_json::{Value, json};

use super::failure::Failure;
use super::{OK, complain, print, rundir};
use crate::args::{Command, Mode, Options, TlsOptions, log_dir};
use crate::error::Warning;
use crate::log::{Level, Log};
use crate::output::Printer;
use crate::plan::{self, Outcome, Plan, Setting};
use crate::schema::Needs;
use crate::session::{Deadline, RETRY_DELAY, Session, SessionError, Ways};
use crate::view::View;

/// The database was written, but an interface could not be set up.
const INTERFACE_FAILED: i32 = 65;

/// How one attempt ended.
enum Attempt {
    Done(i32),
    /// What the transaction relied on has changed, or what it waits for isn't there yet.
    Again,
}

/// The database to connect to, as given or by default.
pub(super) fn remote_text(options: &Options) -> String {
    let default = || format!("unix:{}", rundir().join("db.sock").display());
    options.db.clone().unwrap_or_else(default)
}

fn parse_remotes(text: &str) -> Result<Vec<Remote>, Failure> {
    let remotes = text.split(',').map(str::parse);
    let remotes: Result<_, _> = remotes.collect();
    remotes.map_err(|source| Failure::Remote {
        db: text.to_owned(),
        source,
    })
}

/// The keys for encrypted connections; what can't be done as asked is refused.
fn tls(options: &Options, remotes: &[Remote], log: &Log) -> Result<Tls, Failure> {
    let TlsOptions {
        files,
        protocols,
        ciphers,
    } = &options.tls;
    if remotes.iter().any(Remote::is_tls) {
        if files.ca_cert.as_deref() == Some(Path::new("none")) {
            return Err(Failure::Unchecked);
        }
        if protocols.is_some() || ciphers.is_some() {
            let text = "--ssl-protocols and --ssl-ciphers are ignored: TLS 1.2 and 1.3 are used \
                        with the ciphers that are safe";
            log.message("stream_ssl", Level::Warn, text);
        }
    }
    Ok(Tls::new(files.clone()))
}

/// What Open vSwitch's tool adds to the fault of an interface.
const LOG_HINT: &str = "  See ovs-vswitchd log for details.";

/// Commands on their way through the database.
pub(super) struct Run<'l> {
    mode: Mode,
    options: Options,
    commands: Vec<Command>,
    setting: Setting,
    ways: Ways,
    /// Whether to connect again when the connection is lost.
    retry: bool,
    log: &'l Log,
    warned: RefCell<BTreeSet<String>>,
}

impl<'l> Run<'l> {
    /// Gets ready for connections.
    pub(super) fn new(
        mode: Mode,
        options: Options,
        commands: Vec<Command>,
        comment: String,
        log: &'l Log,
    ) -> Result<Run<'l>, Failure> {
        let remotes = parse_remotes(&remote_text(&options))?;
        let ways = Ways::open(&remotes, &tls(&options, &remotes, log)?)?;
        for address in ways.listening() {
            let text = format!("{}: listening on port {}", address.ip(), address.port());
            log.message("socket_util", Level::Info, &text);
        }
        let setting = Setting {
            mode,
            wait: !options.no_wait && !options.dry_run,
            comment,
        };
        Ok(Run {
            mode,
            retry: options.retry || remotes.iter().any(Remote::is_passive),
            options,
            commands,
            setting,
            ways,
            log,
            warned: RefCell::default(),
        })
    }

    /// Carries the commands out; answers the exit status.
    pub(super) fn go(&self) -> Result<i32, Failure> {
        let schema = DatabaseSchema::vswitch();
        let needs = |start| {
            let mut warnings = Vec::new();
            let wait = self.setting.wait;
            let needs = plan::needs(&self.commands, &schema, wait, start, &mut warnings);
            self.warn(&warnings);
            needs
        };
        // Without changing anything the server doesn't find what a narrow view hides.
        let narrow = needs(match self.options.dry_run {
            true => Needs::whole(),
            false => Needs::narrow(),
        })?;
        let deadline = self.options.timeout.map(Deadline::after);
        match self.go_with(&narrow, &schema, deadline) {
            // What is wrong can only be told by seeing everything.
            Err(Failure::Command(_) | Failure::Transaction(_)) if narrow.is_partial() => {
                self.go_with(&needs(Needs::whole())?, &schema, deadline)
            }
            result => result,
        }
    }

    /// Tells of each warning once: the commands may run several times.
    fn warn(&self, warnings: &[Warning]) {
        for warning in warnings {
            let text = warning.to_string();
            if self.warned.borrow_mut().insert(text.clone()) {
                self.log.message(warning.module(), Level::Warn, &text);
            }
        }
    }

    fn go_with(
        &self,
        needs: &Needs,
        schema: &Arc<DatabaseSchema>,
        deadline: Option<Deadline>,
    ) -> Result<i32, Failure> {
        let mut link = Link {
            ways: &self.ways,
            retry: self.retry,
            needs,
            schema,
            deadline,
        };
        let mut session = link.open()?;
        loop {
            let before = session.updates();
            let attempt = match self.attempt(&mut session, &mut link) {
                Ok(Attempt::Done(status)) => return Ok(status),
                // The change may have arrived together with the refusal.
                Ok(Attempt::Again) if session.updates() == before => session.wait_for_update(),
                Ok(Attempt::Again) => Ok(()),
                Err(Failure::Session(cause)) => Err(cause),
                Err(failure) => return Err(failure),
            };
            if let Err(cause) = attempt {
                session = link.reopen(cause)?;
            }
        }
    }

    fn attempt(&self, session: &mut Session, link: &mut Link<'_>) -> Result<Attempt, Failure> {
        let mut warnings = Vec::new();
        let planned = plan::plan(&self.commands, &session.view, &self.setting, &mut warnings);
        self.warn(&warnings);
        let plan = match planned? {
            Outcome::Plan(plan) => plan,
            Outcome::TryAgain => return Ok(Attempt::Again),
            Outcome::Exit(status) => return Ok(Attempt::Done(status)),
        };
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
                _ => return Err(Failure::Transaction(sorted(error))),
            }
        }
        self.print_outputs(&plan, &results)?;
        let status = match plan.next_cfg {
            Some(position) => self.wait_for_switch(session, link, &plan, &results, position)?,
            None => OK,
        };
        Ok(Attempt::Done(status))
    }

    /// Waits until the switch works as the database says, and checks new interfaces.
    fn wait_for_switch(
        &self,
        session: &mut Session,
        link: &mut Link<'_>,
        plan: &Plan,
        results: &[Value],
        position: usize,
    ) -> Result<i32, Failure> {
        let next = results
            .get(position)
            .and_then(|result| result.pointer("/rows/0/next_cfg"));
        if let Some(next) = next.and_then(Value::as_i64) {
            while plan::current_cfg(&session.view).is_none_or(|current| current < next) {
                match session.wait_for_update() {
                    Ok(()) => {}
                    Err(SessionError::TimedOut(secs)) => return Err(Failure::SwitchTimeout(secs)),
                    Err(cause) => *session = link.reopen(cause)?,
                }
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
        let strict = self.mode == Mode::OvsVsctl;
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
                let hint = if strict { LOG_HINT } else { "" };
                complain(self.mode.program(), &format!("{line}{hint}"));
                all_work = false;
            }
        }
        if strict && !all_work {
            let line = format!("The default log directory is \"{}\".", log_dir());
            complain(self.mode.program(), &line);
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
}

/// An object with its members by name, as Open vSwitch prints it.
fn sorted(value: &Value) -> Value {
    let Some(members) = value.as_object() else {
        return value.clone();
    };
    let members: BTreeMap<&String, &Value> = members.iter().collect();
    let members = members.into_iter();
    Value::Object(
        members
            .map(|(name, member)| (name.clone(), member.clone()))
            .collect(),
    )
}

/// How a session comes about, and comes about again.
struct Link<'a> {
    ways: &'a Ways,
    retry: bool,
    needs: &'a Needs,
    schema: &'a Arc<DatabaseSchema>,
    deadline: Option<Deadline>,
}

impl Link<'_> {
    /// Connects and asks for the rows, again and again if that was asked for.
    fn open(&mut self) -> Result<Session, SessionError> {
        loop {
            match self.try_open() {
                Err(SessionError::Lost(_)) if self.retry => std::thread::sleep(RETRY_DELAY),
                result => return result,
            }
        }
    }

    fn try_open(&mut self) -> Result<Session, SessionError> {
        let view = View::new(self.schema);
        let mut session = Session::connect(self.ways, self.retry, self.deadline, view)?;
        session.monitor(self.needs)?;
        Ok(session)
    }

    /// Replaces a session that broke, if that was asked for.
    fn reopen(&mut self, cause: SessionError) -> Result<Session, Failure> {
        match cause {
            SessionError::Lost(_) if self.retry => Ok(self.open()?),
            cause => Err(cause.into()),
        }
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
