//! What rows of table Controller tell about their connections. Pure.

use std::collections::BTreeMap;

use aorta_openflow::message::Role;
use aorta_ovsdb::Datum;
use aorta_stream::{DialState, DialerStatus, ListenerStatus};
use tokio::time::Instant;

/// The columns `is_connected`, `role` and `status`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowStatus {
    /// Whether a version is agreed on.
    pub is_connected: bool,
    /// What the controller is, while it is connected.
    pub role: Option<&'static str>,
    /// State, times and the last error.
    pub status: BTreeMap<&'static str, String>,
}

/// A role as the database names it.
fn role_name(role: Role) -> &'static str {
    match role {
        Role::Primary => "master",
        Role::Secondary => "slave",
        Role::Equal | Role::NoChange => "other",
    }
}

impl RowStatus {
    /// Of a connection that the switch makes, with the role of a controller that has agreed on a
    /// version.
    pub fn of_dialer(dialer: &DialerStatus, role: Option<Role>, now: Instant) -> RowStatus {
        let mut status = dialer.told(now);
        if role.is_none() && matches!(dialer.state, DialState::Active | DialState::Idle) {
            // There is a stream, but nothing was agreed on over it.
            status.insert("state", DialState::Connecting.name().to_owned());
        }
        RowStatus {
            is_connected: role.is_some(),
            role: role.map(role_name),
            status,
        }
    }

    /// Of a socket that so many controllers have connected to, the first of them with this role.
    pub fn of_listener(
        listener: &ListenerStatus,
        controllers: usize,
        role: Option<Role>,
    ) -> RowStatus {
        let mut status = BTreeMap::new();
        if controllers > 1 {
            status.insert("n_connections", controllers.to_string());
        }
        if let Some(problem) = &listener.problem {
            status.insert("last_error", problem.clone());
        }
        RowStatus {
            is_connected: role.is_some(),
            role: role.map(role_name),
            status,
        }
    }

    /// Of a target that leads nowhere.
    pub fn of_failure(why: &str) -> RowStatus {
        RowStatus {
            status: BTreeMap::from([("last_error", why.to_owned())]),
            ..RowStatus::default()
        }
    }

    /// The columns that differ from what the row has.
    pub fn changes(&self, published: &RowStatus) -> Vec<(&'static str, Datum)> {
        let mut columns = Vec::new();
        if self.is_connected != published.is_connected {
            columns.push(("is_connected", Datum::scalar(self.is_connected)));
        }
        if self.role != published.role {
            columns.push(("role", Datum::set(self.role)));
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

    fn columns(new: &RowStatus, old: &RowStatus) -> Vec<&'static str> {
        new.changes(old).iter().map(|(column, _)| *column).collect()
    }

    #[test]
    fn a_connection_tells_its_state_role_and_times() {
        let start = Instant::now();
        let mut dialer = DialerStatus {
            state: DialState::Backoff,
            connected: None,
            disconnected: None,
            problem: Some("Connection refused".to_owned()),
        };
        let away = RowStatus::of_dialer(&dialer, None, start);
        assert_eq!(text(&away), "last_error=Connection refused state=BACKOFF");
        dialer.state = DialState::Active;
        dialer.connected = Some(start);
        let later = start + Duration::from_millis(2900);
        let greeting = RowStatus::of_dialer(&dialer, None, later);
        assert_eq!(greeting.status["state"], "CONNECTING");
        assert!(!greeting.is_connected);
        let there = RowStatus::of_dialer(&dialer, Some(Role::Equal), later);
        assert_eq!((there.is_connected, there.role), (true, Some("other")));
        let usual = "last_error=Connection refused sec_since_connect=2 state=ACTIVE";
        assert_eq!(text(&there), usual);
        assert_eq!(columns(&there, &away), ["is_connected", "role", "status"]);
        let master = RowStatus::of_dialer(&dialer, Some(Role::Primary), later);
        assert_eq!(columns(&master, &there), ["role"]);
        assert_eq!(columns(&master, &master), [""; 0]);
    }

    #[test]
    fn a_socket_tells_how_many_there_are() {
        let mut listener = ListenerStatus::default();
        assert_eq!(
            RowStatus::of_listener(&listener, 0, None),
            RowStatus::default()
        );
        listener.problem = Some("no certificate".to_owned());
        let two = RowStatus::of_listener(&listener, 2, Some(Role::Secondary));
        assert_eq!(text(&two), "last_error=no certificate n_connections=2");
        assert_eq!((two.is_connected, two.role), (true, Some("slave")));
    }

    #[test]
    fn every_value_fits_its_column() {
        let schema = aorta_ovsdb::DatabaseSchema::vswitch();
        let table = schema.table("Controller").unwrap();
        for role in [Role::Equal, Role::Primary, Role::Secondary] {
            let status = RowStatus {
                is_connected: true,
                role: Some(role_name(role)),
                status: BTreeMap::from([("state", "ACTIVE".to_owned())]),
            };
            for (name, datum) in status.changes(&RowStatus::default()) {
                table.column(name).unwrap().ty.check(&datum).unwrap();
            }
        }
    }
}
