//! Sets of bits by their names.

use std::fmt::Write as _;

/// Appends the names of the bits that are set, the lowest first; bits without a name follow as a
/// number. `0` if there is none.
pub(super) fn put_bits(out: &mut String, bits: u32, names: &[(u32, &str)], separator: char) {
    if bits == 0 {
        out.push('0');
        return;
    }
    let mut left = bits;
    let mut first = true;
    let mut separate = |out: &mut String| {
        if !std::mem::take(&mut first) {
            out.push(separator);
        }
    };
    for bit in (0..u32::BITS).map(|at| 1 << at) {
        let Some((_, name)) = names
            .iter()
            .find(|(named, _)| bits & bit != 0 && *named == bit)
        else {
            continue;
        };
        separate(out);
        out.push_str(name);
        left &= !bit;
    }
    if left != 0 {
        separate(out);
        let _ = write!(out, "{left:#x}");
    }
}

/// Appends a port by its name if it has one, else by its number.
pub(super) fn put_port(
    out: &mut String,
    port: aorta_flow::OfPort,
    names: &dyn aorta_flow::text::Names,
) {
    match names
        .port_name(port)
        .filter(|_| port.reserved_name().is_none())
    {
        Some(name) => put_name(out, name),
        None => {
            let _ = write!(out, "{port}");
        }
    }
}

/// Appends a table by its name if it has one, else by its number.
pub(super) fn put_table(out: &mut String, table: u8, names: &dyn aorta_flow::text::Names) {
    match names.table_name(table) {
        Some(name) => put_name(out, name),
        None => {
            let _ = write!(out, "{table}");
        }
    }
}

/// Names of letters, digits and a few signs stand as they are; others in quotes.
fn put_name(out: &mut String, name: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(plain) {
        true => out.push_str(name),
        false => {
            let _ = write!(out, "{name:?}");
        }
    }
}

/// Appends seconds and, as far as they aren't whole, milliseconds or nanoseconds.
pub(super) fn put_duration(out: &mut String, duration: std::time::Duration) {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    let _ = match nanos {
        0 => write!(out, "{seconds}s"),
        n if n % 1_000_000 == 0 => write!(out, "{seconds}.{:03}s", n / 1_000_000),
        n => write!(out, "{seconds}.{n:09}s"),
    };
}

/// Appends a counter, or `?` if it isn't known.
pub(super) fn put_counter(out: &mut String, name: &str, count: Option<u64>, end: &str) {
    let _ = match count {
        Some(count) => write!(out, "{name}{count}{end}"),
        None => write!(out, "{name}?{end}"),
    };
}
