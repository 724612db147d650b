//! Programs and maps of a card. They are bound to its device: the device keeps them, and refuses what
//! it can't have.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use aorta_compiler::offload::{COUNTERS, CardMap, CardProgram};
use aorta_ebpf::{EncodeError, MapId, NO_REASON, Program, refusal};

use crate::error::DatapathError;
use crate::map::Map;
use crate::sys::{self, TestRun};

/// Bytes of what the verifier may say.
const LOG_BYTES: usize = 1 << 20;
/// A signal that the process gets ends the kernel's check; so often it is begun again.
const ATTEMPTS: u32 = 5;

/// What a card refused.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// A map.
    #[error("the device doesn't take the map {name} of {entries} entries")]
    Map {
        /// Its name.
        name: String,
        /// Entries that it was to have.
        entries: u32,
        /// Why.
        source: io::Error,
    },
    /// What is in a map.
    #[error("the device doesn't take what the map is to hold")]
    Entry(#[source] DatapathError),
    /// The program, which isn't what it runs.
    #[error("the device refused the program {program}: {reason}")]
    Refused {
        /// Its name.
        program: String,
        /// The verifier's or the driver's sentence.
        reason: String,
        /// The program's text around the refused instruction.
        excerpt: String,
        /// The kind of the refusal.
        source: io::Error,
    },
    /// The program, for another reason than its text.
    #[error("the device doesn't take the program {program}")]
    Program {
        /// Its name.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A map of the program isn't there: a defect.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl ObjectError {
    /// The kernel's error number, if it gave one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            ObjectError::Map { source, .. }
            | ObjectError::Program { source, .. }
            | ObjectError::Refused { source, .. } => source.raw_os_error(),
            ObjectError::Entry(DatapathError::Map { source, .. }) => source.raw_os_error(),
            ObjectError::Entry(_) | ObjectError::Encode(_) => None,
        }
    }
}

/// A program with its maps.
#[derive(Debug)]
pub struct CardObjects {
    program: OwnedFd,
    maps: BTreeMap<MapId, Arc<Map>>,
}

impl CardObjects {
    /// Makes maps, fills them and loads the program, for the device `ifindex`; for the kernel itself
    /// if that is 0, for tests. Counters that an earlier program had can be kept.
    ///
    /// # Errors
    /// What was refused. Nothing is left then.
    pub fn load(
        compiled: &CardProgram,
        counters: Option<Arc<Map>>,
        ifindex: u32,
    ) -> Result<CardObjects, ObjectError> {
        let mut maps = BTreeMap::new();
        for spec in compiled.maps() {
            let kept = counters.as_ref().filter(|_| spec.id == COUNTERS);
            let map = match kept {
                Some(kept) => Arc::clone(kept),
                None => Arc::new(create(spec, ifindex)?),
            };
            maps.insert(spec.id, map);
        }
        for (id, entries) in compiled.entries() {
            if let Some(map) = maps.get(id) {
                for (key, value) in entries {
                    map.set(key, value).map_err(ObjectError::Entry)?;
                }
            }
        }
        let program = load(compiled.program(), &maps, ifindex)?;
        Ok(CardObjects { program, maps })
    }

    /// The program's descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }

    /// One of its maps.
    pub fn map(&self, id: MapId) -> Option<&Arc<Map>> {
        self.maps.get(&id)
    }

    /// Runs a program of the kernel's on a frame.
    pub fn test_run(&self, frame: &[u8]) -> io::Result<TestRun> {
        sys::test_run(self.fd(), frame, 0, 1)
    }
}

/// Name of the map of counters.
pub(super) const COUNTS_NAME: &str = "aorta_counts";

fn create(spec: &CardMap, ifindex: u32) -> Result<Map, ObjectError> {
    let name = match spec.id {
        COUNTERS => COUNTS_NAME.to_owned(),
        MapId(number) => format!("aorta_{number:x}"),
    };
    let new = sys::NewMap {
        kind: spec.kind as u32,
        key_bytes: spec.key_bytes,
        value_bytes: spec.value_bytes,
        max_entries: spec.max_entries,
        name: &name,
        ifindex,
    };
    let map = sys::create_map(&new).and_then(|fd| Map::of_fd(fd, &name));
    map.map_err(|source| ObjectError::Map {
        entries: spec.max_entries,
        name,
        source,
    })
}

/// Loads a program, its maps resolved, for a device.
pub(super) fn load(
    program: &Program,
    maps: &BTreeMap<MapId, Arc<Map>>,
    ifindex: u32,
) -> Result<OwnedFd, ObjectError> {
    let code = program.encode(|id| maps.get(&id).map(|map| map.raw_fd()))?;
    let name = program.name();
    // The log of a refusal is asked for by loading again, so that success costs none.
    let first = match attempt(&code, name, ifindex, &mut []) {
        Ok(program) => return Ok(program),
        Err(error) => error,
    };
    let mut log = vec![0; LOG_BYTES];
    let source = match attempt(&code, name, ifindex, &mut log) {
        Ok(program) => return Ok(program),
        // A log without room is no reason.
        Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => first,
        Err(error) => error,
    };
    let said = log.split(|byte| *byte == 0).next().unwrap_or_default();
    let refusal = refusal(&String::from_utf8_lossy(said), program);
    let program = name.to_owned();
    match refusal.reason == NO_REASON {
        true => Err(ObjectError::Program { program, source }),
        false => Err(ObjectError::Refused {
            program,
            reason: refusal.reason,
            excerpt: refusal.excerpt,
            source,
        }),
    }
}

fn attempt(code: &[u8], name: &str, ifindex: u32, log: &mut [u8]) -> io::Result<OwnedFd> {
    let mut result = sys::load_xdp(code, name, ifindex, log);
    for _ in 1..ATTEMPTS {
        match &result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                result = sys::load_xdp(code, name, ifindex, log);
            }
            _ => break,
        }
    }
    result
}
