//! Feeds the target `http_body` with what the fuzzer comes up with.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| zhongkong_fuzz::http_body::run(input));
