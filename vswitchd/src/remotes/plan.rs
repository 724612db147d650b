//! What is to be done, from what should be and what is. Pure.

use std::collections::BTreeMap;

use aorta_ovsdb::{Remote, RemoteOptions};

use super::desired::Wanted;

/// What is to be done, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Remotes to close, with their connections.
    pub(super) close: Vec<String>,
    /// Remotes that stay, but whose clients are to be treated otherwise.
    pub(super) adjust: Vec<(String, RemoteOptions)>,
    /// Remotes to open.
    pub(super) open: Vec<(String, Remote, RemoteOptions)>,
}

/// Compares; a remote whose words are the same stays as it is.
pub(super) fn plan(
    desired: &BTreeMap<String, Wanted>,
    actual: &BTreeMap<String, RemoteOptions>,
) -> Plan {
    let close = actual.keys().filter(|name| !desired.contains_key(*name));
    let mut plan = Plan {
        close: close.cloned().collect(),
        ..Plan::default()
    };
    for (name, wanted) in desired {
        let Ok(remote) = &wanted.remote else { continue };
        let options = wanted.options.unwrap_or(RemoteOptions::usual(remote));
        match actual.get(name) {
            Some(known) if *known == options => {}
            Some(_) => plan.adjust.push((name.clone(), options)),
            None => plan.open.push((name.clone(), remote.clone(), options)),
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn wanted(name: &str, options: Option<RemoteOptions>) -> (String, Wanted) {
        let wanted = Wanted {
            remote: name.parse().map_err(|_| "nonsense".to_owned()),
            options,
            in_band: false,
            rows: Vec::new(),
        };
        (name.to_owned(), wanted)
    }

    #[test]
    fn only_what_differs_is_touched() {
        let usual = RemoteOptions::usual(&"ptcp:1".parse().unwrap());
        let other = RemoteOptions {
            probe: None,
            max_backoff: Duration::from_secs(3),
        };
        let actual = ["ptcp:1", "ptcp:2", "tcp:a"].map(|name| (name.to_owned(), usual));
        let desired = [
            wanted("ptcp:1", None),
            wanted("ptcp:3", Some(other)),
            wanted("tcp:a", Some(other)),
            wanted("nonsense", None),
        ];
        let plan = plan(&desired.into(), &actual.into());
        assert_eq!(
            plan,
            Plan {
                close: vec!["ptcp:2".to_owned()],
                adjust: vec![("tcp:a".to_owned(), other)],
                open: vec![("ptcp:3".to_owned(), "ptcp:3".parse().unwrap(), other)],
            }
        );
    }

    #[test]
    fn nothing_to_do_is_nothing() {
        let usual = RemoteOptions::usual(&"punix:/x".parse().unwrap());
        let actual = [("punix:/x".to_owned(), usual)];
        let desired = [wanted("punix:/x", None)];
        assert_eq!(plan(&desired.into(), &actual.into()), Plan::default());
    }
}
