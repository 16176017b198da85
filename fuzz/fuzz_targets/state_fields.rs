//! Feeds the target `state_fields` with what the fuzzer comes up with.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| zhongkong_fuzz::state_fields::run(input));
