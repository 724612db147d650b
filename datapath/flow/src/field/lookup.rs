//! From names to fields.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::FieldId;

static NAMES: LazyLock<HashMap<&'static str, FieldId>> = LazyLock::new(|| {
    let mut names = HashMap::new();
    for id in FieldId::all() {
        let field = id.field();
        names.insert(field.name, id);
        names.extend(field.alias.map(|alias| (alias, id)));
        names.extend(field.oxm.map(|code| (code.name, id)));
        names.extend(field.nxm.map(|code| (code.name, id)));
    }
    names
});

/// Further names that texts use: standard codes' later names, and what matches print.
const OTHER_NAMES: &[(&str, FieldId)] = &[
    ("OXM_OF_ACTSET_OUTPUT", FieldId::ACTSET_OUTPUT),
    ("OXM_OF_TCP_FLAGS", FieldId::TCP_FLAGS),
    ("gtpu_flags", FieldId::TUN_GTPU_FLAGS),
    ("gtpu_msgtype", FieldId::TUN_GTPU_MSGTYPE),
];

impl FieldId {
    /// The field of a name, alias or code's name (`reg0`, `dl_src`, `NXM_NX_REG0`).
    pub fn by_name(name: &str) -> Option<FieldId> {
        NAMES.get(name).copied().or_else(|| {
            OTHER_NAMES
                .iter()
                .find(|(other, _)| *other == name)
                .map(|(_, id)| *id)
        })
    }

    /// Names and aliases of all fields.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FieldId::all().flat_map(|id| std::iter::once(id.field().name).chain(id.field().alias))
    }
}

/// The candidate that is most like `word`, if one is near enough to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.len() / 3).clamp(1, 3);
    candidates
        .map(|candidate| (distance(word, candidate, limit), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Letters that were added, left out, replaced or exchanged with their neighbour; or something
/// over `limit`.
fn distance(a: &str, b: &str, limit: usize) -> usize {
    if a.len().abs_diff(b.len()) > limit {
        return limit + 1;
    }
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let width = b.len() + 1;
    let mut table: Vec<usize> = (0..(a.len() + 1) * width)
        .map(|at| at / width + at % width)
        .collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let at = i * width + j;
            let replaced = table[at - width - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(table[at - 1] + 1).min(table[at - width] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(table[at - 2 * width - 2] + 1);
            }
            table[at] = best;
        }
    }
    table[a.len() * width + b.len()]
}
