//! Which devices take programs: asked once for each driver, by a program that does nothing.

use std::collections::BTreeMap;
use std::io;

use aorta_compiler::abi::MapKind;
use aorta_compiler::offload::CardLimits;
use aorta_ebpf::{Assembler, Helper, Program, Reg};

use super::objects::load;
use crate::sys;

/// What is known of the devices of a driver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Probed {
    /// They take programs within these limits.
    Takes(CardLimits),
    /// They don't; a sentence that says why.
    Refuses(String),
}

/// Remembers what drivers take.
#[derive(Debug, Default)]
pub struct Prober {
    drivers: BTreeMap<String, Probed>,
}

/// Entries of maps that are asked for, from the most.
const ENTRIES: [u32; 9] = [1 << 16, 1 << 14, 1 << 13, 4096, 2048, 1024, 256, 64, 16];

impl Prober {
    /// What a device takes, of which the driver is known; the device is asked if it is the first of that
    /// driver. Nothing is attached, and nothing is left.
    pub fn ask(&mut self, driver: &str, ifindex: u32) -> &Probed {
        let answer = || probe(driver, ifindex);
        self.drivers.entry(driver.to_owned()).or_insert_with(answer)
    }

    /// Forgets what a driver said: it may be another version by now.
    pub fn forget(&mut self, driver: &str) {
        self.drivers.remove(driver);
    }
}

fn probe(driver: &str, ifindex: u32) -> Probed {
    let refuses = |what: &str, why: String| {
        Probed::Refuses(format!(
            "the driver {driver} runs no eBPF programs on its cards: it refuses {what} ({why})"
        ))
    };
    let none = BTreeMap::new();
    let bind = |program: Option<Program>| match program {
        Some(program) => load(&program, &none, ifindex).map_err(|e| crate::error::chain(&e)),
        None => Err("a program that can't be assembled".to_owned()),
    };
    if let Err(why) = bind(nothing()) {
        return refuses("a program of two instructions", why);
    }
    let kinds = [MapKind::Array, MapKind::Hash];
    let takes = |entries: &u32| {
        kinds
            .iter()
            .all(|kind| map(*kind, *entries, ifindex).is_ok())
    };
    let Some(max_entries) = ENTRIES.into_iter().find(takes) else {
        let why = kinds.iter().find_map(|kind| map(*kind, 16, ifindex).err());
        let why = why.map_or_else(String::new, |error| error.to_string());
        return refuses("hash maps or arrays of 16 entries", why);
    };
    Probed::Takes(CardLimits {
        max_entries,
        redirects: bind(calls(Helper::Redirect)).is_ok(),
        adjusts_head: bind(calls(Helper::XdpAdjustHead)).is_ok(),
        ..CardLimits::default()
    })
}

fn map(kind: MapKind, entries: u32, ifindex: u32) -> io::Result<()> {
    let key_bytes = match kind {
        MapKind::Hash => 64,
        _ => 4,
    };
    let new = sys::NewMap {
        kind: kind as u32,
        key_bytes,
        value_bytes: 64,
        max_entries: entries,
        name: "aorta_probe",
        ifindex,
    };
    sys::create_map(&new).map(drop)
}

/// `XDP_PASS`.
const PASS: i32 = 2;

fn nothing() -> Option<Program> {
    let mut a = Assembler::new("aorta_probe");
    a.mov(Reg::R0, PASS);
    a.exit();
    a.finish().ok()
}

/// A program that calls a helper: one that would change nothing if it ran.
fn calls(helper: Helper) -> Option<Program> {
    let mut a = Assembler::new("aorta_probe");
    if helper == Helper::Redirect {
        a.mov(Reg::R1, 0);
    }
    a.mov(Reg::R2, 0);
    a.call(helper);
    a.mov(Reg::R0, PASS);
    a.exit();
    a.finish().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_device_takes_no_programs_and_is_asked_once() {
        let mut prober = Prober::default();
        let said = prober.ask("loopback", 1).clone();
        let Probed::Refuses(why) = &said else {
            panic!("{said:?}")
        };
        assert!(
            why.contains("loopback") && why.contains("two instructions"),
            "{why}"
        );
        // There is no such device, which isn't found out.
        assert_eq!(*prober.ask("loopback", u32::MAX >> 1), said);
        prober.forget("loopback");
        assert_ne!(prober.ask("none", u32::MAX >> 1), &said);
    }
}
