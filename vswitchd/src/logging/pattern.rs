//! How a line of the log looks (the PATTERN of `vlog/set`, ovs-appctl(8)). Pure.

use aorta_api::log::Level;

use super::date::Date;

/// A facility of syslog (RFC 5424 §6.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facility(u32);

const FACILITIES: [(&str, u32); 20] = [
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("clock", 9),
    ("ftp", 11),
    ("ntp", 12),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

impl Facility {
    /// What daemons use.
    pub const DAEMON: Facility = Facility(3);

    /// The facility of that name, in whichever case.
    pub fn named(word: &str) -> Option<Facility> {
        let found = FACILITIES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(word));
        found.map(|(_, number)| Facility(*number))
    }

    /// The priority of a line: facility and severity in one number.
    pub fn priority(self, level: Level) -> u32 {
        self.0 * 8 + u32::from(level.severity())
    }
}

/// All that a pattern can tell.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// The daemon's name.
    pub application: &'a str,
    /// The machine's name.
    pub host: &'a str,
    /// Which part logs.
    pub module: &'a str,
    /// How important it is.
    pub level: Level,
    /// The text.
    pub message: &'a str,
    /// Number of the line, from 1.
    pub sequence: u64,
    /// Process id.
    pub pid: u32,
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// Milliseconds since the daemon started.
    pub uptime_ms: u64,
    /// What syslog files it under.
    pub facility: Facility,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field {
        what: char,
        argument: Option<String>,
        left: bool,
        zeros: bool,
        width: usize,
    },
}

/// A pattern, ready for use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    pieces: Vec<Piece>,
}

impl Pattern {
    /// Reads a pattern. What means nothing stands for itself.
    pub fn parse(text: &str) -> Pattern {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            pieces.push(Piece::Text(before.to_owned()));
            let (piece, left) = field(after);
            pieces.extend(piece);
            rest = left;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Pattern {
            text: text.to_owned(),
            pieces,
        }
    }

    /// The pattern as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A line, without its end.
    pub fn render(&self, record: &Record<'_>) -> String {
        let mut line = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => line.push_str(text),
                Piece::Field {
                    what,
                    argument,
                    left,
                    zeros,
                    width,
                } => {
                    let value = record.field(*what, argument.as_deref());
                    let missing = width.saturating_sub(value.chars().count());
                    let fill = |c: &str| c.repeat(missing);
                    match (left, zeros) {
                        (true, _) => line += &(value + &fill(" ")),
                        (false, true) => line += &(fill("0") + &value),
                        (false, false) => line += &(fill(" ") + &value),
                    }
                }
            }
        }
        line
    }
}

/// What follows a percent sign, and the rest.
fn field(text: &str) -> (Option<Piece>, &str) {
    let left = text.starts_with('-');
    let text = text.strip_prefix('-').unwrap_or(text);
    let zeros = text.starts_with('0');
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (width, text) = text.split_at(digits);
    let mut chars = text.chars();
    let Some(what) = chars.next() else {
        return (None, "");
    };
    let rest = chars.as_str();
    let argument = rest.strip_prefix('{').and_then(|r| r.split_once('}'));
    let argument = argument.filter(|_| matches!(what, 'd' | 'D' | 't' | 'T'));
    let piece = Piece::Field {
        what,
        argument: argument.map(|(argument, _)| argument.to_owned()),
        left,
        zeros,
        // Wider than any screen is a slip.
        width: width.parse().unwrap_or(0).min(200),
    };
    (Some(piece), argument.map_or(rest, |(_, rest)| rest))
}

impl Record<'_> {
    fn field(&self, what: char, argument: Option<&str>) -> String {
        let date = |usual| Date::from_ms(self.time_ms).format(argument.unwrap_or(usual));
        match what {
            'A' => self.application.to_owned(),
            'B' => self.facility.priority(self.level).to_string(),
            'c' => self.module.to_owned(),
            // Both are UTC: the log of a host needn't know where it stands.
            'd' | 'D' => date("%Y-%m-%d %H:%M:%S.###"),
            'E' => self.host.to_owned(),
            'm' => self.message.to_owned(),
            'N' => self.sequence.to_string(),
            'n' => "\n".to_owned(),
            'p' => self.level.name().to_owned(),
            'P' => self.pid.to_string(),
            'r' => self.uptime_ms.to_string(),
            't' => "main".to_owned(),
            // The name of a subprocess in brackets; there are none.
            'T' => String::new(),
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record<'static> {
        Record {
            application: "ovs-vswitchd",
            host: "vm",
            module: "unixctl",
            level: Level::Dbg,
            message: "hello",
            sequence: 140,
            pid: 24449,
            time_ms: 1_795_362_142_322,
            uptime_ms: 360,
            facility: Facility(16),
        }
    }

    #[test]
    fn fields_and_widths() {
        for (pattern, line) in [
            (
                "<%A|%B|%c|%C|%E|%m|%N",
                "<ovs-vswitchd|135|unixctl|C|vm|hello|140",
            ),
            (
                "%d|%D{%s}|%D{%Y-%m-%dT%H:%M:%S.###Z}",
                "2026-11-22 15:42:22.322|1795362142|2026-11-22T15:42:22.322Z",
            ),
            ("%n|%p|%P|%r|%t|%T|%%|%X>", "\n|DBG|24449|360|main||%|X>"),
            (
                "%5p|%-5p|%05N|%10c|%-10c|",
                "  DBG|DBG  |00140|   unixctl|unixctl   |",
            ),
            ("%D{%h %e %T}", "Nov 22 15:42:22"),
            ("100%", "100"),
            ("%999999999999999999999m|%m{x}", "hello|hello{x}"),
            ("", ""),
        ] {
            assert_eq!(Pattern::parse(pattern).render(&record()), line, "{pattern}");
        }
    }

    #[test]
    fn facilities_have_numbers() {
        assert_eq!(Facility::named("LOCAL7").unwrap().priority(Level::Err), 187);
        assert_eq!(Facility::named("daemon"), Some(Facility::DAEMON));
        assert_eq!(Facility::named("local8"), None);
    }
}
