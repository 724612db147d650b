//! Tables.

use aorta_openflow::message::{
    Eviction, MultipartReply, MultipartRequest, TableDesc, TableFeaturesRequest, TableMiss,
    TableMod, Vacancy,
};
use aorta_openflow::{Message, Version, Versions};

use aorta_flow::text::Names;

use super::error::OfctlError;
use super::{Done, OK, Ofctl};

/// Prints what tables have counted.
pub fn dump(ofctl: &Ofctl, words: &[&str]) -> Done {
    ofctl.dump(words[0], MultipartRequest::Table)
}

/// Prints what tables can do.
pub fn dump_features(ofctl: &Ofctl, words: &[&str]) -> Done {
    let mut client = ofctl.open(words[0])?;
    if client.version < Version::OpenFlow13 {
        let text = "dump-table-features needs OpenFlow 1.3 or later ('-O OpenFlow13')";
        return Err(OfctlError::other(text));
    }
    let request = MultipartRequest::TableFeatures(TableFeaturesRequest::default());
    let mut tables = Vec::new();
    client.parts(request, |reply| {
        if let MultipartReply::TableFeatures(found) = reply {
            tables.extend(found);
        }
    })?;
    let names = ofctl.names_to_show(words[0])?;
    let envelope = aorta_openflow::Envelope {
        version: client.version,
        xid: 0,
        message: Message::Reply {
            reply: MultipartReply::TableFeatures(tables),
            more: false,
        },
    };
    let text = aorta_openflow::text::show_envelope(&envelope, ofctl.style(names, 1));
    // The title is of a single message; these were several.
    let tables = text.split_once('\n').map_or("", |(_, tables)| tables);
    ofctl.print(&format!("{tables}\n"))?;
    Ok(OK)
}

/// Prints how tables are set.
pub fn dump_desc(ofctl: &Ofctl, words: &[&str]) -> Done {
    let mut client = ofctl.open(words[0])?;
    if client.version < Version::OpenFlow14 {
        let text = "dump-table-desc needs OpenFlow 1.4 or later ('-O OpenFlow14')";
        return Err(OfctlError::other(text));
    }
    ofctl.dump_from(&mut client, MultipartRequest::TableDesc)
}

/// What a word asks of a table, and the versions that have it.
fn setting(word: &str) -> Result<(TableMod, Versions), OfctlError> {
    let old = Versions::only(Version::OpenFlow11).with(Version::OpenFlow12);
    let new = Versions::only(Version::OpenFlow14).with(Version::OpenFlow15);
    let miss = |miss| TableMod {
        miss,
        ..TableMod::default()
    };
    let eviction = |enabled| TableMod {
        eviction: Some(Eviction {
            enabled,
            flags: None,
        }),
        ..TableMod::default()
    };
    let vacancy = |enabled, down_percent, up_percent| TableMod {
        vacancy: Some(Vacancy {
            enabled,
            down_percent,
            up_percent,
            vacancy_percent: 0,
        }),
        ..TableMod::default()
    };
    if let Some(range) = word.strip_prefix("vacancy:") {
        let bad = || OfctlError::other(format!("{range}: invalid vacancy setting"));
        let (down, up) = range.split_once(',').ok_or_else(bad)?;
        let percent = |text: &str| text.trim().parse::<u8>().ok().filter(|p| *p <= 100);
        let (down, up) = percent(down).zip(percent(up)).ok_or_else(bad)?;
        if down > up {
            return Err(OfctlError::other(format!(
                "Invalid vacancy range: vacancy_down ({down}) > vacancy_up ({up})"
            )));
        }
        return Ok((vacancy(true, down, up), new));
    }
    Ok(match word {
        "controller" => (miss(TableMiss::Controller), old),
        "continue" => (miss(TableMiss::Continue), old),
        "drop" => (miss(TableMiss::Drop), old),
        "evict" => (eviction(true), new),
        "noevict" => (eviction(false), new),
        "novacancy" => (vacancy(false, 0, 0), new),
        _ => {
            let text = format!("invalid table_mod setting {word}");
            return Err(OfctlError::other(text));
        }
    })
}

/// Changes how a table is set.
pub fn modify(ofctl: &Ofctl, words: &[&str]) -> Done {
    let (target, which, word) = (words[0], words[1], words[2]);
    let (mut change, versions) = setting(word)?;
    let usable = versions.common(ofctl.settings.versions);
    if usable.is_empty() {
        let names: Vec<&str> = versions.iter().map(aorta_openflow::version::name).collect();
        return Err(OfctlError::other(format!(
            "table_mod '{word}' requires one of the OpenFlow versions {}",
            names.join(", ")
        )));
    }
    change.table = match which {
        "ALL" | "all" => None,
        which => Some(table_number(ofctl, target, which)?),
    };
    let mut client = ofctl.open(target)?;
    if !versions.contains(client.version) {
        return Err(client.not_the_protocol());
    }
    if client.version >= Version::OpenFlow14 {
        keep_others(&mut client, &mut change)?;
    }
    ofctl.command(&mut client, Message::TableMod(change))?;
    Ok(OK)
}

fn table_number(ofctl: &Ofctl, target: &str, word: &str) -> Result<u8, OfctlError> {
    let unknown = || OfctlError::other(format!("unknown table \"{word}\""));
    let names = ofctl.names_to_read(target)?;
    let number = word.parse::<u8>().ok().or_else(|| names.table(word));
    number.ok_or_else(unknown)
}

/// Settings that aren't mentioned would be turned off: they are sent as they are.
fn keep_others(
    client: &mut super::client::Client<'_>,
    change: &mut TableMod,
) -> Result<(), OfctlError> {
    let mut tables: Vec<TableDesc> = Vec::new();
    client.parts(MultipartRequest::TableDesc, |reply| {
        if let MultipartReply::TableDesc(found) = reply {
            tables.extend(found);
        }
    })?;
    let found = tables
        .iter()
        .find(|table| Some(table.table) == change.table);
    let Some(table) = found else { return Ok(()) };
    let plain = |eviction: Eviction| Eviction {
        flags: None,
        ..eviction
    };
    change.eviction = change.eviction.or(table.eviction.map(plain));
    let asked = |vacancy: Vacancy| Vacancy {
        vacancy_percent: 0,
        ..vacancy
    };
    change.vacancy = change.vacancy.or(table.vacancy.map(asked));
    Ok(())
}
