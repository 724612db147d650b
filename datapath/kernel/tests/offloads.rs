//! Changed headers of frames whose checksum a device completes and that are cut into segments
//! later: real connections between network namespaces. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lab;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use aorta_compiler::pipeline::commit::{Changes, CommitFacts, emit_commit};
use aorta_compiler::pipeline::layout::{self, state};
use aorta_compiler::pipeline::maps::STATE;
use aorta_ebpf::{Assembler, Cond, Helper, Label, Program, Reg, Size};
use aorta_flow::field::FieldId;
use aorta_kernel::{Loader, Map};
use lab::{Lab, run};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use Reg::{R0, R1, R2, R3, R6, R7, R10};

/// Offsets in `struct __sk_buff`.
const SKB_DATA: i16 = 76;
const SKB_DATA_END: i16 = 80;
const DROP: i32 = 2;

/// What the client connects to, and where it ends up.
const CLIENT: [&str; 2] = ["10.0.0.1", "fd00::1"];
const VIRTUAL: [&str; 2] = ["10.0.0.100", "fd00::100"];
const SERVER: [&str; 2] = ["10.0.0.2", "fd00::2"];
const VIRTUAL_PORT: u16 = 80;
const SERVER_PORT: u16 = 8080;
const CLIENT_MAC: &str = "02:00:00:00:00:01";
const SERVER_MAC: &str = "02:00:00:00:00:02";
const BYTES: usize = 8 << 20;
const TIMEOUT: Duration = Duration::from_secs(20);

/// What one direction writes.
struct Rewrite {
    name: &'static str,
    fields: Vec<(FieldId, u128)>,
    to_ifindex: u32,
}

fn address(text: &str) -> u128 {
    match text.parse().unwrap() {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

fn key(field: FieldId) -> i16 {
    state::KEY + layout::place(field).unwrap()
}

/// Reads what the commit needs of TCP, changes the key, and sends the frame on.
fn program(rewrite: &Rewrite) -> Program {
    let mut changes = Changes::default();
    let mut a = Assembler::new(rewrite.name);
    let (drop, done) = (a.label("drop"), a.label("done"));
    a.mov(R6, R1);
    a.store(Size::W, R10, -4, 0);
    a.mov(R2, R10);
    a.add(R2, -4);
    a.load_map(R1, STATE.id);
    a.call(Helper::MapLookupElem);
    a.jump_if(Cond::Eq, R0, 0, drop);
    a.mov(R7, R0);
    parse(&mut a, drop);
    for (field, value) in &rewrite.fields {
        changes.add(*field);
        for word in 0..layout::storage_bytes(*field) / 4 {
            let at = state::KEY + layout::word(*field, word as u8).unwrap();
            let value = (value >> (32 * word)) as u32 as i32;
            a.store(Size::W, R7, at, value);
        }
    }
    a.store(Size::Dw, R7, state::DIRTY, -1);
    let facts = CommitFacts {
        changes: &changes,
        done,
        failed: drop,
    };
    emit_commit(&mut a, &facts);
    a.bind(done);
    a.mov(R1, rewrite.to_ifindex as i32);
    a.mov(R2, 0);
    a.call(Helper::Redirect);
    a.exit();
    a.bind(drop);
    a.mov(R0, DROP);
    a.exit();
    a.finish().unwrap()
}

fn parse(a: &mut Assembler, drop: Label) {
    const TCP: i32 = 6;
    let (ipv6, tcp) = (a.label("ipv6"), a.label("tcp"));
    a.load(Size::W, R1, R6, SKB_DATA);
    a.load(Size::W, R3, R6, SKB_DATA_END);
    a.mov(R2, R1);
    a.add(R2, 14 + 40 + 4);
    // TCP in IPv4 has 20 bytes too, so that this is there.
    a.jump_if(Cond::Gt, R2, R3, drop);
    a.store(Size::W, R7, state::L3, 14);
    a.store(Size::W, R7, key(FieldId::NW_PROTO), TCP);
    a.load(Size::H, R2, R1, 12);
    a.be16(R2);
    a.store(Size::W, R7, key(FieldId::ETH_TYPE), R2);
    a.jump_if(Cond::Eq, R2, 0x86dd, ipv6);
    a.jump_if(Cond::Ne, R2, 0x800, drop);
    a.load(Size::B, R2, R1, 14 + 9);
    a.jump_if(Cond::Ne, R2, TCP, drop);
    a.store(Size::W, R7, state::L4, 34);
    a.load(Size::B, R2, R1, 14 + 8);
    a.load(Size::W, R3, R1, 34);
    a.jump(tcp);
    a.bind(ipv6);
    a.load(Size::B, R2, R1, 14 + 6);
    a.jump_if(Cond::Ne, R2, TCP, drop);
    a.store(Size::W, R7, state::L4, 54);
    a.load(Size::B, R2, R1, 14 + 7);
    a.load(Size::W, R3, R1, 54);
    a.bind(tcp);
    a.sub(R2, 1);
    a.store(Size::W, R7, key(FieldId::NW_TTL), R2);
    a.be32(R3);
    a.mov(R2, R3);
    a.rsh(R2, 16);
    a.store(Size::W, R7, key(FieldId::TCP_SRC), R2);
    a.and(R3, 0xffff);
    a.store(Size::W, R7, key(FieldId::TCP_DST), R3);
}

/// A namespace with an end of a veth in it; the other end stays where the test is.
struct Host {
    namespace: String,
    near: &'static str,
}

impl Host {
    fn new(near: &'static str, mac: &str, addresses: [&str; 2]) -> Host {
        let namespace = format!("aok{}-{near}", std::process::id());
        run("ip", &["netns", "add", &namespace]);
        let host = Host { namespace, near };
        let (ns, far) = (host.namespace.as_str(), "eth0");
        run(
            "ip",
            &[
                "link", "add", near, "type", "veth", "peer", "name", far, "netns", ns,
            ],
        );
        run("ip", &["link", "set", near, "up"]);
        host.ip(&["link", "set", "lo", "up"]);
        host.ip(&["link", "set", far, "address", mac, "up"]);
        host.ip(&["addr", "add", &format!("{}/24", addresses[0]), "dev", far]);
        host.ip(&[
            "addr",
            "add",
            &format!("{}/64", addresses[1]),
            "dev",
            far,
            "nodad",
        ]);
        host
    }

    fn ip(&self, args: &[&str]) {
        run("ip", &[&["-n", &self.namespace], args].concat());
    }

    fn neighbour(&self, address: &str, mac: &str) {
        self.ip(&["neigh", "add", address, "lladdr", mac, "dev", "eth0"]);
    }

    fn enter(&self) {
        let namespace = std::fs::File::open(format!("/run/netns/{}", self.namespace)).unwrap();
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), kind).unwrap();
    }

    fn ifindex(&self) -> u32 {
        let path = format!("/sys/class/net/{}/ifindex", self.near);
        let output = std::process::Command::new("ip")
            .args(["-o", "link", "show", "dev", self.near])
            .output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        let number = text.split(':').next().and_then(|n| n.trim().parse().ok());
        number.unwrap_or_else(|| panic!("{path}: {text}"))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = std::process::Command::new("ip")
            .args(["netns", "del", &self.namespace])
            .status();
    }
}

/// Bytes that differ from place to place.
fn pattern(at: usize) -> u8 {
    (at ^ at >> 8 ^ at >> 16) as u8
}

fn serve(listener: &TcpListener) -> usize {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    let wrong = (0..received.len()).find(|at| received[*at] != pattern(*at));
    assert_eq!(wrong, None);
    stream.write_all(&received).unwrap();
    received.len()
}

fn connect(address: SocketAddr) -> std::io::Result<usize> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let sent: Vec<u8> = (0..BYTES).map(pattern).collect();
    stream.write_all(&sent)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut back = Vec::new();
    stream.read_to_end(&mut back)?;
    assert!(back == sent);
    Ok(back.len())
}

fn rewrites(client: &Host, server: &Host) -> [Rewrite; 2] {
    let ports = |field, port: u16| (field, u128::from(port));
    [
        Rewrite {
            name: "there",
            fields: vec![
                (FieldId::ETH_DST, 0x0200_0000_0002),
                (FieldId::IP_DST, address(SERVER[0])),
                (FieldId::IPV6_DST, address(SERVER[1])),
                ports(FieldId::TCP_DST, SERVER_PORT),
            ],
            to_ifindex: server.ifindex(),
        },
        Rewrite {
            name: "back",
            fields: vec![
                (FieldId::IP_SRC, address(VIRTUAL[0])),
                (FieldId::IPV6_SRC, address(VIRTUAL[1])),
                ports(FieldId::TCP_SRC, VIRTUAL_PORT),
            ],
            to_ifindex: client.ifindex(),
        },
    ]
}

#[test]
fn connections_through_changed_addresses_and_ports() {
    let _lab = Lab::new("offloads");
    let client = Host::new("oc", CLIENT_MAC, CLIENT);
    let server = Host::new("os", SERVER_MAC, SERVER);
    for family in 0..2 {
        client.neighbour(VIRTUAL[family], "02:00:00:00:00:99");
        server.neighbour(CLIENT[family], CLIENT_MAC);
    }
    let state = Map::create(&STATE, STATE.name).unwrap();
    let map = |id| (id == STATE.id).then_some(state.raw_fd());
    let mut loader = Loader::new();
    let mut links = Vec::new();
    for (rewrite, host) in rewrites(&client, &server).iter().zip([&client, &server]) {
        let loaded = loader.load(&program(rewrite), map).unwrap();
        links.push(loaded.attach(host.ifindex()).unwrap());
    }
    // With checksums left to the device, a receiver over a veth doesn't look at them; with these
    // off, frames are cut and their checksums completed before they leave, and looked at.
    for completed in [false, true] {
        if completed {
            for host in [&client, &server] {
                let features = ["tx", "tso", "gso", "sg"].map(|name| [name, "off"]);
                run(
                    "ethtool",
                    &[&["-K", host.near], &features.concat()[..]].concat(),
                );
            }
        }
        for family in 0..2 {
            let (to, from) = (VIRTUAL[family], SERVER[family]);
            let received = std::thread::scope(|scope| {
                let (ready, wait) = std::sync::mpsc::channel();
                let server = &server;
                let serving = scope.spawn(move || {
                    server.enter();
                    let address = SocketAddr::new(from.parse().unwrap(), SERVER_PORT);
                    let listener = TcpListener::bind(address).unwrap();
                    ready.send(()).unwrap();
                    serve(&listener)
                });
                wait.recv_timeout(TIMEOUT).unwrap();
                let client = &client;
                let sending = scope.spawn(move || {
                    client.enter();
                    connect(SocketAddr::new(to.parse().unwrap(), VIRTUAL_PORT))
                });
                let sent = sending.join().unwrap();
                if sent.is_err() {
                    // The server may still be waiting.
                    scope.spawn(move || {
                        server.enter();
                        let address = SocketAddr::new(from.parse().unwrap(), SERVER_PORT);
                        drop(TcpStream::connect_timeout(&address, TIMEOUT));
                    });
                }
                (sent.unwrap(), serving.join().unwrap())
            });
            assert_eq!(received, (BYTES, BYTES), "{to}, completed: {completed}");
        }
    }
}
