//! Open vSwitch's own programs, with certificates that its own script makes.
use std::path::Path;
use std::process::{Output, Stdio};

use aorta_ovsdb::{Client, Tls, TlsFiles};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::common::{Lab, PATIENCE, run, success};
use crate::tls::{address, listen};

/// What ovs-pki makes: a CA for switches, and key and certificate of two of them.
struct OvsPki(TempDir);

impl OvsPki {
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let pki = Self(directory);
        pki.ovs_pki(&["init"]).await;
        pki.ovs_pki(&["req+sign", "sc", "switch"]).await;
        pki.ovs_pki(&["req+sign", "cl", "switch"]).await;
        pki
    }

    /// ovs-pki writes into the directory that it is called in.
    async fn ovs_pki(&self, args: &[&str]) {
        let directory = self.0.path().display();
        let script = format!(
            "cd {directory} && ovs-pki --force --dir={directory}/pki --log={directory}/log {}",
            args.join(" ")
        );
        success("ovs-pki", args, run("sh", &["-c", &script]).await);
    }

    fn path(&self, file: &str) -> String {
        self.0.path().join(file).display().to_string()
    }

    fn ca(&self) -> String {
        self.path("pki/switchca/cacert.pem")
    }

    fn files(&self, name: &str) -> TlsFiles {
        TlsFiles {
            private_key: Some(self.path(&format!("{name}-privkey.pem")).into()),
            certificate: Some(self.path(&format!("{name}-cert.pem")).into()),
            ca_cert: Some(self.ca().into()),
            ..TlsFiles::default()
        }
    }

    /// Options of OVS's programs for a client.
    fn options(&self) -> [String; 2] {
        [
            format!("--private-key={}", self.path("cl-privkey.pem")),
            format!("--certificate={}", self.path("cl-cert.pem")),
        ]
    }
}

async fn vsctl(remote: &str, options: &[String], ca: &str, command: &[&str]) -> Output {
    let mut args = vec!["--no-wait".to_owned(), "--timeout=20".to_owned()];
    args.push(format!("--db={remote}"));
    args.extend(options.iter().cloned());
    args.push(ca.to_owned());
    args.extend(command.iter().map(|c| (*c).to_owned()));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    run("ovs-vsctl", &args).await
}

#[tokio::test]
async fn ovs_programs_connect_by_tls() {
    let (lab, pki) = (Lab::new().await, OvsPki::new().await);
    lab.vsctl(&["init"]).await;
    let listener = listen(&lab, pki.files("sc")).await;
    let (remote, options) = (address(&listener), pki.options());
    let ca = format!("--ca-cert={}", pki.ca());
    let done = vsctl(&remote, &options, &ca, &["add-br", "br0"]).await;
    success("ovs-vsctl", &["add-br"], done);
    let listed = vsctl(&remote, &options, &ca, &["list-br"]).await;
    assert_eq!(success("ovs-vsctl", &["list-br"], listed), "br0\n");

    let args = [&*options[0], &*options[1], &*ca, "list-dbs", &*remote];
    let listed = success("ovsdb-client", &args, run("ovsdb-client", &args).await);
    assert_eq!(listed, "Open_vSwitch\n_Server\n");

    // The client learns of the CA from us; it uses it from its next connection on.
    let learned = pki.path("learned.pem");
    let bootstrap = format!("--bootstrap-ca-cert={learned}");
    let first = vsctl(&remote, &options, &bootstrap, &["list-br"]).await;
    assert_eq!(first.status.code(), Some(1));
    let listed = vsctl(&remote, &options, &bootstrap, &["list-br"]).await;
    assert_eq!(success("ovs-vsctl", &["list-br"], listed), "br0\n");
    let (text, original) = (read(&learned), read(pki.ca()));
    let body = text.trim();
    assert!(original.contains(body), "{text}");
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let (lab, pki) = (Lab::new().await, OvsPki::new().await);
    let listener = listen(&lab, pki.files("sc")).await;
    let connect = listener.address().unwrap().to_string();
    for version in ["-tls1_2", "-tls1_3"] {
        let script = format!(
            "printf '{{\"method\":\"list_dbs\",\"params\":[],\"id\":0}}' \
             | openssl s_client -quiet {version} -CAfile {} -connect {connect}",
            pki.ca()
        );
        let output = run("sh", &["-c", &script]).await;
        assert!(output.stdout.is_empty(), "{output:?}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("alert"), "{errors}");
    }
    let problem = listener.status().problem.unwrap();
    assert!(problem.contains("no certificates"), "{problem}");
}

/// Both versions, and keys in the three forms that openssl writes.
#[tokio::test]
async fn tls_1_2_and_old_forms_of_keys_work() {
    let (lab, pki) = (Lab::new().await, OvsPki::new().await);
    let listener = listen(&lab, pki.files("sc")).await;
    let connect = listener.address().unwrap().to_string();
    for version in ["-tls1_2", "-tls1_3"] {
        let mut client = Command::new("openssl")
            .args(["s_client", "-quiet", version, "-connect", &*connect])
            .args(["-CAfile", &*pki.ca()])
            .args(["-cert", &*pki.path("cl-cert.pem")])
            .args(["-key", &*pki.path("cl-privkey.pem")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let request = br#"{"method":"echo","params":[7],"id":0}"#;
        let stdin = client.stdin.as_mut().unwrap();
        stdin.write_all(request).await.unwrap();
        let wanted = r#"{"id":0,"result":[7],"error":null}"#;
        let mut answer = vec![0; wanted.len()];
        let stdout = client.stdout.as_mut().unwrap();
        let read = tokio::time::timeout(PATIENCE, stdout.read_exact(&mut answer)).await;
        read.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), wanted);
    }
    let pkcs1 = pki.path("pkcs1.pem");
    let args = [
        "rsa",
        "-traditional",
        "-in",
        &*pki.path("cl-privkey.pem"),
        "-out",
        &*pkcs1,
    ];
    success("openssl", &args, run("openssl", &args).await);
    assert!(read(&pkcs1).starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    let files = TlsFiles {
        private_key: Some(pkcs1.into()),
        ..pki.files("cl")
    };
    let client = Client::connect_with(&address(&listener), &Tls::new(files)).await;
    client.unwrap().request("echo", json!([])).await.unwrap();
}

/// Without a CA, each side is given the other's certificate.
#[tokio::test]
async fn self_signed_certificates_vouch_for_themselves() {
    let (lab, pki) = (Lab::new().await, OvsPki(TempDir::new().unwrap()));
    for name in ["switch", "tool"] {
        pki.ovs_pki(&["req", name]).await;
        pki.ovs_pki(&["self-sign", name]).await;
    }
    let path = |file: &str| pki.path(file);
    let files = TlsFiles {
        private_key: Some(path("switch-privkey.pem").into()),
        certificate: Some(path("switch-cert.pem").into()),
        ca_cert: Some(path("tool-cert.pem").into()),
        ..TlsFiles::default()
    };
    let listener = listen(&lab, files).await;
    let args = [
        format!("--private-key={}", path("tool-privkey.pem")),
        format!("--certificate={}", path("tool-cert.pem")),
        format!("--ca-cert={}", path("switch-cert.pem")),
        "list-dbs".to_owned(),
        address(&listener),
    ];
    let args = args.each_ref().map(String::as_str);
    let listed = success("ovsdb-client", &args, run("ovsdb-client", &args).await);
    assert_eq!(listed, "Open_vSwitch\n_Server\n");
}
