//! Datapaths that an Open vSwitch left in the kernel (linux/openvswitch.h). Its devices are theirs
//! until they are deleted.

use std::io;

use rtnetlink::sys::protocols::NETLINK_GENERIC;

use super::attributes::{find, put, u16_at, u32_at};
use super::request::{self, FLAG_ACK, FLAG_DUMP, FLAG_REQUEST};
use super::{NetdevError, Netdevs};

/// What the kernel calls devices that a datapath makes.
const KIND: &str = "openvswitch";
/// Message type of the family that tells about families.
const CONTROL: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
const CONTROL_VERSION: u8 = 1;
/// The family of datapaths.
const DATAPATHS: &[u8] = b"ovs_datapath\0";
const DATAPATHS_VERSION: u8 = 2;
const DELETE: u8 = 2;
const GET: u8 = 3;
const NAME: u16 = 1;
/// Length of struct genlmsghdr in bytes.
const GENERIC: usize = 4;
/// Length of struct ovs_header in bytes: index of the datapath's own device.
const HEADER: usize = 4;

/// A datapath in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Datapath {
    index: u32,
    name: String,
}

impl Netdevs {
    /// Deletes the datapaths of Open vSwitch and with them the devices that they made; other
    /// devices that were their ports are free then. Answers the names of those deleted.
    ///
    /// # Errors
    /// When they can't be read or the kernel refuses.
    pub async fn delete_ovs_datapaths(&self) -> Result<Vec<String>, NetdevError> {
        // To ask for the family would load the module.
        let links = self.links().await?;
        if !links.iter().any(|link| link.kind.as_deref() == Some(KIND)) {
            return Ok(Vec::new());
        }
        let failed = |source| NetdevError::Datapaths {
            action: "list the datapaths of Open vSwitch".to_owned(),
            source,
        };
        let family = family().await.map_err(failed)?;
        let mut names = Vec::new();
        for datapath in datapaths(family).await.map_err(failed)? {
            let message = delete(family, datapath.index);
            let deleted = request::exchange(NETLINK_GENERIC, &message).await;
            deleted.map_err(|source| NetdevError::Datapaths {
                action: format!("delete Open vSwitch's datapath {}", datapath.name),
                source,
            })?;
            names.push(datapath.name);
        }
        Ok(names)
    }
}

/// Message type of the family of datapaths.
async fn family() -> io::Result<u16> {
    let answers = request::exchange(NETLINK_GENERIC, &get_family()).await?;
    let id = answers.iter().find_map(|answer| {
        let attributes = answer.get(GENERIC..)?;
        u16_at(find(attributes, FAMILY_ID)?, 0)
    });
    id.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a family without a number"))
}

async fn datapaths(family: u16) -> io::Result<Vec<Datapath>> {
    let answers = request::exchange(NETLINK_GENERIC, &list(family)).await?;
    Ok(answers.iter().filter_map(|m| datapath(m)).collect())
}

/// A request with struct genlmsghdr.
fn generic(kind: u16, flags: u16, command: u8, version: u8, body: &[u8]) -> Vec<u8> {
    let body = [&[command, version, 0, 0], body].concat();
    request::message(kind, FLAG_REQUEST | flags, &body)
}

fn get_family() -> Vec<u8> {
    let mut attributes = Vec::new();
    put(&mut attributes, FAMILY_NAME, DATAPATHS);
    generic(CONTROL, FLAG_ACK, GET_FAMILY, CONTROL_VERSION, &attributes)
}

fn list(family: u16) -> Vec<u8> {
    let all = 0u32.to_ne_bytes();
    generic(family, FLAG_DUMP, GET, DATAPATHS_VERSION, &all)
}

fn delete(family: u16, index: u32) -> Vec<u8> {
    let which = index.to_ne_bytes();
    generic(family, FLAG_ACK, DELETE, DATAPATHS_VERSION, &which)
}

/// What a message of a list says.
fn datapath(message: &[u8]) -> Option<Datapath> {
    let index = u32_at(message, GENERIC)?;
    let name = find(message.get(GENERIC + HEADER..)?, NAME)?;
    let name = name.strip_suffix(&[0]).unwrap_or(name);
    Some(Datapath {
        index,
        name: String::from_utf8_lossy(name).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_both_headers() {
        let message = delete(0x1c, 7);
        assert_eq!(u32_at(&message, 0), Some(24), "length");
        assert_eq!(u16_at(&message, 4), Some(0x1c), "type");
        assert_eq!(u16_at(&message, 6), Some(0x5), "flags");
        assert_eq!(message[16..20], [2, 2, 0, 0]);
        assert_eq!(u32_at(&message, 20), Some(7));
        let message = get_family();
        assert_eq!(message.len() % 4, 0);
        assert_eq!(find(&message[20..], FAMILY_NAME), Some(DATAPATHS));
        let message = list(0x1c);
        assert_eq!(u16_at(&message, 6), Some(0x301), "flags");
    }

    #[test]
    fn datapaths_of_a_list_have_number_and_name() {
        let mut message = vec![1, 2, 0, 0];
        message.extend(9u32.to_ne_bytes());
        put(&mut message, NAME, b"ovs-system\0");
        put(&mut message, 3, &[0; 32]);
        let expected = Datapath {
            index: 9,
            name: "ovs-system".to_owned(),
        };
        assert_eq!(datapath(&message), Some(expected));
        for end in 0..GENERIC + HEADER {
            assert_eq!(datapath(&message[..end]), None);
        }
    }
}
