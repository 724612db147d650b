//! What of the rates is shown, and how keys change that.

use std::time::Duration;

use super::options::{LONGEST, Options, SHORTEST};

/// By what ports are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Their names.
    Name,
    /// Bits received.
    Received,
    /// Bits sent.
    Sent,
    /// Packets received.
    PacketsReceived,
    /// Packets sent.
    PacketsSent,
    /// Packets dropped.
    Dropped,
}

impl Sort {
    /// All, in the order in which a key goes through them.
    pub const ALL: [Sort; 6] = [
        Sort::Received,
        Sort::Sent,
        Sort::PacketsReceived,
        Sort::PacketsSent,
        Sort::Dropped,
        Sort::Name,
    ];

    /// As the command line has it.
    pub fn name(self) -> &'static str {
        match self {
            Sort::Name => "name",
            Sort::Received => "rx",
            Sort::Sent => "tx",
            Sort::PacketsReceived => "rx-packets",
            Sort::PacketsSent => "tx-packets",
            Sort::Dropped => "drops",
        }
    }

    /// All names, with commas.
    pub fn names() -> String {
        Sort::ALL.map(Sort::name).join(", ")
    }

    fn next(self) -> Sort {
        let all = Sort::ALL.into_iter();
        let mut after = all.cycle().skip_while(|sort| *sort != self).skip(1);
        after.next().unwrap_or(self)
    }
}

/// Which part is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Ports above flows.
    Both,
    /// Ports only.
    Ports,
    /// Flows only.
    Flows,
}

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Another part.
    Part,
    /// Another order.
    Sort,
    /// The order turned round.
    Reverse,
    /// Another bridge, or all.
    Bridge,
    /// Longer between two looks.
    Slower,
    /// Shorter between two looks.
    Faster,
    /// Stand still, or go on.
    Pause,
    /// The end.
    Quit,
}

impl Key {
    /// The key that a byte from the terminal is, if it is one of ours. Control-C and control-D end, too.
    pub fn of(byte: u8) -> Option<Key> {
        Some(match byte {
            b'\t' => Key::Part,
            b's' => Key::Sort,
            b'r' => Key::Reverse,
            b'b' => Key::Bridge,
            b'+' => Key::Slower,
            b'-' => Key::Faster,
            b' ' => Key::Pause,
            b'q' | b'Q' | 3 | 4 => Key::Quit,
            _ => return None,
        })
    }
}

/// What is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Only this bridge.
    pub bridge: Option<String>,
    /// Which part.
    pub part: Part,
    /// The order of ports.
    pub sort: Sort,
    /// The lowest first.
    pub reverse: bool,
    /// Time between two looks.
    pub interval: Duration,
    /// Nothing changes.
    pub paused: bool,
}

impl View {
    /// As the command line asks for it.
    pub fn new(options: &Options) -> View {
        View {
            bridge: options.bridge.clone(),
            part: Part::Both,
            sort: options.sort,
            reverse: false,
            interval: options.interval,
            paused: false,
        }
    }

    /// Does what a key asks for; `bridges` are those that there are.
    pub fn press(&mut self, key: Key, bridges: &[String]) {
        match key {
            Key::Part => {
                self.part = match self.part {
                    Part::Both => Part::Ports,
                    Part::Ports => Part::Flows,
                    Part::Flows => Part::Both,
                }
            }
            Key::Sort => self.sort = self.sort.next(),
            Key::Reverse => self.reverse = !self.reverse,
            Key::Bridge => self.bridge = self.next_bridge(bridges),
            Key::Slower => self.interval = (self.interval * 2).min(LONGEST),
            Key::Faster => self.interval = (self.interval / 2).max(SHORTEST),
            Key::Pause => self.paused = !self.paused,
            Key::Quit => {}
        }
    }

    fn next_bridge(&self, bridges: &[String]) -> Option<String> {
        let Some(now) = &self.bridge else {
            return bridges.first().cloned();
        };
        let at = bridges.iter().position(|bridge| bridge == now)?;
        bridges.get(at + 1).cloned()
    }
}
