//! Capture files of frames, in the classic pcap format.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::warn;

/// Longest part of a frame that is written, in bytes.
const SNAP_BYTES: u32 = 65535;
/// Of frames with an Ethernet header (LINKTYPE_ETHERNET).
const ETHERNET: u32 = 1;
/// Times are in microseconds.
const MAGIC: u32 = 0xa1b2_c3d4;

/// A file that frames are written to, each at once.
#[derive(Debug)]
pub struct Capture {
    path: PathBuf,
    /// None after a write that failed.
    file: Option<File>,
}

impl Capture {
    /// Goes on with a file, or makes it.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn open(path: &Path) -> io::Result<Capture> {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        if file.metadata()?.len() == 0 {
            file.write_all(&file_header())?;
        }
        Ok(Capture {
            path: path.to_owned(),
            file: Some(file),
        })
    }

    /// Writes a frame. A file that takes no more is given up, once and for all.
    pub fn write(&mut self, frame: &[u8]) {
        let Some(file) = &mut self.file else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let record = record(frame, now.unwrap_or_default());
        if let Err(error) = file.write_all(&record) {
            warn!("nothing more goes to {}: {error}", self.path.display());
            self.file = None;
        }
    }
}

fn file_header() -> Vec<u8> {
    let version = [2u16, 4].map(u16::to_ne_bytes).concat();
    let rest = [0, 0, SNAP_BYTES, ETHERNET].map(u32::to_ne_bytes).concat();
    [&MAGIC.to_ne_bytes(), &version[..], &rest].concat()
}

fn record(frame: &[u8], at: Duration) -> Vec<u8> {
    let kept = &frame[..frame.len().min(SNAP_BYTES as usize)];
    // Seconds are 32 bits wide in this format.
    let header = [
        at.as_secs() as u32,
        at.subsec_micros(),
        kept.len() as u32,
        frame.len() as u32,
    ];
    [&header.map(u32::to_ne_bytes).concat(), kept].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_goes_on_where_it_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.pcap");
        for frame in [&[1u8; 60][..], &[2; 14]] {
            Capture::open(&path).unwrap().write(frame);
        }
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 24 + 16 + 60 + 16 + 14);
        assert_eq!(bytes[..4], MAGIC.to_ne_bytes());
        assert_eq!(
            bytes[24 + 8..24 + 16],
            [60u32, 60].map(u32::to_ne_bytes).concat()
        );
        assert_eq!(bytes[24 + 16 + 60 + 16..], [2; 14]);
    }

    #[test]
    fn what_cannot_be_written_is_told() {
        assert!(Capture::open(Path::new("/dev/null/x")).is_err());
        let mut full = Capture::open(Path::new("/dev/full"));
        assert!(full.as_mut().map_or(true, |full| {
            full.write(&[0; 60]);
            full.file.is_none()
        }));
    }
}
