//! The `netsim` program; see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    lyceum_netsim::main()
}
