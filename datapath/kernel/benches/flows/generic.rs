//! What it is worth that programs are made for their tables: tables of real controllers compiled as
//! always, and in a form that parses all fields and searches every table by tuples.

use aorta_flow::table::Tables;
use aorta_flow::{Attachment, Bridge, BridgeName, IfIndex, Interpreter, OfPort, Port, Snapshot};
use aorta_testing::{Case, Rng};
use aorta_testing::{SAMPLES, frames_for, sample};

use crate::Options;
use crate::bare::Bare;
use crate::batch::{Batch, nothing};
use crate::report::{Report, Series, median};

/// Frames that are tried, and of those how many are used: they find the most flows.
const TRIED: usize = 1500;
const USED: usize = 32;
const PORTS: u16 = 6;
const RULES: u32 = 8192;

const FORMS: [&str; 3] = ["made for its tables", "for any version", "generic"];

/// All forms, on frames that go through many tables.
pub fn generic(options: &Options, report: &mut Report) {
    for (name, flows) in SAMPLES {
        let case = sample(flows);
        let tables = case.tables().unwrap();
        let (from, frames, depth) = deep_frames(&case, &tables);
        let mut insns = [0; 3];
        let mut time = |form: usize| {
            let mut bare = Bare::new(&[], RULES);
            let installed = match form {
                2 => bare.install_generic(&tables),
                _ => bare.install(&tables),
            };
            installed.unwrap();
            insns[form] = bare.insns;
            if form == 0 {
                insns[form] = bare.fix().unwrap().max(bare.insns);
            }
            let load_ms = bare.load_time.as_secs_f64() * 1e3;
            let mut batch = Batch::of_frames(&mut bare, &frames);
            let idle = bare.load(&nothing());
            batch.add(&mut bare, &idle);
            let entry = bare.entry(from);
            batch.add(&mut bare, &entry);
            (bare, batch, load_ms)
        };
        let forms = [time(0), time(1), time(2)];
        let mut samples = [const { Vec::new() }; 3];
        for _ in 0..options.rounds {
            for ((_, batch, _), samples) in forms.iter().zip(&mut samples) {
                samples.extend(batch.measure(1, options.runs() / 10).swap_remove(1));
            }
        }
        let ratios = [0, 1].map(|n| median(&samples[2]) / median(&samples[n]));
        report.note(format!(
            "{name}: {:.2} x the packets of the generic form (limit 1.5), {:.2} x while tables \
             change; {depth:.0} flows a packet",
            ratios[0], ratios[1]
        ));
        let loads = forms.each_ref().map(|(.., ms)| *ms);
        report.note(format!(
            "{name}: {insns:?} instructions, loaded in {loads:.1?} ms"
        ));
        for (form, samples) in FORMS.into_iter().zip(samples) {
            let name = format!("{name}, {form}");
            report.series.push(Series::new(name, "ns/packet", samples));
        }
    }
}

/// Frames of one port that keep their tags, and how many flows each finds.
fn deep_frames(case: &Case, tables: &Tables) -> (u16, Vec<Vec<u8>>, f64) {
    let bridge = BridgeName::from("br0");
    let mut interpreter = Interpreter::new(&snapshot(&bridge));
    assert!(interpreter.set_tables(&bridge, tables.clone()));
    let found = |interpreter: &Interpreter| -> u64 {
        let flows = tables.flows();
        flows
            .map(|f| interpreter.flow_count(&bridge, f.id).packets)
            .sum()
    };
    let mut deep: Vec<(u64, u16, Vec<u8>)> = Vec::new();
    let mut before = 0;
    for frame in frames_for(case, TRIED, &mut Rng::new(1)) {
        let bytes = Batch::as_run(&frame.bytes);
        let port = frame.in_port.0;
        let verdict = interpreter.receive(&port_name(port).into(), &bytes, 0);
        let after = found(&interpreter);
        if verdict.outputs.iter().all(|o| o.frame.len() == bytes.len()) {
            deep.push((after - before, port, bytes));
        }
        before = after;
    }
    deep.sort_by_key(|(flows, ..)| std::cmp::Reverse(*flows));
    let from = deep[0].1;
    deep.retain(|(_, port, _)| *port == from);
    deep.truncate(USED);
    let depth = deep.iter().map(|(flows, ..)| *flows as f64).sum::<f64>() / deep.len() as f64;
    let frames = deep.into_iter().map(|(.., bytes)| bytes);
    (from, frames.collect(), depth)
}

fn port_name(number: u16) -> &'static str {
    ["p0", "p1", "p2", "p3", "p4", "p5", "p6"][usize::from(number)]
}

fn snapshot(bridge: &BridgeName) -> Snapshot {
    let port = |number: u16| {
        Port::new(
            port_name(number).into(),
            OfPort(number),
            Attachment::Netdev {
                ifindex: IfIndex::new(number.into()).unwrap(),
                up: true,
                mtu_bytes: crate::bare::MTU_BYTES,
            },
        )
    };
    Snapshot {
        bridges: vec![Bridge::new(bridge.clone(), (1..=PORTS).map(port).collect())],
    }
}
