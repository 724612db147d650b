//! A packet's way, for people.

use std::fmt;

use crate::Flow;

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
    /// A lookup, and the flow that matched: its match, priority and cookie.
    Table {
        /// The table.
        table: u8,
        /// The flow, as text.
        flow: Option<String>,
    },
    /// An action that is done.
    Action(String),
    /// What is worth knowing besides.
    Note(String),
}

impl Trace {
    pub(super) fn table(&mut self, depth: usize, table: u8, flow: Option<&Flow>) {
        let flow = flow.map(|flow| {
            let mut text = flow.matching.to_string();
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.push_str(&format!("priority {}", flow.priority));
            if flow.cookie != 0 {
                text.push_str(&format!(", cookie {:#x}", flow.cookie));
            }
            text
        });
        let what = TraceWhat::Table { table, flow };
        self.lines.push(TraceLine { depth, what });
    }

    pub(super) fn action(&mut self, depth: usize, action: String) {
        let what = TraceWhat::Action(action);
        self.lines.push(TraceLine { depth, what });
    }

    pub(super) fn note(&mut self, depth: usize, note: impl Into<String>) {
        let what = TraceWhat::Note(note.into());
        self.lines.push(TraceLine { depth, what });
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            let indent = 4 * line.depth;
            match &line.what {
                TraceWhat::Table { table, flow } => {
                    let flow = flow.as_deref().unwrap_or("no match");
                    writeln!(f, "{:indent$}{table:2}. {flow}", "")?;
                }
                TraceWhat::Action(action) => writeln!(f, "{:indent$}    {action}", "")?,
                TraceWhat::Note(note) => writeln!(f, "{:indent$}     >> {note}", "")?,
            }
        }
        Ok(())
    }
}
