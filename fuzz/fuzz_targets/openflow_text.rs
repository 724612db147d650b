#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aorta_openflow::fuzzing::text(data));
