//! Abbreviated names: tables and columns may be given in any case, with `-` for `_`, and
//! shortened to a unique beginning (ovs-vsctl(8), Identifying Tables, Records, and Columns).

/// How well `given` names something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Score {
    Prefix,
    Folded,
    Exact,
}

fn folded(c: char) -> char {
    if c == '-' {
        '_'
    } else {
        c.to_ascii_lowercase()
    }
}

fn score(name: &str, given: &str) -> Option<Score> {
    if given.is_empty() {
        return None;
    }
    if name == given {
        return Some(Score::Exact);
    }
    let mut left = name.chars().map(folded);
    if !given.chars().map(folded).all(|c| left.next() == Some(c)) {
        return None;
    }
    Some(if left.next().is_none() {
        Score::Folded
    } else {
        Score::Prefix
    })
}

/// Outcome of a look-up.
#[derive(Debug, PartialEq, Eq)]
pub enum Match<'a> {
    /// This one.
    One(&'a str),
    /// Several fit equally.
    Many(Vec<&'a str>),
    /// None fits.
    None,
}

/// The one of `names` that `given` means.
pub fn lookup<'a>(names: impl IntoIterator<Item = &'a str>, given: &str) -> Match<'a> {
    let scored = names
        .into_iter()
        .filter_map(|name| Some((score(name, given)?, name)));
    let mut candidates: Vec<(Score, &str)> = scored.collect();
    let Some(best) = candidates.iter().map(|(score, _)| *score).max() else {
        return Match::None;
    };
    candidates.retain(|(score, _)| *score == best);
    match candidates.as_slice() {
        [(_, only)] => Match::One(only),
        _ => Match::Many(candidates.into_iter().map(|(_, name)| name).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [&str; 5] = ["external_ids", "tag", "trunks", "status", "statistics"];

    #[test]
    fn case_and_dashes_do_not_matter() {
        assert_eq!(lookup(COLUMNS, "External-IDs"), Match::One("external_ids"));
        assert_eq!(lookup(["Port", "Bridge"], "port"), Match::One("Port"));
    }

    #[test]
    fn a_unique_beginning_is_enough() {
        assert_eq!(lookup(COLUMNS, "trunk"), Match::One("trunks"));
        assert_eq!(lookup(COLUMNS, "t"), Match::Many(vec!["tag", "trunks"]));
        assert_eq!(lookup(COLUMNS, "trunksx"), Match::None);
        assert_eq!(lookup(COLUMNS, ""), Match::None);
    }

    #[test]
    fn the_whole_name_wins_over_longer_ones() {
        assert_eq!(
            lookup(["other", "OTHER", "other_config"], "other"),
            Match::One("other")
        );
        assert_eq!(
            lookup(["qos", "QOS"], "Qos"),
            Match::Many(vec!["qos", "QOS"])
        );
    }
}
