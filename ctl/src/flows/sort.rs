//! The order in which flows are shown.

use std::cmp::Ordering;

use aorta_flow::Flow;
use aorta_flow::field::{FieldId, nearest};
use thiserror::Error;

/// What flows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Priority,
    Field(FieldId),
}

/// One key of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    by: By,
    descending: bool,
}

/// No field has this name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no field {name:?} to sort by{}", suggestion(nearest))]
pub struct NoField {
    name: String,
    nearest: Option<&'static str>,
}

fn suggestion(nearest: &Option<&'static str>) -> String {
    match nearest {
        Some(name) => format!("; did you mean {name:?}?"),
        None => String::new(),
    }
}

/// Adds the keys that an option names: fields with commas between them, `priority` where nothing
/// is named.
///
/// # Errors
/// If a name isn't one of a field.
pub fn add_keys(keys: &mut Vec<Key>, names: &str, descending: bool) -> Result<(), NoField> {
    for name in names.split(',') {
        let by = match name {
            "" | "priority" => By::Priority,
            name => By::Field(FieldId::by_name(name).ok_or_else(|| NoField {
                name: name.to_owned(),
                nearest: nearest(name, FieldId::names()),
            })?),
        };
        keys.push(Key { by, descending });
    }
    Ok(())
}

/// Which of two flows comes first. A flow that says nothing of a field comes behind those that do,
/// in either direction.
pub fn compare(keys: &[Key], a: &Flow, b: &Flow) -> Ordering {
    let orders = keys.iter().map(|key| key.compare(a, b));
    orders
        .into_iter()
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

impl Key {
    fn compare(self, a: &Flow, b: &Flow) -> Ordering {
        let order = match self.by {
            By::Priority => a.priority.cmp(&b.priority),
            By::Field(id) => {
                let (has_a, has_b) = (says(a, id), says(b, id));
                if has_a != has_b {
                    return has_b.cmp(&has_a);
                }
                a.matching.get(id).0.cmp(&b.matching.get(id).0)
            }
        };
        match self.descending {
            true => order.reverse(),
            false => order,
        }
    }
}

/// Whether a flow says something of a field that its packets have.
fn says(flow: &Flow, id: FieldId) -> bool {
    let known = |id| flow.matching.get(id);
    id.field().prereq.met(&known) && known(id).1 != 0
}
