//! Which options of Geneve tunnels are which fields.

/// Changes which options are which fields (NXT_TLV_TABLE_MOD).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TlvTableMod {
    /// More of them.
    Add(Vec<TlvMapping>),
    /// Not these any more.
    Delete(Vec<TlvMapping>),
    /// None any more.
    Clear,
}

/// A tunnel option that is a field.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TlvMapping {
    /// The option's class.
    pub class: u16,
    /// Its type.
    pub kind: u8,
    /// Bytes of its value: a multiple of 4, at most 124.
    pub len_bytes: u8,
    /// N of the field `tun_metadataN`.
    pub index: u16,
}

/// All options that are fields (NXT_TLV_TABLE_REPLY).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TlvTable {
    /// Bytes of options that there is room for.
    pub max_option_space_bytes: u32,
    /// Fields that there are.
    pub max_fields: u16,
    /// The options.
    pub mappings: Vec<TlvMapping>,
}
