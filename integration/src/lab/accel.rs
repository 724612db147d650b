//! Whether guests can use hardware virtualisation here.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use aorta_vm_images::{Image, cache_root};

use super::exec::wait_child;

/// Time in which a guest kernel boots and powers off where KVM works.
const PROBE_LIMIT: Duration = Duration::from_secs(10);
/// What the guest prints on its console when asked whether it boots.
const BOOTS: &str = "aorta-guest: boots";

/// How QEMU runs a guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// On the processor itself.
    Kvm,
    /// By translation, slower and everywhere.
    Tcg,
}

impl Accel {
    /// What works here: `AORTA_ACCEL` (`kvm` or `tcg`) if set, otherwise KVM if a guest kernel
    /// boots on it within a few seconds. An existing /dev/kvm is no proof: QEMU may hang on it.
    /// The answer is kept until the machine boots again.
    pub fn detect(image: &Image) -> Accel {
        static ANSWER: OnceLock<Accel> = OnceLock::new();
        *ANSWER.get_or_init(|| {
            if let Some(accel) = std::env::var("AORTA_ACCEL").ok().and_then(|v| parse(&v)) {
                return accel;
            }
            if OpenOptions::new()
                .read(true)
                .write(true)
                .open("/dev/kvm")
                .is_err()
            {
                return Accel::Tcg;
            }
            remembered().unwrap_or_else(|| {
                let accel = if boots_on_kvm(image) {
                    Accel::Kvm
                } else {
                    Accel::Tcg
                };
                remember(accel);
                accel
            })
        })
    }

    /// QEMU's options for it.
    pub fn qemu_args(self) -> [&'static str; 4] {
        match self {
            Accel::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Accel::Tcg => ["-accel", "tcg,thread=multi", "-cpu", "max"],
        }
    }

    /// Its name in `AORTA_ACCEL`.
    pub fn name(self) -> &'static str {
        match self {
            Accel::Kvm => "kvm",
            Accel::Tcg => "tcg",
        }
    }
}

fn parse(text: &str) -> Option<Accel> {
    [Accel::Kvm, Accel::Tcg]
        .into_iter()
        .find(|accel| accel.name() == text.trim())
}

/// File that holds the answer for this boot of the machine.
fn memory() -> Option<PathBuf> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(cache_root().ok()?.join(format!("accel-{}", boot.trim())))
}

fn remembered() -> Option<Accel> {
    parse(&std::fs::read_to_string(memory()?).ok()?)
}

fn remember(accel: Accel) {
    // Not remembered, it is found out again.
    if let Some(path) = memory() {
        let _ = std::fs::write(path, accel.name());
    }
}

fn boots_on_kvm(image: &Image) -> bool {
    let Ok(dir) = tempfile::tempdir() else {
        return false;
    };
    let console = dir.path().join("console");
    boots(probe_command(image, &console), &console, PROBE_LIMIT)
}

/// Whether the machine ends in time and has said on its console that it boots.
fn boots(mut qemu: Command, console: &Path, limit: Duration) -> bool {
    let spawned = qemu
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let ended = spawned.is_ok_and(|mut child| wait_child(&mut child, "KVM probe", limit).is_ok());
    ended && std::fs::read_to_string(console).is_ok_and(|text| text.contains(BOOTS))
}

fn probe_command(image: &Image, console: &Path) -> Command {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(Accel::Kvm.qemu_args())
        .args(["-m", "256", "-nodefaults", "-no-user-config", "-no-reboot"])
        .args(["-display", "none", "-monitor", "none"])
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .arg("-kernel")
        .arg(&image.kernel)
        .arg("-initrd")
        .arg(&image.initramfs)
        .args(["-append", "console=ttyS0 panic=-1 quiet aorta.probe"]);
    qemu
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_nothing_else() {
        assert_eq!(parse("kvm\n"), Some(Accel::Kvm));
        assert_eq!(parse("tcg"), Some(Accel::Tcg));
        assert_eq!(parse("hvf"), None);
    }

    /// What [`boots`] makes of a stand-in for QEMU that knows the console as `$0`.
    fn probed(script: &str, limit: Duration) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let console = dir.path().join("console");
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(&console);
        boots(command, &console, limit)
    }

    #[test]
    fn only_a_guest_that_boots_and_ends_counts() {
        let long = Duration::from_secs(20);
        assert!(probed("echo noise >$0; echo aorta-guest: boots >>$0", long));
        assert!(!probed("echo Kernel panic >$0", long));
        assert!(!probed("exit 1", long));
    }

    #[test]
    fn a_machine_that_hangs_is_given_up() {
        assert!(!probed("exec sleep 600", Duration::from_millis(50)));
    }
}
