//! JSON as text, with numbers as Open vSwitch writes them. Pure.
use serde_json::{Map, Number, Value};

use crate::value::write_value;

/// Every whole double below this, and none from it on, is an `i64` (2^63).
const I64_LIMIT: f64 = 9_223_372_036_854_775_808.0;

/// JSON in one line. Reals have 15 significant digits.
pub fn to_text(json: &Value) -> String {
    let mut text = String::with_capacity(128);
    write_value(json, &mut text);
    text
}

/// JSON in one line with the members of objects in ascending order, as errors quote it.
pub(crate) fn sorted_text(json: &Value) -> String {
    to_text(&sorted(json))
}

fn sorted(json: &Value) -> Value {
    match json {
        Value::Array(elements) => Value::Array(elements.iter().map(sorted).collect()),
        Value::Object(object) => {
            let mut members: Vec<_> = object.iter().map(|(k, v)| (k.clone(), sorted(v))).collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(members.into_iter().collect::<Map<_, _>>())
        }
        Value::Number(n) => Value::Number(narrow(n)),
        other => other.clone(),
    }
}

/// JSON with every whole number in the form of an integer, however it was written.
pub(crate) fn with_integers(json: Value) -> Value {
    match json {
        Value::Array(elements) => elements.into_iter().map(with_integers).collect(),
        Value::Object(object) => {
            let members = object.into_iter().map(|(k, v)| (k, with_integers(v)));
            Value::Object(members.collect())
        }
        Value::Number(n) => Value::Number(narrow(&n)),
        other => other,
    }
}

fn narrow(n: &Number) -> Number {
    whole_number(n).map_or_else(|| n.clone(), Number::from)
}

/// A number that is an integer of 64 bits, also when it was written with a fraction of zero or
/// an exponent.
pub(crate) fn whole_number(n: &Number) -> Option<i64> {
    n.as_i64().or_else(|| {
        let real = n
            .as_f64()
            .filter(|real| n.is_f64() && real.fract() == 0.0)?;
        (-I64_LIMIT..I64_LIMIT)
            .contains(&real)
            .then_some(real as i64)
    })
}

/// Whether a string is an `<id>` (RFC 7047 §3.1).
pub(crate) fn is_id(s: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    s.starts_with(letter) && s.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// A real in C's `%.15g`.
pub(crate) fn real_text(real: f64) -> String {
    if real == 0.0 {
        return "0".to_owned();
    }
    let text = format!("{real:.14e}");
    let Some((digits, exponent)) = text.split_once('e') else {
        return text;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..15).contains(&exponent) {
        let decimals = usize::try_from(14 - exponent).unwrap_or(0);
        return trimmed(&format!("{real:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(digits), exponent.abs())
}

fn trimmed(digits: &str) -> &str {
    if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_written_as_ovsdb_server_writes_them() {
        // What ovsdb-server 3.1 answers to an echo of the same numbers.
        let text = r#"[1.0,1e300,0.30000000000000004,1e15,1e16,-0.0,9223372036854775808,
            12345678901234567890,1e-7,0.0001,0.00001,1e-400,-1.5e-300,123456.789]"#;
        let json = with_integers(serde_json::from_str(text).unwrap());
        let expected = "[1,1e+300,0.3,1000000000000000,10000000000000000,0,9.22337203685478e+18,\
                        1.23456789012346e+19,1e-07,0.0001,1e-05,0,-1.5e-300,123456.789]";
        assert_eq!(to_text(&json), expected);
    }

    #[test]
    fn reals_have_15_digits() {
        assert_eq!(real_text(0.1 + 0.2), "0.3");
        assert_eq!(real_text(1e15), "1e+15");
        assert_eq!(real_text(100.0), "100");
        assert_eq!(real_text(-0.5), "-0.5");
    }

    #[test]
    fn quoted_json_is_sorted() {
        let json = json!({"b": {"d": 1.0, "c": []}, "a": "\u{1}\u{7f}/"});
        assert_eq!(
            sorted_text(&json),
            r#"{"a":"\u0001/","b":{"c":[],"d":1}}"#.replace('/', "\u{7f}/")
        );
    }
}
