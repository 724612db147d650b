//! Flow tables that change while frames are on their way. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod flow_lab;
mod lab;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flow_lab::{Flows, MTU, apply, bridge, frame, port, station};
use lab::Lab;

/// How many flows the table of the second test has.
fn flows_wanted() -> usize {
    let given = std::env::var("AORTA_UPDATE_FLOWS").ok();
    given.map_or(3000, |n| n.parse().unwrap())
}

/// Time that this thread has worked.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Each bundle changes what table 0 writes and what table 1 expects: a frame that saw one half of
/// it would go nowhere.
fn bundles_under_traffic(test: &str, in_memory: bool) {
    let lab = Lab::new(test);
    let taps = ["a", "b", "c"].map(|end| lab.tap(&format!("{test}{end}"), MTU));
    let mut datapath = lab.datapath();
    let mut flows = Flows::new("br0");
    let halves = |mark: u32, out: u32| {
        [
            format!("table=0,in_port=1,actions=load:{mark}->NXM_NX_REG0[],resubmit(,1)"),
            format!("table=1,reg0={mark},actions=output:{out}"),
        ]
    };
    let [write, expect] = halves(1, 2);
    flows.change(&mut datapath, &[&write, &expect]);
    if in_memory {
        let fill = |n: u32| {
            [
                format!("table=0,in_port=3,dl_src=02:00:03:00:00:{n:02x},actions=drop"),
                format!("table=1,reg0={},actions=drop", 0x10_0000 + n),
            ]
        };
        let fill: Vec<String> = (0..20).flat_map(fill).collect();
        let fill: Vec<&str> = fill.iter().map(String::as_str).collect();
        flows.change(&mut datapath, &fill);
    }
    let ports = taps.iter().zip(1..).map(|(tap, n)| port(tap, n)).collect();
    apply(&mut datapath, vec![bridge("br0", ports)]);
    let sent = frame(station(2), station(1));
    let done = AtomicBool::new(false);
    let (mut changes, mut in_place) = (0u32, 0u32);
    let (frames, received) = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let (mut frames, mut received) = (0u64, 0);
            while !done.load(Ordering::Acquire) {
                taps[0].send(&sent).unwrap();
                frames += 1;
                let here = taps[1].receive_all().len() + taps[2].receive_all().len();
                assert_eq!(here, 1, "frame {frames}");
                received += here as u64;
            }
            (frames, received)
        });
        let end = Instant::now() + Duration::from_secs(2);
        let mut mark = 1;
        while Instant::now() < end && !sender.is_finished() {
            mark += 1;
            let [write, expect] = halves(mark, 2 + mark % 2);
            let gone = format!("delete table=1,reg0={}", mark - 1);
            let applied = flows.change(&mut datapath, &[&write, &expect, &gone]);
            changes += 1;
            in_place += u32::from(applied.in_place);
        }
        done.store(true, Ordering::Release);
        sender.join().unwrap()
    });
    println!("{frames} frames, {changes} bundles, {in_place} of them in place");
    assert!(frames > 100 && changes > 10 && received == frames);
    let mostly_in_place = in_place > changes / 2;
    assert_eq!(mostly_in_place, in_memory, "{in_place} of {changes}");
}

#[test]
fn every_frame_obeys_the_tables_before_a_bundle_or_after() {
    bundles_under_traffic("fbm", true);
}

#[test]
fn every_frame_obeys_one_program_or_the_next() {
    bundles_under_traffic("fbc", false);
}

/// Flows added one by one to a table that has many already, each tried at once.
#[test]
fn thousands_of_single_flows_hold_at_the_return() {
    let lab = Lab::new("fup");
    let taps = ["upa", "upb", "upc"].map(|name| lab.tap(name, MTU));
    let mut datapath = lab.datapath();
    let mut flows = Flows::new("br0");
    let line = |n: usize| {
        let (a, b, c) = (n >> 16 & 255, n >> 8 & 255, n & 255);
        format!("dl_type=0x88b5,dl_src=02:00:01:{a:02x}:{b:02x}:{c:02x},actions=output:2")
    };
    let wanted = flows_wanted();
    let many: Vec<String> = (0..wanted).map(line).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let started = Instant::now();
    flows.change(&mut datapath, &many);
    println!("{wanted} flows in {:?}", started.elapsed());
    let ports = taps.iter().zip(1..).map(|(tap, n)| port(tap, n)).collect();
    apply(&mut datapath, vec![bridge("br0", ports)]);
    let (mut times, mut work, mut rebuilt) = (Vec::new(), Vec::new(), 0);
    for n in wanted..wanted + 2000 {
        let text = line(n);
        let changes = flows.prepare(&[&text]);
        let (started, worked) = (Instant::now(), cpu_time());
        let applied = datapath.apply_flows(&flows.bridge, &flows.tables, Some(&changes));
        times.push(started.elapsed());
        work.push(cpu_time() - worked);
        rebuilt += u32::from(!applied.unwrap().in_place);
        let source = aorta_packet::MacAddr([2, 0, 1, (n >> 16) as u8, (n >> 8) as u8, n as u8]);
        let sent = frame(station(2), source);
        taps[0].send(&sent).unwrap();
        assert_eq!(taps[1].receive_all(), [sent], "{text}");
    }
    times.sort();
    work.sort();
    let explained = datapath.explain_flows(&flows.bridge).unwrap();
    println!(
        "median {:?}, p99 {:?} ({:?} of work), {rebuilt} rebuilt, {} bytes of memory, {} a flow",
        times[1000],
        times[1980],
        work[1980],
        explained.memory_bytes,
        explained.memory_bytes / flows.tables.len() as u64
    );
    assert!(
        rebuilt < 20,
        "{rebuilt} of 2000 changes needed another program"
    );
}

/// Flows that come and go: places and numbers are used again.
#[test]
fn flows_that_come_and_go_need_no_more_room() {
    let lab = Lab::new("fch");
    let taps = ["cha", "chb"].map(|name| lab.tap(name, MTU));
    let mut datapath = lab.datapath();
    let mut flows = Flows::new("br0");
    let source = |n: u32| format!("dl_src=02:00:02:00:{:02x}:{:02x}", n >> 8 & 255, n & 255);
    let add = |n: u32| format!("{},actions=output:2", source(n));
    let first: Vec<String> = (0..200).map(add).collect();
    let first: Vec<&str> = first.iter().map(String::as_str).collect();
    flows.change(&mut datapath, &first);
    let ports = taps.iter().zip(1..).map(|(tap, n)| port(tap, n)).collect();
    apply(&mut datapath, vec![bridge("br0", ports)]);
    let mut rebuilt = 0;
    for n in 200..3200u32 {
        let gone = format!("delete {}", source(n - 200));
        let applied = flows.change(&mut datapath, &[&add(n), &gone]);
        rebuilt += u32::from(!applied.in_place);
        if n % 50 == 0 {
            let with = |n: u32| {
                let [_, _, high, low] = n.to_be_bytes();
                frame(station(2), aorta_packet::MacAddr([2, 0, 2, 0, high, low]))
            };
            taps[0].send(&with(n - 200)).unwrap();
            assert!(taps[1].receive_all().is_empty(), "{n}: gone");
            taps[0].send(&with(n)).unwrap();
            assert_eq!(taps[1].receive_all(), [with(n)], "{n}: there");
        }
    }
    let numbers = datapath.rules(&flows.bridge);
    let highest = numbers.values().map(|rule| rule.0).max().unwrap();
    println!("{rebuilt} of 3000 rebuilt, highest number {highest}");
    assert!(rebuilt < 60, "{rebuilt}");
    assert!(highest < 3000, "numbers are used again: {highest}");
}
