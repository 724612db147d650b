#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aorta_packet::fuzzing::parse_frame(data));
