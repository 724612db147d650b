//! What flows of a table can match and do, as it is told by versions. Pure.

use aorta_flow::field::FieldId;
use aorta_flow::table::MAX_TABLE;
use aorta_openflow::Version;
use aorta_openflow::message::{TableAbilities, TableFeatures};

/// Actions of OpenFlow 1.0 by their types, bit N is type N: all of them (OpenFlow 1.0.0 §5.2.4).
const ACTIONS_10: u32 = 0xfff;
/// Of OpenFlow 1.1 all but those that copy a time to live (OpenFlow 1.1.0 §A.2.5).
const ACTIONS_11: u32 = 0x1fff_e7ff & !(3 << 26);
/// Of OpenFlow 1.2 to 1.5 the same, where fields are set by one action for all (OpenFlow 1.3.5
/// §7.2.5).
const ACTIONS_12: u32 = 1 | 0x7ff << 15;
/// Instructions, bit N is number N: to go on in a table, metadata, actions written, applied and
/// cleared (OpenFlow 1.1.0 §A.2.4).
const INSTRUCTIONS_11: u32 = 0b11_1110;
/// Meters: an instruction of OpenFlow 1.3 and 1.4, an action of 1.5.
const METER: u32 = 1 << 6;
const GOTO_TABLE: u32 = 1 << 1;

/// Actions, bit N is type N.
pub fn actions(version: Version) -> u32 {
    match version {
        Version::OpenFlow10 => ACTIONS_10,
        Version::OpenFlow11 => ACTIONS_11,
        _ => ACTIONS_12,
    }
}

/// Features of a table with what its flows can match and do.
pub fn with_abilities(features: TableFeatures, version: Version) -> TableFeatures {
    let abilities = abilities(features.table, version);
    let matching: Vec<FieldId> = FieldId::all().collect();
    let maskable = |field: &FieldId| field.field().maskable;
    TableFeatures {
        mask: matching.iter().copied().filter(maskable).collect(),
        wildcard: matching.clone(),
        matching,
        nonmiss: abilities.clone(),
        miss: abilities,
        ..features
    }
}

fn abilities(table: u8, version: Version) -> TableAbilities {
    let types = actions(version);
    let actions: Vec<u16> = (0..32).filter(|bit| types >> bit & 1 != 0).collect();
    let fields: Vec<FieldId> = FieldId::all()
        .filter(|field| field.field().writable)
        .collect();
    let meter = match version {
        Version::OpenFlow13 | Version::OpenFlow14 => METER,
        _ => 0,
    };
    // A flow goes on in a later table, which the last one doesn't have.
    let goto_table = if table < MAX_TABLE { 0 } else { GOTO_TABLE };
    TableAbilities {
        next: (table + 1..=MAX_TABLE).collect(),
        instructions: (INSTRUCTIONS_11 | meter) & !goto_table,
        write_actions: actions.clone(),
        apply_actions: actions,
        write_set_fields: fields.clone(),
        apply_set_fields: fields,
    }
}
