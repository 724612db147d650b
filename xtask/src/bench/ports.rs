//! From `vsctl add-port` to the first packet through the new port, with few ports and with many;
//! a thousand ports in one transaction; what the daemon costs when nothing happens.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aorta_integration::lab::{LabError, Netns, Switch, SwitchOptions};

use super::{Report, Series};
use crate::error::TaskError;
use crate::proc::{build_programs, root, say};

/// Ports that the switch has besides those that are measured.
const FEW: usize = 10;
const MANY: usize = 1000;
/// Ports of the switch whose idling is measured.
const IDLE_PORTS: usize = 100;
/// How long the idling is watched.
const IDLE: Duration = Duration::from_secs(60);
/// How often the measured port is added in one round.
const ADDS_PER_ROUND: u32 = 4;
/// The sender's pause between two datagrams: the measurement's resolution.
const SEND_EVERY: Duration = Duration::from_micros(250);
const RECEIVER: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 2), 7);

/// Milliseconds from starting `vsctl add-port` until a datagram arrives through the port.
///
/// # Errors
/// When the lab fails.
pub fn add_port(rounds: u32) -> Result<Report, TaskError> {
    let few = Bed::new("few", FEW)?;
    let many = Bed::new("many", MANY)?;
    let bulk = Series {
        name: format!("{MANY} ports at once"),
        unit: "ms",
        samples: vec![many.bulk_ms],
    };
    let mut series = [(&few, FEW), (&many, MANY)].map(|(_, ports)| Series {
        name: format!("add-port with {ports} ports"),
        unit: "ms",
        samples: Vec::new(),
    });
    for _ in 0..rounds {
        for (bed, series) in [&few, &many].into_iter().zip(&mut series) {
            for _ in 0..ADDS_PER_ROUND {
                series.samples.push(bed.add_port_ms()?);
            }
        }
    }
    let notes = vec![
        format!("limits: 25 ms with {FEW} ports, 40 ms with {MANY}, 3000 ms for {MANY} at once"),
        format!(
            "resident memory of the daemon with {MANY} ports: {} KiB (limit 40960)",
            many.rss_kib()?
        ),
    ];
    let [few, many] = series;
    Ok(Report {
        bench: "add-port",
        series: vec![few, many, bulk],
        notes,
    })
}

/// CPU time of the daemon while nothing happens.
///
/// # Errors
/// When the lab fails.
pub fn idle(rounds: u32) -> Result<Report, TaskError> {
    let bed = Bed::new("idle", IDLE_PORTS)?;
    let mut samples = Vec::new();
    for _ in 0..rounds {
        let before = bed.cpu_ms()?;
        std::thread::sleep(IDLE);
        samples.push(bed.cpu_ms()? - before);
    }
    let name = format!("CPU in {} s with {IDLE_PORTS} ports", IDLE.as_secs());
    let notes = vec![format!("resident memory: {} KiB", bed.rss_kib()?)];
    Ok(Report {
        bench: "idle",
        series: vec![Series {
            name,
            unit: "ms",
            samples,
        }],
        notes,
    })
}

/// A switch with ports, and two namespaces: one sends all the time, the other one's port comes
/// and goes.
struct Bed {
    sender: Netns,
    receiver: Netns,
    switch: Switch,
    bulk_ms: f64,
    _middle: Netns,
}

impl Bed {
    fn new(label: &str, ports: usize) -> Result<Bed, TaskError> {
        build_programs(&["--release"])?;
        say(&format!("a switch with {ports} ports"));
        let middle = Netns::new(label)?;
        let (sender, receiver) = (
            Netns::new(&format!("{label}s"))?,
            Netns::new(&format!("{label}r"))?,
        );
        sender.veth("v", &middle, "s0")?;
        receiver.veth("v", &middle, "r0")?;
        sender.address("v", "192.0.2.1/24")?;
        receiver.address("v", "192.0.2.2/24")?;
        // Without address resolution: only the switch is measured.
        for (from, to, address) in [
            (&sender, &receiver, "192.0.2.2"),
            (&receiver, &sender, "192.0.2.1"),
        ] {
            let mac = mac_of(to)?;
            from.ip(&["neigh", "replace", address, "lladdr", &mac, "dev", "v"])?
                .ok()?;
        }
        taps(&middle, ports)?;
        let bin_dir = Some(root().join("target/release"));
        let switch = Switch::start_with(
            Some(&middle),
            SwitchOptions {
                bin_dir,
                ..Default::default()
            },
        )?;
        switch.vsctl(&["add-br", "br0"])?.ok()?;
        switch.vsctl(&["add-port", "br0", "s0"])?.ok()?;
        let names: Vec<String> = (0..ports).map(|n| format!("tap{n}")).collect();
        let mut args = Vec::new();
        for name in &names {
            args.extend(["--", "add-port", "br0", name.as_str()]);
        }
        let start = Instant::now();
        switch.vsctl(&args[1..])?.ok()?;
        let bulk_ms = millis(start.elapsed());
        Ok(Bed {
            sender,
            receiver,
            switch,
            bulk_ms,
            _middle: middle,
        })
    }

    fn add_port_ms(&self) -> Result<f64, TaskError> {
        self.switch
            .vsctl(&["--if-exists", "del-port", "br0", "r0"])?
            .ok()?;
        let receive = in_namespace(&self.receiver, SocketAddr::from(RECEIVER))?;
        receive
            .set_read_timeout(Some(Duration::from_secs(10)))
            .map_err(LabError::system("set a time limit"))?;
        let send = in_namespace(&self.sender, SocketAddr::from(([0, 0, 0, 0], 0)))?;
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // Until the port is there nobody takes it; that is what is measured.
                    let _ = send.send_to(&[0; 18], SocketAddr::from(RECEIVER));
                    std::thread::sleep(SEND_EVERY);
                }
            });
            let start = Instant::now();
            let added = self
                .switch
                .vsctl(&["add-port", "br0", "r0"])
                .and_then(|o| o.ok());
            let arrived = receive
                .recv(&mut [0; 64])
                .map_err(LabError::system("receive a datagram"));
            let took = start.elapsed();
            stop.store(true, Ordering::Relaxed);
            added?;
            arrived?;
            Ok(millis(took))
        })
    }

    fn proc_file(&self, name: &str) -> Result<String, TaskError> {
        let pid = self.switch.pid().unwrap_or_default();
        let path = std::path::PathBuf::from(format!("/proc/{pid}/{name}"));
        std::fs::read_to_string(&path).map_err(TaskError::file("cannot read", path))
    }

    fn rss_kib(&self) -> Result<u64, TaskError> {
        let status = self.proc_file("status")?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        Ok(line
            .and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
            .unwrap_or_default())
    }

    fn cpu_ms(&self) -> Result<f64, TaskError> {
        cpu_ms(self.switch.pid().unwrap_or_default())
    }
}

/// Run time of all threads of a process in milliseconds, to the nanosecond, as the scheduler counts it.
pub(super) fn cpu_ms(pid: u32) -> Result<f64, TaskError> {
    let dir = std::path::PathBuf::from(format!("/proc/{pid}/task"));
    let tasks = std::fs::read_dir(&dir).map_err(TaskError::file("cannot list", dir))?;
    let mut total_ns = 0.0;
    for task in tasks.flatten() {
        let Ok(text) = std::fs::read_to_string(task.path().join("schedstat")) else {
            continue;
        };
        total_ns += text
            .split_whitespace()
            .next()
            .and_then(|ns| ns.parse().ok())
            .unwrap_or(0.0);
    }
    Ok(total_ns / 1e6)
}

/// Address of a namespace's end of its pair.
fn mac_of(ns: &Netns) -> Result<String, TaskError> {
    let shown = ns.ip(&["-brief", "link", "show", "dev", "v"])?.ok()?.stdout;
    Ok(shown
        .split_whitespace()
        .nth(2)
        .unwrap_or_default()
        .to_owned())
}

/// Makes taps in one go.
pub(super) fn taps(ns: &Netns, count: usize) -> Result<(), TaskError> {
    let mut lines = String::new();
    for n in 0..count {
        let _ = writeln!(lines, "tuntap add tap{n} mode tap\nlink set dev tap{n} up");
    }
    let file = std::env::temp_dir().join(format!("aorta-bench-{}", std::process::id()));
    std::fs::write(&file, lines).map_err(TaskError::file("cannot write", &file))?;
    let made = ns.run(&["ip", "-batch", &file.to_string_lossy()]);
    let _ = std::fs::remove_file(&file);
    made?.ok()?;
    Ok(())
}

/// A socket of a namespace: it keeps the one of the thread that makes it.
fn in_namespace(ns: &Netns, address: SocketAddr) -> Result<UdpSocket, TaskError> {
    std::thread::scope(|scope| {
        let made = scope.spawn(|| -> Result<UdpSocket, LabError> {
            ns.enter()?;
            UdpSocket::bind(address).map_err(LabError::system("make a socket"))
        });
        made.join()
            .map_err(|_| LabError::Agent("a thread panicked".to_owned()))?
    })
    .map_err(TaskError::Lab)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
