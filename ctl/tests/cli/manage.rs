//! `status` and `fdb` against a management API with fixed answers.

use std::path::Path;
use std::process::{Command, Output};

use aorta_api::{
    BridgeStatus, ERROR_NO_BRIDGE, FdbEntry, METHOD_FDB, METHOD_STATUS, SOCKET_NAME, Status,
};
use jsonrpsee::RpcModule;
use jsonrpsee::server::{Server, serve, stop_channel};
use jsonrpsee::types::ErrorObjectOwned;
use tempfile::TempDir;
use tokio::net::UnixListener;

fn status() -> Status {
    let bridge = BridgeStatus {
        name: "br0".into(),
        fdb_entries: 1,
        fdb_size: 8192,
        flows: 1,
        ports: vec![],
    };
    Status {
        version: "9.9".into(),
        pid: 42,
        uptime_s: 5,
        datapath: "sim".into(),
        problems: vec![],
        bridges: vec![bridge],
    }
}

fn fdb() -> Vec<FdbEntry> {
    let mac = "52:54:00:11:22:33".into();
    vec![FdbEntry {
        port: "tap0".into(),
        ofport: 1,
        vlan: 10,
        mac,
        age_s: 3,
    }]
}

fn methods() -> RpcModule<()> {
    let mut module = RpcModule::new(());
    module
        .register_method(METHOD_STATUS, |_, _, _| serde_json::to_value(status()).ok())
        .unwrap();
    module
        .register_method(METHOD_FDB, |params, _, _| {
            let bridge: String = params.one()?;
            match bridge.as_str() {
                "br0" => Ok(serde_json::to_value(fdb()).ok()),
                _ => Err(ErrorObjectOwned::owned(
                    ERROR_NO_BRIDGE,
                    "no such bridge",
                    None::<()>,
                )),
            }
        })
        .unwrap();
    module
}

/// Answers on the socket as long as the runtime lives.
fn answer(rundir: &Path) -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let socket = rundir.join(SOCKET_NAME);
    let listener = runtime
        .block_on(async { UnixListener::bind(socket) })
        .unwrap();
    runtime.spawn(async move {
        let (stop, _handle) = stop_channel();
        while let Ok((stream, _)) = listener.accept().await {
            let service = Server::builder()
                .to_service_builder()
                .build(methods(), stop.clone());
            tokio::spawn(serve(stream, service));
        }
    });
    runtime
}

fn ask(rundir: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vsctl"));
    command
        .env("OVS_RUNDIR", rundir)
        .arg("--timeout=60")
        .args(words)
        .output()
        .unwrap()
}

fn text(rundir: &Path, words: &[&str]) -> String {
    let output = ask(rundir, words);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn status_and_fdb_are_asked_for_and_printed() {
    let dir = TempDir::new().unwrap();
    let _runtime = answer(dir.path());
    let shown = text(dir.path(), &["status"]);
    assert!(
        shown.starts_with("vswitchd 9.9 (pid 42), up 5 s, datapath sim: ok\n"),
        "{shown}"
    );
    let shown = text(dir.path(), &["status", "--json"]);
    assert_eq!(serde_json::from_str::<Status>(&shown).unwrap(), status());
    let shown = text(dir.path(), &["fdb", "br0"]);
    let row = "    1    10  52:54:00:11:22:33    3\n";
    assert_eq!(shown, format!(" port  VLAN  MAC                Age\n{row}"));
    let shown = text(dir.path(), &["--json", "fdb", "br0"]);
    assert_eq!(
        serde_json::from_str::<Vec<FdbEntry>>(&shown).unwrap(),
        fdb()
    );
}

#[test]
fn an_unknown_bridge_and_a_missing_switch_are_told_apart() {
    let dir = TempDir::new().unwrap();
    let output = ask(dir.path(), &["status"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains(SOCKET_NAME) && said.contains("vswitchd must be running"),
        "{said}"
    );
    let _runtime = answer(dir.path());
    let output = ask(dir.path(), &["fdb", "br9"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "vsctl: no bridge named br9\n"
    );
}
