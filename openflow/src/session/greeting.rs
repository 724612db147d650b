//! Agreeing on a version (OpenFlow 1.3.5 §6.3.1).

use super::{HELLO, Session, SessionEnd};
use crate::error::ErrorCode;
use crate::header::Header;
use crate::message::{ErrorMessage, Message, ReportedError};
use crate::version::{Version, Versions};
use crate::wire::{Context, decode};

impl Session {
    /// Takes the other side's first message.
    pub(super) fn greet(&mut self, header: Header, bytes: &[u8]) -> Result<Version, SessionEnd> {
        let kind = header.kind;
        let hello = decode(bytes, Context::default()).map(|envelope| envelope.message);
        let theirs = match hello {
            Ok(Message::Hello(hello)) if kind == HELLO => hello.versions,
            _ => return Err(SessionEnd::NoGreeting { kind }),
        };
        if let Some(version) = self.ours.agree(theirs) {
            self.agreed = Some(version);
            return Ok(version);
        }
        let (ours, yours) = (words(self.ours, 0), words(theirs, header.version));
        let text = format!("We support {ours}, you support {yours}, no common versions.");
        let error = Message::Error(ErrorMessage {
            error: ReportedError::Known(ErrorCode::OFPHFC_INCOMPATIBLE),
            data: text.into_bytes(),
        });
        // No version is agreed on; all have this error.
        let version = Version::from_number(header.version);
        self.send(version.unwrap_or(Version::OpenFlow10), 0, error);
        let end = format!("no common version: we have {ours}, the peer has {yours}");
        Err(SessionEnd::NoCommonVersion(end))
    }
}

/// Versions by their numbers on the wire; those of a set that is empty here go by `number`.
fn words(versions: Versions, number: u8) -> String {
    let Some(highest) = versions.highest() else {
        return format!("version {number:#04x}");
    };
    let numbers: Vec<String> = versions
        .iter()
        .map(|version| format!("{:#04x}", version.number()))
        .collect();
    match &*numbers {
        [one] => format!("version {one}"),
        [.., last] if versions == Versions::up_to(highest) => format!("version {last} and earlier"),
        several => format!("versions {}", several.join(", ")),
    }
}
