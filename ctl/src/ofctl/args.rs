//! The command line's options.

use std::path::PathBuf;

use aorta_openflow::message::PacketInFormat;
use aorta_openflow::{Version, Versions};
use aorta_ovsdb::TlsFiles;
use thiserror::Error;

use super::background::Background;
use super::formats::{Formats, UnknownFormat};
use crate::commands::switch::Colour;
use crate::error::UsageError;
use crate::flows::sort::{Key, add_keys};
use crate::getopt::{self, Known, Takes, known};
use crate::log::{self, MethodError, SpecError};

/// What options say.
#[derive(Debug)]
pub struct Settings {
    /// Versions to speak.
    pub versions: Versions,
    /// Ways to write flows.
    pub formats: Formats,
    /// Flows are changed all at once.
    pub bundle: bool,
    /// Changes are of one flow each.
    pub strict: bool,
    /// Flows that are the same are added all the same.
    pub readd: bool,
    /// A group that is changed may be a new one.
    pub may_create: bool,
    /// Whether names stand for numbers; by what the output is if it isn't said.
    pub names: Option<bool>,
    /// Whether counters are shown.
    pub stats: bool,
    /// Commands that change something are refused.
    pub read_only: bool,
    /// How much is printed of messages.
    pub more: u8,
    /// Times are printed in front of messages.
    pub timestamp: bool,
    /// Seconds after which to give up.
    pub timeout_s: Option<u64>,
    /// How dumped flows are sorted.
    pub sort: Vec<Key>,
    /// Colours of flows.
    pub colour: Colour,
    /// How packets are sent to monitors.
    pub packet_in_format: Option<PacketInFormat>,
    /// How `monitor` and `snoop` run.
    pub background: Background,
    /// Keys and certificates.
    pub tls: TlsFiles,
    /// What is logged.
    pub log: log::Settings,
}

/// What is to be done.
pub enum Invocation {
    /// A command is to be run.
    Run(Box<Settings>, Vec<String>),
    /// Explains itself.
    Help,
    /// Tells the version.
    Version,
}

/// What is wrong with the command line.
#[derive(Debug, Error)]
pub enum Fault {
    #[error(transparent)]
    Option(#[from] UsageError),
    #[error("value {0} on -t or --timeout is invalid")]
    Timeout(String),
    #[error("Unknown OpenFlow version: \"{0}\"")]
    Version(String),
    #[error(transparent)]
    Format(#[from] UnknownFormat),
    #[error("unknown packet-in format `{0}'")]
    PacketIn(String),
    #[error("{0}: unknown field name")]
    Field(String),
    #[error("incorrect value `{0}' for --color")]
    Colour(String),
    #[error(
        "None of the enabled OpenFlow versions ({versions}) supports any of the enabled flow \
         formats ({formats}).  (Use -O to enable additional OpenFlow versions or -F to enable \
         additional flow formats.)"
    )]
    NothingLeft { versions: String, formats: String },
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error(transparent)]
    Method(#[from] MethodError),
}

impl Fault {
    /// Whether the message begins with the whole name that the program was called by.
    pub fn is_from_getopt(&self) -> bool {
        matches!(self, Fault::Option(fault) if fault.is_from_getopt())
    }
}

const OPTIONS: [Known; 37] = [
    known("timeout", Some('t'), Takes::Value),
    known("strict", None, Takes::Nothing),
    known("readd", None, Takes::Nothing),
    known("flow-format", Some('F'), Takes::Value),
    known("packet-in-format", Some('P'), Takes::Value),
    known("more", Some('m'), Takes::Nothing),
    known("timestamp", None, Takes::Nothing),
    known("sort", None, Takes::Optional),
    known("rsort", None, Takes::Optional),
    known("names", None, Takes::Nothing),
    known("no-names", None, Takes::Nothing),
    known("stats", None, Takes::Nothing),
    known("no-stats", None, Takes::Nothing),
    known("unixctl", None, Takes::Value),
    known("help", Some('h'), Takes::Nothing),
    known("option", Some('o'), Takes::Nothing),
    known("bundle", None, Takes::Nothing),
    known("color", None, Takes::Optional),
    known("may-create", None, Takes::Nothing),
    known("read-only", None, Takes::Nothing),
    known("detach", None, Takes::Nothing),
    known("monitor", None, Takes::Nothing),
    known("no-chdir", None, Takes::Nothing),
    known("no-self-confinement", None, Takes::Nothing),
    known("pidfile", None, Takes::Optional),
    known("overwrite-pidfile", None, Takes::Nothing),
    known("user", None, Takes::Value),
    known("protocols", Some('O'), Takes::Value),
    known("version", Some('V'), Takes::Nothing),
    known("verbose", Some('v'), Takes::Optional),
    known("log-file", None, Takes::Optional),
    known("syslog-method", None, Takes::Value),
    known("syslog-target", None, Takes::Value),
    known("private-key", Some('p'), Takes::Value),
    known("certificate", Some('c'), Takes::Value),
    known("ca-cert", Some('C'), Takes::Value),
    known("bootstrap-ca-cert", None, Takes::Value),
];

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            versions: Versions::only(Version::OpenFlow10),
            formats: Formats::ALL,
            bundle: false,
            strict: false,
            readd: false,
            may_create: false,
            names: None,
            stats: true,
            read_only: false,
            more: 0,
            timestamp: false,
            timeout_s: None,
            sort: Vec::new(),
            colour: Colour::Plain,
            packet_in_format: None,
            background: Background::default(),
            tls: TlsFiles::default(),
            log: log::Settings::default(),
        }
    }
}

/// Reads the words behind the program's name.
pub fn parse(argv: &[String]) -> Result<Invocation, Fault> {
    let line = getopt::read(&OPTIONS, argv, true);
    let mut settings = Settings::default();
    let method = std::env::var("OVS_SYSLOG_METHOD").ok();
    settings.log.method = method.and_then(|method| method.parse().ok());
    for (option, value) in line.options {
        match option {
            "help" => return Ok(Invocation::Help),
            "version" => return Ok(Invocation::Version),
            _ => settings.take(option, value)?,
        }
    }
    if let Some(fault) = line.fault {
        return Err(fault.into());
    }
    if settings.bundle {
        settings.versions = settings.versions.with(Version::OpenFlow14);
    }
    settings.agree()?;
    Ok(Invocation::Run(Box::new(settings), line.words))
}

impl Settings {
    fn take(&mut self, option: &str, value: Option<String>) -> Result<(), Fault> {
        let text = value.clone().unwrap_or_default();
        match option {
            "strict" => self.strict = true,
            "readd" => self.readd = true,
            "bundle" => self.bundle = true,
            "may-create" => self.may_create = true,
            "read-only" => self.read_only = true,
            "more" => self.more = self.more.saturating_add(1),
            "timestamp" => self.timestamp = true,
            "names" => self.names = Some(true),
            "no-names" => self.names = Some(false),
            "stats" => self.stats = true,
            "no-stats" => self.stats = false,
            "timeout" => self.timeout_s = Some(seconds(text)?),
            "flow-format" => self.formats = Formats::from_text(&text)?,
            "protocols" => self.versions = versions(&text)?,
            "packet-in-format" => self.packet_in_format = Some(packet_in_format(&text)?),
            "sort" | "rsort" => self.add_sort(value, option == "rsort")?,
            "color" => self.colour = colour(value.as_deref())?,
            _ if self.take_background(option, &value) => {}
            _ => self.take_log(option, value)?,
        }
        Ok(())
    }

    /// Whether it is an option of this kind.
    fn take_background(&mut self, option: &str, value: &Option<String>) -> bool {
        let background = &mut self.background;
        match option {
            "detach" => background.detach = true,
            "no-chdir" => background.stays = true,
            "monitor" => background.monitor = true,
            "overwrite-pidfile" => background.overwrites = true,
            "pidfile" => {
                let file = value.clone().unwrap_or_else(default_pidfile);
                background.pidfile = Some(file.into());
            }
            "user" => background.user = value.clone(),
            "unixctl" => background.unixctl = value.clone().map(PathBuf::from),
            _ => return false,
        }
        true
    }

    fn add_sort(&mut self, field: Option<String>, descending: bool) -> Result<(), Fault> {
        let field = field.unwrap_or_else(|| "priority".to_owned());
        add_keys(&mut self.sort, &field, descending).map_err(|_| Fault::Field(field))
    }

    fn take_log(&mut self, option: &str, value: Option<String>) -> Result<(), Fault> {
        let text = value.clone().unwrap_or_default();
        let path = || Some(PathBuf::from(&text));
        match option {
            "verbose" => self.log.levels.set(&text)?,
            "log-file" => self.log.file = Some(value.unwrap_or_else(default_log_file)),
            "syslog-method" => self.log.method = Some(text.parse()?),
            "syslog-target" => self.log.target = text.parse().ok(),
            "private-key" => self.tls.private_key = path(),
            "certificate" => self.tls.certificate = path(),
            "ca-cert" => {
                self.tls.ca_cert = path();
                self.tls.bootstrap = false;
            }
            "bootstrap-ca-cert" => {
                self.tls.ca_cert = path();
                self.tls.bootstrap = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// Only versions that have an allowed format are spoken, and the other way round.
    fn agree(&mut self) -> Result<(), Fault> {
        let formats = self.formats.common(Formats::of_versions(self.versions));
        if formats.is_empty() {
            return Err(Fault::NothingLeft {
                versions: self.versions.to_string(),
                formats: self.formats.to_string(),
            });
        }
        self.formats = formats;
        self.versions = self.versions.common(formats.versions());
        Ok(())
    }
}

fn seconds(value: String) -> Result<u64, Fault> {
    let seconds = value.parse::<i32>().ok().filter(|seconds| *seconds > 0);
    let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.ok_or(Fault::Timeout(value))
}

fn versions(text: &str) -> Result<Versions, Fault> {
    let mut versions = Versions::NONE;
    for word in text.split(',').filter(|word| !word.is_empty()) {
        let one = Versions::from_text(word).map_err(|_| Fault::Version(word.to_owned()))?;
        versions = one.iter().fold(versions, Versions::with);
    }
    Ok(versions)
}

fn packet_in_format(text: &str) -> Result<PacketInFormat, Fault> {
    match text.to_ascii_lowercase().as_str() {
        "standard" | "openflow10" => Ok(PacketInFormat::Standard),
        "nxt_packet_in" | "nxm" => Ok(PacketInFormat::Nicira),
        "nxt_packet_in2" => Ok(PacketInFormat::Nicira2),
        _ => Err(Fault::PacketIn(text.to_owned())),
    }
}

fn colour(value: Option<&str>) -> Result<Colour, Fault> {
    use std::io::IsTerminal;
    let on_terminal = || match std::io::stdout().is_terminal() {
        true => Colour::Terminal,
        false => Colour::Plain,
    };
    match value {
        None | Some("auto" | "tty" | "if-tty") => Ok(on_terminal()),
        Some("always" | "yes" | "force") => Ok(Colour::Terminal),
        Some("never" | "no" | "none") => Ok(Colour::Plain),
        Some(other) => Err(Fault::Colour(other.to_owned())),
    }
}

fn default_pidfile() -> String {
    format!("{}.pid", super::PROGRAM)
}

fn default_log_file() -> String {
    format!("{}/{}.log", crate::args::log_dir(), super::PROGRAM)
}
