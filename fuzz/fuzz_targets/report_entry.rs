//! Feeds the target `report_entry` with what the fuzzer comes up with.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| zhongkong_fuzz::report_entry::run(input));
