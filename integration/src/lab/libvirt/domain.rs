//! Domains and network cards as libvirt's XML.

use std::path::Path;

use aorta_vm_images::Image;

use super::super::{Accel, Guest, LabError};

/// Name of the port at which the guest's agent listens.
pub(super) const AGENT_PORT: &str = "aorta.agent";

/// What the guest's kernel is told.
const KERNEL_ARGS: &str = "console=ttyS0 panic=-1 quiet mitigations=off oops=panic";

/// Bridge of the switch that cards are attached to.
const BRIDGE: &str = "br-int";

/// A guest that libvirt knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// Its UUID, which libvirt writes as `external-ids:vm-id`.
    pub uuid: String,
    /// Its network cards, `eth0` for the first.
    pub cards: Vec<Card>,
}

/// A network card on an Open vSwitch bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Name of the tap. Names that begin with `vnet` are libvirt's own to give.
    pub tap: String,
    /// MAC address.
    pub mac: String,
    /// The interface id, written as `external-ids:iface-id`.
    pub interface_id: String,
    /// The port profile, written as `external-ids:port-profile`.
    pub profile: Option<String>,
    /// Name of a network of libvirt's and of one of its portgroups, instead of the bridge.
    pub network: Option<(String, String)>,
    /// More elements: `<vlan>`, `<bandwidth>`.
    pub more: String,
}

impl Card {
    /// A card on the bridge `br-int`. `last` is the last byte of its address and of its id.
    pub fn new(tap: &str, last: u8) -> Card {
        Card {
            tap: tap.to_owned(),
            mac: format!("52:54:00:00:00:{last:02x}"),
            interface_id: format!("696e7465-7266-4163-a500-0000000000{last:02x}"),
            profile: None,
            network: None,
            more: String::new(),
        }
    }

    /// The same card with more elements.
    #[must_use]
    pub fn with(mut self, more: &str) -> Card {
        self.more = more.to_owned();
        self
    }

    /// The element `<interface>`.
    pub fn xml(&self) -> String {
        let (kind, source) = match &self.network {
            None => ("bridge", format!("bridge='{BRIDGE}'")),
            Some((name, group)) => ("network", format!("network='{name}' portgroup='{group}'")),
        };
        let profile = self
            .profile
            .as_ref()
            .map(|profile| format!(" profileid='{profile}'"))
            .unwrap_or_default();
        format!(
            "<interface type='{kind}'>\n  \
               <source {source}/>\n  \
               <mac address='{mac}'/>\n  \
               <virtualport type='openvswitch'>\n    \
                 <parameters interfaceid='{id}'{profile}/>\n  \
               </virtualport>\n  \
               <target dev='{tap}'/>\n  \
               <model type='virtio'/>\n  \
               <rom enabled='no'/>\n  {more}\n\
             </interface>\n",
            mac = self.mac,
            id = self.interface_id,
            tap = self.tap,
            more = self.more,
        )
    }
}

impl Domain {
    /// A domain with one card. `last` is the last byte of its UUID and of its card's address.
    pub fn new(name: &str, tap: &str, last: u8) -> Domain {
        Domain {
            name: name.to_owned(),
            uuid: format!("646f6d61-696e-4000-8000-0000000000{last:02x}"),
            cards: vec![Card::new(tap, last)],
        }
    }

    /// The element `<domain>`: the lab's small guest, with one processor and 256 MiB.
    ///
    /// # Errors
    /// When the guest's image can't be had.
    pub fn xml(&self) -> Result<String, LabError> {
        let image = Guest::image()?;
        Ok(self.xml_booting(image, [&image.kernel, &image.initramfs]))
    }

    /// The same for a host that has the kernel and the initramfs of `image` at other paths.
    pub fn xml_booting(&self, image: &Image, at: [&Path; 2]) -> String {
        let kind = match Accel::detect(image) {
            Accel::Kvm => "kvm",
            Accel::Tcg => "qemu",
        };
        format!(
            "<domain type='{kind}'>\n\
             <name>{name}</name>\n\
             <uuid>{uuid}</uuid>\n\
             <memory unit='MiB'>256</memory>\n\
             <vcpu>1</vcpu>\n\
             <os>\n\
             <type arch='x86_64' machine='pc'>hvm</type>\n\
             <kernel>{kernel}</kernel>\n\
             <initrd>{initramfs}</initrd>\n\
             <cmdline>{KERNEL_ARGS}</cmdline>\n\
             </os>\n\
             <features><acpi/></features>\n\
             <devices>\n\
             <emulator>/usr/bin/qemu-system-x86_64</emulator>\n\
             <controller type='usb' model='none'/>\n\
             <memballoon model='none'/>\n\
             <serial type='file'><source path='/var/log/libvirt/{name}.console'/></serial>\n\
             <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>\n\
             <channel type='unix'><target type='virtio' name='{AGENT_PORT}'/></channel>\n\
             {cards}\
             </devices>\n\
             </domain>\n",
            name = self.name,
            uuid = self.uuid,
            kernel = at[0].display(),
            initramfs = at[1].display(),
            cards = self.cards.iter().map(Card::xml).collect::<String>(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_of_bridges_and_of_networks() {
        let mut card = Card::new("lva", 10).with("<vlan><tag id='42'/></vlan>");
        let xml = card.xml();
        assert!(xml.contains("<interface type='bridge'>\n  <source bridge='br-int'/>"));
        assert!(xml.contains("interfaceid='696e7465-7266-4163-a500-00000000000a'/>"));
        assert!(xml.contains("<vlan><tag id='42'/></vlan>"));
        card.profile = Some("web".to_owned());
        card.network = Some(("net".to_owned(), "red".to_owned()));
        let xml = card.xml();
        assert!(xml.contains("<source network='net' portgroup='red'/>"));
        assert!(xml.contains(" profileid='web'/>"));
    }
}
