//! Cards that run eBPF programs: netdevsim's devices, on the kernels of machines. This program runs in
//! them, too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use aorta_compiler::offload::CardLimits;
use aorta_ebpf::{Assembler, Reg};
use aorta_flow::action::Action;
use aorta_flow::table::FlowId;
use aorta_flow::text::{NoNames, parse_flow_line};
use aorta_flow::{IfIndex, OfPort};
use aorta_integration::lab::{Job, lab_image};
use aorta_kernel::offload::ebpf::{CardMode, CardPort, EbpfCard, Probed, Prober};
use aorta_kernel::offload::flower::Refusal;
use aorta_kernel::{FrameSender, Loader, Map};
use aorta_placement::{Rule, Step, Verdict};

/// Set where this program runs in a machine.
const INSIDE: &str = "AORTA_INSIDE_MACHINE";
/// How long what comes by itself may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Kernels that are tried; `AORTA_OFFLOAD_KERNELS` asks for others, as `6.1,6.12`.
const KERNELS: &str = "6.12";

#[test]
fn cards_of_netdevsim() {
    if std::env::var_os(INSIDE).is_some() {
        return in_the_machine();
    }
    let asked = std::env::var("AORTA_OFFLOAD_KERNELS");
    for series in asked.as_deref().unwrap_or(KERNELS).split(',') {
        let said = run(series);
        assert!(said.contains("all of it was seen"), "{said}");
    }
}

/// Runs this test in a machine, and returns what it prints.
fn run(series: &str) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let own = std::env::current_exe().unwrap();
    let name = own.file_name().unwrap().to_string_lossy().into_owned();
    let script = format!(
        "[ -d /sys/kernel/debug/netdevsim ] || mount -t debugfs none /sys/kernel/debug\n\
         {INSIDE}=1 {name} cards_of_netdevsim --exact --nocapture --test-threads=1 || exit 1\n"
    );
    let job = Job::new(&script).program(&own, scratch.path()).unwrap();
    let image = lab_image(series).unwrap();
    let output = job.run(&image).unwrap();
    println!("{}: {}", image.manifest.kernel_release, output.stdout);
    assert_eq!(output.status, 0, "{}\n{}", output.stdout, output.stderr);
    output.stdout
}

/// A device of netdevsim.
struct Sim {
    number: u32,
    name: String,
    ifindex: u32,
}

impl Sim {
    fn new(number: u32) -> Sim {
        fs::write("/sys/bus/netdevsim/new_device", format!("{number} 1")).unwrap();
        let dir = format!("/sys/bus/netdevsim/devices/netdevsim{number}/net");
        let name = fs::read_dir(dir)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .file_name();
        let name = name.into_string().unwrap();
        ip(&["link", "set", &name, "up"]);
        let index = fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).unwrap();
        Sim {
            number,
            name,
            ifindex: index.trim().parse().unwrap(),
        }
    }

    fn remove(&self) {
        fs::write("/sys/bus/netdevsim/del_device", self.number.to_string()).unwrap();
    }

    fn debug(&self, file: &str) -> PathBuf {
        Path::new("/sys/kernel/debug/netdevsim").join(format!("netdevsim{}/{file}", self.number))
    }

    fn set(&self, file: &str, on: bool) {
        fs::write(self.debug(file), if on { "Y" } else { "N" }).unwrap();
    }

    /// Number of the program that it runs; 0 if none.
    fn offloaded(&self) -> u32 {
        let id = fs::read_to_string(self.debug("ports/0/bpf_offloaded_id")).unwrap();
        id.trim().parse().unwrap()
    }

    /// Waits until so many programs are bound to it: the kernel forgets them a while after their last
    /// user.
    fn binds(&self, programs: usize) {
        let bound = || fs::read_dir(self.debug("bpf_bound_progs")).unwrap().count();
        let until = Instant::now() + LIMIT;
        while bound() != programs && Instant::now() < until {
            std::thread::yield_now();
        }
        assert_eq!(bound(), programs);
    }

    fn shown(&self) -> String {
        ip(&["-d", "link", "show", "dev", &self.name])
    }

    fn card(&self, limits: &CardLimits) -> EbpfCard {
        EbpfCard::new(CardPort {
            ifindex: self.ifindex,
            mode: CardMode::Hardware,
            port: OfPort(1),
            sends: BTreeMap::new(),
            limits: limits.clone(),
        })
    }
}

fn ip(args: &[&str]) -> String {
    let output = Command::new("/bin/ip").args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {args:?}: {said}{error}");
    said
}

fn rule(id: u64, line: &str) -> Rule {
    let flow = parse_flow_line(line, &NoNames).unwrap().1.into_flow();
    let actions = flow.instructions.apply.clone();
    let verdict = match actions.contains(&Action::Output(OfPort::NORMAL)) {
        true => Verdict::Trap,
        false => Verdict::Forward {
            actions,
            goto: flow.instructions.goto_table,
        },
    };
    Rule {
        table: flow.table,
        priority: flow.priority,
        flow: Some(FlowId(id)),
        matching: flow.matching.clone(),
        verdict,
        policer: None,
    }
}

fn server(id: u64) -> Rule {
    let line = format!(
        "priority=10,udp,nw_dst=10.0.0.{id} \
         actions=set_field:02:00:00:00:00:{id:02x}->eth_dst,goto_table:1"
    );
    rule(id, &line)
}

/// Two tables: a hash map of servers, then code that changes tags.
fn pipeline() -> Vec<Rule> {
    let mut rules: Vec<Rule> = (1..=40).map(server).collect();
    rules.push(rule(100, "priority=20,icmp actions=normal"));
    rules.push(rule(
        101,
        "table=1,priority=10,udp,tp_dst=53 actions=push_vlan:0x8100,set_field:4103->vlan_vid,in_port",
    ));
    rules.push(Rule {
        flow: None,
        ..rule(0, "table=1,priority=0 actions=drop")
    });
    rules
}

fn steps(rules: &[Rule]) -> Vec<Step> {
    rules.iter().cloned().map(Step::Put).collect()
}

fn done(card: &mut EbpfCard, steps: &[Step]) {
    for (step, result) in steps.iter().zip(card.apply(steps)) {
        result.unwrap_or_else(|refusal| panic!("{step:?}: {refusal}"));
    }
}

/// Why all of the steps are refused.
fn refused(card: &mut EbpfCard, steps: &[Step]) -> Refusal {
    let before = card.rules().clone();
    let results = card.apply(steps);
    assert!(results.iter().all(Result::is_err), "{results:?}");
    assert_eq!(*card.rules(), before);
    results.into_iter().find_map(Result::err).unwrap()
}

/// What the device's maps hold is what the program's are to hold.
fn check_maps(card: &EbpfCard) -> usize {
    let (program, objects) = (card.program().unwrap(), card.objects().unwrap());
    let mut checked = 0;
    for (id, entries) in program.entries() {
        let map = objects.map(*id).unwrap();
        assert_eq!(map.keys().unwrap().len(), entries.len());
        for (key, value) in entries {
            assert_eq!(map.get(key).unwrap().as_ref(), Some(value));
            checked += 1;
        }
    }
    checked
}

/// Another program is needed for this, for each such number.
fn other_bits(prefix_len: u64) -> Rule {
    let line = format!("priority=30,tcp,nw_src=10.0.0.0/{prefix_len} actions=drop");
    rule(200 + prefix_len, &line)
}

fn in_the_machine() {
    let sim = Sim::new(1);
    let mut prober = Prober::default();
    let probed = prober.ask("netdevsim", sim.ifindex).clone();
    println!("probe: {probed:?}");
    let Probed::Takes(limits) = probed else {
        panic!("{probed:?}")
    };
    assert_eq!(limits.max_entries, 4096);
    assert!(limits.adjusts_head && limits.redirects);
    let mut card = sim.card(&limits);
    placed(&sim, &mut card);
    beside(&sim);
    refusals(&sim, &mut card, &mut prober);
    ends(&sim, card, &limits);
    println!("all of it was seen");
}

/// A pipeline comes, changes in its maps, and gives way to another program.
fn placed(sim: &Sim, card: &mut EbpfCard) {
    done(card, &steps(&pipeline()));
    let first = sim.offloaded();
    assert_ne!(first, 0);
    sim.binds(1);
    let shown = sim.shown();
    println!(
        "placed: {} instructions\n{shown}",
        card.program().unwrap().program().len()
    );
    assert!(shown.contains("xdpoffload"), "{shown}");
    assert_eq!(check_maps(card), 41);
    let change = [
        Step::Put(server(41)),
        Step::Remove(server(3).key()),
        Step::Put(rule(4, "priority=10,udp,nw_dst=10.0.0.4 actions=drop")),
    ];
    // The last of them does what no other rule does.
    done(card, &change[..2]);
    assert_eq!(sim.offloaded(), first, "no other program for entries");
    assert_eq!(check_maps(card), 41);
    done(card, &change[2..]);
    let second = sim.offloaded();
    assert!(second != first && second != 0);
    sim.binds(1);
    done(card, &steps(&[other_bits(9)]));
    assert_ne!(sim.offloaded(), second);
    sim.binds(1);
    check_maps(card);
    let counters = card.counters().unwrap();
    assert!(counters.iter().all(|(_, counted)| counted.packets == 0));
    println!(
        "replaced: program {first}, then {second}, then {}",
        sim.offloaded()
    );
}

/// Programs in the driver and at tcx, where there is that, see what the card passes on.
fn beside(sim: &Sim) {
    let mut a = Assembler::new("beside");
    a.mov(Reg::R0, 2);
    a.exit();
    let program = a.finish().unwrap();
    let in_driver = Loader::new().load_xdp(&program, |_| None).unwrap();
    let link = in_driver.attach_xdp(sim.ifindex, true).unwrap();
    let shown = sim.shown();
    println!("beside:\n{shown}");
    assert!(shown.contains("xdpmulti"), "{shown}");
    drop(link);
    if !Path::new("/sys/bus/netdevsim/link_device").exists() {
        println!("beside: no traffic, this kernel's netdevsim connects no devices");
        return;
    }
    let peer = Sim::new(2);
    let netns = fs::File::open("/proc/self/ns/net").unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&netns);
    let pair = format!("{fd}:{} {fd}:{}", sim.ifindex, peer.ifindex);
    fs::write("/sys/bus/netdevsim/link_device", pair).unwrap();
    let counted = tcx_counts(sim, || {
        let frame = [0x5a; 64];
        let frames = [(IfIndex::new(peer.ifindex).unwrap(), &frame[..]); 10];
        assert_eq!(FrameSender::open().unwrap().send(&frames), 0);
    });
    println!("beside: tcx saw {counted} of 10 frames");
    assert_eq!(counted, 10);
    peer.remove();
}

/// Frames that a program at tcx sees while something is done.
fn tcx_counts(sim: &Sim, what: impl FnOnce()) -> u64 {
    use aorta_compiler::abi::{MapKind, MapSpec};
    use aorta_ebpf::{Cond, Helper, MapId, Size};
    let spec = MapSpec {
        id: MapId(1),
        name: "seen",
        kind: MapKind::Array,
        key_bytes: 4,
        value_bytes: 8,
        max_entries: 1,
    };
    let map = Map::create(&spec, "seen").unwrap();
    let mut a = Assembler::new("seen");
    let end = a.label("end");
    a.store(Size::W, Reg::R10, -4, 0);
    a.mov(Reg::R2, Reg::R10);
    a.add(Reg::R2, -4);
    a.load_map(Reg::R1, spec.id);
    a.call(Helper::MapLookupElem);
    a.jump_if(Cond::Eq, Reg::R0, 0, end);
    a.mov(Reg::R1, 1);
    a.atomic_add(Size::Dw, Reg::R0, 0, Reg::R1);
    a.bind(end);
    a.mov(Reg::R0, 0);
    a.exit();
    let program = a.finish().unwrap();
    let loaded = Loader::new()
        .load(&program, |_| Some(map.raw_fd()))
        .unwrap();
    let _link = loaded.attach(sim.ifindex).unwrap();
    what();
    let seen = || {
        let value = map.get(&0u32.to_ne_bytes()).unwrap().unwrap();
        u64::from_ne_bytes(value.try_into().unwrap())
    };
    let until = Instant::now() + LIMIT;
    while seen() < 10 && Instant::now() < until {
        std::thread::yield_now();
    }
    seen()
}

/// Each switch of the device refuses, and what was there stays.
fn refusals(sim: &Sim, card: &mut EbpfCard, prober: &mut Prober) {
    let there = sim.offloaded();
    let change = steps(&[other_bits(10)]);
    for (switch, what) in [
        ("bpf_bind_accept", "program"),
        ("ports/0/bpf_xdpoffload_accept", "DebugFS"),
    ] {
        sim.set(switch, false);
        let refusal = refused(card, &change);
        println!("refused by {switch}: {refusal} (errno {})", refusal.errno);
        assert!(refusal.text.contains(what), "{refusal}");
        assert_eq!(sim.offloaded(), there);
        sim.binds(1);
        sim.set(switch, true);
    }
    // Another map is needed for this.
    let many: Vec<Rule> = (0..20)
        .map(|n| {
            rule(
                400 + n,
                &format!("table=2,priority=5,tcp,tp_src={n} actions=drop"),
            )
        })
        .chain([rule(500, "priority=40,sctp actions=goto_table:2")])
        .collect();
    sim.set("ports/0/bpf_map_accept", false);
    let refusal = refused(card, &steps(&many));
    println!(
        "refused by bpf_map_accept: {refusal} (errno {})",
        refusal.errno
    );
    assert!(refusal.text.contains("map"), "{refusal}");
    assert_eq!(sim.offloaded(), there);
    sim.binds(1);
    sim.set("ports/0/bpf_map_accept", true);
    sim.set("bpf_bind_accept", false);
    prober.forget("netdevsim");
    let probed = prober.ask("netdevsim", sim.ifindex).clone();
    println!("probe: {probed:?}");
    assert!(matches!(probed, Probed::Refuses(_)));
    sim.set("bpf_bind_accept", true);
    done(card, &change);
    assert_ne!(sim.offloaded(), there);
    sim.binds(1);
}

/// What is left by an end, by a removal, by a device that goes.
fn ends(sim: &Sim, card: EbpfCard, limits: &CardLimits) {
    let left = sim.offloaded();
    drop(card);
    assert_eq!(sim.offloaded(), left, "an end of the switch leaves it");
    let mut card = sim.card(limits);
    assert_eq!(card.found().unwrap().own, Some(left));
    done(&mut card, &steps(&pipeline()));
    assert_ne!(sim.offloaded(), left);
    sim.binds(1);
    card.clear().unwrap();
    let shown = sim.shown();
    assert!(!shown.contains("xdp"), "{shown}");
    assert_eq!(sim.offloaded(), 0);
    sim.binds(0);
    println!("cleared:\n{shown}");
    done(&mut card, &steps(&pipeline()));
    sim.remove();
    let gone = card.counters().unwrap_err();
    let refusal = refused(&mut card, &steps(&[other_bits(11)]));
    println!("gone: {gone}; {refusal}");
    card.clear().unwrap();
    assert!(card.rules().is_empty());
}
