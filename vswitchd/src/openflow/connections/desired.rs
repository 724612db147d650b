//! Which connections there should be, by the rows of tables Bridge and Controller. Pure.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use aorta_openflow::Versions;
use aorta_ovsdb::Uuid;
use aorta_stream::{OPENFLOW_PORT, Remote, RemoteOptions};

use super::limit::RateLimit;
use crate::config::{BridgeRow, ControllerRow, Model};

/// The least that Open vSwitch takes for waits, in milliseconds.
const LEAST_BACKOFF_MS: i64 = 1000;

/// Everything that is configured, by the bridges' names.
pub type Desired = BTreeMap<String, BridgeWanted>;

/// What clients and controllers of one bridge find.
#[derive(Debug, Clone, PartialEq)]
pub struct BridgeWanted {
    /// What they may speak.
    pub versions: Versions,
    /// Whether the bridge switches nothing without its controllers.
    pub secure: bool,
    /// Its controllers by their targets.
    pub controllers: BTreeMap<String, ControllerWanted>,
}

impl BridgeWanted {
    /// Controllers that are to decide what the bridge does.
    pub fn primaries(&self) -> impl Iterator<Item = (&String, &ControllerWanted)> {
        let all = self.controllers.iter();
        all.filter(|(_, wanted)| wanted.remote.is_ok() && wanted.settings.primary)
    }
}

/// One controller.
#[derive(Debug, Clone, PartialEq)]
pub struct ControllerWanted {
    /// Where it is, or why that is nowhere.
    pub remote: Result<Remote, String>,
    /// How it is asked for signs of life, and when it is tried again.
    pub options: RemoteOptions,
    /// What it is, which stays as long as its connection.
    pub settings: Settings,
    /// How many packets it gets.
    pub limit: Option<RateLimit>,
    /// Its rows, which hear how it does.
    pub rows: Vec<Uuid>,
    /// It is to be reached through the switch's own bridges.
    pub in_band: bool,
}

/// What a controller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether it decides what the bridge does; otherwise it is one more client.
    pub primary: bool,
    /// Whether it is never told what it didn't ask for.
    pub silent: bool,
}

/// Reads what the rows say.
pub fn desired(model: &Model, rundir: &Path) -> Desired {
    let root = model.root.iter();
    let bridges = root.flat_map(|root| &root.bridges);
    let rows = bridges.filter_map(|id| model.bridges.get(id));
    let usable = rows.filter(|row| is_file_name(&row.name));
    usable
        .map(|row| (row.name.clone(), bridge(model, row, rundir)))
        .collect()
}

/// Sockets are named after their bridge.
fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && !name.starts_with('.')
}

fn bridge(model: &Model, row: &BridgeRow, rundir: &Path) -> BridgeWanted {
    let mut controllers = BTreeMap::new();
    let waits = model.root.as_ref().is_some_and(|root| root.restore_wait);
    let rows = row.controllers.iter().filter(|_| !waits);
    for uuid in rows {
        let Some(controller) = model.controllers.get(uuid) else {
            continue;
        };
        let known = controllers
            .entry(controller.target.clone())
            .or_insert_with(|| wanted(&row.name, controller, rundir));
        known.rows.push(*uuid);
    }
    BridgeWanted {
        versions: versions(&row.protocols),
        secure: row.secure,
        controllers,
    }
}

fn versions(protocols: &[String]) -> Versions {
    // The schema admits no other words.
    let named = Versions::from_text(&protocols.join(",")).unwrap_or(Versions::ALL);
    if named.is_empty() {
        Versions::ALL
    } else {
        named
    }
}

fn wanted(bridge: &str, row: &ControllerRow, rundir: &Path) -> ControllerWanted {
    let remote = Remote::parse(&row.target, OPENFLOW_PORT)
        .map_err(|e| e.to_string())
        .and_then(|remote| permitted(remote, bridge, rundir));
    ControllerWanted {
        options: options(row),
        settings: Settings {
            primary: row.is_primary(),
            silent: row.silent,
        },
        limit: RateLimit::new(row.rate_limit, row.burst_limit, row.queue_size),
        rows: Vec::new(),
        in_band: row.in_band,
        remote,
    }
}

/// Sockets in the file system may only be those of the bridge: who may write into the database
/// could overwrite and reach other files otherwise.
fn permitted(remote: Remote, bridge: &str, rundir: &Path) -> Result<Remote, String> {
    let own = |path: &Path| {
        let path = rundir.join(path);
        let file = path.file_name().and_then(|name| name.to_str());
        let named = file.is_some_and(|file| {
            let rest = file.strip_prefix(bridge).and_then(|r| r.strip_prefix('.'));
            rest.is_some_and(|rest| !["mgmt", "snoop"].contains(&rest))
        });
        (named && path.parent() == Some(rundir)).then_some(path)
    };
    let refused = || {
        let dir = rundir.display();
        format!(
            "a socket in the file system has to be {dir}/{bridge}.NAME; {dir}/{bridge}.mgmt is \
             always there"
        )
    };
    match remote {
        Remote::ListenUnix(path) => own(&path).map(Remote::ListenUnix).ok_or_else(refused),
        Remote::Unix(path) => own(&path).map(Remote::Unix).ok_or_else(refused),
        other => Ok(other),
    }
}

fn options(row: &ControllerRow) -> RemoteOptions {
    let millis = |ms: i64| Duration::from_millis(ms.unsigned_abs());
    let probe = row.inactivity_probe.unwrap_or(5000).max(0);
    let backoff = row.max_backoff.unwrap_or(8000).max(LEAST_BACKOFF_MS);
    RemoteOptions {
        // Open vSwitch has whole seconds here.
        probe: (probe > 0).then(|| millis(probe).max(Duration::from_secs(1))),
        max_backoff: millis(backoff),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rows;

    fn controller(target: &str) -> ControllerRow {
        ControllerRow {
            target: target.to_owned(),
            ..ControllerRow::default()
        }
    }

    fn with(controllers: impl IntoIterator<Item = ControllerRow>) -> BridgeWanted {
        let mut rows = Rows::default();
        let bridge = rows.bridge("br0");
        for row in controllers {
            let id = rows.id();
            rows.model.controllers.insert(id, row);
            let bridge = rows.model.bridges.get_mut(&bridge).unwrap();
            bridge.controllers.push(id);
        }
        desired(&rows.model, Path::new("/run/x"))["br0"].clone()
    }

    fn remote(target: &str) -> Result<String, String> {
        let all = with([controller(target)]);
        let remote = all.controllers[target].remote.as_ref();
        remote.map(ToString::to_string).map_err(Clone::clone)
    }

    #[test]
    fn targets_have_openflow_s_port() {
        let known = |target| remote(target).unwrap();
        assert_eq!(known("tcp:192.0.2.1"), "tcp:192.0.2.1:6653");
        assert_eq!(known("ptcp:6633:127.0.0.1"), "ptcp:6633:127.0.0.1");
        assert_eq!(known("pssl:"), "pssl:6653:0.0.0.0");
        assert!(remote("bogus:1").unwrap_err().contains("unknown method"));
    }

    #[test]
    fn sockets_in_the_file_system_are_the_bridge_s_own() {
        let own = "punix:/run/x/br0.ctl";
        assert_eq!(remote(own).unwrap(), own);
        assert_eq!(
            remote("unix:br0.controller").unwrap(),
            "unix:/run/x/br0.controller"
        );
        for other in [
            "punix:/etc/passwd",
            "punix:/run/x/br1.ctl",
            "punix:/run/x/br0.mgmt",
            "punix:/run/x/br0.snoop",
            "punix:/run/x/br0./../y",
            "unix:/run/y/br0.ctl",
        ] {
            assert!(
                remote(other).unwrap_err().contains("/run/x/br0.NAME"),
                "{other}"
            );
        }
    }

    #[test]
    fn what_a_controller_is_follows_from_type_and_target() {
        let primary = |target: &str, kind: Option<&str>| {
            let kind = kind.map(str::to_owned);
            let row = ControllerRow {
                kind,
                ..controller(target)
            };
            row.is_primary()
        };
        assert!(primary("tcp:192.0.2.1", None) && primary("ptcp:", Some("primary")));
        assert!(!primary("ptcp:", None) && !primary("ssl:x", Some("service")));
        assert!(!primary("bogus", None));
        let all = with(["tcp:192.0.2.1", "ptcp:", "bogus:"].map(controller));
        let primaries: Vec<_> = all.primaries().map(|(target, _)| target.as_str()).collect();
        assert_eq!(primaries, ["tcp:192.0.2.1"]);
    }

    #[test]
    fn columns_say_how_a_controller_is_treated() {
        let treated = |row: ControllerRow| {
            let wanted = with([row]).controllers["tcp:a"].clone();
            let ms = |duration: Duration| duration.as_millis();
            (wanted.options.probe.map(ms), ms(wanted.options.max_backoff))
        };
        assert_eq!(treated(controller("tcp:a")), (Some(5000), 8000));
        let asked = |probe, backoff| ControllerRow {
            inactivity_probe: Some(probe),
            max_backoff: Some(backoff),
            ..controller("tcp:a")
        };
        assert_eq!(treated(asked(0, 60_000)), (None, 60_000));
        assert_eq!(treated(asked(10, 1)), (Some(1000), 1000));
    }

    #[test]
    fn two_rows_with_one_target_are_one_connection() {
        let all = with([controller("tcp:a"), controller("tcp:a")]);
        assert_eq!(all.controllers["tcp:a"].rows.len(), 2);
    }

    #[test]
    fn controllers_wait_for_flows_that_are_put_back() {
        let mut rows = Rows::default();
        let bridge = rows.bridge("br0");
        let id = rows.id();
        rows.model.controllers.insert(id, controller("tcp:a"));
        rows.model.bridges.get_mut(&bridge).unwrap().controllers = vec![id];
        let root = rows.model.root.as_mut().unwrap();
        root.restore_wait = true;
        let waiting = desired(&rows.model, Path::new("/run/x"));
        assert!(waiting["br0"].controllers.is_empty());
        rows.model.root.as_mut().unwrap().restore_wait = false;
        let over = desired(&rows.model, Path::new("/run/x"));
        assert_eq!(over["br0"].controllers.len(), 1);
    }

    #[test]
    fn bridges_have_versions_and_names_for_files() {
        let mut rows = Rows::default();
        let bridge = rows.bridge("br0");
        rows.bridge("../x");
        let row = rows.model.bridges.get_mut(&bridge).unwrap();
        row.protocols = vec!["OpenFlow10".to_owned(), "OpenFlow13".to_owned()];
        let all = desired(&rows.model, Path::new("/run/x"));
        assert_eq!(all.keys().collect::<Vec<_>>(), ["br0"]);
        assert_eq!(all["br0"].versions.to_string(), "OpenFlow10,OpenFlow13");
        assert_eq!(versions(&[]), Versions::ALL);
    }
}
