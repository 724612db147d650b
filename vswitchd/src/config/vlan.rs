//! VLAN mode of a port from its columns vlan_mode, tag and trunks.

use aorta_flow::{PortVlan, PriorityTags, VidSet};
use aorta_packet::Vid;

use super::PortRow;

/// What the columns mean, and a note if they contradict each other.
pub type PortVlanResult = Result<(PortVlan, Option<String>), String>;

/// What other_config:priority-tags means; words that mean nothing are as none.
pub fn priority_tags(value: Option<&str>) -> PriorityTags {
    match value {
        Some("if-nonzero" | "true") => PriorityTags::IfNonzero,
        Some("always") => PriorityTags::Always,
        _ => PriorityTags::Never,
    }
}

/// The VLAN mode that a row asks for. Without `vlan_mode`, a tag makes an access port and no tag
/// a trunk. The error is one line for Interface.error.
pub fn port_vlan(row: &PortRow) -> PortVlanResult {
    let tag = row.tag.map(vid).transpose()?;
    let trunks = row
        .trunks
        .iter()
        .map(|&v| vid(v))
        .collect::<Result<Vec<_>, _>>()?;
    let native = tag.unwrap_or(Vid::NONE);
    let ignored = |column: &str, mode: &str| {
        Some(format!(
            "port {}: {column} is ignored, because the port is {mode}",
            row.name
        ))
    };
    let access = || {
        let note = if trunks.is_empty() {
            None
        } else {
            ignored("trunks", "an access port")
        };
        Ok((PortVlan::Access(native), note))
    };
    match row.vlan_mode.as_deref() {
        None if tag.is_some() => access(),
        None => Ok((PortVlan::Trunk(VidSet::from_trunks(trunks)), None)),
        Some("access") => access(),
        Some("trunk") => {
            let note = tag.and_then(|_| ignored("tag", "a trunk"));
            Ok((PortVlan::Trunk(VidSet::from_trunks(trunks)), note))
        }
        Some("native-tagged") => Ok((
            PortVlan::NativeTagged {
                native,
                trunks: VidSet::from_trunks(trunks),
            },
            None,
        )),
        Some("native-untagged") => Ok((
            PortVlan::NativeUntagged {
                native,
                trunks: VidSet::from_trunks(trunks),
            },
            None,
        )),
        Some(other) => Err(format!(
            "port {}: vlan_mode {other} is not supported",
            row.name
        )),
    }
}

fn vid(value: i64) -> Result<Vid, String> {
    Vid::try_from(value).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use aorta_ovsdb::Uuid;

    use super::*;
    use crate::config::PortLimits;

    fn row(mode: Option<&str>, tag: Option<i64>, trunks: &[i64]) -> PortRow {
        PortRow {
            priority_tags: PriorityTags::Never,
            uuid: Uuid::nil(),
            name: "p".into(),
            interfaces: vec![],
            tag,
            trunks: trunks.to_vec(),
            qos: None,
            vlan_mode: mode.map(str::to_owned),
            limits: PortLimits::default(),
        }
    }

    fn v(vid: u16) -> Vid {
        Vid::new(vid).unwrap()
    }

    #[test]
    fn every_mode() {
        let only = |vids: &[u16]| VidSet::Only(vids.iter().map(|&x| v(x)).collect());
        let cases = [
            (row(None, None, &[]), PortVlan::DEFAULT),
            (row(None, Some(5), &[]), PortVlan::Access(v(5))),
            (row(None, None, &[7, 5]), PortVlan::Trunk(only(&[5, 7]))),
            (row(Some("access"), None, &[]), PortVlan::Access(Vid::NONE)),
            (
                row(Some("trunk"), None, &[4095]),
                PortVlan::Trunk(only(&[4095])),
            ),
            (
                row(Some("native-tagged"), Some(3), &[4]),
                PortVlan::NativeTagged {
                    native: v(3),
                    trunks: only(&[4]),
                },
            ),
            (
                row(Some("native-untagged"), Some(3), &[]),
                PortVlan::NativeUntagged {
                    native: v(3),
                    trunks: VidSet::All,
                },
            ),
        ];
        for (row, wanted) in cases {
            assert_eq!(port_vlan(&row), Ok((wanted, None)), "{row:?}");
        }
    }

    #[test]
    fn contradictions_are_noted_and_unknown_modes_refused() {
        let (mode, note) = port_vlan(&row(None, Some(5), &[6])).unwrap();
        assert_eq!(mode, PortVlan::Access(v(5)));
        assert_eq!(
            note.as_deref(),
            Some("port p: trunks is ignored, because the port is an access port")
        );
        let (mode, note) = port_vlan(&row(Some("trunk"), Some(5), &[])).unwrap();
        assert_eq!(mode, PortVlan::DEFAULT);
        assert!(note.unwrap().starts_with("port p: tag is ignored"));
        assert_eq!(
            port_vlan(&row(Some("dot1q-tunnel"), Some(5), &[])).unwrap_err(),
            "port p: vlan_mode dot1q-tunnel is not supported"
        );
    }
}
