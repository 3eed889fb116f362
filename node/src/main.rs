//! The `lyceum` program.

use std::process::ExitCode;

mod allocator;

fn main() -> ExitCode {
    allocator::set_up();
    lyceum_node::main()
}

#[cfg(test)]
mod tests {
    use crate::allocator::{PURGE_DELAY_MS, purge_delay, set_up};

    #[test]
    fn the_allocator_can_be_set_up() {
        set_up();
        assert_eq!(purge_delay(), PURGE_DELAY_MS);
    }
}
