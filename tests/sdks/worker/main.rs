//! The worker beside the herds: the product's program, of the same build.

use std::process::ExitCode;

fn main() -> ExitCode {
    zhongkong::main()
}
