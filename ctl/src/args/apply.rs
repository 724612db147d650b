//! What the options before the first command mean.

use std::path::PathBuf;

use super::options::Parser;
use super::{Invocation, Mode};
use crate::error::UsageError;
use crate::table::{DataFormat, Format};

impl Parser<'_> {
    /// Takes note of one global option; the answer is set if it replaces the commands.
    pub(super) fn apply(
        &mut self,
        long: &str,
        value: Option<String>,
    ) -> Result<Option<Invocation>, UsageError> {
        let text = value.clone().unwrap_or_default();
        let options = &mut self.options;
        match long {
            "db" => options.db = value,
            "no-wait" => options.no_wait = true,
            "retry" => options.retry = true,
            "dry-run" => options.dry_run = true,
            "oneline" => options.oneline = true,
            "timeout" => options.timeout = Some(seconds(&text)?).filter(|&secs| secs > 0),
            "format" => options.style.format = Format::parse(&text)?,
            "data" => options.style.data = DataFormat::parse(&text)?,
            "no-headings" => options.style.headings = false,
            "pretty" => {
                options.pretty = true;
                options.style.pretty = true;
            }
            "bare" => {
                options.style.format = Format::List;
                options.style.data = DataFormat::Bare;
                options.style.headings = false;
            }
            "max-column-width" => options.style.max_width = width(&text),
            "json" => {
                options.json = true;
                options.style.format = Format::Json;
            }
            "help" => {
                let topic = self
                    .argv
                    .get(self.at)
                    .filter(|word| !word.starts_with('-'))
                    .cloned();
                return Ok(Some(Invocation::Help(topic)));
            }
            "version" => return Ok(Some(Invocation::Version)),
            "commands" => return Ok(Some(Invocation::ListCommands)),
            "options" => return Ok(Some(Invocation::ListOptions)),
            "no-syslog" => options.log.levels.set("vsctl:syslog:warn")?,
            "verbose" => options.log.levels.set(&text)?,
            "log-file" => options.log.file = Some(value.unwrap_or_else(default_log_file)),
            "syslog-method" => options.log.method = Some(text.parse()?),
            "syslog-target" => options.log.target = text.parse().ok(),
            _ => self.apply_tls(long, value),
        }
        Ok(None)
    }

    fn apply_tls(&mut self, long: &str, value: Option<String>) {
        let tls = &mut self.options.tls;
        let path = value.clone().map(PathBuf::from);
        match long {
            "private-key" => tls.files.private_key = path,
            "certificate" => tls.files.certificate = path,
            "ca-cert" => {
                tls.files.ca_cert = path;
                tls.files.bootstrap = false;
            }
            "bootstrap-ca-cert" => {
                tls.files.ca_cert = path;
                tls.files.bootstrap = true;
            }
            "peer-ca-cert" => tls.files.peer_ca_cert = path,
            "ssl-protocols" => tls.protocols = value,
            "ssl-ciphers" => tls.ciphers = value,
            // Which of several servers leads matters only to clustered databases.
            _ => {}
        }
    }
}

fn default_log_file() -> String {
    format!("{}/{}.log", log_dir(), Mode::OvsVsctl.program())
}

/// Where log files are, unless named.
pub fn log_dir() -> String {
    let dir = std::env::var("OVS_LOGDIR")
        .ok()
        .filter(|dir| !dir.is_empty());
    dir.unwrap_or_else(|| "/var/log/openvswitch".to_owned())
}

fn seconds(text: &str) -> Result<u64, UsageError> {
    let seconds = text.parse::<u64>().ok();
    let seconds = seconds.filter(|&seconds| i32::try_from(seconds).is_ok());
    seconds.ok_or_else(|| UsageError::BadTimeout {
        value: text.to_owned(),
    })
}

/// The number at the beginning of a text, as C's atoi(3) takes it; 0 and less mean no limit.
fn width(text: &str) -> Option<usize> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text[..end].parse().ok().filter(|&width| width > 0)
}
