//! Bad input at the daemon's edges: its socket, its database, its directories, its options.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use aorta_integration::lab::{Netns, Output, Switch, SwitchOptions, run};
use common::{Bed, LIMIT, done, pings, vsctl};

/// Sends bytes to the database's socket; true if the daemon closed the connection.
fn is_hung_up_on(switch: &Switch, bytes: &[u8], ends: bool) -> bool {
    let mut stream = UnixStream::connect(switch.rundir().join("db.sock")).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    if let Err(error) = stream.write_all(bytes) {
        let closed = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
        assert!(closed.contains(&error.kind()), "{error}");
        return true;
    }
    if ends {
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    }
    let mut answer = [0; 4096];
    loop {
        match stream.read(&mut answer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return true,
            Err(error) => panic!("still open: {error}"),
        }
    }
}

#[test]
fn garbage_on_the_socket_ends_its_connection_and_no_other() {
    let mut bed = Bed::new("garbage");
    let nested = "[".repeat(200_000);
    let huge = format!("{{\"id\":\"{}", "x".repeat(1 << 20));
    let cases: [(&str, &[u8], bool); 7] = [
        ("no JSON", b"GET / HTTP/1.1\r\n\r\n", false),
        ("no message", b"[1,2,3]", false),
        ("not UTF-8", b"{\"method\":\"\xff\xfe\"}", false),
        ("zero bytes", &[0; 64], false),
        ("cut off", b"{\"id\":1,\"method\":\"ech", true),
        ("nested", nested.as_bytes(), false),
        ("cut off late", huge.as_bytes(), true),
    ];
    bed.undisturbed(|bed| {
        let other = UnixStream::connect(bed.switch.rundir().join("db.sock")).unwrap();
        for (what, bytes, ends) in cases {
            assert!(is_hung_up_on(&bed.switch, bytes, ends), "{what}");
            assert_eq!(done(&bed.switch, "list-br"), "br0", "after {what}");
        }
        answers_an_echo(other);
    });
}

fn answers_an_echo(mut stream: UnixStream) {
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let request = br#"{"id":7,"method":"echo","params":["still here"]}"#;
    stream.write_all(request).unwrap();
    let mut answer = [0; 256];
    let length = stream.read(&mut answer).unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer[..length]).unwrap();
    assert_eq!(answer["result"][0], "still here");
}

#[test]
fn refused_transactions_change_nothing_and_say_why() {
    let bed = Bed::new("refusals");
    let before = done(&bed.switch, "show");
    let transact = |operations: &str| -> serde_json::Value {
        let request = format!("[\"Open_vSwitch\",{operations}]");
        let output = bed.switch.client("ovsdb-client", &["transact", &request]);
        serde_json::from_str(&output.unwrap().stdout).unwrap()
    };
    let cases = [
        (
            r#"{"op":"insert","table":"Nonsense","row":{}}"#,
            "No table named Nonsense",
        ),
        (
            r#"{"op":"update","table":"Port","where":[],"row":{"tag":4096}}"#,
            "constraint",
        ),
        (
            r#"{"op":"update","table":"Port","where":[],"row":{"tag":"ten"}}"#,
            "syntax",
        ),
        (r#"{"op":"explode"}"#, "explode"),
        (
            r#"{"op":"update","table":"Interface","where":[["name","==","vb"]],"row":{"name":"va"}}"#,
            "constraint",
        ),
    ];
    for (operation, word) in cases {
        let reply = transact(operation).to_string();
        assert!(
            reply.contains("error") && reply.contains(word),
            "{operation}: {reply}"
        );
    }
    assert_eq!(done(&bed.switch, "show"), before);
    assert!(pings(&bed.left, common::RIGHT));
}

/// Directories for a daemon that isn't meant to start.
struct Place {
    dir: tempfile::TempDir,
    ns: Netns,
}

impl Place {
    fn new(label: &str) -> Place {
        Place {
            dir: tempfile::tempdir().unwrap(),
            ns: Netns::new(label).unwrap(),
        }
    }

    fn db(&self) -> PathBuf {
        self.dir.path().join("conf.db")
    }

    fn rundir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    fn run(&self, program: &Path, args: &[&str]) -> Output {
        let mut command = self.ns.command(program);
        command.arg("--rundir").arg(self.rundir());
        run(command.arg("--db").arg(self.db()).args(args)).unwrap()
    }

    /// Runs the daemon, which must refuse in one line with these words.
    fn refused(&self, program: &Path, words: &[&str]) -> String {
        let output = self.run(program, &[]);
        assert_ne!(output.status, 0, "{output:?}");
        let lines: Vec<&str> = output.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "{}", output.stderr);
        for word in words {
            assert!(lines[0].contains(word), "{word}: {}", lines[0]);
        }
        lines[0].to_owned()
    }
}

/// The daemon of this build, and a database with three bridges that it wrote.
fn written_database(label: &str) -> (PathBuf, Vec<u8>) {
    let ns = Netns::new(label).unwrap();
    let mut switch = Switch::start(&ns).unwrap();
    for bridge in ["br0", "br1", "br2"] {
        done(&switch, &format!("add-br {bridge}"));
    }
    switch.terminate().unwrap();
    let bytes = fs::read(switch.db()).unwrap();
    (switch.bin_dir().join("vswitchd"), bytes)
}

/// Where the text of a record that names `bridge` begins.
fn offset_of(bytes: &[u8], bridge: &str) -> usize {
    let name = format!("\"{bridge}\"");
    let at = bytes.windows(name.len()).position(|w| w == name.as_bytes());
    at.unwrap()
}

#[test]
fn a_database_damaged_in_the_middle_is_refused_and_left_alone() {
    let (daemon, mut bytes) = written_database("damaged");
    let place = Place::new("damaged");
    let at = offset_of(&bytes, "br1");
    bytes[at + 2] ^= 0x15;
    fs::write(place.db(), &bytes).unwrap();
    let db = place.db();
    let line = place.refused(&daemon, &[db.to_str().unwrap(), "byte", "--salvage-db"]);
    let offset: usize = line
        .split("byte ")
        .nth(1)
        .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next())
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{line}"));
    assert!(offset > 0 && offset <= at, "{offset} for damage at {at}");
    assert_eq!(fs::read(place.db()).unwrap(), bytes);

    // The remedy that it names: a database of what was intact.
    let out = place.dir.path().join("saved.db");
    let salvaged = place.run(&daemon, &["--salvage-db", out.to_str().unwrap()]);
    salvaged.ok().unwrap();
    assert_eq!(fs::read(place.db()).unwrap(), bytes);
    let switch = started_from(&place.ns, out);
    assert_eq!(done(&switch, "list-br"), "br0");
}

fn started_from(ns: &Netns, database: PathBuf) -> Switch {
    let options = SwitchOptions {
        database: Some(database),
        ..SwitchOptions::default()
    };
    Switch::start_with(Some(ns), options).unwrap()
}

#[test]
fn a_torn_end_of_the_database_is_cut_off() {
    let (_, bytes) = written_database("torn");
    let place = Place::new("torn");
    // In the record that makes br2: a crash while it was written.
    let torn = &bytes[..offset_of(&bytes, "br2")];
    fs::write(place.db(), torn).unwrap();
    let mut switch = started_from(&place.ns, place.db());
    assert_eq!(done(&switch, "list-br"), "br0\nbr1");
    done(&switch, "add-br br3");
    switch.kill().unwrap();
    switch.restart().unwrap();
    assert_eq!(done(&switch, "list-br"), "br0\nbr1\nbr3");
}

#[test]
fn what_is_no_database_is_refused_and_left_alone() {
    let (daemon, _) = written_database("nodb");
    let place = Place::new("nodb");
    for text in [
        "# my own configuration\n",
        "OVSDB JSON 3 00\n{}",
        "OVSDB CLUSTER 1 2\n",
    ] {
        fs::write(place.db(), text).unwrap();
        place.refused(&daemon, &[place.db().to_str().unwrap()]);
        assert_eq!(fs::read_to_string(place.db()).unwrap(), text);
    }
    // Root reads everything, but not a directory as a file.
    fs::remove_file(place.db()).unwrap();
    fs::create_dir(place.db()).unwrap();
    place.refused(&daemon, &[place.db().to_str().unwrap()]);
}

#[test]
fn missing_directories_are_made() {
    let (daemon, _) = written_database("missing");
    let ns = Netns::new("missing").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (rundir, db) = (dir.path().join("a/run"), dir.path().join("b/c/conf.db"));
    let mut start = ns.command(&daemon);
    start.arg("--detach").arg("--rundir").arg(&rundir);
    start.arg("--db").arg(&db);
    let log = dir.path().join("log");
    start.arg(format!("--log-file={}", log.display()));
    run(&mut start).unwrap().ok().unwrap();
    assert!(db.is_file());
    // It runs in the background: one of OVS's tools ends it.
    let mut end = ns.command("ovs-appctl");
    end.env("OVS_RUNDIR", &rundir).args(["exit", "--cleanup"]);
    run(&mut end).unwrap().ok().unwrap();
}

#[test]
fn a_rundir_that_cannot_be_had_is_told() {
    let (daemon, _) = written_database("rundir");
    let place = Place::new("rundir");
    fs::write(place.rundir(), "a file").unwrap();
    place.refused(&daemon, &[place.rundir().to_str().unwrap()]);
    assert_eq!(fs::read_to_string(place.rundir()).unwrap(), "a file");
    assert!(
        !place.db().exists(),
        "nothing is made before it is sure to be needed"
    );

    // Not writable: root is stopped by a read-only mount alone.
    fs::remove_file(place.rundir()).unwrap();
    fs::create_dir(place.rundir()).unwrap();
    let script = format!(
        "mount -t tmpfs -o ro none {run} && exec {daemon} --rundir {run} --db {db}",
        run = place.rundir().display(),
        daemon = daemon.display(),
        db = place.db().display(),
    );
    let mut command = Command::new("unshare");
    let output = run(command.args(["-m", "-n", "sh", "-c", &script])).unwrap();
    assert_ne!(output.status, 0);
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    let run = place.rundir().display().to_string();
    assert!(output.stderr.contains(&run), "{}", output.stderr);
    assert!(output.stderr.contains("Read-only"), "{}", output.stderr);
}

#[test]
fn a_second_daemon_on_the_same_rundir_or_database_is_refused() {
    let mut bed = Bed::new("second");
    bed.undisturbed(|bed| {
        let daemon = bed.switch.bin_dir().join("vswitchd");
        let other = Place::new("other");
        let start = |rundir: PathBuf, db: PathBuf| {
            let mut command = bed.ns.command(&daemon);
            command.arg("--rundir").arg(rundir).arg("--db").arg(db);
            run(&mut command).unwrap()
        };
        let pid = bed.switch.pid().unwrap().to_string();
        let same_rundir = start(bed.switch.rundir(), other.db());
        assert!(same_rundir.stderr.contains(&pid), "{same_rundir:?}");
        let same_db = start(other.rundir(), bed.switch.db());
        let db = bed.switch.db().display().to_string();
        assert!(same_db.stderr.contains(&db), "{same_db:?}");
        for output in [same_rundir, same_db] {
            assert_ne!(output.status, 0);
            assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        }
    });
    assert_eq!(done(&bed.switch, "list-br"), "br0");
}

#[test]
fn options_and_remotes_that_are_none_are_named() {
    let (daemon, _) = written_database("options");
    let place = Place::new("options");
    for (args, word) in [
        (&["--nonsense"][..], "--nonsense"),
        (&["--datapath", "magic"], "magic"),
        (&["--remote", "carrier-pigeon:7"], "carrier-pigeon"),
        (&["--remote", "ptcp:notaport"], "notaport"),
    ] {
        let output = place.run(&daemon, args);
        assert_ne!(output.status, 0, "{args:?}");
        let first = output.stderr.lines().next().unwrap_or_default();
        assert!(first.contains(word), "{args:?}: {}", output.stderr);
    }
    assert!(!place.db().exists(), "nothing is made");
}

/// A file system of its own, so small that it is full soon.
struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    fn new() -> SmallDisk {
        let disk = SmallDisk {
            dir: tempfile::tempdir().unwrap(),
        };
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "none"]);
        run(mount.arg(disk.dir.path())).unwrap().ok().unwrap();
        disk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn fill(&self) {
        let mut filler = fs::File::create(self.path("filler")).unwrap();
        let full = loop {
            if let Err(error) = filler.write_all(&[7; 512]) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull);
    }

    fn free(&self) {
        fs::remove_file(self.path("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let mut umount = Command::new("umount");
        // Detached at once, and gone with the last who uses it.
        let _ = run(umount.arg("-l").arg(self.dir.path()));
    }
}

/// The disk takes nothing more: changes are refused with the reason, and taken once it is well.
fn refused_until(
    disk: &SmallDisk,
    switch: &Switch,
    bridge: &str,
    reason: &str,
    cure: impl FnOnce(),
) {
    // What fits into the last block is still taken.
    let mut number = 0;
    let output = loop {
        number += 1;
        let words = format!(
            "--timeout=10 br-set-external-id br0 {bridge}{number} {}",
            "x".repeat(200)
        );
        let output = vsctl(switch, &words);
        if output.status != 0 {
            break output;
        }
        assert!(number < 100, "never refused");
    };
    let db = disk.path("conf.db").display().to_string();
    for word in [&db, reason] {
        assert!(output.stderr.contains(word), "{word}: {}", output.stderr);
    }
    // It is readable meanwhile, and refuses what comes next as well.
    assert!(done(switch, "list-br").starts_with("br0"));
    let output = vsctl(switch, &format!("--timeout=10 add-br {bridge}"));
    assert!(output.stderr.contains(reason), "{}", output.stderr);
    cure();
    done(switch, &format!("add-br {bridge}"));
}

#[test]
fn a_disk_that_takes_nothing_is_told_and_survived() {
    let ns = Netns::new("full").unwrap();
    let disk = SmallDisk::new();
    let mut switch = Switch::start(&ns).unwrap();
    done(&switch, "add-br br0");
    switch.terminate().unwrap();
    fs::copy(switch.db(), disk.path("conf.db")).unwrap();
    fs::remove_file(switch.db()).unwrap();
    std::os::unix::fs::symlink(disk.path("conf.db"), switch.db()).unwrap();
    switch.restart().unwrap();
    disk.fill();
    refused_until(&disk, &switch, "br1", "No space left", || disk.free());
    assert_eq!(done(&switch, "list-br"), "br0\nbr1");
    // A compaction that there is no room for leaves everything as it is.
    disk.fill();
    let compact = ["-t", "ovsdb-server", "ovsdb-server/compact"];
    let output = switch.client("ovs-appctl", &compact).unwrap();
    assert!(output.stderr.contains("No space left"), "{output:?}");
    disk.free();
    switch.client("ovs-appctl", &compact).unwrap().ok().unwrap();
    switch.kill().unwrap();
    switch.restart().unwrap();
    assert_eq!(done(&switch, "list-br"), "br0\nbr1");
    assert_eq!(
        fs::read_dir(disk.dir.path()).unwrap().count(),
        2,
        "the database and its lock"
    );
}
