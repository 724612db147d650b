//! What the pipelines of all bridges share.

use aorta_compiler::abi::jump;
use aorta_compiler::compile_finish;
use aorta_compiler::pipeline::leave::compile_leave;
use aorta_compiler::pipeline::maps::{ASIDE, STATE, UPCALL_SPACE, UPCALLS, upcall};
use aorta_ebpf::MapId;

use crate::error::DatapathError;
use crate::generation::Generation;
use crate::loader::Loader;
use crate::map::Map;
use crate::state::State;

/// Maps of all pipelines.
#[derive(Debug)]
pub struct Shared {
    state: Map,
    aside: Map,
    upcalls: Map,
    upcall_space: Map,
}

impl Shared {
    /// Makes the maps, and puts the programs by which frames leave pipelines where they are found.
    pub fn create(
        loader: &mut Loader,
        generation: &Generation,
        state: &State,
    ) -> Result<Shared, DatapathError> {
        let create = |spec| Map::create(spec, spec.name);
        let shared = Shared {
            state: create(&STATE)?,
            aside: create(&ASIDE)?,
            upcalls: create(&UPCALLS)?,
            upcall_space: create(&UPCALL_SPACE)?,
        };
        let fd = |id| shared.map_fd(id).or_else(|| generation.map_fd(state, id));
        for (index, program) in [
            (jump::FINISH, compile_finish(true)?),
            (jump::LEAVE, compile_leave()?),
        ] {
            let program = loader.load(&program, fd)?;
            generation.put_program(index, &program)?;
        }
        Ok(shared)
    }

    /// Descriptor of a map as programs name it.
    pub fn map_fd(&self, id: MapId) -> Option<i32> {
        let maps = [
            (STATE.id, &self.state),
            (ASIDE.id, &self.aside),
            (UPCALLS.id, &self.upcalls),
            (UPCALL_SPACE.id, &self.upcall_space),
        ];
        let found = maps.into_iter().find(|(name, _)| *name == id);
        found.map(|(_, map)| map.raw_fd())
    }

    /// Copies for the daemon that found no room, of all bridges since the maps were made.
    pub fn lost_upcalls(&self) -> Result<u64, DatapathError> {
        let all = self.upcall_space.get(&0u32.to_ne_bytes())?;
        let all = all.unwrap_or_default();
        let of_cpu = |space: &[u8]| {
            let word = space.get(upcall::LOST..).and_then(<[u8]>::first_chunk);
            word.map_or(0, |word| u64::from_ne_bytes(*word))
        };
        let cpus = all.chunks_exact(upcall::SPACE_BYTES.next_multiple_of(8));
        Ok(cpus.map(of_cpu).sum())
    }

    /// Copies on their way to the daemon.
    pub fn upcalls(&self) -> &Map {
        &self.upcalls
    }
}
