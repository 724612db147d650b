//! Programs into the kernel: through aya, each as a small object file made in memory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use aorta_ebpf::{MapId, Program, refusal};
use aya::programs::{ProgramError, ProgramFd, SchedClassifier, Xdp};
use aya::{EbpfLoader, VerifierLogLevel};
use object::write::{Object, StandardSegment, Symbol, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
};

use crate::error::LoadError;
use crate::patience;
use crate::sys::{self, TcxHook};

/// A program in the kernel.
#[derive(Debug)]
pub struct Loaded(ProgramFd);

impl Loaded {
    /// Its descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Attaches it to the ingress of a device, behind the programs that are there, for as long as
    /// the descriptor is open.
    pub fn attach(&self, ifindex: u32) -> std::io::Result<OwnedFd> {
        sys::attach_tcx(self.fd(), ifindex, TcxHook::Ingress)
    }

    /// Attaches an XDP program to a device, in its driver or in the stack, for as long as the
    /// descriptor is open.
    pub fn attach_xdp(&self, ifindex: u32, native: bool) -> std::io::Result<OwnedFd> {
        sys::attach_xdp(self.fd(), ifindex, native)
    }

    /// Runs an XDP program on so many frames as if they came from a device, and has its verdicts done:
    /// frames that it redirects leave. Nanoseconds that a frame took.
    pub fn run_live(&self, frame: &[u8], ifindex: u32, frames: u32) -> std::io::Result<u32> {
        sys::run_live(self.fd(), frame, ifindex, frames)
    }

    /// Runs it on a frame, outside of any traffic.
    pub fn test_run(&self, frame: &[u8], repeat: u32) -> std::io::Result<sys::TestRun> {
        sys::test_run(self.fd(), frame, 0, repeat)
    }
}

/// Kind of a program, which decides where it can be attached and what it can jump to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Tc,
    Xdp,
}

impl Kind {
    /// The section that stands for it in an object file.
    fn section(self) -> &'static [u8] {
        match self {
            Kind::Tc => b"classifier",
            Kind::Xdp => b"xdp",
        }
    }
}

/// A loaded program, or why the kernel has none, with its log.
type KernelSays = Result<Loaded, (std::io::Error, String)>;

/// Loads programs. Keep one: making it reads the kernel's type information.
pub struct Loader {
    aya: EbpfLoader<'static>,
    patience: Duration,
}

/// The kernel checks programs for so long at most: nothing else is done in the meantime. Those of
/// real controllers' tables take it less than a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(4);
/// The same of programs that nothing depends on.
const OPTIONAL_PATIENCE: Duration = Duration::from_millis(500);
/// Programs of fewer instructions take no time to speak of.
const SMALL_INSNS: usize = 300;
/// A signal that the process gets ends the kernel's check with EAGAIN; so often it is begun again.
const ATTEMPTS: u32 = 5;

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Loader")
    }
}

impl Default for Loader {
    fn default() -> Self {
        Loader::new()
    }
}

impl Loader {
    /// A loader.
    pub fn new() -> Loader {
        let mut loader = EbpfLoader::new();
        // The log of a refusal is asked for by loading again, so that success costs none.
        loader
            .btf(None)
            .verifier_log_level(VerifierLogLevel::DISABLE);
        Loader {
            aya: loader,
            patience: PATIENCE,
        }
    }

    /// Gives the kernel so much time for each program.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Loader {
        Loader { patience, ..self }
    }

    /// Loads a TC program, its maps resolved by `map_fd`.
    pub fn load(
        &mut self,
        program: &Program,
        map_fd: impl Fn(MapId) -> Option<i32>,
    ) -> Result<Loaded, LoadError> {
        self.load_kind(Kind::Tc, program, map_fd)
    }

    /// As [`Loader::load`], of a program that spares time, but that nothing depends on: the kernel gets
    /// less time for it.
    pub fn load_optional(
        &mut self,
        program: &Program,
        map_fd: impl Fn(MapId) -> Option<i32>,
    ) -> Result<Loaded, LoadError> {
        let patience = std::mem::replace(&mut self.patience, OPTIONAL_PATIENCE);
        let loaded = self.load(program, map_fd);
        self.patience = patience;
        loaded
    }

    /// Loads an XDP program, its maps resolved by `map_fd`.
    pub fn load_xdp(
        &mut self,
        program: &Program,
        map_fd: impl Fn(MapId) -> Option<i32>,
    ) -> Result<Loaded, LoadError> {
        self.load_kind(Kind::Xdp, program, map_fd)
    }

    fn load_kind(
        &mut self,
        kind: Kind,
        program: &Program,
        map_fd: impl Fn(MapId) -> Option<i32>,
    ) -> Result<Loaded, LoadError> {
        let name = program.name().to_owned();
        let code = program.encode(map_fd).map_err(|source| LoadError::Encode {
            program: name.clone(),
            source,
        })?;
        let object = object_file(&name, kind, &code).map_err(|reason| LoadError::Object {
            program: name.clone(),
            reason,
        })?;
        if program.len() < SMALL_INSNS {
            return self.load_or_explain(kind, program, &object);
        }
        let patience = self.patience;
        let work = || self.load_or_explain(kind, program, &object);
        match patience::at_most(patience, work) {
            (Err(_), true) => Err(LoadError::TooSlow {
                program: name,
                insns: program.len(),
                seconds: patience.as_secs_f32(),
            }),
            (result, _) => result,
        }
    }

    fn load_or_explain(
        &mut self,
        kind: Kind,
        program: &Program,
        object: &[u8],
    ) -> Result<Loaded, LoadError> {
        match self.load_object(kind, program.name(), object) {
            Err(LoadError::Kernel { .. }) => self.load_with_log(kind, program, object),
            other => other,
        }
    }

    fn load_object(&mut self, kind: Kind, name: &str, object: &[u8]) -> Result<Loaded, LoadError> {
        match self.try_load(kind, name, object)? {
            Ok(loaded) => Ok(loaded),
            Err((source, _)) => Err(LoadError::Kernel {
                program: name.to_owned(),
                source,
            }),
        }
    }

    fn load_with_log(
        &mut self,
        kind: Kind,
        program: &Program,
        object: &[u8],
    ) -> Result<Loaded, LoadError> {
        let name = program.name().to_owned();
        self.aya
            .verifier_log_level(VerifierLogLevel::VERBOSE | VerifierLogLevel::STATS);
        let result = self.try_load(kind, &name, object);
        self.aya.verifier_log_level(VerifierLogLevel::DISABLE);
        match result? {
            Ok(loaded) => Ok(loaded),
            Err((source, log)) if log.trim().is_empty() => Err(LoadError::Kernel {
                program: name,
                source,
            }),
            Err((_, log)) => {
                let refusal = refusal(&log, program);
                let (reason, excerpt) = (refusal.reason, refusal.excerpt);
                Err(LoadError::Refused {
                    program: name,
                    reason,
                    excerpt,
                })
            }
        }
    }

    /// The outer error is ours, the inner one the kernel's, with its log.
    fn try_load(&mut self, kind: Kind, name: &str, object: &[u8]) -> Result<KernelSays, LoadError> {
        let mut result = self.attempt(kind, name, object);
        for _ in 1..ATTEMPTS {
            match &result {
                Ok(Err((error, _))) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    result = self.attempt(kind, name, object);
                }
                _ => break,
            }
        }
        result
    }

    fn attempt(&mut self, kind: Kind, name: &str, object: &[u8]) -> Result<KernelSays, LoadError> {
        let defect = |reason: String| LoadError::Object {
            program: name.to_owned(),
            reason,
        };
        let mut ebpf = self
            .aya
            .load(object)
            .map_err(|e| defect(crate::error::chain(&e)))?;
        let program = ebpf
            .program_mut(name)
            .ok_or_else(|| defect("its symbol is missing".into()))?;
        let other = |e: ProgramError| defect(crate::error::chain(&e));
        let loaded = match kind {
            Kind::Tc => {
                let program: &mut SchedClassifier = program.try_into().map_err(other)?;
                program
                    .load()
                    .and_then(|()| program.fd()?.try_clone().map_err(ProgramError::IOError))
            }
            Kind::Xdp => {
                let program: &mut Xdp = program.try_into().map_err(other)?;
                program
                    .load()
                    .and_then(|()| program.fd()?.try_clone().map_err(ProgramError::IOError))
            }
        };
        match loaded {
            Ok(fd) => Ok(Ok(Loaded(fd))),
            Err(ProgramError::LoadError {
                io_error,
                verifier_log,
            }) => Ok(Err((io_error, verifier_log.to_string()))),
            Err(e) => Err(other(e)),
        }
    }
}

/// An ELF object with one program and no maps: their descriptors are in the code already.
fn object_file(name: &str, kind: Kind, code: &[u8]) -> Result<Vec<u8>, String> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let segment = |s| object.segment_name(s).to_vec();
    let (text, data) = (
        segment(StandardSegment::Text),
        segment(StandardSegment::Data),
    );
    let license = object.add_section(data, b"license".to_vec(), SectionKind::Data);
    object.append_section_data(license, b"GPL\0", 1);
    let section = object.add_section(text, kind.section().to_vec(), SectionKind::Text);
    let value = object.append_section_data(section, code, 8);
    object.add_symbol(Symbol {
        name: name.as_bytes().to_vec(),
        value,
        size: code.len() as u64,
        kind: SymbolKind::Text,
        scope: SymbolScope::Linkage,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    });
    object.write().map_err(|e| e.to_string())
}
