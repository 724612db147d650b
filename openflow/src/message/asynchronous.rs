//! Which asynchronous messages a controller gets (OpenFlow 1.4.1 §7.3.10).

/// Which asynchronous messages a controller gets, by its role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AsyncConfig {
    /// How it is written.
    pub form: AsyncForm,
    /// As primary or equal.
    pub primary: AsyncMasks,
    /// As secondary.
    pub secondary: AsyncMasks,
}

/// Encodings of [`AsyncConfig`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AsyncForm {
    /// The version's own: three pairs of masks in OpenFlow 1.3, properties later.
    Standard,
    /// NXT_SET_ASYNC_CONFIG: three pairs of masks.
    Nicira,
    /// NXT_SET_ASYNC_CONFIG2: properties.
    Nicira2,
}

/// For each kind of message, the reasons for which it comes: bit N is the reason of number N. What
/// isn't mentioned stays as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AsyncMasks {
    /// Of packets for controllers.
    pub packet_in: Option<u32>,
    /// Of ports.
    pub port_status: Option<u32>,
    /// Of flows that are gone.
    pub flow_removed: Option<u32>,
    /// Of roles.
    pub role_status: Option<u32>,
    /// Of tables.
    pub table_status: Option<u32>,
    /// Of others' requests.
    pub request_forward: Option<u32>,
}
