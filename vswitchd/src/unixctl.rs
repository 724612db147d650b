//! The control sockets of OVS's daemons, as `ovs-appctl` uses them: JSON-RPC 1.0, one string
//! back.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tracing::{debug, warn};

use crate::control::{Control, FdbError, Request};
use crate::logging::LogControl;
use crate::reconcile::Fdb;

/// Longest request, in bytes.
const MAX_REQUEST: usize = 64 << 10;

/// A control socket; its file goes away with the value.
#[derive(Debug)]
pub struct ControlSocket(PathBuf);

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Which daemon's commands a socket answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// ovs-vswitchd.
    Switch,
    /// ovsdb-server.
    Database,
}

/// Name, arguments as help, least and most number of arguments.
type Command = (&'static str, &'static str, usize, usize);

const COMMON: &[Command] = &[
    ("exit", "[--cleanup]", 0, 1),
    ("list-commands", "", 0, 0),
    ("version", "", 0, 0),
    ("vlog/list", "", 0, 0),
    ("vlog/reopen", "", 0, 0),
    (
        "vlog/set",
        "{spec | PATTERN:destination:pattern}",
        0,
        usize::MAX,
    ),
];
const SWITCH: &[Command] = &[("fdb/show", "bridge", 1, 1), ("ofproto/list", "", 0, 0)];
const DATABASE: &[Command] = &[("ovsdb-server/list-dbs", "", 0, 0)];

/// Answers commands.
#[derive(Debug, Clone)]
pub struct Commands {
    /// Which daemon's.
    pub target: Target,
    /// The switch.
    pub control: Control,
    /// The log.
    pub log: LogControl,
}

impl Commands {
    fn known(&self) -> Vec<Command> {
        let own = match self.target {
            Target::Switch => SWITCH,
            Target::Database => DATABASE,
        };
        let mut all = [COMMON, own].concat();
        all.sort_unstable();
        all
    }

    /// Runs one command.
    pub async fn run(&self, name: &str, arguments: &[String]) -> Result<String, String> {
        let known = self.known();
        let Some((_, help, least, most)) = known.iter().find(|(known, ..)| *known == name) else {
            return Err(format!(
                "{name:?} is not a valid command (see list-commands)\n"
            ));
        };
        if arguments.len() < *least || arguments.len() > *most {
            return Err(format!("wrong number of arguments: {name} {help}\n"));
        }
        let argument = arguments.first().map_or("", String::as_str);
        match name {
            "list-commands" => Ok(list(&known)),
            "version" => Ok(format!("{}\n", version())),
            "exit" => self.exit(argument).await,
            "fdb/show" => self.fdb(argument).await,
            "ofproto/list" => {
                let bridges = self
                    .control
                    .ask(Request::Bridges)
                    .await
                    .map_err(|e| e.to_string())?;
                Ok(bridges
                    .iter()
                    .fold(String::new(), |text, bridge| text + bridge + "\n"))
            }
            "ovsdb-server/list-dbs" => Ok("Open_vSwitch\n".to_owned()),
            "vlog/list" => Ok(format!("{}\n", self.log.describe())),
            "vlog/reopen" => self
                .log
                .reopen()
                .map(|()| String::new())
                .map_err(|e| format!("{e}\n")),
            "vlog/set" => {
                self.log.set(arguments);
                Ok(String::new())
            }
            other => Err(format!(
                "{other:?} is not a valid command (see list-commands)\n"
            )),
        }
    }

    async fn exit(&self, argument: &str) -> Result<String, String> {
        match argument {
            "" => Ok(String::new()),
            "--cleanup" => match self.control.ask(Request::CleanUp).await {
                Ok(Ok(())) => Ok(String::new()),
                Ok(Err(why)) => Err(format!("{why}\n")),
                Err(gone) => Err(format!("{gone}\n")),
            },
            other => Err(format!(
                "{other:?} is not an option of exit (only --cleanup)\n"
            )),
        }
    }

    async fn fdb(&self, bridge: &str) -> Result<String, String> {
        let question = |answer| Request::Fdb(bridge.to_owned(), answer);
        match self
            .control
            .ask(question)
            .await
            .map_err(|e| format!("{e}\n"))?
        {
            Ok(entries) => Ok(fdb_table(&entries)),
            Err(FdbError::NoBridge(_)) => Err("no such bridge\n".to_owned()),
            Err(FdbError::Datapath(why)) => Err(format!("{why}\n")),
        }
    }
}

/// The daemon's name and version in one line.
pub fn version() -> String {
    let (own, ovs) = (env!("CARGO_PKG_VERSION"), crate::identity::OVS_VERSION);
    format!("vswitchd (Aorta) {own}, compatible with Open vSwitch {ovs}")
}

fn list(commands: &[Command]) -> String {
    let mut text = "The available commands are:\n".to_owned();
    for (name, help, ..) in commands {
        let line = format!("  {name:<23} {help}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// Columns as `ovs-appctl fdb/show` has them.
fn fdb_table(entries: &[Fdb]) -> String {
    let mut text = " port  VLAN  MAC                Age\n".to_owned();
    for entry in entries {
        let local = aorta_flow::OfPort(entry.ofport) == aorta_flow::OfPort::LOCAL;
        let port = if local {
            "LOCAL".to_owned()
        } else {
            entry.ofport.to_string()
        };
        let _ = writeln!(
            text,
            "{port:>5}  {:>4}  {}  {:>3}",
            entry.vlan, entry.mac, entry.age_s
        );
    }
    text
}

/// Listens on `DIR/NAME.PID.ctl` and answers until the runtime ends.
pub fn serve(dir: &Path, name: &str, commands: Commands) -> io::Result<ControlSocket> {
    let path = dir.join(format!("{name}.{}.ctl", std::process::id()));
    let listener = listen(&path)?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let commands = commands.clone();
                    tokio::spawn(async move {
                        if let Err(error) = converse(stream, &commands).await {
                            debug!("control connection ended: {error}");
                        }
                    });
                }
                Err(error) => {
                    warn!("cannot accept on a control socket: {error}");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    });
    Ok(ControlSocket(path))
}

/// A stream socket at a path; one left by an earlier process is replaced.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => UnixListener::bind(path),
    }
}

#[derive(Deserialize)]
struct Call {
    method: String,
    #[serde(default)]
    params: Vec<String>,
    id: Value,
}

/// Serves one connection until the peer closes it or sends what isn't a request.
async fn converse(mut stream: UnixStream, commands: &Commands) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let mut calls = serde_json::Deserializer::from_slice(&buffer).into_iter::<Call>();
        let call = match calls.next() {
            Some(Ok(call)) => Some(call),
            Some(Err(e)) if !e.is_eof() || buffer.len() > MAX_REQUEST => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, e));
            }
            _ => None,
        };
        let used = calls.byte_offset();
        match call {
            Some(call) => {
                buffer.drain(..used);
                let result = commands.run(&call.method, &call.params).await;
                let ends = call.method == "exit" && result.is_ok();
                let reply = match result {
                    Ok(text) => json!({"id": call.id, "result": text, "error": null}),
                    Err(text) => json!({"id": call.id, "result": null, "error": text}),
                };
                let written = stream.write_all(reply.to_string().as_bytes()).await;
                if ends {
                    // Only now, so that the reply gets through.
                    let _ = commands.control.ask(Request::End).await;
                }
                written?;
            }
            None => {
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(target: Target) -> (Commands, tokio::sync::mpsc::Receiver<Request>) {
        let (control, requests) = Control::new();
        (
            Commands {
                target,
                control,
                log: LogControl::none(),
            },
            requests,
        )
    }

    #[tokio::test]
    async fn each_target_lists_its_own_commands() {
        let (switch, _keep) = commands(Target::Switch);
        let text = switch.run("list-commands", &[]).await.unwrap();
        assert!(
            text.contains("\n  fdb/show                bridge\n"),
            "{text}"
        );
        let (database, _keep) = commands(Target::Database);
        let text = database.run("list-commands", &[]).await.unwrap();
        assert!(text.contains("ovsdb-server/list-dbs") && !text.contains("fdb/show"));
    }

    #[tokio::test]
    async fn bad_commands_are_refused() {
        let (switch, _keep) = commands(Target::Switch);
        let refused = |name: &'static str, arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
            let switch = switch.clone();
            async move { switch.run(name, &arguments).await.unwrap_err() }
        };
        assert!(
            refused("nonsense", &[])
                .await
                .starts_with("\"nonsense\" is not a valid command")
        );
        assert_eq!(
            refused("fdb/show", &[]).await,
            "wrong number of arguments: fdb/show bridge\n"
        );
        assert!(refused("exit", &["--now"]).await.contains("only --cleanup"));
    }

    #[tokio::test]
    async fn addresses_are_printed_in_ovs_columns() {
        let (switch, mut requests) = commands(Target::Switch);
        let answer = tokio::spawn(async move {
            while let Some(Request::Fdb(bridge, answer)) = requests.recv().await {
                let entry = Fdb {
                    port: "br0".into(),
                    ofport: 65534,
                    vlan: 10,
                    mac: "02:00:00:00:00:01".into(),
                    age_s: 7,
                };
                let known = if bridge == "br0" {
                    Ok(vec![entry])
                } else {
                    Err(FdbError::NoBridge(bridge))
                };
                answer.send(known).unwrap();
            }
        });
        assert_eq!(
            switch.run("fdb/show", &["br0".into()]).await.unwrap(),
            " port  VLAN  MAC                Age\nLOCAL    10  02:00:00:00:00:01    7\n"
        );
        assert_eq!(
            switch.run("fdb/show", &["br1".into()]).await.unwrap_err(),
            "no such bridge\n"
        );
        drop(switch);
        answer.await.unwrap();
    }

    #[tokio::test]
    async fn a_socket_answers_pipelined_requests_and_drops_garbage() {
        let dir = tempfile::tempdir().unwrap();
        let (switch, _keep) = commands(Target::Switch);
        let socket = serve(dir.path(), "x", switch).unwrap();
        let mut stream = UnixStream::connect(&socket.0).await.unwrap();
        let request =
            br#"{"id":0,"method":"version","params":[]} {"id":1,"method":"no","params":[]}{"id":"#;
        stream.write_all(request).await.unwrap();
        stream
            .write_all(br#"2,"method":"version","params":[]}]"#)
            .await
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let replies: Vec<Value> = serde_json::Deserializer::from_str(&text)
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(replies.len(), 3, "then the bracket ends the connection");
        assert!(
            replies[0]["result"]
                .as_str()
                .unwrap()
                .starts_with("vswitchd (Aorta)")
        );
        assert_eq!(replies[1]["result"], Value::Null);
        assert_eq!(replies[2]["id"], 2);
        let path = socket.0.clone();
        drop(socket);
        assert!(!path.exists());
    }
}
