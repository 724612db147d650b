//! What sysfs tells about a NIC. Best effort: a driver that doesn't tell gives nothing.

use std::fs;
use std::path::Path;

/// Duplex mode of a NIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplex {
    /// One direction at a time.
    Half,
    /// Both directions at once.
    Full,
}

/// What is known about a NIC's hardware.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HardwareInfo {
    /// Name of its driver.
    pub driver: Option<String>,
    /// Speed of the link in bits per second.
    pub speed_bps: Option<u64>,
    /// Duplex mode.
    pub duplex: Option<Duplex>,
}

/// Reads `/sys/class/net/NAME`. Sysfs shows the devices of the namespace in which it was mounted.
pub fn hardware_info(name: &str) -> HardwareInfo {
    hardware_info_in(Path::new("/sys/class/net"), name)
}

fn hardware_info_in(class: &Path, name: &str) -> HardwareInfo {
    let device = class.join(name);
    let text = |file: &str| fs::read_to_string(device.join(file)).ok();
    let driver = fs::read_link(device.join("device/driver")).ok();
    // A link that is down reads as -1 or as an error.
    let mbps = text("speed").and_then(|s| s.trim().parse::<u64>().ok());
    HardwareInfo {
        driver: driver.and_then(|p| Some(p.file_name()?.to_str()?.to_owned())),
        speed_bps: mbps
            .filter(|&m| m != u64::from(u32::MAX))
            .map(|m| m * 1_000_000),
        duplex: match text("duplex").as_deref().map(str::trim) {
            Some("full") => Some(Duplex::Full),
            Some("half") => Some(Duplex::Half),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_there_is() {
        let dir = std::env::temp_dir().join(format!("aorta-sysfs-{}", std::process::id()));
        let nic = dir.join("eth0");
        fs::create_dir_all(nic.join("device")).unwrap();
        fs::write(nic.join("speed"), "25000\n").unwrap();
        fs::write(nic.join("duplex"), "full\n").unwrap();
        std::os::unix::fs::symlink("../../bus/drivers/mlx5_core", nic.join("device/driver"))
            .unwrap();
        let info = hardware_info_in(&dir, "eth0");
        assert_eq!(info.driver.as_deref(), Some("mlx5_core"));
        assert_eq!(info.speed_bps, Some(25_000_000_000));
        assert_eq!(info.duplex, Some(Duplex::Full));
        fs::write(nic.join("speed"), "-1\n").unwrap();
        assert_eq!(hardware_info_in(&dir, "eth0").speed_bps, None);
        assert_eq!(hardware_info_in(&dir, "none"), HardwareInfo::default());
        fs::remove_dir_all(&dir).unwrap();
    }
}
