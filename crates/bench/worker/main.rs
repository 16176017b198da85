//! The worker that is measured: the product's program, of the same build as the benchmarks.

use std::process::ExitCode;

fn main() -> ExitCode {
    zhongkong::main()
}
