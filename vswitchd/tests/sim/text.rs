//! What tools print, in the form in which two switches are compared.

/// A line without durations, and addresses that nobody configured.
pub fn without_times(line: &str) -> String {
    const NAMES: [&str; 5] = ["duration=", "duration:", "idle_age=", "hard_age=", "addr:"];
    let (mut text, mut rest) = (String::new(), line);
    while let Some((at, name)) = NAMES
        .iter()
        .filter_map(|name| Some((rest.find(name)?, *name)))
        .min()
    {
        let (before, behind) = rest.split_at(at + name.len());
        text += before;
        text.push('?');
        rest = behind.trim_start_matches(|c: char| c.is_ascii_hexdigit() || ".:s".contains(c));
    }
    text + rest
}
