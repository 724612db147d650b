//! Which devices are ports of network cards that can be programmed.
//!
//! Ports of one card in switch mode (`devlink dev eswitch set … mode switchdev`) have the same switch
//! identifier; the kernel gives filters to the card if the feature `hw-tc-offload` is on. A device with
//! that feature and without such an identifier is a card of its own.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use aorta_flow::IfIndex;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::sys;

/// Drivers of cards that run eBPF programs themselves.
const RUN_EBPF: [&str; 2] = ["nfp", "netdevsim"];

/// A port of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPort {
    /// Name of its device.
    pub name: String,
    /// Its device.
    pub ifindex: IfIndex,
    /// What the card calls it (`p0`, `pf0vf3`), if it says.
    pub port_name: Option<String>,
}

/// A card, or those of its ports that were asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCard {
    /// Its name, for people: its driver and switch identifier, or its only device.
    pub name: String,
    /// Its switch identifier, in hexadecimal digits; none if it is no switch.
    pub switch_id: Option<String>,
    /// Its driver.
    pub driver: Option<String>,
    /// Its ports, by name.
    pub ports: Vec<FoundPort>,
    /// Whether it may be programmed by TC flower, or why not and what to do about it.
    pub flower: Result<(), String>,
    /// Whether it may run eBPF programs itself, or why not.
    pub ebpf: Result<(), String>,
}

/// What was found of some devices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundCards {
    /// The cards, by name.
    pub cards: Vec<FoundCard>,
    /// Why others are no ports of a card, by name of the device.
    pub without: BTreeMap<String, String>,
}

/// What a device says of itself.
struct Device {
    port: FoundPort,
    switch_id: Option<String>,
    driver: Option<String>,
    tc_offload: Result<(), String>,
}

/// The cards to which these devices belong.
pub fn cards<'a>(names: impl IntoIterator<Item = &'a str>) -> FoundCards {
    cards_in(Path::new("/sys/class/net"), names, &mut tc_offload)
}

fn tc_offload(name: &str) -> io::Result<Option<bool>> {
    let (kind, flags) = (SocketType::DGRAM, SocketFlags::CLOEXEC);
    let socket = socket_with(AddressFamily::INET, kind, flags, None)?;
    sys::tc_offload(socket.as_fd(), name)
}

/// The same of a directory like `/sys/class/net`; `tc_offload` tells whether `hw-tc-offload` is on, if
/// a device has it.
pub fn cards_in<'a>(
    class: &Path,
    names: impl IntoIterator<Item = &'a str>,
    tc_offload: &mut dyn FnMut(&str) -> io::Result<Option<bool>>,
) -> FoundCards {
    let mut found = FoundCards::default();
    let mut by_name: BTreeMap<String, Vec<Device>> = BTreeMap::new();
    for name in names {
        match device(class, name, tc_offload) {
            Ok(device) => by_name.entry(card_name(&device)).or_default().push(device),
            Err(why) => drop(found.without.insert(name.to_owned(), why)),
        }
    }
    found.cards = by_name.into_iter().filter_map(card).collect();
    found
}

fn card_name(device: &Device) -> String {
    match (&device.driver, &device.switch_id) {
        (Some(driver), Some(id)) => format!("{driver} {id}"),
        (None, Some(id)) => id.clone(),
        (_, None) => device.port.name.clone(),
    }
}

fn card((name, mut devices): (String, Vec<Device>)) -> Option<FoundCard> {
    devices.sort_by(|a, b| a.port.name.cmp(&b.port.name));
    let first = devices.first()?;
    let lacking = devices
        .iter()
        .find_map(|device| device.tc_offload.clone().err());
    let driver = first.driver.clone();
    let runs_ebpf = driver
        .as_deref()
        .is_some_and(|driver| RUN_EBPF.contains(&driver));
    let ebpf = match (&driver, runs_ebpf) {
        (_, true) => Ok(()),
        (Some(driver), false) => Err(format!("cards of driver {driver} run no eBPF programs")),
        (None, false) => Err(format!("{name} has no driver")),
    };
    Some(FoundCard {
        name,
        switch_id: first.switch_id.clone(),
        driver,
        flower: lacking.map_or(Ok(()), Err),
        ebpf,
        ports: devices.into_iter().map(|device| device.port).collect(),
    })
}

fn device(
    class: &Path,
    name: &str,
    tc_offload: &mut dyn FnMut(&str) -> io::Result<Option<bool>>,
) -> Result<Device, String> {
    let directory = class.join(name);
    // Attributes that a driver doesn't have are read with an error.
    let text = |file: &str| {
        let text = fs::read_to_string(directory.join(file)).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let ifindex = text("ifindex").and_then(|index| IfIndex::new(index.parse().ok()?));
    let Some(ifindex) = ifindex else {
        return Err("there is no such device".to_owned());
    };
    let switch_id = text("phys_switch_id");
    let driver = fs::read_link(directory.join("device/driver")).ok();
    let driver = driver.and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
    if switch_id.is_none() && driver.is_none() {
        return Err("it is no port of a network card, but the kernel's own".to_owned());
    }
    let tc_offload = match tc_offload(name) {
        Ok(Some(true)) => Ok(()),
        Ok(Some(false)) => Err(format!(
            "hw-tc-offload of {name} is off: `ethtool -K {name} hw-tc-offload on` turns it on"
        )),
        Ok(None) => Err(format!("the driver of {name} gives no filters to hardware")),
        Err(error) => Err(format!("{name} doesn't tell its features: {error}")),
    };
    let port = FoundPort {
        name: name.to_owned(),
        ifindex,
        port_name: text("phys_port_name"),
    };
    Ok(Device {
        port,
        switch_id,
        driver,
        tc_offload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Devices as sysfs shows them: name, switch identifier, port name, driver.
    fn sysfs(devices: &[(&str, &str, &str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (index, (name, switch_id, port_name, driver)) in (7..).zip(devices) {
            let directory = root.path().join(name);
            fs::create_dir_all(directory.join("device")).unwrap();
            fs::write(directory.join("ifindex"), format!("{index}\n")).unwrap();
            let attributes = [("phys_switch_id", switch_id), ("phys_port_name", port_name)];
            for (file, value) in attributes.iter().filter(|(_, value)| !value.is_empty()) {
                fs::write(directory.join(file), format!("{value}\n")).unwrap();
            }
            if !driver.is_empty() {
                let target = Path::new("../../../bus/pci/drivers").join(driver);
                std::os::unix::fs::symlink(target, directory.join("device/driver")).unwrap();
            }
        }
        root
    }

    #[test]
    fn ports_of_a_switch_are_one_card() {
        let root = sysfs(&[
            ("eth0", "f4a3", "p0", "mlx5_core"),
            ("eth1", "f4a3", "pf0vf1", "mlx5_core"),
            ("eth2", "0b0c", "p0", "mlx5_core"),
            ("sim", "", "", "netdevsim"),
            ("tap0", "", "", ""),
        ]);
        let names = ["eth1", "eth0", "eth2", "sim", "tap0", "gone"];
        let mut features = |name: &str| Ok(Some(name != "eth2"));
        let found = cards_in(root.path(), names, &mut features);
        let of: Vec<(&str, Vec<&str>)> = found
            .cards
            .iter()
            .map(|card| {
                let ports = card.ports.iter().map(|port| port.name.as_str());
                (card.name.as_str(), ports.collect())
            })
            .collect();
        let expected = [
            ("mlx5_core 0b0c", vec!["eth2"]),
            ("mlx5_core f4a3", vec!["eth0", "eth1"]),
            ("sim", vec!["sim"]),
        ];
        assert_eq!(of, expected);
        let [off, mellanox, sim] = found.cards.as_slice() else {
            panic!("{found:?}");
        };
        assert!(off.flower.as_ref().unwrap_err().contains("ethtool -K eth2"));
        assert_eq!((&mellanox.flower, &sim.flower), (&Ok(()), &Ok(())));
        assert_eq!(mellanox.ports[1].port_name.as_deref(), Some("pf0vf1"));
        assert_eq!(mellanox.ports[1].ifindex.get(), 8);
        assert!(mellanox.ebpf.as_ref().unwrap_err().contains("mlx5_core"));
        assert_eq!((&sim.ebpf, &sim.switch_id), (&Ok(()), &None));
        let without: Vec<&str> = found.without.keys().map(String::as_str).collect();
        assert_eq!(without, ["gone", "tap0"]);
    }

    #[test]
    fn the_kernel_tells_features() {
        let loopback = tc_offload("lo").unwrap();
        assert_eq!(loopback, None, "it has no hardware");
        assert!(tc_offload("no-such-device").is_err());
        assert!(cards(["lo"]).without["lo"].contains("kernel's own"));
    }
}
