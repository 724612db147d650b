//! A packet's way, for people.

use std::fmt;

use super::changes::FieldChange;
use crate::{BridgeName, Flow};

/// A packet's way through the tables, line by line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trace {
    /// The lines.
    pub lines: Vec<TraceLine>,
}

/// One line of a trace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TraceLine {
    /// How deep in resubmits and copies.
    pub depth: usize,
    /// What.
    pub what: TraceWhat,
}

/// What a line of a trace is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TraceWhat {
    /// It enters a bridge.
    Bridge(BridgeName),
    /// A lookup, and the flow that matched.
    Table {
        /// The table.
        table: u8,
        /// The flow.
        flow: Option<TraceFlow>,
    },
    /// An action that is done.
    Action {
        /// Its text.
        action: String,
        /// What it changed of the packet.
        changes: Vec<FieldChange>,
    },
    /// What is worth knowing besides.
    Note(String),
}

/// A flow that matched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TraceFlow {
    /// Its cookie.
    pub cookie: u64,
    /// Its priority.
    pub priority: u16,
    /// Its match, as text; nothing if it matches all packets.
    pub matching: String,
}

impl fmt::Display for TraceFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.matching.is_empty() {
            write!(f, "{}, ", self.matching)?;
        }
        write!(f, "priority {}", self.priority)?;
        if self.cookie != 0 {
            write!(f, ", cookie {:#x}", self.cookie)?;
        }
        Ok(())
    }
}

impl Trace {
    pub(super) fn table(&mut self, depth: usize, table: u8, flow: Option<&Flow>) {
        let flow = flow.map(|flow| TraceFlow {
            cookie: flow.cookie,
            priority: flow.priority,
            matching: flow.matching.to_string(),
        });
        self.line(depth, TraceWhat::Table { table, flow });
    }

    pub(super) fn action(&mut self, depth: usize, action: String) {
        let changes = Vec::new();
        self.line(depth, TraceWhat::Action { action, changes });
    }

    /// Tells what the action in front of this line changed.
    pub(super) fn changed(&mut self, line: usize, found: Vec<FieldChange>) {
        let before = line.checked_sub(1).and_then(|at| self.lines.get_mut(at));
        if let Some(TraceWhat::Action { changes, .. }) = before.map(|line| &mut line.what) {
            *changes = found;
        }
    }

    pub(crate) fn note(&mut self, depth: usize, note: impl Into<String>) {
        self.line(depth, TraceWhat::Note(note.into()));
    }

    pub(crate) fn line(&mut self, depth: usize, what: TraceWhat) {
        self.lines.push(TraceLine { depth, what });
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            line.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for TraceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indent = 4 * self.depth;
        match &self.what {
            TraceWhat::Bridge(name) => {
                let title = format!("bridge(\"{name}\")");
                let line = "-".repeat(title.len());
                writeln!(f, "\n{:indent$}{title}\n{:indent$}{line}", "", "")
            }
            TraceWhat::Table { table, flow } => match flow {
                Some(flow) => writeln!(f, "{:indent$}{table:2}. {flow}", ""),
                None => writeln!(f, "{:indent$}{table:2}. No match.", ""),
            },
            TraceWhat::Action { action, changes } => {
                writeln!(f, "{:indent$}    {action}", "")?;
                for change in changes {
                    writeln!(f, "{:indent$}     -> {change}", "")?;
                }
                Ok(())
            }
            TraceWhat::Note(note) => writeln!(f, "{:indent$}     >> {note}", ""),
        }
    }
}
