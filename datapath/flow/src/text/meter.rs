//! Meters as text.

use std::fmt;
use std::fmt::Write as _;

use super::error::TextError;
use super::number_u32;
use super::scan::{Item, Token};
use super::{choice, number};
use crate::{Band, BandKind, Meter, MeterId, MeterUnit};

/// Highest number of a meter (OFPM_MAX).
const MAX_ID: u64 = 0xffff_0000;

const KEYS: [&str; 11] = [
    "meter",
    "kbps",
    "pktps",
    "burst",
    "stats",
    "band",
    "bands",
    "type",
    "rate",
    "burst_size",
    "prec_level",
];

/// A band that is being read: what its type was, and whether it had a rate.
struct OpenBand<'a> {
    at: Token<'a>,
    remarks: bool,
    level: u8,
    rate: Option<u32>,
    burst_size: u32,
}

/// Reads a meter, as `ovs-ofctl add-meter` takes it and `dump-meters` prints it.
///
/// # Errors
/// With the place and what would be right.
pub fn parse_meter(text: &str) -> Result<Meter, TextError> {
    let text = Token::whole(text);
    let mut id = None;
    let mut unit = None;
    let (mut burst, mut stats) = (false, false);
    let mut bands: Vec<OpenBand<'_>> = Vec::new();
    for entry in super::items(text)? {
        // `band=type=drop` is two entries in one.
        let entry = match entry.key.text {
            "band" | "bands" => match inner(&entry)? {
                Some(inner) => inner,
                None => continue,
            },
            _ => entry,
        };
        match entry.key.text {
            "meter" => id = Some(meter_id(entry.need("meter=NUMBER")?)?),
            "kbps" => unit = Some(MeterUnit::Kbps),
            "pktps" => unit = Some(MeterUnit::Pktps),
            "burst" => burst = true,
            "stats" => stats = true,
            _ => band_part(&mut bands, &entry)?,
        }
    }
    let rule = |rule| TextError::rule(text, rule);
    let bands: Vec<Band> = bands.iter().map(close).collect::<Result<_, _>>()?;
    if bands.is_empty() {
        return Err(rule(
            "a meter needs a band, such as bands=type=drop,rate=1000",
        ));
    }
    Ok(Meter {
        id: id.ok_or_else(|| rule("a meter needs meter=NUMBER"))?,
        unit: unit.ok_or_else(|| rule("a meter needs kbps or pktps"))?,
        burst,
        stats,
        bands,
    })
}

fn inner<'a>(entry: &Item<'a>) -> Result<Option<Item<'a>>, TextError> {
    match entry.value {
        Some(value) => Ok(super::items(value)?.into_iter().next()),
        None => Ok(None),
    }
}

fn meter_id(at: Token<'_>) -> Result<MeterId, TextError> {
    match at.text {
        "slowpath" => Ok(MeterId::Slowpath),
        "controller" => Ok(MeterId::Controller),
        _ => match number(at, MAX_ID)? {
            0 => Err(TextError::form(at, "a meter: its number starts at 1")),
            id => Ok(MeterId::Number(id as u32)),
        },
    }
}

fn band_part<'a>(bands: &mut Vec<OpenBand<'a>>, entry: &Item<'a>) -> Result<(), TextError> {
    let value = || entry.need("NAME=VALUE");
    if entry.key.text == "type" {
        let kinds = [("drop", false), ("dscp_remark", true)];
        bands.push(OpenBand {
            at: entry.all,
            remarks: choice(value()?, "type of band", &kinds)?,
            level: 0,
            rate: None,
            burst_size: 0,
        });
        return Ok(());
    }
    if !KEYS.contains(&entry.key.text) {
        return Err(TextError::unknown(
            entry.key,
            "part of a meter",
            KEYS.into_iter(),
        ));
    }
    let Some(band) = bands.last_mut() else {
        return Err(TextError::rule(entry.all, "a band starts with type=drop"));
    };
    match entry.key.text {
        "rate" => band.rate = Some(number_u32(value()?)?),
        "burst_size" => band.burst_size = number_u32(value()?)?,
        _ => band.level = number(value()?, 255)? as u8,
    }
    Ok(())
}

fn close(band: &OpenBand<'_>) -> Result<Band, TextError> {
    let rate = band
        .rate
        .ok_or_else(|| TextError::rule(band.at, "a band needs rate=NUMBER"))?;
    let kind = match (band.remarks, band.level) {
        (false, 0) => BandKind::Drop,
        (true, 1..) => BandKind::DscpRemark(band.level),
        (false, _) => {
            return Err(TextError::rule(
                band.at,
                "only dscp_remark has a prec_level",
            ));
        }
        (true, 0) => {
            return Err(TextError::rule(
                band.at,
                "dscp_remark needs prec_level=NUMBER",
            ));
        }
    };
    Ok(Band {
        kind,
        rate,
        burst_size: band.burst_size,
    })
}

impl fmt::Display for MeterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MeterId::Number(id) => id.fmt(f),
            MeterId::Slowpath => f.write_str("slowpath"),
            MeterId::Controller => f.write_str("controller"),
        }
    }
}

/// As `ovs-ofctl dump-meters` prints it: one line for the meter and one for each band.
impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = format!("meter={} ", self.id);
        out.push_str(match self.unit {
            MeterUnit::Kbps => "kbps ",
            MeterUnit::Pktps => "pktps ",
        });
        out.push_str(if self.burst { "burst " } else { "" });
        out.push_str(if self.stats { "stats " } else { "" });
        out.push_str("bands=");
        for band in &self.bands {
            let _ = match band.kind {
                BandKind::Drop => write!(out, "\ntype=drop rate={}", band.rate),
                BandKind::DscpRemark(_) => write!(out, "\ntype=dscp_remark rate={}", band.rate),
            };
            if band.burst_size != 0 {
                let _ = write!(out, " burst_size={}", band.burst_size);
            }
            if let BandKind::DscpRemark(level) = band.kind {
                let _ = write!(out, " prec_level={level}");
            }
        }
        f.write_str(&out)
    }
}
