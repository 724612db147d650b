//! What rows of table Controller tell about their connections. Pure.

use std::collections::BTreeMap;

use aorta_openflow::message::Role;
use aorta_ovsdb::Datum;
use aorta_stream::{DialState, DialerStatus, ListenerStatus};
use tokio::time::Instant;

use crate::remotes::RowStatus;

/// The columns `is_connected`, `role` and `status`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControllerStatus {
    /// What is told of any connection; it is there when a version is agreed on.
    pub connection: RowStatus,
    /// What the controller is, while it is connected.
    pub role: Option<&'static str>,
}

/// A role as the database names it.
fn role_name(role: Role) -> &'static str {
    match role {
        Role::Primary => "master",
        Role::Secondary => "slave",
        Role::Equal | Role::NoChange => "other",
    }
}

impl ControllerStatus {
    fn new(role: Option<Role>, status: BTreeMap<&'static str, String>) -> ControllerStatus {
        ControllerStatus {
            connection: RowStatus {
                is_connected: role.is_some(),
                status,
            },
            role: role.map(role_name),
        }
    }

    /// Of a connection that the switch makes, with the role of a controller that has agreed on a
    /// version.
    pub fn of_dialer(dialer: &DialerStatus, role: Option<Role>, now: Instant) -> ControllerStatus {
        let mut status = dialer.told(now);
        if role.is_none() && matches!(dialer.state, DialState::Active | DialState::Idle) {
            // There is a stream, but nothing was agreed on over it.
            status.insert("state", DialState::Connecting.name().to_owned());
        }
        ControllerStatus::new(role, status)
    }

    /// Of a socket that so many controllers have connected to, the first of them with this role.
    pub fn of_listener(
        listener: &ListenerStatus,
        controllers: usize,
        role: Option<Role>,
    ) -> ControllerStatus {
        let mut status = BTreeMap::new();
        if controllers > 1 {
            status.insert("n_connections", controllers.to_string());
        }
        if let Some(problem) = &listener.problem {
            status.insert("last_error", problem.clone());
        }
        ControllerStatus::new(role, status)
    }

    /// Of a target that leads nowhere.
    pub fn of_failure(why: &str) -> ControllerStatus {
        ControllerStatus {
            connection: RowStatus::of_failure(why),
            role: None,
        }
    }

    /// The columns that differ from what the row has.
    pub fn changes(&self, published: &ControllerStatus) -> Vec<(&'static str, Datum)> {
        let mut columns = self.connection.changes(&published.connection);
        if self.role != published.role {
            columns.push(("role", Datum::set(self.role)));
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn text(status: &ControllerStatus) -> String {
        let pairs = status
            .connection
            .status
            .iter()
            .map(|(k, v)| format!("{k}={v}"));
        pairs.collect::<Vec<_>>().join(" ")
    }

    fn columns(new: &ControllerStatus, old: &ControllerStatus) -> Vec<&'static str> {
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
        let away = ControllerStatus::of_dialer(&dialer, None, start);
        assert_eq!(text(&away), "last_error=Connection refused state=BACKOFF");
        dialer.state = DialState::Active;
        dialer.connected = Some(start);
        let later = start + Duration::from_millis(2900);
        let greeting = ControllerStatus::of_dialer(&dialer, None, later);
        assert_eq!(greeting.connection.status["state"], "CONNECTING");
        assert!(!greeting.connection.is_connected);
        let there = ControllerStatus::of_dialer(&dialer, Some(Role::Equal), later);
        assert_eq!(
            (there.connection.is_connected, there.role),
            (true, Some("other"))
        );
        let usual = "last_error=Connection refused sec_since_connect=2 state=ACTIVE";
        assert_eq!(text(&there), usual);
        assert_eq!(columns(&there, &away), ["is_connected", "status", "role"]);
        let master = ControllerStatus::of_dialer(&dialer, Some(Role::Primary), later);
        assert_eq!(columns(&master, &there), ["role"]);
        assert_eq!(columns(&master, &master), [""; 0]);
    }

    #[test]
    fn a_socket_tells_how_many_there_are() {
        let mut listener = ListenerStatus::default();
        assert_eq!(
            ControllerStatus::of_listener(&listener, 0, None),
            ControllerStatus::default()
        );
        listener.problem = Some("no certificate".to_owned());
        let two = ControllerStatus::of_listener(&listener, 2, Some(Role::Secondary));
        assert_eq!(text(&two), "last_error=no certificate n_connections=2");
        assert_eq!(
            (two.connection.is_connected, two.role),
            (true, Some("slave"))
        );
    }

    #[test]
    fn every_value_fits_its_column() {
        let schema = aorta_ovsdb::DatabaseSchema::vswitch();
        let table = schema.table("Controller").unwrap();
        for role in [Role::Equal, Role::Primary, Role::Secondary] {
            let status = BTreeMap::from([("state", "ACTIVE".to_owned())]);
            let status = ControllerStatus::new(Some(role), status);
            for (name, datum) in status.changes(&ControllerStatus::default()) {
                table.column(name).unwrap().ty.check(&datum).unwrap();
            }
        }
    }
}
