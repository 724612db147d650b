//! Remotes that rows of Manager and SSL name, with Open vSwitch's own tools at the other end; what
//! the rows tell is what the real ovsdb-server tells.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use aorta_integration::lab::{Netns, Switch, SwitchOptions, run};
use common::eventually;
use common::pki::Pki;

/// A server of the database in a namespace.
enum Server {
    Ours(Box<Switch>),
    Real(Child, tempfile::TempDir),
}

impl Server {
    fn real(ns: &Netns) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("conf.db");
        let schema = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../ovsdb/schema/vswitch.ovsschema"
        );
        let mut create = Command::new("ovsdb-tool");
        run(create.arg("create").arg(&file).arg(schema))
            .unwrap()
            .ok()
            .unwrap();
        let socket = dir.path().join("db.sock");
        let child = ns
            .command("ovsdb-server")
            .arg(format!("--remote=punix:{}", socket.display()))
            .arg("--remote=db:Open_vSwitch,Open_vSwitch,manager_options")
            .arg("--private-key=db:Open_vSwitch,SSL,private_key")
            .arg("--certificate=db:Open_vSwitch,SSL,certificate")
            .arg("--ca-cert=db:Open_vSwitch,SSL,ca_cert")
            .arg(format!("--unixctl={}/ctl", dir.path().display()))
            .args(["--no-chdir", "-vconsole:off"])
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let server = Server::Real(child, dir);
        eventually("ovsdb-server listens", || socket.exists());
        server.vsctl("init");
        server
    }

    fn socket(&self) -> PathBuf {
        match self {
            Server::Ours(switch) => switch.rundir().join("db.sock"),
            Server::Real(_, dir) => dir.path().join("db.sock"),
        }
    }

    /// ovs-vsctl with words separated by blanks, which must succeed.
    fn vsctl(&self, words: &str) -> String {
        let db = format!("--db=unix:{}", self.socket().display());
        let mut command = Command::new("ovs-vsctl");
        command.args(["--timeout=20", "--no-wait", "-vconsole:off", &*db]);
        let output = run(command.args(words.split_whitespace())).unwrap();
        output.ok().unwrap().stdout.trim_end().to_owned()
    }

    /// What the rows of Manager tell: by target, is_connected and status.
    fn managers(&self) -> BTreeMap<String, (String, BTreeMap<String, String>)> {
        let line = "--format=csv --no-headings --columns=target,is_connected,status list Manager";
        let row = |line: &str| {
            let mut fields = line.splitn(3, ',').map(|f| f.trim_matches('"'));
            let (target, connected) = (fields.next()?, fields.next()?);
            let status = fields.next()?.replace("\"\"", "\"");
            let pairs = status.trim_matches(['{', '}']).split(", ");
            let status = pairs.filter_map(|pair| {
                let (key, value) = pair.split_once('=')?;
                Some((key.to_owned(), value.trim_matches('"').to_owned()))
            });
            Some((target.to_owned(), (connected.to_owned(), status.collect())))
        };
        self.vsctl(line).lines().filter_map(row).collect()
    }

    fn status(&self, target: &str, key: &str) -> Option<String> {
        self.managers().get(target)?.1.get(key).cloned()
    }

    /// The port of a manager that listens on any.
    fn port(&self, target: &str) -> u16 {
        eventually("a port", || self.status(target, "bound_port").is_some());
        self.status(target, "bound_port").unwrap().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Server::Real(child, _) = self {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A client or listener in the background; killed with the value.
struct Background(Child);

impl Background {
    fn start(ns: &Netns, words: &str) -> Background {
        let words: Vec<&str> = words.split_whitespace().collect();
        let mut command = ns.command(words[0]);
        command.args(&words[1..]).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Background(child.unwrap())
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A client that goes on listening, connected by `remote`.
fn monitor(ns: &Netns, remote: &str) -> Background {
    let words = format!("ovsdb-client monitor {remote} Open_vSwitch Bridge name");
    Background::start(ns, &words)
}

fn ours(ns: &Netns, args: &[&str]) -> Server {
    let options = SwitchOptions {
        args: args.iter().map(|a| (*a).to_owned()).collect(),
        ..SwitchOptions::default()
    };
    Server::Ours(Box::new(Switch::start_with(Some(ns), options).unwrap()))
}

/// What managers tell, without what differs from run to run, and without the reasons for failures,
/// which ovsdb-server leaves out.
fn told(server: &Server) -> Vec<String> {
    let rows = server.managers().into_iter();
    rows.map(|(target, (connected, mut status))| {
        status.remove("last_error");
        let pairs = status.iter().map(|(key, value)| match key.as_str() {
            "bound_port" => key.clone(),
            "sec_since_connect" if status.contains_key("state") => key.clone(),
            _ => format!("{key}={value}"),
        });
        let pairs: Vec<String> = pairs.collect();
        format!("{target} {connected} {}", pairs.join(" "))
    })
    .collect()
}

/// All kinds of managers, and what becomes of them.
fn managers_come_and_go(ns: &Netns, server: &Server) {
    let _listener = monitor(ns, "ptcp:6641:127.0.0.1");
    server.vsctl("set-manager ptcp:0:127.0.0.1 tcp:127.0.0.1:6641 tcp:127.0.0.1:9 ssl:127.0.0.1:9");
    let port = server.port("ptcp:0:127.0.0.1");
    let _one = monitor(ns, &format!("tcp:127.0.0.1:{port}"));
    let mut two = monitor(ns, &format!("tcp:127.0.0.1:{port}"));
    let wanted = [
        "ptcp:0:127.0.0.1 true bound_port n_connections=2 sec_since_connect=0 \
         sec_since_disconnect=0",
        "ssl:127.0.0.1:9 false state=BACKOFF",
        "tcp:127.0.0.1:6641 true sec_since_connect state=ACTIVE",
        "tcp:127.0.0.1:9 false state=BACKOFF",
    ];
    let mut last = Vec::new();
    eventually("the managers tell how they do", || {
        last = told(server);
        last == wanted
    });
    server.vsctl("del-manager");
    eventually("clients are sent away", || two.has_ended());
    let refused = ns
        .run(&["ovsdb-client", "list-dbs", &format!("tcp:127.0.0.1:{port}")])
        .unwrap();
    assert_ne!(refused.status, 0, "the port is closed");
}

#[test]
fn managers_tell_what_those_of_ovsdb_server_tell() {
    let ns = Netns::new("rmtreal").unwrap();
    managers_come_and_go(&ns, &Server::real(&ns));
    // With the options that OVS's own scripts give.
    let args = [
        "--remote=punix:db.sock",
        "--remote=db:Open_vSwitch,Open_vSwitch,manager_options",
        "--private-key=db:Open_vSwitch,SSL,private_key",
        "--certificate=db:Open_vSwitch,SSL,certificate",
        "--bootstrap-ca-cert=db:Open_vSwitch,SSL,ca_cert",
    ];
    managers_come_and_go(&ns, &ours(&ns, &args));
}

#[test]
fn a_manager_that_stays_keeps_its_clients() {
    let ns = Netns::new("rmtkeep").unwrap();
    let server = ours(&ns, &[]);
    server.vsctl("set-manager ptcp:0:127.0.0.1 ptcp:6650:127.0.0.1 nonsense:x");
    let mut client = monitor(
        &ns,
        &format!("tcp:127.0.0.1:{}", server.port("ptcp:0:127.0.0.1")),
    );
    let connected = || server.managers()["ptcp:0:127.0.0.1"].0 == "true";
    eventually("connected", connected);
    let error = server.status("nonsense:x", "last_error").unwrap();
    assert!(error.contains("unknown method"), "{error}");

    // The other one fails to open, and is tried again until it can be had.
    let mut taken = monitor(&ns, "ptcp:6651:127.0.0.1");
    eventually("the port is taken", || {
        let sockets = ns.run(&["ss", "-tln"]).unwrap().stdout;
        sockets.contains("127.0.0.1:6651")
    });
    let manager =
        server.vsctl("--bare --columns=_uuid find Manager target=\"ptcp:6650:127.0.0.1\"");
    server.vsctl(&format!(
        "set Manager {manager} target=\"ptcp:6651:127.0.0.1\""
    ));
    let failed = || server.status("ptcp:6651:127.0.0.1", "last_error");
    eventually("a failure", || failed().is_some());
    assert!(
        failed().unwrap().contains("Address already in use"),
        "{failed:?}",
        failed = failed()
    );
    taken.0.kill().unwrap();
    taken.0.wait().unwrap();
    assert_eq!(server.port("ptcp:6651:127.0.0.1"), 6651);
    assert_eq!(failed(), None);

    let manager = server.vsctl("--bare --columns=_uuid find Manager target=\"ptcp:0:127.0.0.1\"");
    server.vsctl(&format!(
        "set Manager {manager} inactivity_probe=60000 connection_mode=in-band"
    ));
    server.vsctl(
        "--id=@m get Manager ptcp:6651:127.0.0.1 -- remove Open_vSwitch . manager_options @m",
    );
    eventually("the other goes", || server.managers().len() == 2);
    assert!(connected() && !client.has_ended());
}

#[test]
fn the_ssl_table_is_followed() {
    let (ns, pki) = (Netns::new("rmtssl").unwrap(), Pki::new());
    let server = ours(&ns, &[]);
    server.vsctl("set-manager pssl:0:127.0.0.1 ssl:127.0.0.1:6642 ptcp:0:127.0.0.1");
    let problem = |target| server.status(target, "last_error").unwrap_or_default();
    eventually("missing files are told", || {
        problem("pssl:0:127.0.0.1").starts_with("no private key is configured")
            && problem("ssl:127.0.0.1:6642").starts_with("no private key is configured")
    });
    assert_eq!(server.status("ptcp:0:127.0.0.1", "last_error"), None);

    let port = server.port("pssl:0:127.0.0.1");
    server.vsctl(&pki.set_ssl(&pki.ca()));
    eventually("the files are taken", || {
        problem("pssl:0:127.0.0.1").is_empty()
    });
    let remote = format!("ssl:127.0.0.1:{port}");
    let listed = pki.client(&ns, &["list-dbs", &remote]).ok().unwrap();
    assert_eq!(listed.stdout, "Open_vSwitch\n_Server\n");
    let mut vsctl = ns.command("ovs-vsctl");
    vsctl
        .args(["--no-wait", "--timeout=20"])
        .args(pki.options());
    let done = run(vsctl.arg(format!("--db={remote}")).args(["add-br", "br7"])).unwrap();
    done.ok().unwrap();
    // The other way round: the tool listens, and the switch connects.
    let listed = pki.client(&ns, &["list-dbs", "pssl:6642:127.0.0.1"]);
    assert_eq!(listed.ok().unwrap().stdout, "Open_vSwitch\n_Server\n");

    let missing = pki.path("nowhere.pem");
    server.vsctl(&pki.set_ssl(&missing));
    let wanted = format!("CA certificate {missing}: can't be read: No such file");
    eventually("a missing file is told", || {
        problem("pssl:0:127.0.0.1").starts_with(&wanted)
    });
    assert_ne!(pki.client(&ns, &["list-dbs", &remote]).status, 0);

    server.vsctl(&format!("--bootstrap {}", pki.set_ssl(&missing)));
    let listed = pki.client(&ns, &["list-dbs", "pssl:6642:127.0.0.1"]);
    assert_eq!(listed.ok().unwrap().stdout, "Open_vSwitch\n_Server\n");
    let learned = std::fs::read_to_string(&missing).unwrap();
    let original = std::fs::read_to_string(pki.ca()).unwrap();
    assert!(original.contains(learned.trim()), "{learned}");
    pki.client(&ns, &["list-dbs", &remote]).ok().unwrap();
}

#[test]
fn the_command_line_and_commands_open_remotes() {
    let (ns, pki) = (Netns::new("rmtcmd").unwrap(), Pki::new());
    let files = [
        "--remote=pssl:6643:127.0.0.1".to_owned(),
        format!("--private-key={}", pki.path("sc-privkey.pem")),
        format!("--certificate={}", pki.path("sc-cert.pem")),
        format!("--ca-cert={}", pki.ca()),
        "--db-group=daemon".to_owned(),
    ];
    let server = ours(&ns, &files.each_ref().map(String::as_str));
    let listed = pki.client(&ns, &["list-dbs", "ssl:127.0.0.1:6643"]);
    assert_eq!(listed.ok().unwrap().stdout, "Open_vSwitch\n_Server\n");
    let socket = std::fs::metadata(server.socket()).unwrap();
    assert_eq!(
        (socket.permissions().mode() & 0o777, socket.gid()),
        (0o660, 1)
    );

    let Server::Ours(switch) = &server else {
        return;
    };
    let appctl = |words: &str| {
        let words = format!("-t ovsdb-server ovsdb-server/{words}");
        let words: Vec<&str> = words.split(' ').collect();
        switch.client("ovs-appctl", &words).unwrap()
    };
    let usual = format!(
        "db:Open_vSwitch,Open_vSwitch,manager_options\npssl:6643:127.0.0.1\npunix:{}\n",
        server.socket().display()
    );
    assert_eq!(appctl("list-remotes").ok().unwrap().stdout, usual);
    appctl("add-remote ptcp:6644:127.0.0.1").ok().unwrap();
    let mut client = monitor(&ns, "tcp:127.0.0.1:6644");
    eventually("connected", || established(&ns, 6644));
    assert!(!client.has_ended());
    appctl("reconnect").ok().unwrap();
    eventually("sent away", || client.has_ended());
    let refused = appctl("add-remote ptcp:6644:127.0.0.1:x");
    assert!(refused.stderr.contains("is not a remote"), "{refused:?}");
    let refused = appctl("add-remote db:x,y,z");
    let words = "\"db:x,y,z\": no database named x";
    assert!(refused.stderr.starts_with(words), "{refused:?}");
    appctl("remove-remote ptcp:6644:127.0.0.1").ok().unwrap();
    assert_eq!(appctl("list-remotes").ok().unwrap().stdout, usual);
    let gone = ns.run(&["ovsdb-client", "list-dbs", "tcp:127.0.0.1:6644"]);
    assert_ne!(gone.unwrap().status, 0);
    let refused = appctl("remove-remote ptcp:6644:127.0.0.1");
    assert!(refused.stderr.starts_with("no such remote"), "{refused:?}");
}

fn established(ns: &Netns, port: u16) -> bool {
    let filter = format!("sport = :{port}");
    let sockets = ns.run(&["ss", "-Htn", "state", "established", &filter]);
    !sockets.unwrap().stdout.is_empty()
}

#[test]
fn what_is_wrong_on_the_command_line_is_said_at_once() {
    let ns = Netns::new("rmtbad").unwrap();
    for (args, words) in [
        (
            ["--db-group=no-such-group"],
            "there is no group \"no-such-group\"",
        ),
        (
            ["--remote=ptcp:x"],
            "\"ptcp:x\" is not a remote (not a port)",
        ),
        (["--remote=db:Open_vSwitch,Manager,x"], "no column named x"),
        (
            ["--remote=ptcp:6640:192.0.2.9"],
            "can't listen on ptcp:6640:192.0.2.9",
        ),
    ] {
        let options = SwitchOptions {
            args: args.map(str::to_owned).to_vec(),
            ..SwitchOptions::default()
        };
        let error = match Switch::start_with(Some(&ns), options) {
            Ok(_) => panic!("{args:?} is taken"),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(words), "{error}");
    }
    assert!(Path::new("/run/netns").join(ns.name()).exists());
}
