//! QEMU as all machines of the lab are started.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use aorta_vm_images::Image;

use super::exec::command_line;
use super::{Accel, LabError};

/// Lines of console and of QEMU's messages that go into an error.
const TAIL_LINES: usize = 25;
/// What the kernel is told.
const APPEND: &str = "console=ttyS0 panic=-1 quiet mitigations=off oops=panic no_timer_check";

/// What a machine consists of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vm<'a> {
    pub image: &'a Image,
    /// Instead of the image's own.
    pub initramfs: &'a Path,
    pub accel: Accel,
    pub cpus: u32,
    pub memory_mib: u32,
    /// Whether it boots again when its kernel does; otherwise QEMU ends.
    pub reboots: bool,
}

/// Has a command start a machine whose console goes to a file in `dir`.
pub(super) fn describe(qemu: &mut Command, machine: &Vm, dir: &Path) {
    qemu.args(machine.accel.qemu_args())
        .args(["-smp", &machine.cpus.to_string()])
        .args(["-m", &machine.memory_mib.to_string()])
        .args(["-nodefaults", "-no-user-config"])
        .args((!machine.reboots).then_some("-no-reboot"))
        .args(["-display", "none", "-monitor", "none"])
        .args(["-device", "virtio-rng-pci"])
        .arg("-serial")
        .arg(format!("file:{}", dir.join("console").display()))
        .arg("-kernel")
        .arg(&machine.image.kernel)
        .arg("-initrd")
        .arg(machine.initramfs)
        .args(["-append", APPEND]);
}

/// Starts it. What it says goes to a file in `dir`.
pub(super) fn start(qemu: &mut Command, dir: &Path) -> Result<Child, LabError> {
    let path = dir.join("qemu.log");
    let log = File::create(&path).map_err(LabError::file("make", &path))?;
    qemu.stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(|source| LabError::Start {
            command: command_line(qemu),
            source,
        })
}

/// The ends of what console and QEMU said into `dir`.
pub(super) fn tails(dir: &Path) -> String {
    ["console", "qemu.log"]
        .iter()
        .map(|file| format!("\n--- {file}\n{}", tail(&read_lossy(&dir.join(file)))))
        .collect()
}

/// The last lines of a text.
pub(super) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// A file's text, empty if there is none.
pub(super) fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_keeps_the_last_lines() {
        let text = (0..100)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join("\n");
        let tail = tail(&text);
        assert!(tail.starts_with("75\n") && tail.ends_with("\n99"), "{tail}");
    }
}
