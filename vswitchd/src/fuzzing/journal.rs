//! The file in which flow tables outlive the daemon.

use crate::ofproto::BridgeFlows;
use crate::ofproto::journal::{
    Contents, Event, Restored, RestoredBridge, block, contents, head, lines as text_of, read,
};

/// Which boot it is.
const BOOT: &str = "boot";

/// Bytes are a file, and what is in a block of one: its checksum shall not keep a fuzzer out. What
/// can be read is the same after it was written and read again, and tables can be made of it.
pub fn journal(bytes: &[u8]) {
    if let Ok(Contents::Blocks { blocks, whole }) = contents(bytes, BOOT) {
        assert!(whole <= bytes.len(), "the reader is beyond the end");
        lines(&blocks);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let file = head(BOOT) + &block(text);
        let expected = Contents::Blocks {
            blocks: vec![text],
            whole: file.len(),
        };
        assert_eq!(contents(file.as_bytes(), BOOT), Ok(expected));
        lines(&[text]);
    }
}

fn lines(blocks: &[&str]) {
    let Ok(restored) = read(blocks) else {
        return;
    };
    let written = texts(&restored);
    let again = read(&[&written]);
    assert_eq!(again.as_ref(), Ok(&restored), "{written}");
    for bridge in restored.into_values() {
        let _ = BridgeFlows::restore(bridge);
    }
}

fn texts(restored: &Restored) -> String {
    let bridges = restored.iter();
    let bridges = bridges.map(|(name, bridge)| text_of(events(name, bridge)));
    bridges.collect()
}

fn events<'a>(name: &'a str, bridge: &'a RestoredBridge) -> impl Iterator<Item = Event<'a>> {
    let secure = bridge.secure;
    let groups = bridge.groups.iter();
    let meters = bridge.meters.iter();
    let flows = bridge.flows.iter();
    let groups = groups.map(|(group, since)| Event::Group(group, *since));
    let meters = meters.map(|(meter, since)| Event::Meter(meter, *since));
    let flows = flows.map(|(entry, ages, rule)| Event::Flow {
        entry,
        ages: *ages,
        rule: *rule,
    });
    let bridge = Event::Bridge { name, secure };
    [bridge]
        .into_iter()
        .chain(groups)
        .chain(meters)
        .chain(flows)
}
