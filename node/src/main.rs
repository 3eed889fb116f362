//! The `lyceum` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    lyceum_node::main()
}
