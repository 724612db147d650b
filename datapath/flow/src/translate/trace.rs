//! A packet's way, for people.

use std::fmt;
use std::fmt::Write as _;

use super::changes::FieldChange;
use crate::BridgeName;

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
    /// In how many bridges, tables, buckets and action sets.
    pub(crate) nest: usize,
    /// What.
    pub what: TraceWhat,
    /// What a note is for.
    pub(crate) note: NoteKind,
}

/// What a note is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum NoteKind {
    /// It tells of something that is otherwise than one might think.
    #[default]
    Warning,
    /// It tells more of the action.
    Detail,
    /// It tells what the real switch's trace doesn't.
    Own,
    /// It is why the packet is given up.
    Error,
    /// It is in front of a bucket's actions.
    Bucket,
    /// It is in front of an action set's actions.
    ActionSet,
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
    /// Tells what the action in front of this line changed.
    pub(super) fn changed(&mut self, line: usize, found: Vec<FieldChange>) {
        let before = line.checked_sub(1).and_then(|at| self.lines.get_mut(at));
        if let Some(TraceWhat::Action { changes, .. }) = before.map(|line| &mut line.what) {
            *changes = found;
        }
    }

    /// A line of its own in front of all others.
    pub(crate) fn begin(bridge: BridgeName) -> Trace {
        let line = TraceLine {
            depth: 0,
            nest: 0,
            what: TraceWhat::Bridge(bridge),
            note: NoteKind::default(),
        };
        Trace { lines: vec![line] }
    }

    /// The way through the bridge that the first line is about.
    pub(crate) fn within(&mut self, inner: Trace) {
        self.append(inner, 0, 1);
    }

    /// Another way, deeper by so much.
    pub(crate) fn append(&mut self, inner: Trace, depth: usize, nest: usize) {
        let deeper = inner.lines.into_iter().map(|line| TraceLine {
            depth: line.depth + depth,
            nest: line.nest + nest,
            ..line
        });
        self.lines.extend(deeper);
    }

    /// A line that tells more of the action before.
    pub(crate) fn detail(&mut self, text: &str) {
        self.lines.push(TraceLine {
            depth: 0,
            nest: 0,
            what: TraceWhat::Note(text.to_owned()),
            note: NoteKind::Detail,
        });
    }

    /// The lines as `ovs-appctl ofproto/trace` writes them.
    pub fn to_ovs_text(&self) -> String {
        let mut text = String::new();
        // What is in something that more follows is set off twice.
        let mut levels = vec![0];
        let told = |line: &&TraceLine| line.note != NoteKind::Own;
        let lines: Vec<&TraceLine> = self.lines.iter().filter(told).collect();
        for (n, line) in lines.iter().enumerate() {
            let after = lines[n + 1..].iter().find(|l| l.nest <= line.nest);
            let is_last = after.is_none_or(|after| after.nest < line.nest);
            let set_off = usize::from(!is_last || line.is_leaf());
            levels.resize(line.nest + 1, 0);
            let level = levels[line.nest];
            line.write_ovs(&mut text, 4 * (level + set_off));
            levels.push(level + 2 * set_off);
        }
        text
    }
}

impl TraceLine {
    fn is_leaf(&self) -> bool {
        match &self.what {
            TraceWhat::Bridge(_) | TraceWhat::Table { .. } => false,
            TraceWhat::Action { .. } => true,
            TraceWhat::Note(_) => self.note != NoteKind::ActionSet,
        }
    }

    fn write_ovs(&self, out: &mut String, indent: usize) {
        let mark = match self.note {
            NoteKind::Warning | NoteKind::Own => " >> ",
            NoteKind::Detail => " -> ",
            NoteKind::Error => " >>>> ",
            NoteKind::Bucket | NoteKind::ActionSet => "",
        };
        let end = match self.note {
            NoteKind::Error => " <<<<",
            _ => "",
        };
        let _ = match &self.what {
            TraceWhat::Action { action, .. } => writeln!(out, "{:indent$}{action}", ""),
            TraceWhat::Note(note) => writeln!(out, "{:indent$}{mark}{note}{end}", ""),
            TraceWhat::Bridge(name) => write_bridge(out, name, indent),
            TraceWhat::Table { table, flow } => write_table(out, *table, flow.as_ref(), indent),
        };
    }
}

fn write_bridge(out: &mut impl fmt::Write, name: &BridgeName, indent: usize) -> fmt::Result {
    let title = format!("bridge(\"{name}\")");
    let line = "-".repeat(title.len());
    writeln!(out, "\n{:indent$}{title}\n{:indent$}{line}", "", "")
}

fn write_table(
    out: &mut impl fmt::Write,
    table: u8,
    flow: Option<&TraceFlow>,
    indent: usize,
) -> fmt::Result {
    match flow {
        Some(flow) => writeln!(out, "{:indent$}{table:2}. {flow}", ""),
        None => writeln!(out, "{:indent$}{table:2}. No match.", ""),
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
            TraceWhat::Bridge(name) => write_bridge(f, name, indent),
            TraceWhat::Table { table, flow } => write_table(f, *table, flow.as_ref(), indent),
            TraceWhat::Action { action, changes } => {
                writeln!(f, "{:indent$}    {action}", "")?;
                for change in changes {
                    writeln!(f, "{:indent$}     -> {change}", "")?;
                }
                Ok(())
            }
            TraceWhat::Note(note) => {
                let mark = match self.note {
                    NoteKind::Detail => "->",
                    _ => ">>",
                };
                writeln!(f, "{:indent$}     {mark} {note}", "")
            }
        }
    }
}
