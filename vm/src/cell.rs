//! Cells as the outside sees them: canonical, whatever the engine does inside.

use dashu_int::UBig;

/// A cell of memory, canonical.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// An open integer. In the domain `xor` it is the cell as stored, masked.
    Open(i64),
    /// A residue modulo N², in the domain `paillier` only: a ciphertext, or an open integer beyond 64 bits.
    Enc(Residue),
}

impl Cell {
    /// The open integer, or `None` for a residue.
    pub fn open(&self) -> Option<i64> {
        match self {
            Self::Open(value) => Some(*value),
            Self::Enc(_) => None,
        }
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Open(value)
    }
}

impl From<Residue> for Cell {
    fn from(residue: Residue) -> Self {
        Self::Enc(residue)
    }
}

/// The canonical x of a cell modulo N²: 1 ≤ x < N², coprime to N once [`crate::Modulus`] has checked it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Residue(UBig);

/// Why a text is no residue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResidueError {
    /// A contract's `encrypted` value is lower-case hex without leading zeros.
    #[error("want lower-case hexadecimal digits without leading zeros")]
    Hex,
}

impl Residue {
    /// Wraps an integer; its range is checked by [`crate::Modulus::check`] or on loading.
    pub fn new(x: UBig) -> Self {
        Self(x)
    }

    /// The integer x.
    pub fn get(&self) -> &UBig {
        &self.0
    }

    /// Reads lower-case hex without leading zeros, the form of a contract's `encrypted` fields.
    ///
    /// # Errors
    /// [`ResidueError::Hex`] for anything else; each residue has one text.
    pub fn from_hex(text: &str) -> Result<Self, ResidueError> {
        let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !digits || text.is_empty() || text.starts_with('0') {
            return Err(ResidueError::Hex);
        }
        UBig::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| ResidueError::Hex)
    }

    /// The text that [`Residue::from_hex`] reads.
    pub fn to_hex(&self) -> String {
        self.0.in_radix(16).to_string()
    }
}
