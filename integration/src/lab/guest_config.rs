//! What guests are made of.

use std::path::PathBuf;

/// A network card of a guest, `eth0` for the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// The tap, existing in the namespace that QEMU runs in, made with `vnet_hdr`.
    pub tap: String,
    /// MAC address of the card, `52:54:00:00:00:01`.
    pub mac: String,
    /// Pairs of queues; with more than one the tap must be made with `multi_queue`.
    pub queues: u32,
    /// Whether the host's kernel moves the frames (vhost-net), and not QEMU.
    pub vhost: bool,
}

impl Nic {
    /// A card with one pair of queues, served by QEMU.
    pub fn new(tap: &str, mac: &str) -> Nic {
        Nic {
            tap: tap.to_owned(),
            mac: mac.to_owned(),
            queues: 1,
            vhost: false,
        }
    }

    /// QEMU's options for the card with that number.
    pub(super) fn qemu_args(&self, number: usize) -> [String; 4] {
        let (tap, mac) = (&self.tap, &self.mac);
        let mut netdev = format!("tap,id=n{number},ifname={tap},script=no,downscript=no");
        let mut device = format!("virtio-net-pci,netdev=n{number},mac={mac},romfile=");
        if self.queues > 1 {
            netdev.push_str(&format!(",queues={}", self.queues));
            // One for each queue, one for changes of the configuration, one for control.
            device.push_str(&format!(",mq=on,vectors={}", 2 * self.queues + 2));
        }
        if self.vhost {
            netdev.push_str(",vhost=on");
        }
        ["-netdev".to_owned(), netdev, "-device".to_owned(), device]
    }
}

/// What to boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestConfig {
    /// Name, for people.
    pub name: String,
    /// Network cards.
    pub nics: Vec<Nic>,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Virtual processors.
    pub cpus: u32,
    /// Whether it may boot again by itself; otherwise that is its end.
    pub reboots: bool,
    /// Programs of the host and the names they get in the guest's `/bin`.
    pub programs: Vec<(PathBuf, String)>,
}

impl GuestConfig {
    /// A guest with one processor, 256 MiB, and one card on `tap`.
    pub fn new(name: &str, tap: &str, mac: &str) -> GuestConfig {
        GuestConfig {
            name: name.to_owned(),
            nics: vec![Nic::new(tap, mac)],
            memory_mib: 256,
            cpus: 1,
            reboots: false,
            programs: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_with_queues_and_vhost() {
        let card = Nic {
            queues: 2,
            vhost: true,
            ..Nic::new("t", "52:54:00:00:00:01")
        };
        let args = card.qemu_args(1).join(" ");
        let wanted = "-netdev tap,id=n1,ifname=t,script=no,downscript=no,queues=2,vhost=on -device \
                      virtio-net-pci,netdev=n1,mac=52:54:00:00:00:01,romfile=,mq=on,vectors=6";
        assert_eq!(args, wanted);
    }
}
