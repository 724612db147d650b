//! Messages that come from files and from the command line.

use std::io::Read;

use aorta_flow::text::NoNames;
use aorta_openflow::error::ErrorCode;
use aorta_openflow::text::{Style, show};
use aorta_openflow::{Context, Framer, Version};

use super::error::OfctlError;
use super::switch::bytes_of;
use super::{Done, OK, Ofctl};

/// The content of a file, or of standard input for `-`.
pub fn read_bytes(file: &str) -> Result<Vec<u8>, OfctlError> {
    let mut bytes = Vec::new();
    if file == "-" {
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        return match read {
            Ok(_) => Ok(bytes),
            Err(cause) => Err(OfctlError::Read {
                file: file.to_owned(),
                cause,
            }),
        };
    }
    std::fs::read(file).map_err(|cause| OfctlError::Open {
        file: file.to_owned(),
        cause,
    })
}

fn style(ofctl: &Ofctl, more: u8) -> Style<'static> {
    Style {
        names: &NoNames,
        verbosity: ofctl.settings.more.saturating_add(more),
    }
}

/// Prints a message from its hexadecimal digits; `-` reads them from standard input, one message on
/// each line.
pub fn print_hex(ofctl: &Ofctl, words: &[&str]) -> Done {
    let bad = || OfctlError::other("trailing garbage following hex bytes");
    let more = words.get(1).and_then(|word| word.parse().ok()).unwrap_or(2);
    let text = match words[0] {
        "-" => String::from_utf8_lossy(&read_bytes("-")?).into_owned(),
        digits => digits.to_owned(),
    };
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let bytes = bytes_of(line).ok_or_else(bad)?;
        ofctl.print(&show(&bytes, Context::default(), style(ofctl, more)))?;
    }
    Ok(OK)
}

/// Prints the messages of a file.
pub fn parse_file(ofctl: &Ofctl, words: &[&str]) -> Done {
    let file = words[0];
    let bytes = read_bytes(file).map_err(|error| match error {
        OfctlError::Open { file, cause } => {
            OfctlError::other(format!("{file}: open ({})", crate::log::plain(&cause)))
        }
        other => other,
    })?;
    let mut framer = Framer::new();
    framer.push(&bytes);
    let mut taken = 0;
    loop {
        match framer.next_message() {
            Ok(Some(message)) => {
                taken += message.len();
                let text = show(message, Context::default(), style(ofctl, 2));
                ofctl.print(&text)?;
            }
            Ok(None) if taken == bytes.len() => return Ok(OK),
            Ok(None) => {
                return Err(OfctlError::other(format!("{file}: unexpected end of file")));
            }
            Err(fault) => return Err(OfctlError::other(format!("{file}: {fault}"))),
        }
    }
}

/// Prints an error's numbers in all versions.
pub fn print_error(ofctl: &Ofctl, words: &[&str]) -> Done {
    let unknown = || OfctlError::other(format!("unknown error \"{}\"", words[0]));
    let code = ErrorCode::by_name(words[0]).ok_or_else(unknown)?;
    for version in Version::ALL {
        let Some(numbers) = code.wire(version) else {
            continue;
        };
        let vendor = match numbers.vendor {
            0 => "0".to_owned(),
            vendor => format!("{vendor:#x}"),
        };
        let (kind, code) = (numbers.kind, numbers.code);
        ofctl.print(&format!(
            "OpenFlow {version}: vendor {vendor}, type {kind}, code {code}\n"
        ))?;
    }
    Ok(OK)
}
