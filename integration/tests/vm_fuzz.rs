//! A guest that sends nonsense, and what others see of it. `AORTA_FUZZ_SECONDS` makes it longer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aorta_integration::lab::{Guest, GuestConfig, Netns, Switch, Wire};
use common::{address, column, done, eventually, frame, is_ours, status, vsctl};

/// Seconds that each part takes unless asked otherwise.
const SECONDS: u64 = 3;

fn seconds() -> u64 {
    let asked = std::env::var("AORTA_FUZZ_SECONDS").ok();
    asked.map_or(SECONDS, |text| {
        text.parse().expect("AORTA_FUZZ_SECONDS is a number")
    })
}

/// The program that guests send nonsense with; tests of this package have it built.
fn fuzzer() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own.with_file_name("../examples/frame_fuzzer");
    assert!(
        path.is_file(),
        "{} is missing: cargo build -p aorta-integration --example frame_fuzzer",
        path.display()
    );
    path
}

/// What each of the other ports got, counted.
#[derive(Debug, Default)]
struct Seen {
    frames: u64,
    wrong: u64,
}

/// Ports around the guest on `ta`.
struct Around {
    /// In the guest's VLAN.
    same: Wire,
    /// In another.
    other: Wire,
    /// A trunk of others.
    trunk: Wire,
    /// A trunk of all.
    all: Wire,
}

impl Around {
    /// Takes what has come; true if the wires got what they may get.
    fn take(&self, seen: &mut [Seen; 4], may: &[fn(&[u8]) -> bool; 4]) {
        let wires = [&self.same, &self.other, &self.trunk, &self.all];
        for ((wire, seen), may) in wires.into_iter().zip(seen).zip(may) {
            // What stations of the test's own sent is no nonsense.
            for frame in wire.receive_all().into_iter().filter(|f| !is_ours(f)) {
                seen.frames += 1;
                if !may(&frame) {
                    seen.wrong += 1;
                    if seen.wrong < 4 {
                        println!("wrong: {frame:02x?}");
                    }
                }
            }
        }
    }
}

/// Has the guest send for a while, with the wires being read. Returns what came where.
fn fuzz(guest: &Guest, around: &Around, seed: u64, may: &[fn(&[u8]) -> bool; 4]) -> [Seen; 4] {
    let over = AtomicBool::new(false);
    let mut seen: [Seen; 4] = Default::default();
    let seconds = seconds();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                around.take(&mut seen, may);
                std::thread::yield_now();
            }
            // What was sent last.
            around.take(&mut seen, may);
        });
        let index = "$(cat /sys/class/net/eth0/ifindex)";
        let command = format!("frame_fuzzer {index} {seed} {seconds}");
        let limit = Duration::from_secs(seconds + 60);
        let said = guest.run_within(&command, limit).unwrap().ok().unwrap();
        over.store(true, Ordering::Relaxed);
        reader.join().unwrap();
        println!("{}", said.stdout.trim());
    });
    seen
}

fn nothing(_: &[u8]) -> bool {
    false
}

fn anything(_: &[u8]) -> bool {
    true
}

/// Of the guest's VLAN, which a trunk shows by its tag. A frame that had one of IEEE 802.1ad without
/// a VLAN keeps its kind.
fn of_vlan_10(frame: &[u8]) -> bool {
    let tagged = matches!(frame.get(12..14), Some([0x81, 0x00] | [0x88, 0xa8]));
    tagged && u16::from_be_bytes([frame[14], frame[15]]) & 0xfff == 10
}

/// From the one address that flows let pass.
fn of_one_source(frame: &[u8]) -> bool {
    frame.get(6..12) == Some(&address(1))
}

/// Frames that others exchange pass as before.
fn works(around: &Around, switch: &Switch) {
    eventually("others reach each other", || {
        around.trunk.send(&frame(0xff, 0x21, Some(20))).unwrap();
        around
            .other
            .wait_frame("", Duration::from_millis(500), is_ours)
            .is_ok()
    });
    assert_eq!(vsctl(switch, "show").status, 0);
    assert!(
        status(switch).problems.is_empty(),
        "{:?}",
        status(switch).problems
    );
    let log = switch.log();
    let bad = ["panicked", "|ERR|", "|EMER|"];
    assert!(!bad.iter().any(|word| log.contains(word)), "{log}");
}

#[test]
fn nonsense_reaches_nobody_whom_it_may_not_reach() {
    let ns = Netns::new("fuzz").unwrap();
    ns.disable_ipv6().unwrap();
    ns.tap("ta").unwrap();
    let wire = |name| Wire::new(&ns, name).unwrap();
    let around = Around {
        same: wire("w10"),
        other: wire("w20"),
        trunk: wire("trunk"),
        all: wire("every"),
    };
    let switch = Switch::start(&ns).unwrap();
    done(
        &switch,
        "add-br br0 -- add-port br0 ta tag=10 -- add-port br0 w10 tag=10 \
         -- add-port br0 w20 tag=20 -- add-port br0 trunk trunks=20,30 -- add-port br0 every",
    );
    let mut config = GuestConfig::new("fuzz", "ta", "52:54:00:00:00:0a");
    config.programs = vec![(fuzzer(), "frame_fuzzer".to_owned())];
    let guest = Guest::boot(&ns, &config).unwrap();
    guest.run("ip link set eth0 up").unwrap().ok().unwrap();
    works(&around, &switch);

    // A learning switch: nothing leaves the VLAN.
    let seen = fuzz(
        &guest,
        &around,
        1,
        &[anything, nothing, nothing, of_vlan_10],
    );
    println!("in VLAN 10, in 20, trunk of 20 and 30, trunk of all: {seen:?}");
    assert!(seen[0].frames > 0 && seen[3].frames > 0, "{seen:?}");
    assert!(seen.iter().all(|seen| seen.wrong == 0), "{seen:?}");
    works(&around, &switch);

    // Flow tables: of the guest's frames those of one source pass, to one port.
    let number = |name| column(&switch, "Interface", name, "ofport");
    let (guest_port, same) = (number("ta"), number("w10"));
    for flow in [
        format!("priority=20,in_port={guest_port},dl_src=02:00:00:00:00:01,actions=output:{same}"),
        format!("priority=10,in_port={guest_port},actions=drop"),
    ] {
        switch
            .vsctl(&["add-flow", "br0", &flow])
            .unwrap()
            .ok()
            .unwrap();
    }
    around.take(&mut Default::default(), &[anything; 4]);
    let seen = fuzz(
        &guest,
        &around,
        2,
        &[of_one_source, nothing, nothing, nothing],
    );
    println!("with flows: {seen:?}");
    assert!(seen[0].frames > 0, "{seen:?}");
    assert!(seen.iter().all(|seen| seen.wrong == 0), "{seen:?}");
    works(&around, &switch);
}
