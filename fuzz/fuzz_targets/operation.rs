#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcflush::fuzzing::operation(data));
