//! Which messages go where (ovs-vsctl(8), `--verbose`).

use std::collections::BTreeMap;

use aorta_api::log::{Destination, Level};
use thiserror::Error;

/// A `--verbose` argument that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("processing \"{spec}\": {fault}")]
pub struct SpecError {
    spec: String,
    fault: Fault,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
enum Fault {
    #[error("no destination, level, or module \"{0}\"")]
    Unknown(String),
    #[error("cannot specify multiple {0}")]
    Several(&'static str),
    #[error("unknown destination \"{0}\"")]
    UnknownDestination(String),
    #[error("missing pattern")]
    NoPattern,
    #[error("invalid facility")]
    Facility,
}

/// Parts of Open vSwitch whose messages scripts may turn on or off by name. Those that this
/// program doesn't have are accepted all the same.
const MODULES: &str = "backtrace command_line conntrack_tp coverage ct_dpif db_ctl_base \
    dns_resolve dpdk dpif_lookup_autovalidator dpif_lookup_generic dpif_mfex_extract_study \
    dpif_netdev dpif_netdev_extract dpif_netdev_impl dpif_netdev_lookup dpif_netlink \
    dpif_netlink_rtnl entropy fatal_signal hmap ipf jsonrpc meta_flow native_tnl netdev_afxdp \
    netdev_linux netdev_offload netdev_offload_tc netdev_vport netlink_conntrack \
    netlink_notifier netlink_socket nx_match odp_execute odp_execute_impl odp_util ofp_actions \
    ofp_bundle ofp_connection ofp_errors ofp_flow ofp_group ofp_match ofp_meter ofp_monitor \
    ofp_msgs ofp_packet ofp_port ofp_protocol ofp_queue ofp_table ofp_util ovs_numa ovs_rcu \
    ovs_replay ovs_router ovs_thread ovsdb_cs ovsdb_error ovsdb_idl ox_stat pmd_perf poll_loop \
    process reconnect route_table sha1 signals socket_util socket_util_unix stream_fd \
    stream_replay stream_ssl stream_tcp stream_unix svec tc timeval unixctl userspace_tso vconn \
    vconn_stream vlog vsctl";

const FACILITIES: &str = "kern user mail daemon auth syslog lpr news uucp clock ftp ntp audit \
    alert clock2 local0 local1 local2 local3 local4 local5 local6 local7";

/// The gravest level that still goes to each destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Levels {
    console: Level,
    others: Level,
    /// Of single modules.
    modules: BTreeMap<(String, Destination), Level>,
    /// Of all modules, once set.
    all: BTreeMap<Destination, Level>,
}

impl Default for Levels {
    fn default() -> Self {
        Levels {
            console: Level::Warn,
            others: Level::Info,
            modules: BTreeMap::new(),
            all: BTreeMap::new(),
        }
    }
}

impl Levels {
    /// Takes over one argument of `--verbose`.
    ///
    /// # Errors
    /// If a word means nothing, or two mean the same kind of thing.
    pub fn set(&mut self, spec: &str) -> Result<(), SpecError> {
        self.apply(spec).map_err(|fault| SpecError {
            spec: spec.to_owned(),
            fault,
        })
    }

    fn apply(&mut self, spec: &str) -> Result<(), Fault> {
        let mut words = spec.split([' ', ',', ':']).filter(|word| !word.is_empty());
        match words.clone().next().unwrap_or_default() {
            "PATTERN" => return check_pattern(words.nth(1), words.next()),
            "FACILITY" => return check_facility(words.nth(1)),
            _ => {}
        }
        let (mut module, mut destination, mut level) = (None, None, None);
        for word in words {
            let lower = word.to_ascii_lowercase();
            let known = |names: &str| names.split_whitespace().any(|name| name == lower);
            if let Some(found) = Destination::named(word) {
                put(&mut destination, found, "destinations")?;
            } else if let Some(found) = Level::named(word) {
                put(&mut level, found, "levels")?;
            } else if known(MODULES) {
                put(&mut module, lower, "modules")?;
            } else if lower != "any" {
                return Err(Fault::Unknown(word.to_owned()));
            }
        }
        let level = level.unwrap_or(Level::Dbg);
        for each in Destination::ALL {
            if destination.is_none_or(|only| only == each) {
                self.put(module.as_deref(), each, level);
            }
        }
        Ok(())
    }

    fn put(&mut self, module: Option<&str>, destination: Destination, level: Level) {
        match module {
            Some(module) => {
                self.modules.insert((module.to_owned(), destination), level);
            }
            None => {
                self.modules.retain(|(_, to), _| *to != destination);
                self.all.insert(destination, level);
            }
        }
    }

    /// Whether a message goes there.
    pub fn admits(&self, module: &str, destination: Destination, level: Level) -> bool {
        let default = match destination {
            Destination::Console => self.console,
            _ => self.others,
        };
        let own = self.modules.get(&(module.to_owned(), destination));
        let limit = own.or_else(|| self.all.get(&destination));
        level <= *limit.unwrap_or(&default)
    }
}

fn put<T>(slot: &mut Option<T>, value: T, what: &'static str) -> Result<(), Fault> {
    match slot.replace(value) {
        Some(_) => Err(Fault::Several(what)),
        None => Ok(()),
    }
}

/// Patterns are accepted and not used: every line looks the same.
fn check_pattern(destination: Option<&str>, pattern: Option<&str>) -> Result<(), Fault> {
    let destination = destination.unwrap_or_default();
    let any = destination.eq_ignore_ascii_case("any");
    if !any && Destination::named(destination).is_none() {
        return Err(Fault::UnknownDestination(destination.to_owned()));
    }
    pattern.map(|_| ()).ok_or(Fault::NoPattern)
}

fn check_facility(facility: Option<&str>) -> Result<(), Fault> {
    let facility = facility.unwrap_or_default().to_ascii_lowercase();
    let known = FACILITIES.split_whitespace().any(|name| name == facility);
    known.then_some(()).ok_or(Fault::Facility)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Destination::{Console, File, Syslog};

    fn levels(specs: &[&str]) -> Levels {
        let mut levels = Levels::default();
        specs.iter().for_each(|spec| levels.set(spec).unwrap());
        levels
    }

    #[test]
    fn warnings_are_shown_and_the_rest_is_logged() {
        let levels = levels(&[]);
        assert!(levels.admits("vsctl", Console, Level::Warn));
        assert!(!levels.admits("vsctl", Console, Level::Info));
        assert!(levels.admits("vsctl", Syslog, Level::Info));
        assert!(!levels.admits("vsctl", File, Level::Dbg));
    }

    #[test]
    fn a_spec_narrows_by_module_destination_and_level() {
        let set = levels(&["vsctl:syslog:warn", "CONSOLE,Emer", "file"]);
        assert!(!set.admits("vsctl", Syslog, Level::Info));
        assert!(set.admits("ovsdb_idl", Syslog, Level::Info));
        assert!(!set.admits("vsctl", Console, Level::Err));
        assert!(set.admits("vsctl", File, Level::Dbg));
        let off = levels(&["jsonrpc:dbg", "off"]);
        assert!(!off.admits("jsonrpc", Console, Level::Emer));
        assert!(levels(&[""]).admits("vsctl", Console, Level::Dbg));
    }

    #[test]
    fn nonsense_is_named() {
        let cases = [
            ("nope", "no destination, level, or module \"nope\""),
            ("console:file", "cannot specify multiple destinations"),
            ("dbg info", "cannot specify multiple levels"),
            ("vsctl,jsonrpc", "cannot specify multiple modules"),
            ("PATTERN:x:y", "unknown destination \"x\""),
            ("PATTERN:console", "missing pattern"),
            ("FACILITY:nope", "invalid facility"),
        ];
        for (spec, fault) in cases {
            let refused = Levels::default().set(spec).unwrap_err().to_string();
            assert_eq!(refused, format!("processing \"{spec}\": {fault}"));
        }
        levels(&["PATTERN:ANY:%m", "FACILITY:local3", "any:ANY:dbg"]);
    }
}
