//! The control sockets, by the real `ovs-appctl`, beside those of Open vSwitch's own daemons
//! (needs root and Open vSwitch installed).

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{Host, run};

/// Open vSwitch's ovsdb-server in a rundir of its own; ended with the value.
struct Reference {
    dir: tempfile::TempDir,
    server: std::process::Child,
}

impl Reference {
    fn start() -> Reference {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("conf.db");
        let schema = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../ovsdb/schema/vswitch.ovsschema"
        );
        run(Command::new("ovsdb-tool")
            .arg("create")
            .arg(&db)
            .arg(schema));
        let mut command = Command::new("ovsdb-server");
        command
            .arg(&db)
            .args(["--pidfile", "--log-file", "-vconsole:off"]);
        command.arg(format!("--remote=punix:{}/db.sock", dir.path().display()));
        let environment = ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"];
        command.envs(environment.map(|name| (name, dir.path())));
        let server = command.stderr(Stdio::null()).spawn().unwrap();
        let reference = Reference { dir, server };
        let start = Instant::now();
        while !appctl(reference.dir.path(), &["-t", "ovsdb-server", "version"])
            .status
            .success()
        {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "ovsdb-server doesn't start"
            );
        }
        reference
    }
}

/// Another daemon; ended with the value.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn appctl(rundir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("ovs-appctl");
    command.env("OVS_RUNDIR", rundir).arg("--timeout=20");
    command.args(arguments).output().unwrap()
}

/// Waits for something that happens in the background.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Exit status, standard output and standard error.
fn all(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn answers_are_those_of_ovsdb_server() {
    let host = Host::new("appctl-same");
    let log = format!("--log-file={}", host.path("log").display());
    let _daemon = host.start_with(&[&log]);
    let reference = Reference::start();
    for line in [
        "nonsense",
        "version x",
        "exit --cleanup",
        "coverage/read-counter",
        "coverage/read-counter nope",
        "ovsdb-server/list-dbs",
        "ovsdb-server/compact",
        "ovsdb-server/compact Open_vSwitch",
        "ovsdb-server/compact _Server",
        "ovsdb-server/compact nope",
        "ovsdb-server/compact a b",
        "ovsdb-server/add-remote",
        "ovsdb-server/add-remote ptcp:0:127.0.0.1",
        "ovsdb-server/remove-remote ptcp:0:127.0.0.1",
        "ovsdb-server/remove-remote ptcp:0:127.0.0.1",
        "ovsdb-server/reconnect",
        "ovsdb-server/get-db-storage-status",
        "ovsdb-server/get-db-storage-status Open_vSwitch",
        "ovsdb-server/get-db-storage-status _Server",
        "ovsdb-server/get-db-storage-status nope",
        "ovsdb-server/sync-status",
        "ovsdb-server/get-active-ovsdb-server",
        "ovsdb-server/set-active-ovsdb-server",
        "ovsdb-server/remove-db",
        "ovsdb-server/remove-db nope",
        "ovsdb-server/remove-db _Server",
        "ovsdb-server/memory-trim-on-compaction on",
        "ovsdb-server/memory-trim-on-compaction maybe",
        "ovsdb-server/perf-counters-clear",
        "ovsdb-server/tlog-list",
        "ovsdb-server/tlog-set Open_vSwitch:Bridge on",
        "ovsdb-server/tlog-list",
        "ovsdb-server/tlog-set Open_vSwitch:Bridge off",
        "ovsdb-server/tlog-set Open_vSwitch:Bridge maybe",
        "ovsdb-server/tlog-set Open_vSwitch:Nope on",
        "ovsdb-server/tlog-set Nope:Bridge on",
        "ovsdb-server/tlog-set Bridge on",
        "ovsdb-server/tlog-set Bridge",
        "vlog/set",
        "vlog/set nope",
        "vlog/set jsonrpc:file:nope",
        "vlog/set jsonrpc:unixctl:dbg",
        "vlog/set console:file:dbg",
        "vlog/set info:dbg",
        "vlog/set any:any:off",
        "vlog/set ANY:file:info",
        "vlog/set PATTERN",
        "vlog/set PATTERN:nope:%m",
        "vlog/set FACILITY:nope",
        "vlog/set FACILITY:local3",
        "vlog/list-pattern",
        "vlog/set PATTERN:file:%p|%m",
        "vlog/set pattern:console:%m%n",
        "vlog/list-pattern",
        "vlog/enable-rate-limit",
        "vlog/disable-rate-limit nope",
        "vlog/disable-rate-limit jsonrpc",
        "vlog/close",
        "vlog/close x",
        "vlog/reopen",
    ] {
        let words = ["-t", "ovsdb-server"].into_iter().chain(line.split(' '));
        let arguments: Vec<&str> = words.collect();
        let (ours, theirs) = (host.rundir(), reference.dir.path());
        let (ours, theirs) = (appctl(&ours, &arguments), appctl(theirs, &arguments));
        assert_eq!(all(&ours), all(&theirs), "{line}");
    }
}

#[test]
fn lists_have_the_layout_of_open_vswitch() {
    let host = Host::new("appctl-lists");
    let _daemon = host.start();
    let reference = Reference::start();
    let lines = |rundir: &Path, command: &str| {
        let output = appctl(rundir, &["-t", "ovsdb-server", command]);
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let theirs = lines(reference.dir.path(), "list-commands");
    let ours = lines(&host.rundir(), "list-commands");
    for line in &ours {
        assert!(theirs.contains(line), "{line:?} is not in {theirs:?}");
    }
    let of = |lines: &[String], rundir: &Path| -> Vec<String> {
        let place = rundir.display().to_string();
        lines
            .iter()
            .map(|line| line.replace(&place, "RUNDIR"))
            .collect()
    };
    let ours = of(
        &lines(&host.rundir(), "ovsdb-server/list-remotes"),
        &host.rundir(),
    );
    let db = "db:Open_vSwitch,Open_vSwitch,manager_options";
    assert_eq!(ours, [db, "punix:RUNDIR/db.sock"]);
    // Modules that both have, by the same levels.
    let log_off = ["-t", "ovsdb-server", "vlog/set", "any:any:off"];
    for rundir in [&*host.rundir(), reference.dir.path()] {
        assert!(appctl(rundir, &log_off).status.success());
    }
    let (ours, theirs) = (
        lines(&host.rundir(), "vlog/list"),
        lines(reference.dir.path(), "vlog/list"),
    );
    let common: Vec<_> = ours.iter().filter(|line| theirs.contains(line)).collect();
    let names = [
        "jsonrpc ",
        "ovsdb_log ",
        "ovsdb_server ",
        "unixctl ",
        "vlog ",
    ];
    for name in names {
        assert!(
            common.iter().any(|line| line.starts_with(name)),
            "{name}: {ours:?}"
        );
    }
    let header = |rundir| lines(rundir, "coverage/show").first().unwrap()[..70].to_owned();
    assert_eq!(header(&host.rundir()), header(reference.dir.path()));
}

#[test]
fn each_way_to_name_a_target_works() {
    let host = Host::new("appctl-target");
    let daemon = host.start();
    host.vsctl("add-br br0");
    let says = |arguments: &[&str]| {
        let output = appctl(&host.rundir(), arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let memory = says(&["memory/show"]);
    assert_eq!(memory, "bridges:1 mac-entries:0 ports:1\n");
    assert_eq!(says(&["-t", "ovs-vswitchd", "memory/show"]), memory);
    assert_eq!(says(&["--target=ovs-vswitchd", "memory/show"]), memory);
    let socket = |name: &str| {
        let file = format!("{name}.{}.ctl", daemon.pid());
        host.rundir().join(file).to_str().unwrap().to_owned()
    };
    assert_eq!(
        says(&["--target", &socket("ovs-vswitchd"), "memory/show"]),
        memory
    );
    let database = says(&["-t", &socket("ovsdb-server"), "memory/show"]);
    assert!(
        database.starts_with("atoms:") && database.contains(" cells:"),
        "{database}"
    );
    assert_eq!(
        says(&["-T", "9", "-t", "ovsdb-server", "ovsdb-server/sync-status"]),
        "state: active\n"
    );
    let unlocked = host.rundir().join("copy.pid");
    fs::copy(host.rundir().join("ovsdb-server.pid"), unlocked).unwrap();
    let refused = appctl(&host.rundir(), &["-t", "copy", "version"]);
    assert!(
        !refused.status.success(),
        "a pidfile that nobody locks names nobody"
    );
}

#[test]
fn levels_and_transactions_reach_the_log_file() {
    let host = Host::new("appctl-vlog");
    let log = host.path("log");
    let _daemon = host.start_with(&[&format!("--log-file={}", log.display())]);
    let ok = |arguments: &[&str]| {
        let output = appctl(&host.rundir(), arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    };
    let text = || fs::read_to_string(&log).unwrap();
    let line = text().lines().next().unwrap().to_owned();
    let fields: Vec<&str> = line.splitn(5, '|').collect();
    assert!(
        fields[0].ends_with('Z') && fields[1] == "00001" && fields[3] == "INFO",
        "{line}"
    );

    ok(&[
        "-t",
        "ovsdb-server",
        "ovsdb-server/tlog-set",
        "Open_vSwitch:QoS",
        "on",
    ]);
    ok(&["vlog/set", "PATTERN:file:<%c %p>%m"]);
    host.vsctl("--no-wait create queue dscp=7");
    host.vsctl("--no-wait create qos type=one");
    until("the row is logged", || {
        text().contains("<transaction INFO>table:QoS,op:inserted")
    });
    assert!(
        text().contains(",type:one\n") && !text().contains("dscp"),
        "{}",
        text()
    );

    fs::rename(&log, host.path("old")).unwrap();
    ok(&["vlog/reopen"]);
    ok(&["vlog/set", "any:file:dbg"]);
    host.vsctl("add-br br0");
    assert!(!text().is_empty());
}

#[test]
fn memory_is_counted_as_ovsdb_server_counts_it() {
    let reference = Reference::start();
    let rundir = reference.dir.path();
    let mut vsctl = Command::new("ovs-vsctl");
    vsctl
        .env("OVS_RUNDIR", rundir)
        .args(["--no-wait", "--timeout=20"]);
    let lines = "add-br br0 -- add-port br0 p1 tag=7 trunks=1,2,3 -- add-port br0 p2 \
                 -- set interface p1 external_ids:a=b external_ids:c=d options:peer=p2 \
                 -- --id=@p get port p1 -- --id=@m create mirror name=m select_src_port=@p \
                 output_port=@p -- set bridge br0 mirrors=@m";
    run(vsctl.args(lines.split_whitespace()));
    let theirs = || {
        let output = appctl(rundir, &["-t", "ovsdb-server", "memory/show"]);
        String::from_utf8(output.stdout).unwrap()
    };
    until("ovs-vsctl is gone", || !theirs().contains("sessions"));
    let copy = rundir.join("copy.db");
    fs::copy(rundir.join("conf.db"), &copy).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ours = runtime.block_on(async {
        let store = aorta_ovsdb::Store::open(&copy).unwrap();
        store.usage().await.unwrap()
    });
    let (atoms, cells, weak) = (ours.atoms, ours.cells, ours.weak_refs);
    let ours = format!("atoms:{atoms} cells:{cells} monitors:0 n-weak-refs:{weak}\n");
    assert_eq!(ours, theirs());
}

#[test]
fn the_management_api_is_there_for_curl() {
    if Command::new("curl").arg("--version").output().is_err() {
        println!("skipped: curl is not installed");
        return;
    }
    let host = Host::new("api-curl");
    host.ip("link set lo up");
    let log = host.path("log");
    let _daemon = host.start_with(&[
        "--api-listen=127.0.0.1:0",
        &format!("--log-file={}", log.display()),
    ]);
    host.vsctl("add-br br0");
    let text = fs::read_to_string(&log).unwrap();
    let (_, rest) = text.split_once("http://127.0.0.1:").unwrap();
    let port = rest.split(',').next().unwrap();
    let curl = |arguments: &[&str], method: &str, params: &str| {
        let call = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", host.ns()));
        command.args([
            "curl",
            "-s",
            "-m",
            "20",
            "-H",
            "Content-Type: application/json",
            "-d",
            &call,
        ]);
        run(command.args(arguments))
    };
    let socket = host.rundir().join("aorta.sock");
    let unix = [
        "--unix-socket",
        socket.to_str().unwrap(),
        "http://localhost/",
    ];
    let url = format!("http://127.0.0.1:{port}/");
    let select =
        r#"{"operations":[{"op":"select","table":"Bridge","where":[],"columns":["name"]}]}"#;
    for place in [&unix[..], &[&url]] {
        assert_eq!(
            curl(place, "db_transact", select),
            r#"{"jsonrpc":"2.0","id":1,"result":[{"rows":[{"name":"br0"}]}]}"#
        );
        assert!(curl(place, "switch_status", "[]").contains("\"name\":\"br0\""));
    }
    let page = curl(
        &["-H", "Origin: http://evil.example", &url],
        "db_list",
        "[]",
    );
    assert!(page.contains("web pages"), "{page}");
}

#[test]
fn answers_are_those_of_ovs_vswitchd() {
    let (host, theirs) = (Host::new("appctl-switch"), Host::new("appctl-ovs"));
    let _daemon = host.start();
    let reference = Reference::start();
    let rundir = reference.dir.path();
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{}", theirs.ns()));
    command.args([
        "ovs-vswitchd",
        "--enable-dummy=override",
        "--disable-system",
        "--pidfile",
    ]);
    command.arg(format!("unix:{}/db.sock", rundir.display()));
    let environment = ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"];
    command.envs(environment.map(|name| (name, rundir)));
    command.args(["-vconsole:off"]).stderr(Stdio::null());
    let _switch = Ended(command.spawn().unwrap());
    until("ovs-vswitchd is there", || {
        appctl(rundir, &["version"]).status.success()
    });
    let both = |line: &str| {
        let arguments: Vec<&str> = line.split(' ').collect();
        (
            all(&appctl(&host.rundir(), &arguments)),
            all(&appctl(rundir, &arguments)),
        )
    };
    for line in [
        "nonsense",
        "fdb/show",
        "fdb/show nope",
        "fdb/show a b",
        "ofproto/list",
        "ofproto/list x",
        "exit a b",
        "memory/show x",
        "coverage/show x",
        "vlog/reopen",
        "vlog/close",
        "vlog/set bridge:file:dbg",
        "vlog/set dpif:syslog:off",
        "vlog/set netdev_linux:nope",
        "ovsdb-server/list-dbs",
    ] {
        let (ours, theirs) = both(line);
        assert_eq!(ours, theirs, "{line}");
    }
    for rundir in [&host.rundir(), rundir] {
        let mut add = Command::new("ovs-vsctl");
        add.env("OVS_RUNDIR", rundir).arg("--timeout=20");
        run(add.args(["add-br", "br0"]));
    }
    for line in [
        "ofproto/list",
        "fdb/flush",
        "fdb/flush br0",
        "fdb/flush nope",
        "fdb/flush a b",
        "bridge/dump-flows",
        "bridge/dump-flows nope",
        "ofproto/trace",
        "ofproto/trace br0",
        "ofproto/trace nope in_port=1",
    ] {
        let (ours, theirs) = both(line);
        assert_eq!(ours, theirs, "{line}");
    }
    // Their own table has flows that nobody asked for.
    let flows = |(_, out, _): (Option<i32>, String, String)| -> Vec<String> {
        let lines = out.lines().filter(|line| !line.starts_with("table_id=254"));
        let timeless = |line: &str| match line.split_once(", ") {
            Some((_, rest)) => rest.to_owned(),
            None => line.to_owned(),
        };
        lines.map(timeless).collect()
    };
    let (ours, theirs) = both("bridge/dump-flows br0");
    assert_eq!(flows(ours), flows(theirs));
    let (ours, theirs) = both("dpif/show");
    let ports = |text: &str| text.lines().filter(|l| l.contains("br0 65534/")).count();
    assert_eq!((ports(&ours.1), ports(&theirs.1)), (1, 1), "{ours:?}");
    let (ours, theirs) = both("ofproto/trace br0 in_port=LOCAL,tcp,tp_dst=80");
    for line in ["bridge(\"br0\")", "    NORMAL"] {
        let there = |text: &str| text.lines().any(|other| other == line);
        assert!(
            there(&ours.1) && there(&theirs.1),
            "{line}: {ours:?} {theirs:?}"
        );
    }
    let (ours, theirs) = both("ofproto/trace br0 xin_port=1");
    for (status, _, words) in [&ours, &theirs] {
        assert!(
            words.starts_with("Bad openflow flow syntax: xin_port=1: "),
            "{words}"
        );
        assert_eq!(*status, Some(2));
    }
    let (ours, all_of_them) = both("list-commands");
    for line in ours.1.lines() {
        assert!(all_of_them.1.lines().any(|other| other == line), "{line:?}");
    }
}
