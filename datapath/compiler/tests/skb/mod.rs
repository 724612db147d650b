//! What the kernel's helpers do with a frame, for programs that are interpreted: an outer tag is
//! kept beside the bytes, copies and the frame itself leave for devices.

use aorta_ebpf::interp::{Fault, Machine, Memory};
use aorta_ebpf::{Helper, Size};

/// Offsets in `struct __sk_buff`.
const PROTOCOL: u64 = 16;
const VLAN_PRESENT: u64 = 20;
const VLAN_TCI: u64 = 24;
const VLAN_PROTO: u64 = 28;
/// What programs answer that send the frame.
pub const REDIRECT: u64 = 7;
/// Ticks of the clock.
const NOW: u64 = 1 << 33;
const EINVAL: u64 = -22i64 as u64;

/// A frame and where it went.
#[derive(Default)]
pub struct Skb {
    context: u64,
    /// Protocol and control information of the tag beside the bytes.
    tag: Option<[u8; 4]>,
    /// Copies that left: device and bytes.
    pub outputs: Vec<(u32, Vec<u8>)>,
    /// Where the frame itself goes if the program says so.
    pub redirect: Option<u32>,
}

fn is_tag(protocol: &[u8]) -> bool {
    protocol == [0x81, 0] || protocol == [0x88, 0xa8]
}

impl Skb {
    /// The frame as a device hands it over.
    pub fn receive(machine: &mut Machine, context: u64, frame: &[u8]) -> Skb {
        let mut skb = Skb {
            context,
            ..Skb::default()
        };
        let mut bytes = frame.to_vec();
        skb.take_tag(&mut bytes);
        skb.put(machine, &bytes);
        skb
    }

    /// Takes the outer tag off the bytes if there is one.
    fn take_tag(&mut self, bytes: &mut Vec<u8>) {
        if bytes.len() >= 18 && is_tag(&bytes[12..14]) {
            let tag: Vec<u8> = bytes.drain(12..16).collect();
            self.tag = Some([tag[0], tag[1], tag[2], tag[3]]);
        }
    }

    /// The frame as it is on the wire.
    pub fn on_wire(&self, machine: &Machine) -> Vec<u8> {
        let mut bytes = machine.memory.packet().to_vec();
        if let Some(tag) = self.tag {
            bytes.splice(12..12, tag);
        }
        bytes
    }

    fn put(&self, machine: &mut Machine, bytes: &[u8]) {
        machine.replace_packet(self.context, bytes).unwrap();
        let at = |field: u64| self.context + field;
        let protocol = match bytes.get(12..14) {
            Some(two) => u16::from_le_bytes([two[0], two[1]]),
            None => 0,
        };
        let [tci, proto] = match self.tag {
            Some([a, b, c, d]) => [u16::from_be_bytes([c, d]), u16::from_le_bytes([a, b])],
            None => [0, 0],
        };
        for (field, value) in [
            (PROTOCOL, protocol),
            (VLAN_PRESENT, u16::from(self.tag.is_some())),
            (VLAN_TCI, tci),
            (VLAN_PROTO, proto),
        ] {
            machine
                .memory
                .store(Size::W, at(field), value.into())
                .unwrap();
        }
    }

    /// Runs a helper.
    pub fn call(
        &mut self,
        helper: Helper,
        args: [u64; 5],
        machine: &mut Machine,
    ) -> Result<u64, Fault> {
        let [_, second, third, fourth, fifth] = args;
        Ok(match helper {
            Helper::Jiffies64 => NOW,
            Helper::GetSmpProcessorId => 0,
            // Copies for the daemon are looked at where there is a kernel.
            Helper::SkbPullData | Helper::RingbufOutput => 0,
            Helper::Redirect => {
                self.redirect = Some(args[0] as u32);
                REDIRECT
            }
            Helper::CloneRedirect => {
                self.outputs.push((second as u32, self.on_wire(machine)));
                0
            }
            Helper::SkbVlanPush => {
                let mut bytes = machine.memory.packet().to_vec();
                if let Some(old) = self.tag {
                    bytes.splice(12..12, old);
                }
                let (protocol, tci) = ((second as u16).to_le_bytes(), (third as u16).to_be_bytes());
                self.tag = Some([protocol[0], protocol[1], tci[0], tci[1]]);
                self.put(machine, &bytes);
                0
            }
            Helper::SkbVlanPop => {
                let mut bytes = machine.memory.packet().to_vec();
                if self.tag.take().is_none() && bytes.len() >= 18 && is_tag(&bytes[12..14]) {
                    bytes.drain(12..16);
                }
                self.take_tag(&mut bytes);
                self.put(machine, &bytes);
                0
            }
            Helper::SkbChangeHead => {
                let mut bytes = vec![0; second as usize];
                bytes.extend(machine.memory.packet());
                self.put(machine, &bytes);
                0
            }
            Helper::SkbLoadBytes => {
                let bytes = machine.memory.packet();
                match bytes.get(second as usize..(second + fourth) as usize) {
                    Some(part) => {
                        let part = part.to_vec();
                        machine.memory.write(third, &part)?;
                        0
                    }
                    None => EINVAL,
                }
            }
            Helper::SkbStoreBytes => store_bytes(machine, second, third, fourth)?,
            Helper::CsumDiff => {
                let [from, from_size, to, to_size, seed] = args;
                let from = bytes_at(machine, from, from_size)?;
                let to = bytes_at(machine, to, to_size)?;
                let words = |bytes: &[u8]| bytes.chunks(4).map(word).collect::<Vec<u32>>();
                let sum = words(&to).into_iter().fold(seed as u32, add32);
                let sum = words(&from).into_iter().map(|w| !w).fold(sum, add32);
                sum.into()
            }
            Helper::L4CsumReplace => replace_checksum(machine, second, third, fourth, fifth)?,
            Helper::L3CsumReplace => replace_checksum(machine, second, third, fourth, fifth)?,
            other => {
                return Err(Fault::Helper {
                    helper: other,
                    reason: "no program of these tests calls it".to_owned(),
                });
            }
        })
    }
}

fn bytes_at(machine: &Machine, at: u64, size: u64) -> Result<Vec<u8>, Fault> {
    match size {
        0 => Ok(Vec::new()),
        size => Ok(machine.memory.read(at, size as usize)?.to_vec()),
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |all, byte| all << 8 | u32::from(*byte))
}

fn add32(a: u32, b: u32) -> u32 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u32::from(carry)
}

fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

fn store_bytes(machine: &mut Machine, at: u64, from: u64, len: u64) -> Result<u64, Fault> {
    let bytes = bytes_at(machine, from, len)?;
    if at + len > machine.memory.packet().len() as u64 {
        return Ok(EINVAL);
    }
    machine.memory.write(Memory::PACKET + at, &bytes)?;
    Ok(0)
}

/// Follows a change in a checksum: of a word of 2 or 4 bytes, or, with 0, of a sum.
fn replace_checksum(
    machine: &mut Machine,
    at: u64,
    from: u64,
    to: u64,
    flags: u64,
) -> Result<u64, Fault> {
    const MARK_MANGLED_0: u64 = 0x20;
    if at + 2 > machine.memory.packet().len() as u64 {
        return Ok(EINVAL);
    }
    let place = Memory::PACKET + at;
    let old = machine.memory.load(Size::H, place)? as u16;
    if flags & MARK_MANGLED_0 != 0 && old == 0 {
        return Ok(0);
    }
    let sum = match flags & 0xf {
        0 => add32((!old).into(), to as u32),
        _ => add32(add32((!old).into(), !(from as u32)), to as u32),
    };
    let mut new = !fold(sum);
    if flags & MARK_MANGLED_0 != 0 && new == 0 {
        new = 0xffff;
    }
    machine.memory.store(Size::H, place, new.into())?;
    Ok(0)
}
