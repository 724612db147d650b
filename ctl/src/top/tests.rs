//! Looks in, lines out.

use std::collections::BTreeMap;
use std::time::Duration;

use aorta_api::{BridgeStatus, FlowDump, FlowEntry, PortStatus, Status};
use serde_json::json;

use super::rates::to_json;
use super::screen::{Size, scaled};
use super::view::Part;
use super::*;

fn port(name: &str, counts: [u64; 5]) -> PortStatus {
    let [rx_packets, rx_bytes, tx_packets, tx_bytes, drops] = counts;
    PortStatus {
        name: name.to_owned(),
        ofport: 1,
        kind: "system".to_owned(),
        hook: "tcx".to_owned(),
        reason: String::new(),
        ifindex: 1,
        guard: String::new(),
        rx_packets,
        rx_bytes,
        tx_packets,
        tx_bytes,
        drops: BTreeMap::from([("no_vlan".to_owned(), drops)]),
    }
}

fn flow(matching: &str, packets: u64) -> FlowEntry {
    let value = json!({
        "table": 3, "priority": 7, "cookie": "0x0", "match": matching, "actions": "NORMAL",
        "idle_timeout_s": 0, "hard_timeout_s": 0, "importance": 0, "flags": [],
        "duration_ms": 5, "packets": packets, "bytes": packets * 100, "idle_ms": 0,
        "hard_age_ms": 5, "hook": "tcx", "reason": "hash",
    });
    serde_json::from_value(value).unwrap()
}

fn look(at_s: f64, ports: Vec<PortStatus>, flows: Vec<FlowEntry>) -> Look {
    let bridge = |name: &str, ports, flows| BridgeStatus {
        name: name.to_owned(),
        fdb_entries: 0,
        fdb_size: 0,
        flows,
        ports,
    };
    Look {
        at_s,
        status: Status {
            version: String::new(),
            pid: 1,
            uptime_s: 1,
            datapath: "kernel".to_owned(),
            problems: vec!["x".to_owned()],
            bridges: vec![
                bridge("br0", ports, 2),
                bridge("br1", vec![port("uplink", [0; 5])], 200_000),
            ],
        },
        flows: vec![("br0".to_owned(), FlowDump { flows })],
    }
}

/// Two seconds in which something happened.
fn some_rates() -> Rates {
    let before = look(
        10.0,
        vec![port("tap0", [100, 5000, 7, 700, 1]), port("tap1", [500; 5])],
        vec![flow("tcp", 10), flow("udp", 4)],
    );
    let after = look(
        12.0,
        vec![
            port("tap0", [2100, 255_000, 7, 700, 21]),
            // It counts from 0 again.
            port("tap1", [4, 400, 2_000_000, 3_000_000_000, 0]),
            port("tap2-with-a-long-name", [9; 5]),
        ],
        vec![flow("tcp", 2010), flow("udp", 4), flow("arp", 99)],
    );
    rates(&before, &after)
}

fn view(words: &str) -> View {
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    View::new(&Options::parse(&words).unwrap())
}

fn shown(view: &View, columns: usize, lines: Option<usize>) -> String {
    let lines = screen(&some_rates(), view, Size { columns, lines });
    assert!(
        lines.iter().all(|line| line.chars().count() <= columns),
        "{lines:#?}"
    );
    lines.join("\n")
}

#[test]
fn a_wide_terminal_shows_all() {
    let wanted = "\
all bridges: 4 ports, in 1.00k pkt/s 1.00M bit/s, drops 10/s, every 1 s by rx, 1 problem: vsctl status
port            *rx bit/s  tx bit/s  rx pkt/s  tx pkt/s   drops/s  bridge
tap0                1.00M         0     1.00k         0        10  br0
tap1                1.60k     12.0G       2.0     1.00M         0  br0
tap2-with-a-lo…         0         0         0         0         0  br0
uplink                  0         0         0         0         0  br1
     pkt/s     bit/s  flow
     1.00k      800k  br0 table=3, priority=7,tcp actions=NORMAL
  1 flow without a packet
  br1 has 200000 flows, too many to watch: vsctl --rate dump-flows br1";
    assert_eq!(shown(&view(""), 110, None), wanted);
}

#[test]
fn a_terminal_shows_no_more_than_it_has_room_for() {
    let wanted = "\
br0: 3 ports, in 1.00k pkt/s 1.00M bi…
port             rx bit/s *tx bit/s  …
tap1                1.60k     12.0G  …
tap0                1.00M         0  …
tap2-with-a-lo…         0         0  …
     pkt/s     bit/s  flow
     1.00k      800k  table=3, priori…
  1 flow without a packet
q quit  Tab part  s sort  r reverse  …";
    let mut view = view("br0 -s tx");
    assert_eq!(shown(&view, 38, Some(9)), wanted);
    view.part = Part::Ports;
    let text = shown(&view, 38, Some(4));
    assert_eq!(text.lines().nth(2), Some("  and 3 more"), "{text}");
    for (columns, lines) in [(1, 1), (3, 2), (10, 3), (0, 0)] {
        assert!(shown(&view, columns, Some(lines)).lines().count() <= lines);
    }
}

#[test]
fn orders() {
    let names = |view: &View| -> Vec<String> {
        let size = Size {
            columns: 100,
            lines: None,
        };
        let lines = screen(&some_rates(), view, size);
        let words = lines.iter().skip(2).take(4).map(|line| {
            let word = line.split_whitespace().next().unwrap_or_default();
            word.chars().take(4).collect()
        });
        words.collect()
    };
    let mut view = view("-s name");
    assert_eq!(names(&view), ["tap0", "tap1", "tap2", "upli"]);
    view.press(Key::Reverse, &[]);
    assert_eq!(names(&view), ["upli", "tap2", "tap1", "tap0"]);
    view.press(Key::Reverse, &[]);
    view.press(Key::Sort, &[]);
    assert_eq!(view.sort, Sort::Received);
    view.press(Key::Sort, &[]);
    assert_eq!(names(&view), ["tap1", "tap0", "tap2", "upli"]);
}

#[test]
fn keys() {
    let bridges = ["br0".to_owned(), "br1".to_owned()];
    let mut view = view("");
    for wanted in [Some("br0"), Some("br1"), None] {
        view.press(Key::Bridge, &bridges);
        assert_eq!(view.bridge.as_deref(), wanted);
    }
    for wanted in [Part::Ports, Part::Flows, Part::Both] {
        view.press(Key::Part, &bridges);
        assert_eq!(view.part, wanted);
    }
    for _ in 0..20 {
        view.press(Key::Faster, &bridges);
    }
    assert_eq!(view.interval, Duration::from_millis(100));
    for _ in 0..40 {
        view.press(Key::Slower, &bridges);
    }
    assert_eq!(view.interval, Duration::from_secs(3600));
    view.press(Key::Pause, &bridges);
    assert!(view.paused);
    assert_eq!([b'q', 3, 4].map(Key::of), [Some(Key::Quit); 3]);
    assert_eq!(Key::of(b'x'), None);
}

#[test]
fn rates_fit_their_columns() {
    for (rate, text) in [
        (0.0, "0"),
        (0.25, "0.2"),
        (9.96, "10"),
        (999.4, "999"),
        (999.6, "1.00k"),
        (12_345.0, "12.3k"),
        (999_960.0, "1.00M"),
        (123_456_789.0, "123M"),
        (4.2e12, "4.20T"),
        (4.2e17, "420P"),
    ] {
        assert_eq!(scaled(rate), text, "{rate}");
    }
}

#[test]
fn words() {
    let parse = |words: &str| {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words)
    };
    let wanted = Options {
        bridge: Some("br0".to_owned()),
        batch: true,
        count: Some(3),
        interval: Duration::from_millis(500),
        sort: Sort::Dropped,
    };
    assert_eq!(parse("-b br0 -n 3 -d 0.5 -s drops"), Ok(wanted));
    for (words, told) in [
        ("-x", "top doesn't know -x"),
        ("-n", "top -n needs a value"),
        ("-n 0", "not 0"),
        ("-d 0.01", "not 0.01"),
        ("-d nan", "not nan"),
        ("-s colour", "rx-packets"),
        ("br0 br1", "br0 or br1?"),
    ] {
        let error = parse(words).unwrap_err().to_string();
        assert!(error.contains(told), "{words}: {error}");
    }
}

#[test]
fn programs_get_numbers() {
    let rates = to_json(&some_rates());
    assert_eq!(rates["seconds"], 2.0);
    assert_eq!(rates["ports"][0]["port"], "tap0");
    assert_eq!(rates["ports"][0]["rx_packets_per_s"], 1000.0);
    assert_eq!(rates["ports"][0]["drops_per_s"], 10.0);
    assert_eq!(rates["flows"][0]["packets_per_s"], 1000.0);
    let only = to_json(&some_rates().only(Some("br1")));
    assert_eq!(only["ports"].as_array().unwrap().len(), 1);
    assert_eq!(only["flows"], json!([]));
    assert_eq!(
        rates["left_out"][0],
        json!({"bridge": "br1", "flows": 200_000})
    );
}
