//! A private network namespace with taps, and a datapath in it.
// Each test program uses a part of this.
#![allow(dead_code)]

use std::path::PathBuf;
use std::process::Command;

use aorta_flow::{Attachment, IfIndex, PortName};
use aorta_kernel::{Config, Datapath};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

/// A network namespace that this thread has entered. Its datapath and itself go with it.
pub struct Lab {
    name: String,
    config: Config,
}

/// The guest's side of a tap.
pub struct Tap {
    pub name: PortName,
    pub ifindex: IfIndex,
    device: SyncDevice,
}

impl Lab {
    pub fn new(test: &str) -> Lab {
        let name = format!("aok{}-{test}", std::process::id());
        run("ip", &["netns", "add", &name]);
        let netns = std::fs::File::open(format!("/run/netns/{name}")).unwrap();
        move_into_link_name_space(
            std::os::fd::AsFd::as_fd(&netns),
            Some(LinkNameSpaceType::Network),
        )
        .unwrap();
        for scope in ["all", "default"] {
            let path =
                format!("/proc/thread-self/net/../../../../sys/net/ipv6/conf/{scope}/disable_ipv6");
            let plain = format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6");
            std::fs::write(&plain, "1")
                .or_else(|_| std::fs::write(&path, "1"))
                .unwrap();
        }
        run("ip", &["link", "set", "dev", "lo", "up"]);
        let config = Config {
            pin_dir: PathBuf::from("/sys/fs/bpf/aorta").join(&name),
        };
        Lab { name, config }
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn datapath(&self) -> Datapath {
        Datapath::open(&self.config).unwrap()
    }

    pub fn tap(&self, name: &str, mtu_bytes: u16) -> Tap {
        self.any_tap(name, mtu_bytes, false)
    }

    /// A tap whose guest leaves checksums and segments to others: a header of 10 bytes is in front
    /// of each of its frames. It keeps many frames until they are read.
    pub fn offload_tap(&self, name: &str, mtu_bytes: u16) -> Tap {
        let tap = self.any_tap(name, mtu_bytes, true);
        run("ip", &["link", "set", "dev", name, "txqueuelen", "20000"]);
        tap
    }

    fn any_tap(&self, name: &str, mtu_bytes: u16, offload: bool) -> Tap {
        let device = DeviceBuilder::new()
            .name(name)
            .layer(Layer::L2)
            .mtu(mtu_bytes)
            .offload(offload)
            .build_sync()
            .unwrap();
        device.set_nonblocking(true).unwrap();
        run("ip", &["link", "set", "dev", name, "up"]);
        let index = device.if_index().unwrap();
        Tap {
            name: name.into(),
            ifindex: IfIndex::new(index).unwrap(),
            device,
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let removed = Datapath::teardown(&self.config);
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .status();
        if !std::thread::panicking() {
            removed.unwrap();
        }
    }
}

impl Tap {
    pub fn attachment(&self, up: bool, mtu_bytes: u32) -> Attachment {
        Attachment::Netdev {
            ifindex: self.ifindex,
            up,
            mtu_bytes,
        }
    }

    /// Sends a frame into the switch; it has left again when this returns.
    pub fn send(&self, frame: &[u8]) -> std::io::Result<usize> {
        self.device.send(frame)
    }

    /// A frame that came out of the switch, if there is one.
    pub fn receive(&self) -> Option<Vec<u8>> {
        let mut frame = vec![0; 70_000];
        let len = self.device.recv(&mut frame).ok()?;
        frame.truncate(len);
        Some(frame)
    }

    pub fn receive_all(&self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.receive()).collect()
    }
}

pub fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
