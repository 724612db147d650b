//! Answers the shells' completion scripts.

use aorta_ovsdb::{DatabaseSchema, Remote, Tls};

use super::rundir;
use crate::complete::{Names, Place, candidates, place};
use crate::schema::Needs;
use crate::session::{Deadline, Session, Ways};
use crate::txn::Txn;
use crate::view::View;

/// Longest time to wait for the database before completing without it.
const PATIENCE_SECONDS: u64 = 2;

/// One candidate per line for the last of the words.
pub(super) fn answer(words: &[String]) -> String {
    let (current, before) = words
        .split_last()
        .map_or(("", &[][..]), |(c, b)| (c.as_str(), b));
    let schema = DatabaseSchema::vswitch();
    let place = place(before);
    // A flow in quotes isn't closed yet.
    let current = match place {
        Place::Flow { .. } => current.trim_start_matches(['\'', '"']),
        _ => current,
    };
    let known = match place {
        Place::File => Some(files(current)),
        _ => {
            let needed = Names::needed(&schema, &place, current);
            needed.and_then(|names| ask(before, &names))
        }
    };
    let lines = candidates(&schema, &place, current, &known.unwrap_or_default());
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The files whose path begins so; what can't be read has none.
fn files(current: &str) -> Vec<String> {
    let split = current.rfind('/').map_or(0, |at| at + 1);
    let (dir, _) = current.split_at(split);
    let path = if dir.is_empty() { "." } else { dir };
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let end = if entry.path().is_dir() { "/" } else { "" };
        Some(format!("{dir}{name}{end}"))
    });
    names.collect()
}

/// What the database has; nobody wants to read here why it can't be asked.
fn ask(words: &[String], names: &Names) -> Option<Vec<String>> {
    let db = words.iter().find_map(|word| word.strip_prefix("--db="));
    let remote = match db {
        Some(db) => db.parse().ok()?,
        None => Remote::Unix(rundir().join("db.sock")),
    };
    let ways = Ways::open(&[remote], &Tls::default()).ok()?;
    let deadline = Some(Deadline::after(PATIENCE_SECONDS));
    let view = View::new(&DatabaseSchema::vswitch());
    let mut session = Session::connect(&ways, false, deadline, view).ok()?;
    let mut needs = Needs::whole();
    for column in &names.columns {
        needs.column(&names.table, column);
    }
    session.monitor(&needs).ok()?;
    Some(names.read(&Txn::new(&session.view)))
}
