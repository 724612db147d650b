//! Meters.

use std::fmt::Write as _;

use aorta_flow::table::MeterMod;
use aorta_flow::{Meter, MeterId};

use super::bits::{put_bits, put_duration};
use crate::message::{MeterFeatures, MeterStats};

const BANDS: [(u32, &str); 2] = [(1 << 1, "drop"), (1 << 2, "dscp_remark")];
const CAPABILITIES: [(u32, &str); 4] = [
    (1, "kbps"),
    (1 << 1, "pktps"),
    (1 << 2, "burst"),
    (1 << 3, "stats"),
];

/// A meter without the sizes of bursts if these don't count.
fn shown(meter: &Meter) -> Meter {
    let mut meter = meter.clone();
    if !meter.burst {
        meter.bands.iter_mut().for_each(|band| band.burst_size = 0);
    }
    meter
}

pub(super) fn put_mod(out: &mut String, change: &MeterMod) {
    let _ = match change {
        MeterMod::Add(meter) => writeln!(out, " ADD {}", shown(meter)),
        MeterMod::Modify(meter) => writeln!(out, " MOD {}", shown(meter)),
        MeterMod::Delete(id) => writeln!(out, " DEL meter={} bands=", which(*id)),
    };
}

fn which(id: Option<MeterId>) -> String {
    id.map_or_else(|| "all".to_owned(), |id| id.to_string())
}

pub(super) fn put_request(out: &mut String, id: Option<MeterId>) {
    let _ = write!(out, " meter={}", which(id));
}

/// Meters with an empty line between.
pub(super) fn put_config(out: &mut String, meters: &[Meter]) {
    out.push('\n');
    let meters: Vec<String> = meters
        .iter()
        .map(|meter| format!("{}\n", shown(meter)))
        .collect();
    out.push_str(&meters.join("\n"));
}

pub(super) fn put_stats(out: &mut String, meters: &[MeterStats]) {
    for (at, meter) in meters.iter().enumerate() {
        out.push_str(if at == 0 { "\n" } else { "\n\n" });
        let (packets, bytes) = (meter.packet_in_count, meter.byte_in_count);
        let _ = write!(
            out,
            "meter:{} flow_count:{} packet_in_count:{packets} byte_in_count:{bytes} duration:",
            meter.id, meter.flow_count
        );
        put_duration(out, meter.duration);
        out.push_str(" bands:");
        for (at, band) in meter.bands.iter().enumerate() {
            let (packets, bytes) = (band.packet_count, band.byte_count);
            let _ = write!(out, "\n{at}: packet_count:{packets} byte_count:{bytes}");
        }
    }
    out.push('\n');
}

pub(super) fn put_features(out: &mut String, features: &MeterFeatures) {
    let (meters, bands, color) = (features.max_meters, features.max_bands, features.max_color);
    let _ = write!(
        out,
        "\nmax_meter:{meters} max_bands:{bands} max_color:{color}\nband_types: "
    );
    put_bits(out, features.band_types, &BANDS, ' ');
    out.push_str("\ncapabilities: ");
    put_bits(out, features.capabilities, &CAPABILITIES, ' ');
    out.push('\n');
}
