//! Completion in a real bash.

use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::server::Server;

/// A shell that has read the script, with a database that has some rows.
struct Shell {
    dir: TempDir,
    _server: Server,
}

impl Shell {
    fn start() -> Shell {
        let dir = TempDir::new().unwrap();
        let server = Server::start(&dir.path().join("run"));
        symlink(env!("CARGO_BIN_EXE_vsctl"), dir.path().join("vsctl")).unwrap();
        let shell = Shell {
            dir,
            _server: server,
        };
        shell.output("vsctl --no-wait add-br br0 -- add-br br1 -- add-port br0 tap0 tag=5");
        shell.output("vsctl --no-wait set Bridge br0 other_config:mac-aging-time=60");
        shell.output("vsctl --no-wait set-manager ptcp:6640:127.0.0.1");
        shell
    }

    fn output(&self, script: &str) -> String {
        let path = std::env::var("PATH").unwrap();
        let output = Command::new("bash")
            .args(["--norc", "--noprofile", "-c", script])
            .env("PATH", format!("{}:{path}", self.dir.path().display()))
            .env("OVS_RUNDIR", self.dir.path().join("run"))
            .env("OVS_SYSLOG_METHOD", "null")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{script}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What bash is told for a line with the cursor at its end.
    fn complete(&self, line: &str) -> Vec<String> {
        let script = format!(
            "source <(vsctl completion bash); COMP_LINE='{line}' COMP_POINT={}; _vsctl; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            line.len()
        );
        let text = self.output(&script);
        text.lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

#[test]
fn bash_completes_commands_names_and_columns() {
    let shell = Shell::start();
    let cases: [(&str, &[&str]); 21] = [
        ("vsctl add-b", &["add-bond", "add-bond-iface", "add-br"]),
        ("vsctl --no-w", &["--no-wait"]),
        ("vsctl --no-wait del-br ", &["br0", "br1"]),
        ("vsctl list-br -- list-ports br1", &["br1"]),
        ("vsctl del-port br0 t", &["tap0"]),
        ("vsctl set Por", &["Port"]),
        ("vsctl set Port t", &["tap0"]),
        ("vsctl set Port tap0 vlan", &["vlan_mode="]),
        // bash knows what precedes the = and the :.
        (
            "vsctl set Port tap0 vlan_mode=native-",
            &["native-tagged", "native-untagged"],
        ),
        ("vsctl get Bridge br0 other_config:", &["mac-aging-time"]),
        ("vsctl set Bridge br0 other_config:m", &["mac-aging-time="]),
        ("vsctl list Manager pt", &["ptcp:6640:127.0.0.1"]),
        ("vsctl get SSL ", &["."]),
        ("vsctl set-fail-mode br0 s", &["secure", "standalone"]),
        ("vsctl completion z", &["zsh"]),
        ("vsctl nonsense ", &[]),
        ("vsctl --strict del-flows br", &["br0", "br1"]),
        ("vsctl dump-flows br0 tcp,nw_d", &["tcp,nw_dst="]),
        ("vsctl add-flow br0 in_port=t", &["tap0"]),
        ("vsctl add-flow br0 \"tcp,actions=resu", &["resubmit("]),
        (
            "vsctl add-flows br0 src/ma",
            &["src/main.rs", "src/manage/"],
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(shell.complete(line), expected, "{line}");
    }
}

#[test]
fn without_a_server_commands_are_still_completed() {
    let dir = TempDir::new().unwrap();
    let ask = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_vsctl"))
            .env("OVS_RUNDIR", dir.path())
            .arg("__complete")
            .args(words)
            .output()
            .unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(ask(&["fd"]), "fdb\n");
    assert_eq!(ask(&["del-br", ""]), "");
}

#[test]
fn only_shells_that_are_known_get_a_script() {
    let run = |words: &[&str]| {
        let program = env!("CARGO_BIN_EXE_vsctl");
        Command::new(program).args(words).output().unwrap()
    };
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completion", shell]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains("__complete") && text.contains(shell),
            "{shell}"
        );
    }
    let refused = run(&["completion", "tcsh"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(
        said,
        "vsctl: no completion for 'tcsh'; there are bash, zsh and fish\n"
    );
}
