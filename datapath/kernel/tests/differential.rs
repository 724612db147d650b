//! Compiled programs against the reference interpreter: random switches, random frames, through
//! real taps and through the kernel's test runs.
//!
//! Needs root. `AORTA_DIFF_CASES` sets the number of switches (each gets up to 60 frames).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lab;

use std::cell::RefCell;
use std::collections::BTreeMap;

use aorta_flow::guard::Allowed;
use aorta_flow::{
    Attachment, Bridge, DropReason, Interpreter, OfPort, Port, PortGuard, PortHook, PortName,
    PortVlan, PriorityTags, Restrictions, Snapshot, Verdict, VidSet,
};
use aorta_kernel::Datapath;
use aorta_packet::{MacAddr, TPID_8021AD, TPID_8021Q, Tci, Vid, VlanTag};
use lab::{Lab, Tap};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

const TAPS: usize = 6;
const BRIDGES: usize = 3;
/// MTU of each tap: one of them takes only short frames.
const MTU_BYTES: [u16; TAPS] = [1500, 1500, 1500, 1500, 600, 1500];

#[derive(Clone, Debug)]
struct Scenario {
    ports: Vec<PortSpec>,
    patches: Vec<(usize, usize, [PatchEnd; 2])>,
    /// Whether patch ports are protected.
    protected: bool,
    forward_bpdu: bool,
    frames: Vec<FrameSpec>,
}

type PatchEnd = (PortVlan, PriorityTags, Restrictions);

#[derive(Clone, Debug)]
struct PortSpec {
    bridge: usize,
    vlan: PortVlan,
    priority_tags: PriorityTags,
    up: bool,
    restrictions: Restrictions,
    guard: PortGuard,
}

#[derive(Clone, Debug)]
struct FrameSpec {
    tap: usize,
    dst: MacAddr,
    src: MacAddr,
    tags: Vec<VlanTag>,
    len: usize,
    test_run: bool,
    /// Sent so many times in a row: programs remember the newest pair of stations.
    times: usize,
}

fn vid() -> impl Strategy<Value = Vid> {
    prop_oneof![Just(0), Just(10), Just(20), Just(30), Just(4095)]
        .prop_map(|v| Vid::new(v).unwrap())
}

fn trunks() -> impl Strategy<Value = VidSet> {
    prop_oneof![
        Just(VidSet::All),
        proptest::collection::vec(vid(), 1..4).prop_map(VidSet::from_trunks),
        // Too many for compares in the program.
        (vid(), vid()).prop_map(|(a, b)| {
            let many = (100..120).map(|v| Vid::new(v).unwrap());
            VidSet::from_trunks(many.chain([a, b]))
        }),
    ]
}

fn port_vlan() -> impl Strategy<Value = PortVlan> {
    prop_oneof![
        2 => Just(PortVlan::DEFAULT),
        3 => vid().prop_map(PortVlan::Access),
        2 => trunks().prop_map(PortVlan::Trunk),
        1 => (vid(), trunks()).prop_map(|(native, trunks)| PortVlan::NativeTagged { native, trunks }),
        1 => (vid(), trunks())
            .prop_map(|(native, trunks)| PortVlan::NativeUntagged { native, trunks }),
    ]
}

fn restrictions() -> impl Strategy<Value = Restrictions> {
    let no = || proptest::bool::weighted(0.06);
    (no(), no(), no(), no()).prop_map(|(no_receive, no_receive_stp, no_forward, no_flood)| {
        Restrictions {
            no_receive,
            no_receive_stp,
            no_forward,
            no_flood,
        }
    })
}

fn host(n: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, n])
}

fn mac() -> impl Strategy<Value = MacAddr> {
    prop_oneof![
        8 => (0u8..6).prop_map(host),
        2 => Just(MacAddr::BROADCAST),
        1 => Just(MacAddr([0x01, 0x00, 0x5e, 0, 0, 1])),
        1 => (0u8..18).prop_map(|n| MacAddr([0x01, 0x80, 0xc2, 0, 0, n])),
        1 => any::<[u8; 6]>().prop_map(MacAddr),
    ]
}

fn priority_tags() -> impl Strategy<Value = PriorityTags> {
    use PriorityTags::{Always, IfNonzero, Never};
    prop_oneof![2 => Just(Never), 1 => Just(IfNonzero), 1 => Just(Always)]
}

fn tag() -> impl Strategy<Value = VlanTag> {
    let tpid = prop_oneof![4 => Just(TPID_8021Q), 1 => Just(TPID_8021AD)];
    (tpid, vid(), 0u16..16).prop_map(|(tpid, vid, top)| VlanTag {
        tpid,
        tci: Tci(top << 12).with_vid(vid),
    })
}

fn frame() -> impl Strategy<Value = FrameSpec> {
    let len = prop_oneof![6 => 14usize..200, 1 => 590usize..640, 1 => 1490usize..1530];
    let tags = proptest::collection::vec(tag(), 0..3);
    (
        0..TAPS,
        mac(),
        mac(),
        tags,
        len,
        proptest::bool::weighted(0.25),
        1usize..4,
    )
        .prop_map(|(tap, dst, src, tags, len, test_run, times)| FrameSpec {
            tap,
            dst,
            src,
            tags,
            len,
            test_run,
            times,
        })
}

fn guard() -> impl Strategy<Value = PortGuard> {
    let macs = proptest::collection::btree_map((0u8..6).prop_map(host), Just(Vec::new()), 0..6);
    let allowed = proptest::option::weighted(0.2, macs);
    (allowed, proptest::bool::weighted(0.3)).prop_map(|(macs, protected)| PortGuard {
        allowed: macs.map(|macs| Allowed {
            macs: Some(macs),
            ..Allowed::default()
        }),
        protected,
        ..PortGuard::default()
    })
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let up = proptest::bool::weighted(0.9);
    let port = (
        0..BRIDGES,
        port_vlan(),
        priority_tags(),
        up,
        restrictions(),
        guard(),
    )
        .prop_map(
            |(bridge, vlan, priority_tags, up, restrictions, guard)| PortSpec {
                priority_tags,
                bridge,
                vlan,
                up,
                restrictions,
                guard,
            },
        );
    let port = port.boxed();
    // A patch leads from a bridge to a later one: no loops.
    // Boxed: what proptest keeps of them is too large for the stack.
    let end = || (port_vlan(), priority_tags(), restrictions()).boxed();
    let patch = (0..BRIDGES - 1, 1..BRIDGES, [end(), end()])
        .prop_filter("from a bridge to a later one", |(a, b, _)| a < b)
        .boxed();
    (
        proptest::collection::vec(port, TAPS),
        proptest::collection::vec(patch, 0..3),
        (any::<bool>(), any::<bool>()),
        proptest::collection::vec(frame(), 1..60),
    )
        .prop_map(|(ports, mut patches, (forward_bpdu, protected), frames)| {
            // A second way between two bridges would be a loop.
            patches.sort_by_key(|p| (p.1, p.0));
            patches.dedup_by_key(|p| p.1);
            Scenario {
                ports,
                patches,
                protected,
                forward_bpdu,
                frames,
            }
        })
}

impl Scenario {
    fn snapshot(&self, taps: &[Tap], case: usize) -> Snapshot {
        let mut bridges: Vec<Bridge> = (0..BRIDGES)
            .map(|b| Bridge {
                name: format!("case{case}-{b}").into(),
                mac_aging_s: 300,
                mac_table_size: 1000,
                forward_bpdu: self.forward_bpdu,
                ports: Vec::new(),
            })
            .collect();
        for (n, (spec, tap)) in self.ports.iter().zip(taps).enumerate() {
            bridges[spec.bridge].ports.push(Port {
                name: tap.name.clone(),
                ofport: OfPort(n as u16 + 1),
                vlan: spec.vlan.clone(),
                hook: PortHook::Auto,
                priority_tags: spec.priority_tags,
                restrictions: spec.restrictions,
                queue_dscp: Default::default(),
                guard: spec.guard.clone(),
                attachment: tap.attachment(spec.up, MTU_BYTES[n].into()),
            });
        }
        for (n, (a, b, ends)) in self.patches.iter().enumerate() {
            let names = [
                format!("case{case}-patch{n}-a"),
                format!("case{case}-patch{n}-b"),
            ];
            for (end, bridge) in [(0, *a), (1, *b)] {
                let (vlan, priority_tags, restrictions) = &ends[end];
                bridges[bridge].ports.push(Port {
                    name: names[end].as_str().into(),
                    ofport: OfPort(100 + n as u16),
                    vlan: vlan.clone(),
                    hook: PortHook::Auto,
                    priority_tags: *priority_tags,
                    restrictions: *restrictions,
                    queue_dscp: Default::default(),
                    guard: PortGuard {
                        protected: self.protected,
                        ..PortGuard::default()
                    },
                    attachment: Attachment::Patch {
                        peer: names[1 - end].as_str().into(),
                    },
                });
            }
        }
        Snapshot { bridges }
    }
}

impl FrameSpec {
    fn bytes(&self) -> Vec<u8> {
        let mut frame = [self.dst.0, self.src.0].concat();
        // A test run leaves tags where programs look for the type.
        let bpdu = self.dst == MacAddr::SPANNING_TREE && self.tags.is_empty();
        frame.extend(if bpdu { [0x00, 0x26] } else { [0x88, 0xb5] });
        // The kernel itself refuses a tag that nothing follows, before any program runs.
        let payload_bytes = if self.tags.is_empty() {
            self.len - 14
        } else {
            self.len.max(16) - 14
        };
        frame.extend((0..payload_bytes).map(|n| n as u8));
        self.tags.iter().fold(frame, |frame, tag| tag.push(&frame))
    }
}

struct Bench {
    taps: Vec<Tap>,
    datapath: Datapath,
    case: usize,
    pairs: usize,
    /// How often each outcome was expected: the test means nothing if some never were.
    seen: BTreeMap<String, u64>,
}

impl Bench {
    fn check(&mut self, scenario: &Scenario) -> Result<(), TestCaseError> {
        self.case += 1;
        let snapshot = scenario.snapshot(&self.taps, self.case);
        let applied = self.datapath.apply(&snapshot).expect("apply");
        if let Some((port, error)) = applied.failed.first_key_value() {
            return Err(TestCaseError::fail(format!(
                "{port}: {}",
                aorta_kernel::chain(error)
            )));
        }
        let mut interpreter = Interpreter::new(&snapshot);
        let mut drops: BTreeMap<(PortName, DropReason), u64> = BTreeMap::new();
        let (before, balance) = (self.drops(), self.balance());
        let repeated = |spec: &'_ FrameSpec| vec![spec.clone(); spec.times];
        for (n, spec) in scenario.frames.iter().flat_map(repeated).enumerate() {
            let frame = spec.bytes();
            let name = self.taps[spec.tap].name.clone();
            let expected = interpreter.receive(&name, &frame, 0);
            self.note(&frame, &expected);
            for drop in &expected.drops {
                *drops.entry(drop.clone()).or_default() += 1;
            }
            if spec.test_run {
                self.check_test_run(n, &name, &frame, &expected)?;
            } else {
                self.check_live(n, spec.tap, &frame, &expected)?;
            }
            self.pairs += 1;
        }
        let counted: BTreeMap<_, _> = self
            .drops()
            .into_iter()
            .map(|(key, count)| (key.clone(), count - before.get(&key).unwrap_or(&0)))
            .filter(|(_, count)| *count > 0)
            .collect();
        prop_assert_eq!(counted, drops, "drops, counted and expected");
        for (b, bridge) in snapshot.bridges.iter().enumerate() {
            let mut learned: Vec<_> = self
                .datapath
                .fdb(&bridge.name)
                .expect("fdb")
                .into_iter()
                .map(|e| (e.vid, e.mac, e.ofport))
                .collect();
            learned.sort();
            prop_assert_eq!(
                learned,
                interpreter.learned(b, 0),
                "learned by {}",
                &bridge.name
            );
        }
        // Every frame in is a frame out, flooded, or dropped for a reason.
        prop_assert_eq!(
            self.balance(),
            balance,
            "frames taken less frames accounted for"
        );
        Ok(())
    }

    fn note(&mut self, frame: &[u8], expected: &Verdict) {
        let mut seen = |what: &str| *self.seen.entry(what.to_owned()).or_default() += 1;
        for (_, reason) in &expected.drops {
            seen(reason.name());
        }
        match expected.outputs.len() {
            0 => {}
            1 => seen("one output"),
            _ => seen("many outputs"),
        }
        for output in &expected.outputs {
            match output.frame.len() as i64 - frame.len() as i64 {
                0 => seen("length kept"),
                1.. => seen("tag pushed"),
                _ => seen("tag popped"),
            }
        }
    }

    /// All bytes that leave, by the way that guests' frames take.
    fn check_live(
        &self,
        n: usize,
        tap: usize,
        frame: &[u8],
        expected: &Verdict,
    ) -> Result<(), TestCaseError> {
        self.taps[tap].send(frame).expect("send");
        let mut outputs = Vec::new();
        for tap in &self.taps {
            for frame in tap.receive_all() {
                outputs.push((tap.name.clone(), frame));
            }
        }
        outputs.sort();
        let mut expected: Vec<_> = expected
            .outputs
            .iter()
            .map(|o| (o.port.clone(), o.frame.clone()))
            .collect();
        expected.sort();
        prop_assert_eq!(outputs, expected, "frame {} from tap {}", n, tap);
        Ok(())
    }

    /// The verdict: a redirect isn't carried out in a test run, copies are really sent.
    fn check_test_run(
        &mut self,
        n: usize,
        port: &PortName,
        frame: &[u8],
        expected: &Verdict,
    ) -> Result<(), TestCaseError> {
        let run = self.datapath.test_run(port, frame, 1).expect("test run");
        let copies: usize = self.taps.iter().map(|tap| tap.receive_all().len()).sum();
        let redirected = usize::from(run.verdict == 7);
        prop_assert_eq!(
            copies + redirected,
            expected.outputs.len(),
            "outputs of frame {} from {}",
            n,
            port
        );
        Ok(())
    }

    fn drops(&self) -> BTreeMap<(PortName, DropReason), u64> {
        let counters = self.datapath.counters().expect("counters");
        counters
            .into_iter()
            .flat_map(|c| {
                c.drops
                    .into_iter()
                    .map(move |(reason, n)| ((c.port.clone(), reason), n))
            })
            .collect()
    }

    /// Frames taken, less those that are accounted for.
    fn balance(&self) -> i128 {
        let counters = self.datapath.counters().expect("counters");
        let one = |c: &aorta_kernel::PortCounters| {
            let taken = c.rx_packets + c.flood_copies;
            let accounted = c.tx_packets + c.flooded + c.drops.values().sum::<u64>();
            i128::from(taken) - i128::from(accounted)
        };
        counters.iter().map(one).sum()
    }
}

#[test]
fn programs_do_what_the_interpreter_says() {
    let lab = Lab::new("diff");
    let taps = (0..TAPS)
        .map(|n| lab.tap(&format!("d{n}"), MTU_BYTES[n]))
        .collect();
    let bench = RefCell::new(Bench {
        taps,
        datapath: lab.datapath(),
        case: 0,
        pairs: 0,
        seen: BTreeMap::new(),
    });
    let cases = std::env::var("AORTA_DIFF_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(400);
    let persistence = FileFailurePersistence::WithSource("regressions");
    let config = Config {
        cases,
        failure_persistence: Some(Box::new(persistence)),
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&scenario(), |scenario| bench.borrow_mut().check(&scenario))
        .unwrap_or_else(|e| panic!("{e}"));
    let bench = bench.borrow();
    let outcomes = [
        "one output",
        "many outputs",
        "length kept",
        "tag pushed",
        "tag popped",
    ];
    // Not egress-vlan: addresses are forgotten when a port's VLANs change.
    let reasons = [
        DropReason::Reserved,
        DropReason::IngressVlan,
        DropReason::SamePort,
        DropReason::PortDown,
        DropReason::ExceedsMtu,
        DropReason::NoMember,
        DropReason::Protected,
        DropReason::SpoofedMac,
        DropReason::NestedTags,
    ];
    for outcome in outcomes.into_iter().chain(reasons.map(DropReason::name)) {
        assert!(
            bench.seen.contains_key(outcome),
            "never seen: {outcome}; seen: {:?}",
            bench.seen
        );
    }
    println!(
        "{} pairs of switch and frame agree: {:?}",
        bench.pairs, bench.seen
    );
}
