#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aorta_ebpf::fuzzing::parse_text(data));
