//! The inputs that are kept, played without a fuzzer: real-looking ones, and all that once broke something.

#![expect(clippy::unwrap_used, reason = "a broken fixture must stop the test at once")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use zhongkong_fuzz::TARGETS;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn names(directory: &str) -> BTreeSet<String> {
    let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    fs::read_dir(fuzz().join(directory)).unwrap().map(|entry| stem(entry.unwrap().path())).collect()
}

#[test]
fn every_kept_input_passes() {
    for (name, target) in TARGETS {
        let mut played = 0;
        for entry in fs::read_dir(fuzz().join("seeds").join(name)).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            target(&fs::read(&path).unwrap());
            played += 1;
        }
        assert!(played >= 3, "{name} has {played} inputs");
    }
}

#[test]
fn every_target_has_a_program_a_dictionary_and_inputs() {
    let expected: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    for directory in ["fuzz_targets", "dictionaries", "seeds"] {
        assert_eq!(names(directory), expected, "{directory}");
    }
}
