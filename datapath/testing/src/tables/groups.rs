//! Random groups and meters.

use aorta_flow::action::Action;
use aorta_flow::field::FieldId;
use aorta_flow::text::{NoNames, parse_group};
use aorta_flow::{
    Band, BandKind, Bucket, Group, GroupKind, Meter, MeterId, MeterUnit, OfPort, Selection,
};

use super::actions::Maker;
use super::{Kind, Profile};
use crate::packet::Packet;
use crate::{Case, Rng};

/// Adds a few groups, each of which may lead to those before it, and meters.
pub(super) fn make(case: &mut Case, profile: &Profile, anchors: &[Packet], rng: &mut Rng) {
    if profile.has(Kind::Meter) && rng.chance(20) {
        case.meters.push(meter(rng));
    }
    let kinds: Vec<(Kind, GroupKind)> = [
        (Kind::Group, GroupKind::All),
        (Kind::Group, GroupKind::Indirect),
        (Kind::Select, GroupKind::Select),
        (Kind::Failover, GroupKind::FastFailover),
    ]
    .into_iter()
    .filter(|(kind, _)| profile.has(*kind))
    .collect();
    if kinds.is_empty() {
        return;
    }
    for id in 1..=rng.below(4) as u32 {
        let kind = rng.pick(&kinds).1;
        let anchor = rng.pick(anchors).clone();
        let n = match kind {
            GroupKind::Indirect => 1,
            _ => rng.between(1, 4),
        };
        let buckets = (0..n)
            .map(|at| bucket(at as u32, kind, profile, &anchor, case, rng))
            .collect();
        let group = Group {
            id,
            kind,
            buckets,
            selection: selection(kind, rng),
        };
        // As it would be read from a file, so that it can be kept as one.
        let read = parse_group(&group.to_string(), &NoNames);
        case.groups.push(read.unwrap_or(group));
        if case.tables().is_err() {
            case.groups.pop();
        }
    }
}

/// A meter that never has too much, so that what it says doesn't hang on time.
fn meter(rng: &mut Rng) -> Meter {
    let kind = match rng.chance(50) {
        true => BandKind::Drop,
        false => BandKind::DscpRemark(1),
    };
    Meter {
        id: MeterId::Number(1),
        unit: match rng.chance(50) {
            true => MeterUnit::Kbps,
            false => MeterUnit::Pktps,
        },
        burst: false,
        stats: false,
        bands: vec![Band {
            kind,
            rate: 1_000_000_000,
            burst_size: 0,
        }],
    }
}

fn bucket(
    id: u32,
    kind: GroupKind,
    profile: &Profile,
    anchor: &Packet,
    case: &Case,
    rng: &mut Rng,
) -> Bucket {
    let weight = *rng.pick(&[None, Some(1), Some(3), Some(100), Some(0)]);
    let watch = OfPort(rng.between(1, profile.ports.into()) as u16);
    let mut maker = Maker {
        profile,
        table: 0,
        used: profile.tables,
        anchor,
        case,
        rng,
    };
    let mut actions = maker.list(3, 0);
    if !actions
        .iter()
        .any(|a| matches!(a, Action::Output(_) | Action::Group(_)))
    {
        actions.push(Action::Output(maker.port()));
    }
    Bucket {
        id,
        weight: weight.filter(|_| kind == GroupKind::Select),
        watch_port: (kind == GroupKind::FastFailover).then_some(watch),
        watch_group: None,
        actions,
    }
}

fn selection(kind: GroupKind, rng: &mut Rng) -> Option<Selection> {
    if kind != GroupKind::Select || rng.chance(40) {
        return None;
    }
    let fields = [
        FieldId::ETH_SRC,
        FieldId::IP_SRC,
        FieldId::IP_DST,
        FieldId::IPV6_DST,
        FieldId::TCP_DST,
    ];
    match rng.chance(50) {
        true => Some(Selection {
            method: "hash".to_owned(),
            parameter: rng.below(3) as u64,
            fields: fields
                .into_iter()
                .filter(|_| rng.chance(50))
                .map(|field| (field, field.field().full_mask()))
                .collect(),
        }),
        false => Some(Selection {
            method: "dp_hash".to_owned(),
            parameter: rng.below(3) as u64,
            fields: Vec::new(),
        }),
    }
}
