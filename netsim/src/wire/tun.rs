//! A TUN device: a file whose packets are those of a network interface.

use std::fs::{File, OpenOptions};
use std::io;

use rustix::ioctl::{Setter, ioctl};

/// The request that makes the interface; `_IOW('T', 202, int)` of linux/if_tun.h.
const TUNSETIFF: u32 = 0x4004_54ca;
/// IP packets, and nothing before them.
const IFF_TUN_NO_PI: u16 = 0x0001 | 0x1000;
/// The longest name of an interface, with the 0 that ends it.
const NAME_BYTES: usize = 16;

/// `struct ifreq` of linux/if.h: a name, and a union of 24 bytes that starts with the flags.
#[repr(C)]
struct Request {
    name: [u8; NAME_BYTES],
    flags: u16,
    rest: [u8; 22],
}

/// Makes a TUN interface of that name in this process' network namespace; it is gone when the file is closed.
///
/// # Errors
/// What the system says.
pub(super) fn open(name: &str) -> io::Result<File> {
    let mut request = Request {
        name: [0; NAME_BYTES],
        flags: IFF_TUN_NO_PI,
        rest: [0; 22],
    };
    let room = &mut request.name[..NAME_BYTES - 1];
    let room = room.get_mut(..name.len());
    room.ok_or(io::ErrorKind::InvalidInput)?
        .copy_from_slice(name.as_bytes());
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")?;
    // SAFETY: TUNSETIFF reads and writes a `struct ifreq`, 40 bytes, which `Request` is; the kernel keeps no pointer to it.
    #[expect(
        unsafe_code,
        reason = "the kernel makes such interfaces by an ioctl alone"
    )]
    unsafe {
        ioctl(&file, Setter::<TUNSETIFF, Request>::new(request))?;
    }
    Ok(file)
}

const _: () = assert!(size_of::<Request>() == 40);
