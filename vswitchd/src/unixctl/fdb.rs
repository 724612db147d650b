//! Commands about learned addresses.

use std::fmt::Write as _;

use aorta_packet::{MacAddr, Vid};

use super::switch::gone;
use super::{Answer, Commands};
use crate::control::{FdbError, Request};
use crate::reconcile::Fdb;
use crate::switch::FdbReport;

impl Commands {
    pub(super) async fn addresses(&self, name: &str, arguments: &[String]) -> Answer {
        match (name, arguments) {
            ("fdb/show", [bridge]) => self.show_addresses(bridge).await,
            ("fdb/flush", bridge) => {
                let question = |to| Request::FlushFdb(bridge.first().cloned(), to);
                let flushed = self.control.ask(question).await.map_err(gone)?;
                flushed.map_err(told)?;
                Ok("table successfully flushed".to_owned())
            }
            ("fdb/stats-show", [bridge]) => {
                let report = self.fdb_report(bridge).await?;
                Ok(counts(bridge, &report))
            }
            ("fdb/stats-clear", bridge) => {
                let question = |to| Request::ClearFdbCounts(bridge.first().cloned(), to);
                let cleared = self.control.ask(question).await.map_err(gone)?;
                cleared.map_err(told)?;
                Ok("statistics successfully cleared".to_owned())
            }
            ("fdb/add", [bridge, port, vlan, mac]) => self.fix(bridge, Some(port), vlan, mac).await,
            ("fdb/del", [bridge, vlan, mac]) => self.fix(bridge, None, vlan, mac).await,
            (other, _) => Err(format!("{other:?} takes other arguments")),
        }
    }

    async fn fdb_report(&self, bridge: &str) -> Result<FdbReport, String> {
        let question = |to| Request::FdbReport(bridge.to_owned(), to);
        self.control
            .ask(question)
            .await
            .map_err(gone)?
            .map_err(told)
    }

    async fn show_addresses(&self, bridge: &str) -> Answer {
        let question = |to| Request::Fdb(bridge.to_owned(), to);
        let entries = self.control.ask(question).await.map_err(gone)?;
        let report = self.fdb_report(bridge).await?;
        Ok(table(&entries.map_err(told)?, &report.fixed))
    }

    async fn fix(&self, bridge: &str, port: Option<&String>, vlan: &str, mac: &str) -> Answer {
        let mac: MacAddr = mac.parse().map_err(|_| "bad MAC address".to_owned())?;
        let vid = vlan.parse().ok().and_then(|vlan| Vid::new(vlan).ok());
        let vid = vid.ok_or_else(|| format!("{vlan}: no VLAN, which is 0 to 4095"))?;
        let question = |to| Request::FixStation {
            bridge: bridge.to_owned(),
            station: (vid, mac),
            port: port.cloned(),
            to,
        };
        let fixed = self.control.ask(question).await.map_err(gone)?;
        fixed.map(|()| String::new())
    }
}

fn told(error: FdbError) -> String {
    match error {
        FdbError::NoBridge(_) => "no such bridge".to_owned(),
        FdbError::Datapath(why) => why,
    }
}

/// Columns as `ovs-appctl fdb/show` has them.
fn table(entries: &[Fdb], fixed: &[(Vid, MacAddr)]) -> String {
    let mut text = " port  VLAN  MAC                Age\n".to_owned();
    for entry in entries {
        let local = aorta_flow::OfPort(entry.ofport) == aorta_flow::OfPort::LOCAL;
        let port = if local {
            "LOCAL".to_owned()
        } else {
            entry.ofport.to_string()
        };
        let is_fixed =
            |(vid, mac): &(Vid, MacAddr)| vid.get() == entry.vlan && mac.to_string() == entry.mac;
        let age = match fixed.iter().any(is_fixed) {
            true => "static".to_owned(),
            false => format!("{:>3}", entry.age_s),
        };
        // Writing to a string never fails.
        let _ = writeln!(text, "{port:>5}  {:>4}  {}  {age}", entry.vlan, entry.mac);
    }
    text
}

/// `fdb/stats-show`; what the datapath doesn't count is left out.
fn counts(bridge: &str, report: &FdbReport) -> String {
    let mut text = format!("Statistics for bridge {bridge:?}:\n");
    let (entries, most, fixed) = (report.entries, report.most, report.fixed.len());
    // Writing to a string never fails.
    let _ = writeln!(
        text,
        "  Current/maximum MAC entries in the table: {entries}/{most}"
    );
    let _ = writeln!(text, "  Current static MAC entries in the table : {fixed}");
    if let Some(counts) = report.counts {
        for (what, count) in [
            ("learned MAC entries     ", counts.learned),
            ("expired MAC entries     ", counts.expired),
            ("evicted MAC entries     ", counts.evicted),
            ("port moved MAC entries  ", counts.moved),
        ] {
            let _ = writeln!(text, "  Total number of {what}: {count}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use aorta_flow::StationCounts;

    use super::*;

    #[test]
    fn counts_stand_as_open_vswitch_has_them() {
        let report = FdbReport {
            entries: 1,
            most: 8192,
            counts: Some(StationCounts {
                learned: 4,
                moved: 2,
                ..StationCounts::default()
            }),
            fixed: vec![],
        };
        assert_eq!(
            counts("br0", &report),
            "Statistics for bridge \"br0\":\n  \
             Current/maximum MAC entries in the table: 1/8192\n  \
             Current static MAC entries in the table : 0\n  \
             Total number of learned MAC entries     : 4\n  \
             Total number of expired MAC entries     : 0\n  \
             Total number of evicted MAC entries     : 0\n  \
             Total number of port moved MAC entries  : 2\n"
        );
    }
}
