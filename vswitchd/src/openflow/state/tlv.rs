//! Tunnel options that are fields. Pure.

use std::collections::BTreeMap;

use aorta_openflow::OptionLengths;
use aorta_openflow::error::ErrorCode;
use aorta_openflow::message::{TlvMapping, TlvTable, TlvTableMod};

/// Bytes of options that there is room for.
const MAX_SPACE_BYTES: u32 = 256;
/// Fields `tun_metadata0` and so on.
const MAX_FIELDS: u16 = 64;

/// Which options are which fields, by the fields' numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TunnelOptions(BTreeMap<u16, TlvMapping>);

impl TunnelOptions {
    /// Changes them, all or nothing.
    ///
    /// # Errors
    /// With what is told to the other side.
    pub fn change(&mut self, change: &TlvTableMod) -> Result<(), ErrorCode> {
        let mut after = self.clone();
        match change {
            TlvTableMod::Clear => after.0.clear(),
            TlvTableMod::Add(mappings) => mappings.iter().try_for_each(|one| after.add(*one))?,
            TlvTableMod::Delete(mappings) => {
                for mapping in mappings {
                    check_index(mapping.index)?;
                    after.0.remove(&mapping.index);
                }
            }
        }
        *self = after;
        Ok(())
    }

    fn add(&mut self, mapping: TlvMapping) -> Result<(), ErrorCode> {
        check_index(mapping.index)?;
        let len_bytes = mapping.len_bytes;
        if len_bytes == 0 || len_bytes > 124 || !len_bytes.is_multiple_of(4) {
            return Err(ErrorCode::NXTTMFC_BAD_OPT_LEN);
        }
        if self.0.contains_key(&mapping.index) {
            return Err(ErrorCode::NXTTMFC_ALREADY_MAPPED);
        }
        let same = |other: &TlvMapping| (other.class, other.kind) == (mapping.class, mapping.kind);
        if self.0.values().any(same) {
            return Err(ErrorCode::NXTTMFC_DUP_ENTRY);
        }
        let used: u32 = self
            .0
            .values()
            .map(|other| u32::from(other.len_bytes))
            .sum();
        if used + u32::from(len_bytes) > MAX_SPACE_BYTES {
            return Err(ErrorCode::NXTTMFC_TABLE_FULL);
        }
        self.0.insert(mapping.index, mapping);
        Ok(())
    }

    /// As they are told.
    pub fn table(&self) -> TlvTable {
        TlvTable {
            max_option_space_bytes: MAX_SPACE_BYTES,
            max_fields: MAX_FIELDS,
            mappings: self.0.values().copied().collect(),
        }
    }

    /// How long their values are.
    pub fn lengths(&self) -> OptionLengths {
        let mut lengths = [0; MAX_FIELDS as usize];
        for (index, mapping) in &self.0 {
            lengths[usize::from(*index)] = mapping.len_bytes;
        }
        lengths
    }
}

fn check_index(index: u16) -> Result<(), ErrorCode> {
    match index < MAX_FIELDS {
        true => Ok(()),
        false => Err(ErrorCode::NXTTMFC_BAD_FIELD_IDX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(class: u16, len_bytes: u8, index: u16) -> TlvMapping {
        TlvMapping {
            class,
            kind: 0x80,
            len_bytes,
            index,
        }
    }

    #[test]
    fn options_are_mapped_once_and_as_far_as_there_is_room() {
        let mut options = TunnelOptions::default();
        let mut add = |mapping| options.change(&TlvTableMod::Add(vec![mapping]));
        assert_eq!(add(option(0x102, 4, 0)), Ok(()));
        assert_eq!(
            add(option(0x103, 4, 0)),
            Err(ErrorCode::NXTTMFC_ALREADY_MAPPED)
        );
        assert_eq!(add(option(0x102, 4, 1)), Err(ErrorCode::NXTTMFC_DUP_ENTRY));
        assert_eq!(
            add(option(0x103, 5, 1)),
            Err(ErrorCode::NXTTMFC_BAD_OPT_LEN)
        );
        assert_eq!(
            add(option(0x103, 4, 64)),
            Err(ErrorCode::NXTTMFC_BAD_FIELD_IDX)
        );
        assert_eq!(add(option(0x103, 124, 1)), Ok(()));
        assert_eq!(add(option(0x104, 124, 2)), Ok(()));
        assert_eq!(add(option(0x105, 8, 3)), Err(ErrorCode::NXTTMFC_TABLE_FULL));
        assert_eq!(options.lengths()[..4], [4, 124, 124, 0]);
        let delete = TlvTableMod::Delete(vec![option(0, 0, 1), option(0, 0, 9)]);
        assert_eq!(options.change(&delete), Ok(()));
        assert_eq!(options.table().mappings.len(), 2);
        assert_eq!(options.change(&TlvTableMod::Clear), Ok(()));
        assert_eq!(options, TunnelOptions::default());
    }
}
