//! Meters.

use aorta_flow::MeterId;
use aorta_flow::table::MeterMod;
use aorta_flow::text::parse_meter;
use aorta_openflow::Message;
use aorta_openflow::message::MultipartRequest;

use super::error::OfctlError;
use super::formats::Formats;
use super::{Done, OK, Ofctl};

impl Ofctl {
    /// Refuses if none of the allowed ways to write flows has meters.
    fn need_meters(&self) -> Result<(), OfctlError> {
        match self.settings.formats.has(Formats::OPENFLOW13_UP) {
            true => Ok(()),
            false => Err(OfctlError::Formats {
                usable: Formats::OPENFLOW13_UP.to_string(),
                allowed: self.settings.formats.to_string(),
            }),
        }
    }

    fn meter_mod(&self, target: &str, change: MeterMod) -> Done {
        self.need_meters()?;
        let mut client = self.open(target)?;
        self.command(&mut client, Message::MeterMod(change))?;
        Ok(OK)
    }
}

fn read(text: &str) -> Result<aorta_flow::Meter, OfctlError> {
    parse_meter(text).map_err(|error| OfctlError::Text(error.render(text)))
}

/// The meter that `meter=NUMBER` names; all if nothing is said.
fn which(words: &[&str]) -> Result<Option<MeterId>, OfctlError> {
    let Some(text) = words.get(1) else {
        return Ok(None);
    };
    let value = match text.split_once('=') {
        Some(("meter", value)) => value,
        _ => return Err(OfctlError::other("must specify `meter' keyword")),
    };
    let bad = || OfctlError::other(format!("invalid value {value} for meter"));
    match value {
        "all" => Ok(None),
        "slowpath" => Ok(Some(MeterId::Slowpath)),
        "controller" => Ok(Some(MeterId::Controller)),
        number => match number.parse() {
            Ok(number @ 1..=0xffff_0000) => Ok(Some(MeterId::Number(number))),
            _ => Err(bad()),
        },
    }
}

/// Adds a meter.
pub fn add(ofctl: &Ofctl, words: &[&str]) -> Done {
    ofctl.meter_mod(words[0], MeterMod::Add(read(words[1])?))
}

/// Changes a meter.
pub fn modify(ofctl: &Ofctl, words: &[&str]) -> Done {
    ofctl.meter_mod(words[0], MeterMod::Modify(read(words[1])?))
}

/// Deletes a meter, or all.
pub fn delete(ofctl: &Ofctl, words: &[&str]) -> Done {
    ofctl.meter_mod(words[0], MeterMod::Delete(which(words)?))
}

/// Prints meters.
pub fn dump(ofctl: &Ofctl, words: &[&str]) -> Done {
    ofctl.need_meters()?;
    ofctl.dump(words[0], MultipartRequest::MeterConfig(which(words)?))
}

/// Prints what meters have counted.
pub fn stats(ofctl: &Ofctl, words: &[&str]) -> Done {
    ofctl.need_meters()?;
    ofctl.dump(words[0], MultipartRequest::Meter(which(words)?))
}

/// Prints what the switch can do with meters.
pub fn features(ofctl: &Ofctl, words: &[&str]) -> Done {
    ofctl.need_meters()?;
    ofctl.dump(words[0], MultipartRequest::MeterFeatures)
}
