//! What rows of table Manager tell about their remotes, and those of others that are like it. Pure.

use std::collections::BTreeMap;

use aorta_ovsdb::{Datum, DialState, DialerStatus, ListenerStatus, LockStatus};
use tokio::time::Instant;

/// The columns `is_connected` and `status`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowStatus {
    /// Whether there is somebody.
    pub is_connected: bool,
    /// State, times and the last error.
    pub status: BTreeMap<&'static str, String>,
}

impl RowStatus {
    /// Of a socket that is listened on. The times mean nothing there, but Open vSwitch has them.
    pub(super) fn of_listener(listener: &ListenerStatus) -> RowStatus {
        let mut status = BTreeMap::from([
            ("sec_since_connect", "0".to_owned()),
            ("sec_since_disconnect", "0".to_owned()),
        ]);
        if listener.clients > 1 {
            status.insert("n_connections", listener.clients.to_string());
        }
        if let Some(port) = listener.bound_port {
            status.insert("bound_port", port.to_string());
        }
        if let Some(problem) = &listener.problem {
            status.insert("last_error", problem.clone());
        }
        RowStatus {
            is_connected: listener.clients > 0,
            status,
        }
    }

    /// Of a connection that the switch makes.
    pub(super) fn of_dialer(dialer: &DialerStatus, locks: &LockStatus, now: Instant) -> RowStatus {
        let mut status = dialer.told(now);
        let is_connected = matches!(dialer.state, DialState::Active | DialState::Idle);
        let locks = [
            ("locks_held", &locks.held),
            ("locks_waiting", &locks.waiting),
            ("locks_lost", &locks.lost),
        ];
        for (key, names) in locks {
            if !names.is_empty() {
                status.insert(key, names.join(" "));
            }
        }
        RowStatus {
            is_connected,
            status,
        }
    }

    /// Of a remote that could not be opened.
    pub fn of_failure(why: &str) -> RowStatus {
        RowStatus {
            is_connected: false,
            status: BTreeMap::from([("last_error", why.to_owned())]),
        }
    }

    /// The columns that differ from what the row has.
    pub fn changes(&self, published: &RowStatus) -> Vec<(&'static str, Datum)> {
        let mut columns = Vec::new();
        if self.is_connected != published.is_connected {
            columns.push(("is_connected", Datum::scalar(self.is_connected)));
        }
        if self.status != published.status {
            let pairs = self.status.iter().map(|(k, v)| (*k, v.as_str()));
            columns.push(("status", Datum::map(pairs)));
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn text(status: &RowStatus) -> String {
        let pairs = status.status.iter().map(|(k, v)| format!("{k}={v}"));
        pairs.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_listener_tells_its_port_and_clients() {
        let mut listener = ListenerStatus {
            clients: 1,
            bound_port: Some(6640),
            problem: None,
        };
        let status = RowStatus::of_listener(&listener);
        assert!(status.is_connected);
        let usual = "bound_port=6640 sec_since_connect=0 sec_since_disconnect=0";
        assert_eq!(text(&status), usual);
        listener.clients = 2;
        let more = RowStatus::of_listener(&listener);
        assert_eq!(more.status["n_connections"], "2");
        let columns: Vec<&str> = more.changes(&status).iter().map(|(c, _)| *c).collect();
        assert_eq!(columns, ["status"]);
        assert_eq!(more.changes(&more), []);
    }

    #[test]
    fn a_connection_tells_its_state_and_times() {
        let start = Instant::now();
        let mut dialer = DialerStatus {
            state: DialState::Backoff,
            connected: None,
            disconnected: None,
            problem: Some("Connection refused".to_owned()),
        };
        let status = RowStatus::of_dialer(&dialer, &LockStatus::default(), start);
        assert_eq!(text(&status), "last_error=Connection refused state=BACKOFF");
        assert!(!status.is_connected);
        dialer.state = DialState::Idle;
        dialer.connected = Some(start);
        dialer.problem = None;
        let locks = LockStatus {
            held: vec!["a".to_owned(), "b".to_owned()],
            ..LockStatus::default()
        };
        let later = start + Duration::from_millis(7900);
        let status = RowStatus::of_dialer(&dialer, &locks, later);
        assert_eq!(
            text(&status),
            "locks_held=a b sec_since_connect=7 state=IDLE"
        );
        assert!(status.is_connected);
    }
}
