//! A host on which libvirt runs guests on the switch.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use aorta_integration::lab::{Call, Card, Domain, GuestAgent, Libvirt, Netns, Switch, wait_until};
use serde_json::Value;

use super::{LIMIT, done, eventually};

/// A namespace with a switch whose bridge is `br-int`, and a libvirtd.
pub struct Host {
    // Dropped first: its guests have taps on the switch.
    pub libvirt: Libvirt,
    pub switch: Switch,
    pub ns: Netns,
}

impl Host {
    pub fn new(label: &str) -> Host {
        let ns = Netns::new(label).unwrap();
        ns.disable_ipv6().unwrap();
        let switch = Switch::start(&ns).unwrap();
        done(&switch, "add-br br-int");
        Host {
            libvirt: Libvirt::start(&ns, &switch).unwrap(),
            switch,
            ns,
        }
    }

    /// Runs virsh, which must succeed, with words separated by blanks.
    pub fn virsh(&self, words: &str) -> String {
        let words: Vec<&str> = words.split_whitespace().collect();
        self.libvirt.virsh(&words).unwrap().ok().unwrap().stdout
    }

    /// Defines and starts domains, then waits until all have booted.
    pub fn boot(&self, domains: &[&Domain]) -> Vec<GuestAgent> {
        let agents: Vec<GuestAgent> = domains.iter().map(|domain| self.start(domain)).collect();
        for agent in &agents {
            agent.wait_ready().unwrap();
        }
        agents
    }

    /// Defines and starts a domain; it boots meanwhile.
    pub fn start(&self, domain: &Domain) -> GuestAgent {
        self.libvirt.define(domain).unwrap();
        self.virsh(&format!("start {}", domain.name));
        self.libvirt.agent(&domain.name).unwrap()
    }

    /// `virsh attach-device`, `update-device` or `detach-device` with a card.
    pub fn device(&self, verb: &str, domain: &str, card: &Card) {
        self.virsh(&self.device_words(verb, domain, card));
    }

    /// The words of [`Host::device`] for virsh.
    pub fn device_words(&self, verb: &str, domain: &str, card: &Card) -> String {
        let name = format!("{}.xml", card.tap);
        let file = self.libvirt.file(&name, &card.xml()).unwrap();
        format!("{verb}-device {domain} {file} --live")
    }

    /// Starts what [`Host::device`] does and doesn't wait for its end.
    pub fn begin_device(&self, verb: &str, domain: &str, card: &Card) -> Child {
        let words = self.device_words(verb, domain, card);
        let words: Vec<&str> = words.split_whitespace().collect();
        let mut command = self.libvirt.virsh_command(&words);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Waits for `count` calls of `ovs-vsctl` since the last time this was asked. All must have
    /// succeeded.
    #[track_caller]
    pub fn take_calls(&mut self, count: usize) -> Vec<Call> {
        // Some come from threads of libvirtd's that nobody waits for.
        let _ = wait_until("", LIMIT, || {
            let calls = self.libvirt.calls().unwrap();
            calls.len() >= count && calls.iter().all(|call| call.status.is_some())
        });
        let calls = self.libvirt.take_calls().unwrap();
        for call in &calls {
            assert_eq!(call.status, Some(0), "{call:?}\n{}", self.libvirt.log());
        }
        calls
    }

    /// Requires that `ovs-vsctl` has been called with exactly these lines.
    #[track_caller]
    pub fn expect_calls(&mut self, expected: &[String]) {
        let calls = self.take_calls(expected.len());
        let lines: Vec<String> = calls.iter().map(|call| call.args.join(" ")).collect();
        assert_eq!(lines, expected);
    }

    /// What `get` prints of a port.
    pub fn port(&self, name: &str, column: &str) -> String {
        done(&self.switch, &format!("get Port {name} {column}"))
    }

    /// What `get` prints of an interface.
    pub fn interface(&self, name: &str, column: &str) -> String {
        done(&self.switch, &format!("get Interface {name} {column}"))
    }

    /// Whether the bridge has a port.
    pub fn has_port(&self, name: &str) -> bool {
        done(&self.switch, "list-ports br-int")
            .lines()
            .any(|line| line == name)
    }
}

/// The line with which libvirt attaches a card; `vlan` is ` tag=42` and the like.
pub fn attach_line(domain: &Domain, card: &Card, vlan: &str) -> String {
    let Card {
        tap,
        mac,
        interface_id,
        ..
    } = card;
    let set = |what: &str, value: &str| format!(" -- set Interface {tap} {what}{value}");
    let quoted =
        |key: &str, value: &str| set(&format!("external-ids:{key}="), &format!("\"{value}\""));
    let mut line = format!("--timeout=5 -- --may-exist add-port br-int {tap}{vlan}");
    line += &quoted("attached-mac", mac);
    line += &quoted("iface-id", interface_id);
    line += &quoted("vm-id", &domain.uuid);
    if let Some(profile) = &card.profile {
        line += &quoted("port-profile", profile);
        line += &set("external-ids:ifname=", &format!("\"{tap}\""));
    }
    line + &set("external-ids:iface-status=", "active")
}

/// The line with which libvirt takes a port off.
pub fn detach_line(tap: &str) -> String {
    format!("--timeout=5 -- --if-exists del-port {tap}")
}

/// The lines with which libvirt takes the bandwidth off a card that is unplugged, if it has none.
pub fn unlimited_lines(domain: &Domain, tap: &str) -> Vec<String> {
    let mut lines = find_lines(domain, tap);
    lines.push(policing_line(tap, 0, 0));
    lines
}

/// The lines with which libvirt looks for the rows of a card's bandwidth.
pub fn find_lines(domain: &Domain, tap: &str) -> Vec<String> {
    let find = |table: &str| {
        let uuid = &domain.uuid;
        format!(
            "--timeout=5 --no-heading --columns=_uuid find {table} \
             external-ids:vm-id=\"{uuid}\" external-ids:ifname=\"{tap}\""
        )
    };
    ["queue", "qos"].map(find).to_vec()
}

/// The line with which libvirt limits what a guest sends.
pub fn policing_line(tap: &str, rate_kbps: u32, burst_kbits: u32) -> String {
    format!(
        "--timeout=5 set Interface {tap} ingress_policing_rate={rate_kbps} \
         ingress_policing_burst={burst_kbits}"
    )
}

/// The line with which libvirt changes a port's VLANs; `vlan` is ` tag=43` and the like.
pub fn vlan_line(tap: &str, vlan: &str) -> String {
    let clear = |column: &str| format!(" -- --if-exists clear Port {tap} {column}");
    let set = if vlan.is_empty() {
        String::new()
    } else {
        format!(" -- --if-exists set Port {tap}{vlan}")
    };
    format!(
        "--timeout=5{}{}{}{set}",
        clear("tag"),
        clear("trunk"),
        clear("vlan_mode")
    )
}

/// Runs a command in a guest, which must succeed.
#[track_caller]
pub fn said(guest: &GuestAgent, command: &str) -> String {
    guest.run(command).unwrap().ok().unwrap().stdout
}

/// Gives a guest's device an address.
#[track_caller]
pub fn address(guest: &GuestAgent, device: &str, address: &str) {
    said(
        guest,
        &format!("ip link set {device} up && ip addr add {address} dev {device}"),
    );
}

/// Gives a guest a device for a VLAN, with an address.
#[track_caller]
pub fn vlan_address(guest: &GuestAgent, device: &str, vid: u16, at: &str) {
    said(
        guest,
        &format!("ip link add link {device} name {device}.{vid} type vlan id {vid}"),
    );
    address(guest, &format!("{device}.{vid}"), at);
}

/// Whether one ping of a guest comes back.
pub fn guest_pings(guest: &GuestAgent, to: &str) -> bool {
    guest.run(&format!("ping -c 1 -W 1 {to}")).unwrap().status == 0
}

/// Waits until a guest reaches an address.
pub fn reaches(guest: &GuestAgent, to: &str) {
    eventually(&format!("{} reaches {to}", guest.name()), || {
        guest_pings(guest, to)
    });
}

/// Requires that what one guest sends arrives at another at a rate, within 5 %, however much it is.
/// The other is named with its tap and its address.
#[track_caller]
pub fn sends_at_rate(
    host: &Host,
    from: &GuestAgent,
    (to, tap, at): (&GuestAgent, &str, &str),
    wanted_bps: u64,
) {
    said(to, "iperf3 -s -D");
    let arrived = || {
        let args = ["-s", "-j", "link", "show", "dev", tap];
        let shown: Value = serde_json::from_str(&host.ns.ip(&args).unwrap().stdout).unwrap();
        shown[0]["stats64"]["tx"]["bytes"].as_u64().unwrap()
    };
    std::thread::scope(|scope| {
        // What it tells of itself may be lost on the way.
        let send = format!("iperf3 -u -b 14M -l 1400 -t 14 -c {at} || true");
        scope.spawn(move || said(from, &send));
        let mut seen = Vec::new();
        let kept = wait_until("", LIMIT, || {
            let (start, before) = (Instant::now(), arrived());
            std::thread::sleep(Duration::from_secs(2));
            let bits = (arrived() - before) * 8;
            let rate = bits as f64 / start.elapsed().as_secs_f64();
            seen.push(rate / 1e6);
            (rate / wanted_bps as f64 - 1.0).abs() <= 0.05
        });
        println!("outbound of {wanted_bps} bit/s: {seen:.2?} Mbit/s");
        assert!(kept.is_ok(), "{seen:.2?} Mbit/s of {wanted_bps} bit/s");
    });
}
