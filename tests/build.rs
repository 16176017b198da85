//! Takes the Rust code out of the readers' guide, for the driver in `readers/rust`.

#![expect(clippy::disallowed_methods, reason = "cargo says by environment where to write")]

use std::path::Path;
use std::{env, fs, io};

const GUIDE: &str = "../docs/readers.md";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={GUIDE}");
    let guide = fs::read_to_string(GUIDE)?;
    let (_, section) = guide.split_once("\n```rust\n").ok_or(io::ErrorKind::NotFound)?;
    let code = section.split("\n```").next().unwrap_or_default();
    let folder = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    fs::write(Path::new(&folder).join("guide.rs"), code)
}
