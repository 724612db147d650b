//! Load for a database server, the same for any server: prepared bytes, one thread, and nothing
//! parsed that needn't be. Prints what it measured as JSON.
//!
//!     load prepare SOCKET PORTS
//!     load commits SOCKET CONNECTIONS SECONDS durable|volatile
//!     load initial SOCKET
//!     load fan-out SOCKET PID MONITORS PORTS same|different
//!
//! `prepare` fills an empty `Open_vSwitch` database with a bridge and its ports. `commits` has
//! each connection change a row of its own, again and again. `initial` reads everything as one
//! monitor. `fan-out` adds ports one by one while others watch, and tells the server's CPU time.
mod prepare;
mod wire;

use std::error::Error;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use wire::{Clients, Peer};

type Outcome = Result<Value, Box<dyn Error>>;

const USAGE: &str = "usage: load prepare|commits|initial|fan-out SOCKET …";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let found = match *args.as_slice() {
        ["prepare", socket, ports] => prepare::fill(socket, ports.parse()?)?,
        ["commits", socket, connections, seconds, kind] => commits(
            socket,
            connections.parse()?,
            Duration::from_secs_f64(seconds.parse()?),
            kind == "durable",
        )?,
        ["initial", socket] => initial(socket)?,
        ["fan-out", socket, pid, monitors, ports, shapes] => fan_out(
            socket,
            pid.parse()?,
            monitors.parse()?,
            ports.parse()?,
            shapes == "different",
        )?,
        _ => return Err(USAGE.into()),
    };
    println!("{found}");
    Ok(())
}

/// Every connection has one transaction under way at any time.
fn commits(socket: &str, connections: usize, limit: Duration, durable: bool) -> Outcome {
    let uuids = prepare::interfaces(socket, connections)?;
    let texts: Vec<[Vec<u8>; 2]> = uuids
        .iter()
        .map(|uuid| [0, 1].map(|value| prepare::touch(uuid, value, durable)))
        .collect();
    let mut clients = Clients::connect(socket, connections)?;
    let mut turns = vec![0usize; connections];
    let mut sent = vec![Instant::now(); connections];
    for (at, text) in texts.iter().enumerate() {
        clients.peer(at).send(&text[0])?;
    }
    let start = Instant::now();
    let mut latencies_us = Vec::with_capacity(1 << 20);
    while start.elapsed() < limit {
        clients.ready(|at, peer| {
            if peer.read()? == 0 {
                return Ok(());
            }
            let now = Instant::now();
            latencies_us.push((now - sent[at]).as_secs_f64() * 1e6);
            if !peer.last_contains(br#"{"count":1}"#) {
                return Err(format!("refused: {}", peer.last()).into());
            }
            turns[at] += 1;
            sent[at] = now;
            peer.send(&texts[at][turns[at] % 2])
        })?;
    }
    let rate = latencies_us.len() as f64 / start.elapsed().as_secs_f64();
    latencies_us.sort_by(f64::total_cmp);
    let quantile = |part: f64| latencies_us[(latencies_us.len() as f64 * part) as usize];
    Ok(json!({"rate": rate, "p50_us": quantile(0.5), "p99_us": quantile(0.99)}))
}

/// Milliseconds from the request for everything to the last byte of it.
fn initial(socket: &str) -> Outcome {
    let mut peer = Peer::connect(socket)?;
    let request = prepare::monitor(&prepare::all_columns());
    let start = Instant::now();
    peer.send(&request)?;
    while peer.read()? == 0 {}
    let ms = start.elapsed().as_secs_f64() * 1e3;
    Ok(json!({"ms": ms, "bytes": peer.received()}))
}

fn fan_out(socket: &str, pid: u32, monitors: usize, ports: usize, different: bool) -> Outcome {
    let mut clients = Clients::connect(socket, monitors + 1)?;
    for at in 0..monitors {
        let shape = if different { at } else { 0 };
        clients
            .peer(at)
            .send(&prepare::monitor(&prepare::some_columns(shape)))?;
        while clients.peer(at).read()? == 0 {}
    }
    let adds: Vec<Vec<u8>> = (0..ports).map(prepare::add_port).collect();
    let mut counts = vec![0usize; monitors + 1];
    let cpu = cpu_ms(pid)?;
    let start = Instant::now();
    for (turn, add) in adds.iter().enumerate() {
        clients.peer(monitors).send(add)?;
        while counts[monitors] <= turn {
            count(&mut clients, &mut counts)?;
        }
    }
    while counts.iter().any(|count| *count < ports) {
        count(&mut clients, &mut counts)?;
    }
    let ms = start.elapsed().as_secs_f64() * 1e3;
    let cpu = cpu_ms(pid)? - cpu;
    let last = clients.peer(monitors).last();
    if last.contains("\"details\"") {
        return Err(format!("refused: {last}").into());
    }
    prepare::remove_added(socket)?;
    Ok(json!({"cpu_ms": cpu, "ms": ms}))
}

fn count(clients: &mut Clients, counts: &mut [usize]) -> Result<(), Box<dyn Error>> {
    clients.ready(|at, peer| {
        counts[at] += peer.read()?;
        Ok(())
    })
}

/// CPU time of a process, its ended threads included, in milliseconds.
fn cpu_ms(pid: u32) -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").ok_or("no name in stat")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    // proc_pid_stat(5): fields 14 and 15, in ticks of 10 ms; the first two were cut off.
    let ticks = |at: usize| {
        fields
            .get(at)
            .ok_or("stat is short")?
            .parse::<f64>()
            .map_err(Box::<dyn Error>::from)
    };
    Ok((ticks(11)? + ticks(12)?) * 10.0)
}
