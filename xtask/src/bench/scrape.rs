//! How long a scrape of `/metrics` takes with a thousand ports: taps that nobody has opened, so that
//! they have no carrier and nothing comes from them, and devices in memory. No port is connected with
//! another.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use aorta_integration::lab::{LabError, Netns, Switch, SwitchOptions};

use super::ports::{cpu_ms, taps};
use super::{Report, Series};
use crate::error::TaskError;
use crate::proc::{build_programs, root, say};

const PORTS: usize = 1000;
/// Scrapes of each switch in one round.
const SCRAPES: usize = 10;
const LIMIT_MS: u32 = 50;

/// Milliseconds from the request to the last byte, and of the daemon's run time, which others' work on
/// the machine doesn't lengthen.
///
/// # Errors
/// When a switch doesn't start, or a scrape lacks a port.
pub fn run(rounds: u32) -> Result<Report, TaskError> {
    build_programs(&["--release"])?;
    let netns = Netns::new("scrape")?;
    taps(&netns, PORTS)?;
    let kernel = switch(&netns, "kernel", "")?;
    let simulated = switch(&netns, "sim", "type=dummy")?;
    let switches = [("taps", &kernel), ("simulated devices", &simulated)];
    let empty = |(name, _): &(&str, &Switch)| {
        let series = |what: &str| Series {
            name: format!("{PORTS} {name}{what}"),
            unit: "ms",
            samples: Vec::new(),
        };
        [series(""), series(", run time")]
    };
    let mut series = switches.each_ref().map(empty);
    let mut notes = vec![format!("the limit is {LIMIT_MS} ms")];
    for round in 0..rounds {
        for ((name, switch), [wall, run]) in switches.iter().zip(&mut series) {
            let pid = switch.pid().unwrap_or_default();
            for scrape_number in 0..SCRAPES {
                let (start, before_ms) = (Instant::now(), cpu_ms(pid)?);
                let page = scrape(&switch.rundir())?;
                wall.samples.push(start.elapsed().as_secs_f64() * 1e3);
                run.samples.push(cpu_ms(pid)? - before_ms);
                complete(&page)?;
                if (round, scrape_number) == (0, 0) {
                    notes.push(format!("{name}: {} lines", page.lines().count()));
                }
            }
        }
    }
    Ok(Report {
        bench: "scrape",
        series: series.concat(),
        notes,
    })
}

/// A switch with all the ports.
fn switch(netns: &Netns, datapath: &str, settings: &str) -> Result<Switch, TaskError> {
    say(&format!("a switch with {PORTS} ports, datapath {datapath}"));
    let options = SwitchOptions {
        bin_dir: Some(root().join("target/release")),
        args: vec!["--datapath".to_owned(), datapath.to_owned()],
        ..SwitchOptions::default()
    };
    let switch = Switch::start_with(Some(netns), options)?;
    let mut line = "add-br br0".to_owned();
    for n in 0..PORTS {
        line += &format!(" -- add-port br0 tap{n}");
        if !settings.is_empty() {
            line += &format!(" -- set Interface tap{n} {settings}");
        }
    }
    let words: Vec<&str> = line.split(' ').collect();
    switch.vsctl(&words)?.ok()?;
    Ok(switch)
}

fn scrape(rundir: &Path) -> Result<String, TaskError> {
    let path = rundir.join("aorta.sock");
    let failed = |what| move |source| TaskError::Lab(LabError::system(what)(source));
    let mut stream = UnixStream::connect(path).map_err(failed("connect to the switch"))?;
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream
        .write_all(request)
        .map_err(failed("ask the switch"))?;
    let mut page = String::new();
    let read = stream.read_to_string(&mut page);
    read.map_err(failed("read what the switch says"))?;
    Ok(page)
}

/// Fails unless all ports are told of.
fn complete(page: &str) -> Result<(), TaskError> {
    let told = |line: &&str| line.starts_with("aorta_port_receive_packets_total{");
    let ports = page.lines().filter(told).count();
    match ports > PORTS {
        true => Ok(()),
        false => Err(LabError::Agent(format!("a scrape tells of {ports} ports")).into()),
    }
}
