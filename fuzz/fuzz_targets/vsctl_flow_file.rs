#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aorta_ctl::fuzz::flow_file(data));
