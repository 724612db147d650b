#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aorta_flow::fuzzing::parse_text(data));
