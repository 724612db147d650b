//! A peer that speaks as much OpenFlow as `ovs-ofctl` and [`Client`](super::client::Client) need to go
//! on, and obeys nothing: what they take with it is what no switch can save.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;

use tempfile::TempDir;

use super::client::{
    BARRIER_REPLY, BARRIER_REQUEST, BUNDLE_CONTROL, ECHO_REPLY, ECHO_REQUEST, FEATURES_REPLY,
    FEATURES_REQUEST, HELLO, MULTIPART_REPLY, MULTIPART_REQUEST, message,
};
use crate::error::TaskError;

/// `OFPMP_TABLE_FEATURES` (OpenFlow 1.4.1 §7.3.5).
const TABLE_FEATURES: [u8; 2] = [0, 12];
/// What a datapath without an id, tables or ports says of itself.
const FEATURES: [u8; 24] = [0; 24];

/// Its socket; it goes on answering until the process ends.
pub struct IdlePeer {
    folder: TempDir,
}

impl IdlePeer {
    /// Listens.
    ///
    /// # Errors
    /// When there is no place for the socket.
    pub fn start() -> Result<IdlePeer, TaskError> {
        let folder = tempfile::tempdir().map_err(TaskError::file("cannot make", "a folder"))?;
        let peer = IdlePeer { folder };
        let path = peer.socket();
        let listener =
            UnixListener::bind(&path).map_err(TaskError::file("cannot listen at", path))?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away has what it wanted.
                thread::spawn(move || serve(stream));
            }
        });
        Ok(peer)
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("mgmt")
    }
}

fn serve(mut stream: UnixStream) -> io::Result<()> {
    stream.write_all(&message(HELLO, 1, &[]))?;
    let (mut bytes, mut filled, mut answers) = (vec![0; 1 << 20], 0, Vec::new());
    loop {
        let count = stream.read(&mut bytes[filled..])?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        let mut taken = 0;
        while let Some(length) = whole(&bytes[taken..filled]) {
            answer(&bytes[taken..taken + length], &mut answers);
            taken += length;
        }
        bytes.copy_within(taken..filled, 0);
        filled -= taken;
        stream.write_all(&answers)?;
        answers.clear();
    }
}

/// Length of the first message, if all of it is there.
fn whole(bytes: &[u8]) -> Option<usize> {
    let length = usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
    (length >= 8 && bytes.len() >= length).then_some(length)
}

fn answer(request: &[u8], answers: &mut Vec<u8>) {
    let &[_, kind, _, _, x0, x1, x2, x3, ref body @ ..] = request else {
        return;
    };
    let xid = u32::from_be_bytes([x0, x1, x2, x3]);
    let mut say = |kind, body: &[u8]| answers.extend(message(kind, xid, body));
    match (kind, body) {
        (ECHO_REQUEST, body) => say(ECHO_REPLY, body),
        (FEATURES_REQUEST, _) => say(FEATURES_REPLY, &FEATURES),
        (BARRIER_REQUEST, _) => say(BARRIER_REPLY, &[]),
        (MULTIPART_REQUEST, [high, low, ..]) if [*high, *low] == TABLE_FEATURES => {
            say(MULTIPART_REPLY, &table_features());
        }
        (MULTIPART_REQUEST, [high, low, ..]) => {
            say(MULTIPART_REPLY, &[*high, *low, 0, 0, 0, 0, 0, 0]);
        }
        // The reply to each step is the number behind the request's.
        (BUNDLE_CONTROL, &[i0, i1, i2, i3, t0, t1, f0, f1, ..]) => {
            let [t0, t1] = (u16::from_be_bytes([t0, t1]) + 1).to_be_bytes();
            say(BUNDLE_CONTROL, &[i0, i1, i2, i3, t0, t1, f0, f1]);
        }
        _ => {}
    }
}

/// The features of one table that can do nothing: its 64 bytes and the eight properties that each
/// table must tell, empty, of types 0, 2, …, 14.
fn table_features() -> Vec<u8> {
    let mut body = [TABLE_FEATURES.as_slice(), &[0; 6]].concat();
    let mut table = [0; 64];
    table[1] = 64 + 8 * 8;
    body.extend(table);
    for property in 0..8 {
        body.extend([0, 2 * property, 0, 4, 0, 0, 0, 0]);
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_answered_as_they_come() {
        let mut answers = Vec::new();
        answer(&message(BARRIER_REQUEST, 7, &[]), &mut answers);
        assert_eq!(answers, message(BARRIER_REPLY, 7, &[]));
        answers.clear();
        let commit = message(BUNDLE_CONTROL, 8, &[0, 0, 0, 5, 0, 4, 0, 3]);
        answer(&commit, &mut answers);
        let committed = message(BUNDLE_CONTROL, 8, &[0, 0, 0, 5, 0, 5, 0, 3]);
        assert_eq!(answers, committed);
        assert_eq!(whole(&committed), Some(16));
        assert_eq!(whole(&committed[..15]), None);
        assert_eq!(table_features().len(), 8 + 128);
    }
}
