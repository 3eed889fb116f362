//! Entropy that follows from a seed, for everything in this process that asks the operating system for some.
//!
//! libp2p draws from `rand`, which is seeded by `getrandom`, and walks through hash maps, whose order hangs on keys that the standard library
//! asks the system for. Both call the C library's `getrandom`, so a function of that name in the program itself is what they find.
//!
//! Each thread has a stream of its own, from the start of the thread: what one thread draws does not hang on when another one runs.
// A function that C code could call is unsafe by its nature; this is the only module with any.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

static SEED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static STREAM: RefCell<Option<ChaCha8Rng>> = const { RefCell::new(None) };
}

/// Sets the seed for all threads that begin from now on.
pub(crate) fn seed(seed: u64) {
    SEED.store(seed, Ordering::SeqCst);
}

/// Stands before the C library's function of the same name.
///
/// # Safety
/// `buffer` is valid for writes of `len` bytes, as the C library's contract has it.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut u8, len: usize, _flags: u32) -> isize {
    if len > 0 {
        // SAFETY: the caller promises that these bytes are its own to write.
        fill(unsafe { std::slice::from_raw_parts_mut(buffer, len) });
    }
    isize::try_from(len).unwrap_or(isize::MAX)
}

fn fill(bytes: &mut [u8]) {
    let fresh = || ChaCha8Rng::seed_from_u64(SEED.load(Ordering::SeqCst));
    let filled = STREAM.try_with(|stream| match stream.try_borrow_mut() {
        Ok(mut stream) => stream.get_or_insert_with(fresh).fill_bytes(bytes),
        Err(_) => fresh().fill_bytes(bytes),
    });
    if filled.is_err() {
        // The thread is ending.
        fresh().fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::Rng as _;

    /// What a new thread draws by three different ways.
    fn draws(seed: u64) -> (u64, [u8; 8], Vec<u32>) {
        super::seed(seed);
        let thread = std::thread::spawn(|| {
            let mut bytes = [0; 8];
            rand::rng().fill(&mut bytes);
            let order: HashSet<u32> = (0..100).collect();
            (rand::random(), bytes, order.into_iter().collect())
        });
        thread.join().unwrap()
    }

    #[test]
    fn generators_and_hash_maps_follow_from_the_seed() {
        let (first, other, again) = (draws(1), draws(2), draws(1));
        assert_eq!(first, again);
        assert!(first.0 != other.0 && first.1 != other.1 && first.2 != other.2);
    }
}
