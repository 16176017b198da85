//! The binary; everything is in the library, so that tests can run the same program with failpoints.

use std::process::ExitCode;

fn main() -> ExitCode {
    zhongkong::main()
}
