use std::fmt;
use std::str::FromStr;

use ruint::Uint;
use ruint::aliases::U256;

use crate::hash::{BlockHash, parse_hex};

/// A proof-of-work target: a block hash must not be above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(U256);

impl Target {
    /// Wraps a number.
    ///
    /// # Errors
    /// [`BitsError::Zero`] for zero, which no hash meets.
    pub fn new(value: U256) -> Result<Self, BitsError> {
        if value.is_zero() {
            return Err(BitsError::Zero);
        }
        Ok(Self(value))
    }

    /// The number.
    pub fn get(self) -> U256 {
        self.0
    }

    /// Is the hash not above the target?
    pub fn is_met_by(self, hash: BlockHash) -> bool {
        hash.to_uint() <= self.0
    }

    /// The work that a block of this target stands for: floor(2^256 / (target + 1)), the expected number of attempts.
    pub fn work(self) -> Work {
        // 2^256 does not fit: (2^256 - (target + 1)) / (target + 1) + 1 is the same number.
        match self.0.checked_add(U256::ONE) {
            Some(divisor) => Work(!self.0 / divisor + U256::ONE),
            None => Work(U256::ONE),
        }
    }
}

/// A target in Bitcoin's compact form ("nBits"), written as 8 lower-case hex digits.
///
/// The high byte is a length in bytes, the rest the leading 23 bits; the sign bit must be clear.
///
/// Source: SPEC.md section 4.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bits(u32);

impl Bits {
    /// Wraps the 32 bits as they stand.
    ///
    /// # Errors
    /// [`BitsError`] where they give no target.
    pub fn new(bits: u32) -> Result<Self, BitsError> {
        expand(bits).map(|_| Self(bits))
    }

    /// The 32 bits.
    pub fn get(self) -> u32 {
        self.0
    }

    /// The target that the bits stand for.
    pub fn target(self) -> Target {
        expand(self.0).expect("checked when it was made")
    }

    /// The bits of a target, rounded down to 23 significant bits at most.
    pub fn of(target: Target) -> Self {
        let mut length = target.0.bit_len().div_ceil(8);
        let mut mantissa = if length <= 3 {
            target.0.to::<u32>() << (8 * (3 - length))
        } else {
            (target.0 >> (8 * (length - 3))).to::<u32>()
        };
        if mantissa & 0x0080_0000 != 0 {
            mantissa >>= 8;
            length += 1;
        }
        Self((length as u32) << 24 | mantissa)
    }
}

/// What the 32 bits stand for.
fn expand(bits: u32) -> Result<Target, BitsError> {
    let length = (bits >> 24) as usize;
    let mantissa = bits & 0x007f_ffff;
    if bits & 0x0080_0000 != 0 {
        return Err(BitsError::Negative);
    }
    if length <= 3 {
        return Target::new(U256::from(mantissa >> (8 * (3 - length))));
    }
    let value = U256::from(mantissa);
    let shift = 8 * (length - 3);
    if value.bit_len() + shift > 256 {
        return Err(BitsError::Overflow);
    }
    Target::new(value << shift)
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Bits {
    type Err = BitsError;

    fn from_str(text: &str) -> Result<Self, BitsError> {
        let bytes = parse_hex(text).map_err(|_| BitsError::Text)?;
        Self::new(u32::from_be_bytes(bytes))
    }
}

/// Why a text or number is not a target in compact form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BitsError {
    /// Not 8 lower-case hex digits.
    #[error("want 8 lower-case hex digits")]
    Text,
    /// The sign bit is set.
    #[error("the target is negative")]
    Negative,
    /// No hash could meet it.
    #[error("the target is zero")]
    Zero,
    /// More than 256 bits.
    #[error("the target is longer than 256 bits")]
    Overflow,
}

/// An amount of proof of work: expected attempts, summed in 256 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Work(U256);

impl Work {
    /// None.
    pub const ZERO: Self = Self(U256::ZERO);

    /// Wraps a number.
    pub const fn new(value: U256) -> Self {
        Self(value)
    }

    /// The number.
    pub const fn get(self) -> U256 {
        self.0
    }

    /// The sum, at most 2^256 − 1 (which is out of reach of all the blocks that can be mined).
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The constants of a chain's difficulty; times in one unit, whatever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asert {
    /// The target of the anchor block.
    pub anchor: Bits,
    /// When the anchor's parent was made.
    pub anchor_parent_time: i64,
    /// The time between blocks that is aimed at; at least 1.
    pub spacing: u32,
    /// How far behind schedule doubles the target; at least 1.
    pub half_life: u32,
    /// The easiest target.
    pub limit: Bits,
}

impl Asert {
    /// Computes the target of the block after the one made at `time`, `blocks` heights past the anchor (`aserti3-2d`).
    ///
    /// Integer arithmetic only, in widths that cannot overflow: every node gets the same bits.
    ///
    /// Source: SPEC.md section 5; vectors/asert.
    pub fn next_bits(&self, time: i64, blocks: u64) -> Bits {
        let schedule = i128::from(self.spacing) * (i128::from(blocks) + 1);
        let late = i128::from(time) - i128::from(self.anchor_parent_time) - schedule;
        // Rounds towards zero, as the published algorithm's division does.
        let exponent = late * 65_536 / i128::from(self.half_life);
        let doublings = exponent >> 16;
        let fraction = (exponent & 0xffff) as u64;
        let limit = self.limit.target();
        let factor = 65_536 + cubic(fraction);
        // anchor · factor is below 2^273.
        let product = Uint::<320, 5>::from(self.anchor.target().get()) * Uint::from(factor);
        let shift = doublings - 16;
        let next = if shift <= 0 {
            product >> shift.unsigned_abs().min(320) as usize
        } else if shift as usize + product.bit_len() > 320 {
            return self.limit;
        } else {
            product << shift as usize
        };
        if next > Uint::from(limit.get()) {
            return self.limit;
        }
        let next = next.to::<U256>().max(U256::ONE);
        Bits::of(Target(next))
    }
}

/// 2^16 · (2^(f / 2^16) − 1) to within a ten-thousandth, as `aserti3-2d` has it; `f` below 2^16.
fn cubic(f: u64) -> u64 {
    (195_766_423_245_049 * f + 971_821_376 * f.pow(2) + 5_127 * f.pow(3) + (1 << 47)) >> 48
}
