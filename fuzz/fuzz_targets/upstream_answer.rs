//! Feeds the target `upstream_answer` with what the fuzzer comes up with.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| zhongkong_fuzz::upstream_answer::run(input));
