//! The kernel's own map of longest prefixes, to compare with.

use std::os::fd::{AsFd, AsRawFd};

use aorta_ebpf::MapId;
use aorta_testing::Prefix;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Map, MapData};
use aya_obj::generated::{BPF_F_NO_PREALLOC, bpf_map_type};

use crate::bare::Bare;

/// How the programs written by hand name it.
pub const ROUTES: MapId = MapId(0x9001);

/// Makes the map, with two u32 for each prefix, known to programs as [`ROUTES`].
pub fn share(bare: &mut Bare, prefixes: &[Prefix], value: impl Fn(usize) -> [u32; 2]) {
    let object = aya_obj::Map::new_from_params(
        bpf_map_type::BPF_MAP_TYPE_LPM_TRIE as u32,
        8,
        8,
        prefixes.len() as u32,
        BPF_F_NO_PREALLOC,
    );
    let data = MapData::create(object, "routes", None).unwrap();
    let fd = data.fd().as_fd().try_clone_to_owned().unwrap();
    let mut trie: LpmTrie<_, u32, u64> = Map::LpmTrie(data).try_into().unwrap();
    for (at, prefix) in prefixes.iter().enumerate() {
        let [low, high] = value(at);
        let value = u64::from(high) << 32 | u64::from(low);
        let key = Key::new(prefix.len.into(), prefix.bits.to_be());
        trie.insert(&key, value, 0).unwrap();
    }
    let raw = fd.as_raw_fd();
    bare.share(ROUTES, raw, (fd, trie));
}
