//! Certificates as `ovs-pki` makes them.

use std::process::Command;

use aorta_integration::lab::{Netns, Output, run};

/// Key, certificate and CA that ovs-pki makes for two.
pub struct Pki(tempfile::TempDir);

impl Pki {
    /// Makes them.
    pub fn new() -> Pki {
        let pki = Pki(tempfile::tempdir().unwrap());
        for words in ["init", "req+sign sc switch", "req+sign cl switch"] {
            let dir = pki.0.path();
            let mut command = Command::new("ovs-pki");
            command
                .current_dir(dir)
                .arg(format!("--dir={}/pki", dir.display()))
                .arg(format!("--log={}/log", dir.display()))
                .args(words.split(' '));
            run(&mut command).unwrap().ok().unwrap();
        }
        pki
    }

    /// Path of one of the files.
    pub fn path(&self, file: &str) -> String {
        self.0.path().join(file).display().to_string()
    }

    /// The CA's certificate.
    pub fn ca(&self) -> String {
        self.path("pki/switchca/cacert.pem")
    }

    /// Options of Open vSwitch's tools.
    pub fn options(&self) -> [String; 3] {
        [
            format!("--private-key={}", self.path("cl-privkey.pem")),
            format!("--certificate={}", self.path("cl-cert.pem")),
            format!("--ca-cert={}", self.ca()),
        ]
    }

    /// The words that have the switch use its key and certificate.
    pub fn set_ssl(&self, ca: &str) -> String {
        let (key, certificate) = (self.path("sc-privkey.pem"), self.path("sc-cert.pem"));
        format!("set-ssl {key} {certificate} {ca}")
    }

    /// ovsdb-client with our certificate.
    pub fn client(&self, ns: &Netns, words: &[&str]) -> Output {
        let mut command = ns.command("ovsdb-client");
        command.arg("--timeout=20").args(self.options());
        run(command.args(words)).unwrap()
    }
}
