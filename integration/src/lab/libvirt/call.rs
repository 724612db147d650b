//! What libvirt asks `ovs-vsctl`, written down.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::super::binaries::binary;
use super::super::{LabError, Switch};
use super::{make_dir, write};

/// A call of `ovs-vsctl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Name of its record: when it began, in nanoseconds since 1970, and its process id.
    pub name: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Exit status, none while it runs or if it was killed.
    pub status: Option<i32>,
    /// What it printed.
    pub stdout: String,
}

/// The script in front of `vsctl`, and what it wrote.
pub(super) struct Recorder {
    bin: PathBuf,
    calls: PathBuf,
    held: PathBuf,
    taken: BTreeSet<String>,
}

impl Recorder {
    /// Makes an `ovs-vsctl` below `root` that is `vsctl` on `switch`.
    pub(super) fn new(root: &Path, switch: &Switch) -> Result<Recorder, LabError> {
        let (bin, real, calls) = (root.join("bin"), root.join("real"), root.join("calls"));
        for dir in [&bin, &real, &calls] {
            make_dir(dir)?;
        }
        let held = root.join("hold");
        let tool = real.join("ovs-vsctl");
        let vsctl = binary(switch.bin_dir(), "vsctl")?;
        symlink(&vsctl, &tool).map_err(LabError::file("link to", &vsctl))?;
        let script = bin.join("ovs-vsctl");
        write(
            &script,
            &format!(
                "#!/bin/sh\n\
                 call={calls}/$(date +%s%N)-$$\n\
                 printf '%s\\0' \"$@\" >$call.new && mv $call.new $call.args\n\
                 while [ -e {held} ]; do sleep 0.02; done\n\
                 OVS_RUNDIR={rundir} {tool} \"$@\" >$call.stdout\n\
                 status=$?\n\
                 cat $call.stdout\n\
                 echo $status >$call.status\n\
                 exit $status\n",
                calls = calls.display(),
                held = held.display(),
                rundir = switch.rundir().display(),
                tool = tool.display(),
            ),
        )?;
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755))
            .map_err(LabError::file("make executable", &script))?;
        Ok(Recorder {
            bin,
            calls,
            held,
            taken: BTreeSet::new(),
        })
    }

    /// The PATH on which the script is found first.
    pub(super) fn search_path(&self) -> Result<OsString, LabError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let dirs = [self.bin.clone()]
            .into_iter()
            .chain(std::env::split_paths(&path))
            .chain(["/usr/sbin".into(), "/sbin".into()]);
        std::env::join_paths(dirs).map_err(|error| {
            LabError::system("put a search path together")(std::io::Error::other(error))
        })
    }

    pub(super) fn hold(&self) -> Result<(), LabError> {
        write(&self.held, "")
    }

    pub(super) fn release(&self) -> Result<(), LabError> {
        match std::fs::remove_file(&self.held) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(LabError::file("remove", &self.held)(error))
            }
            _ => Ok(()),
        }
    }

    /// The calls that weren't taken yet, in the order in which they began.
    pub(super) fn new_calls(&self) -> Result<Vec<Call>, LabError> {
        let begun = self.begun()?;
        begun
            .difference(&self.taken)
            .map(|name| self.read(name))
            .collect()
    }

    /// The same, which are taken now.
    pub(super) fn take(&mut self) -> Result<Vec<Call>, LabError> {
        let calls = self.new_calls()?;
        self.taken
            .extend(calls.iter().map(|call| call.name.clone()));
        Ok(calls)
    }

    /// Names of the records of all calls.
    fn begun(&self) -> Result<BTreeSet<String>, LabError> {
        let read = std::fs::read_dir(&self.calls).map_err(LabError::file("list", &self.calls))?;
        Ok(read
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter_map(|name| Some(name.strip_suffix(".args")?.to_owned()))
            .collect())
    }

    fn read(&self, name: &str) -> Result<Call, LabError> {
        let path = self.calls.join(format!("{name}.args"));
        let args = std::fs::read_to_string(&path).map_err(LabError::file("read", &path))?;
        let read = |what: &str| std::fs::read_to_string(self.calls.join(format!("{name}.{what}")));
        Ok(Call {
            name: name.to_owned(),
            args: split(&args),
            status: read("status")
                .ok()
                .and_then(|text| text.trim().parse().ok()),
            stdout: read("stdout").unwrap_or_default(),
        })
    }
}

/// The arguments, each of which ends with a zero byte.
fn split(text: &str) -> Vec<String> {
    text.split_terminator('\0').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_may_have_blanks_and_may_be_empty() {
        assert_eq!(split("set\0a b\0\0"), ["set", "a b", ""]);
        assert!(split("").is_empty());
    }
}
