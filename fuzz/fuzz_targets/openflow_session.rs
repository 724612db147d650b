#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aorta_openflow::session::fuzzing::session(data));
