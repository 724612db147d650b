#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aorta_ovsdb::fuzzing::schema(data));
