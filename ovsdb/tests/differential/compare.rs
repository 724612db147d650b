//! What counts as equal.
use serde_json::{Value, json};

/// Takes `details` and `syntax` out of errors.
pub fn without_words(json: &Value, words: &mut Vec<String>) -> Value {
    match json {
        Value::Array(a) => Value::Array(a.iter().map(|v| without_words(v, words)).collect()),
        Value::Object(o) if o.contains_key("details") => {
            words.push(without_choice(json));
            // A mutation may have several faulty results, too.
            match o["error"].as_str() {
                Some("range error" | "domain error") => json!({"error": "constraint violation"}),
                _ => json!({"error": o["error"]}),
            }
        }
        Value::Object(o) => {
            let members = o.iter().map(|(k, v)| (k.clone(), without_words(v, words)));
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}

/// An error without what depends on which of several faulty rows or columns a server comes to
/// first.
fn without_choice(error: &Value) -> String {
    let details = error["details"].as_str().unwrap();
    let starts = |start: &&str| details.starts_with(*start);
    let commit = [
        "Table ",
        "cannot delete ",
        "Transaction causes multiple rows",
    ];
    if details.starts_with("Weak reference column ") || details.starts_with("Deletion of ") {
        return "a weak reference".to_owned();
    }
    if let Some(start) = commit.into_iter().find(starts) {
        return start.to_owned();
    }
    let limits = [
        " is not in the valid range",
        " is less than",
        " is greater than",
    ];
    // Of a default, or of what became of a row.
    let values = ["\"\" is ", "\"\" length ", "Attempted to store "];
    let is_number = details.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let is_value = is_number
        || values.iter().any(starts)
        || limits.iter().any(|l| details.contains(l))
        || details == "Division by zero."
        || details.ends_with("operation contains duplicates.")
        || details.ends_with("operation is out of range.");
    if is_value {
        "a value of a row".to_owned()
    } else {
        error.to_string()
    }
}

/// Whether two errors tell of different tables with too many rows.
pub fn is_choice_of_table(ours: &str, theirs: &str) -> bool {
    let full_table = |words: &str| {
        let (_, rest) = words.split_once(r#"transaction causes \""#)?;
        let (table, _) = rest.split_once(r#"\" table to contain "#)?;
        Some(table.to_owned())
    };
    let tables = full_table(ours).zip(full_table(theirs));
    tables.is_some_and(|(ours, theirs)| ours != theirs)
}

/// Whether both errors are of a wait that is over, which tell how long it took if that was a
/// millisecond or more.
pub fn is_of_clock(ours: &str, theirs: &str) -> bool {
    let starts = [
        r#"{"details":"\"wait\" timed out after "#,
        r#"{"details":"\"where\" clause test failed"#,
    ];
    let is_over = |words: &str| starts.iter().any(|start| words.starts_with(start));
    is_over(ours) && is_over(theirs)
}

/// Messages up to a reply: what comes before it in no order.
pub fn normal(messages: &[Value]) -> Value {
    let (reply, notifications) = messages.split_last().unwrap();
    let told = notifications.iter().filter_map(|n| without_idle(n.clone()));
    let mut messages: Vec<Value> = told.map(|n| blind(&n)).collect();
    messages.sort_by_key(Value::to_string);
    messages.push(blind(reply));
    Value::Array(messages)
}

/// A notification without rows of which nothing but the version has changed: the reference tells
/// of such where a weak reference was added that leads nowhere. `None` if nothing is left.
fn without_idle(mut message: Value) -> Option<Value> {
    let is_idle = |update: &Value| {
        let changed = update
            .get("modify")
            .or_else(|| update.get("old").filter(|_| update.get("new").is_some()));
        changed
            .and_then(Value::as_object)
            .is_some_and(|c| c.keys().all(|name| name == "_version"))
    };
    let params = message["params"].as_array_mut()?;
    let Some(Value::Object(tables)) = params.last_mut() else {
        return Some(message);
    };
    for rows in tables.values_mut() {
        rows.as_object_mut()?.retain(|_, update| !is_idle(update));
    }
    tables.retain(|_, rows| rows.as_object().is_some_and(|rows| !rows.is_empty()));
    let nothing = tables.is_empty();
    (!nothing).then_some(message)
}

/// Replaces random uuids by a word, sorts what has no order, and the members of objects.
pub fn blind(json: &Value) -> Value {
    match json {
        Value::String(s) => Value::String(blind_text(s)),
        Value::Array(elements) => {
            let mut elements: Vec<Value> = elements.iter().map(blind).collect();
            if let [Value::String(tag), Value::Array(inner)] = elements.as_mut_slice()
                && (tag == "set" || tag == "map")
            {
                inner.sort_by_key(Value::to_string);
            }
            Value::Array(elements)
        }
        Value::Object(members) => {
            let mut members: Vec<(String, Value)> = members
                .iter()
                .map(|(k, v)| (blind_text(k), blind(v)))
                .collect();
            for (name, value) in &mut members {
                if name == "rows"
                    && let Value::Array(rows) = value
                {
                    rows.sort_by_key(Value::to_string);
                }
            }
            let is_error = members.first().is_some_and(|(name, _)| name == "error");
            if !is_error {
                members.sort_by_key(|(name, value)| format!("{name} {value}"));
            }
            // Several random uuids may be keys of one object.
            let mut object = serde_json::Map::new();
            for (n, (name, value)) in members.into_iter().enumerate() {
                let name = if object.contains_key(&name) {
                    format!("{name}{n}")
                } else {
                    name
                };
                object.insert(name, value);
            }
            Value::Object(object)
        }
        // The reference has a negative zero, which equals zero.
        Value::Number(n) if n.as_f64() == Some(0.0) => json!(0),
        other => other.clone(),
    }
}

/// A text without random uuids, and of a broken index without the order of the two rows.
fn blind_text(text: &str) -> String {
    let text = without_uuids(text);
    let Some((start, rows)) = text.split_once("  First row, with UUID ") else {
        return text;
    };
    let Some((first, second)) = rows.split_once("  Second row, with UUID ") else {
        return text;
    };
    let (low, high) = if first < second {
        (first, second)
    } else {
        (second, first)
    };
    format!("{start}  First row, with UUID {low}  Second row, with UUID {high}")
}

fn without_uuids(text: &str) -> String {
    if text.len() < 36 {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let is_random = rest.get(..36).is_some_and(|s| {
            uuid::Uuid::try_parse(s).is_ok() && s.contains('-') && !s.starts_with("00000000-0000-")
        });
        let taken = if is_random {
            36
        } else {
            rest.chars().next().map_or(0, char::len_utf8)
        };
        out.push_str(if is_random { "RANDOM" } else { &rest[..taken] });
        rest = &rest[taken..];
    }
    out
}
