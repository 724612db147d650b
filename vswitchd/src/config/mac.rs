//! Addresses that the switch makes up.

use aorta_ovsdb::Uuid;
use aorta_packet::MacAddr;

/// A locally administered unicast address that is always the same for one row.
pub fn stable_mac(row: Uuid) -> MacAddr {
    let b = row.as_bytes();
    // A random UUID's last bytes are random in every bit.
    MacAddr([(b[10] & 0xfc) | 0x02, b[11], b[12], b[13], b[14], b[15]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_unicast_and_stable() {
        let mac = stable_mac(Uuid::from_u128(u128::MAX));
        assert_eq!(mac.to_string(), "fe:ff:ff:ff:ff:ff");
        assert!(!mac.is_multicast());
        assert_eq!(stable_mac(Uuid::from_u128(1)), MacAddr([2, 0, 0, 0, 0, 1]));
    }
}
