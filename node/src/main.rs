//! The `lyceum` program.

use std::process::ExitCode;

/// Execution makes many small values: with the system's allocator an import takes a tenth longer. RocksDB's memory comes from it, too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    lyceum_node::main()
}
