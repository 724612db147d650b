//! The real ovs-vswitchd with bridge `br0`, on its dummy datapath or, in a namespace, with the devices
//! there and its datapath in user space.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use aorta_integration::lab::{Netns, Output, run};
use tempfile::TempDir;

use super::eventually;

/// A running switch. It ends with the value.
pub struct RealSwitch {
    children: Vec<Child>,
    dir: TempDir,
    /// Name of the namespace where it runs, if not in this process's.
    ns: Option<String>,
}

impl RealSwitch {
    /// Starts it with these ports in memory, numbered from 1.
    pub fn start(ports: &[&str]) -> RealSwitch {
        let dummy = ["--enable-dummy=override", "--disable-system"];
        RealSwitch::start_with(None, &dummy, "dummy", ports)
    }

    /// Starts it in a namespace with these devices as ports, numbered from 1.
    pub fn start_in(ns: &Netns, ports: &[&str]) -> RealSwitch {
        RealSwitch::start_with(Some(ns.name().to_owned()), &[], "netdev", ports)
    }

    fn start_with(
        ns: Option<String>,
        options: &[&str],
        datapath: &str,
        ports: &[&str],
    ) -> RealSwitch {
        let mut switch = RealSwitch {
            children: Vec::new(),
            dir: TempDir::new().unwrap(),
            ns,
        };
        let schema = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../ovsdb/schema/vswitch.ovsschema"
        );
        let path = |name: &str| switch.path(name).display().to_string();
        let (database, socket) = (path("conf.db"), path("db.sock"));
        let (db_ctl, vs_ctl) = (path("db.ctl"), path("vs.ctl"));
        switch.done("ovsdb-tool", &["create", &database, schema]);
        let quiet = ["--no-chdir", "-vconsole:off"];
        let remote = format!("--remote=punix:{socket}");
        let unixctl = format!("--unixctl={db_ctl}");
        switch.spawn(
            "ovsdb-server",
            &[&[&*database, &remote, &unixctl], &quiet[..]].concat(),
        );
        eventually("ovsdb-server listens", || switch.path("db.sock").exists());
        let remote = format!("unix:{socket}");
        let unixctl = format!("--unixctl={vs_ctl}");
        let words = [&[&*remote, &unixctl], options, &quiet[..]].concat();
        switch.spawn("ovs-vswitchd", &words);
        let mut line = format!(
            "--timeout=30 --db={remote} add-br br0 -- set bridge br0 datapath_type={datapath} \
             fail-mode=secure protocols=OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15"
        );
        for (n, port) in ports.iter().enumerate() {
            let number = n + 1;
            let kind = if datapath == "dummy" {
                "dummy"
            } else {
                "system"
            };
            line.push_str(&format!(
                " -- add-port br0 {port} -- set interface {port} type={kind} \
                 ofport_request={number}"
            ));
        }
        switch.done("ovs-vsctl", &line.split_whitespace().collect::<Vec<_>>());
        eventually("the bridge listens", || switch.path("br0.mgmt").exists());
        switch
    }

    /// A file in its rundir.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A program that finds the switch.
    pub fn command(&self, program: &str) -> Command {
        let mut command = match &self.ns {
            None => Command::new(program),
            Some(ns) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net=/run/netns/{ns}")).arg("--");
                command.arg(program);
                command
            }
        };
        let system = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{system}:/usr/sbin:/sbin"))
            .env("OVS_RUNDIR", self.dir.path())
            .env("OVS_LOGDIR", self.dir.path())
            .env("OVS_DBDIR", self.dir.path());
        command
    }

    fn spawn(&mut self, program: &str, words: &[&str]) {
        let mut command = self.command(program);
        let command = command.args(words).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.children.push(child.unwrap());
    }

    fn done(&self, program: &str, words: &[&str]) -> Output {
        run(self.command(program).args(words))
            .unwrap()
            .ok()
            .unwrap()
    }
}

impl Drop for RealSwitch {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
