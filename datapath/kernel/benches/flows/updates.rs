//! Changes of large tables: how long they take, and how much memory tables need.

use std::time::Instant;

use aorta_flow::table::{FlowMod, Modification};
use aorta_flow::text::{NoNames, parse_flow_file};

use crate::Options;
use crate::bare::Bare;
use crate::growth::{five_tuple, tables};
use crate::report::{Report, Series};

/// Single flows added to a large table.
const SINGLE: usize = 2000;

/// Compiles a large table, and adds flows to it one by one.
pub fn updates(options: &Options, report: &mut Report) {
    let sizes: &[usize] = match options.quick {
        true => &[1000],
        false => &[100_000, 1_000_000],
    };
    for &n in sizes {
        let flow = |at: u32| five_tuple(0x0a00_0000 + at, at.wrapping_mul(77), at as u16);
        let file: String = (0..n as u32).map(|at| format!("{}\n", flow(at))).collect();
        let before = heap_bytes();
        let start = Instant::now();
        let read_flows = parse_flow_file(&file, &NoNames).unwrap().into_iter();
        let flows: Vec<_> = read_flows.map(|(_, text)| text.into_flow()).collect();
        let parsed = start.elapsed();
        let start = Instant::now();
        let mut tables = tables(&flows);
        let read = start.elapsed();
        drop(flows);
        let mut bare = Bare::new(&[(1, 1), (2, 1)], (n + SINGLE) as u32 + 1);
        let start = Instant::now();
        bare.install(&tables).unwrap();
        let installed = start.elapsed();
        // As the daemon does after so many.
        aorta_kernel::give_back_heap();
        let bytes = heap_bytes().saturating_sub(before);
        let memories = bare.pipeline.as_ref().unwrap().memories();
        let kernel: u64 = memories.iter().map(|m| u64::from(m.bytes)).sum();
        let mut times = Vec::new();
        let mut rebuilt = 0;
        for at in 0..SINGLE as u32 {
            let add = Modification::Flow(FlowMod {
                flow: flow(n as u32 + at),
                ..FlowMod::default()
            });
            let start = Instant::now();
            let changes = tables.modify(&add).unwrap();
            if !bare.change(&changes) {
                rebuilt += 1;
                bare.install(&tables).unwrap();
            }
            times.push(start.elapsed().as_secs_f64() * 1e6);
            if rebuilt > 3 {
                break;
            }
        }
        times.sort_by(f64::total_cmp);
        let p99 = times[times.len() * 99 / 100];
        report.note(format!(
            "{n} flows: {:.0} ms to read the file, {:.0} ms to build tables, {:.0} ms to compile and install ({:.1} ms of it \
             in the verifier); a single flow p99 {p99:.0} µs, {rebuilt} of {} needed another \
             program; {} bytes a flow in the kernel's table memory, {} in this process",
            parsed.as_secs_f64() * 1e3,
            read.as_secs_f64() * 1e3,
            installed.as_secs_f64() * 1e3,
            bare.load_time.as_secs_f64() * 1e3,
            times.len(),
            kernel / n as u64,
            bytes / n as u64,
        ));
        let name = format!("add one flow to {n}");
        report.series.push(Series::new(name, "µs", times));
    }
    report.note("limits: 100,000 flows in 1 s, p99 1 ms, 400 + 250 bytes a flow");
}

/// Memory that this process has of its own.
fn heap_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    let words = line.and_then(|line| line.split_whitespace().nth(1));
    words.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}
