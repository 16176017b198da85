//! The worker under test: the product's binary, built with failpoints.

use std::process::ExitCode;

fn main() -> ExitCode {
    zhongkong::main()
}
