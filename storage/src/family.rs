/// A column family: one kind of data. SCHEMA.md has the layout of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Family {
    /// Schema, chain, tip, and whether the database is open.
    Meta,
    /// Block entries by height and hash.
    Headers,
    /// A block's height by its hash.
    Heights,
    /// The main chain: a hash by height.
    Main,
    /// Block lines by height and hash, of all blocks that stand in no sealed segment.
    Blocks,
    /// Where a sealed block stands in its segment's file, by height.
    Offsets,
    /// Sealed segments.
    Segments,
    /// Where a transaction of the main chain stands, by id.
    Transactions,
    /// The receipts of a main chain's block, by height.
    Receipts,
    /// The state: records by path.
    Records,
    /// How many records there are, by `CONTRACT/RECORD/`.
    Counts,
    /// The state tree's pages.
    Tree,
    /// What the records were before a block, by its height.
    Undo,
}

impl Family {
    /// All, in the order of their numbers.
    pub(crate) const ALL: [Self; 13] = [
        Self::Meta,
        Self::Headers,
        Self::Heights,
        Self::Main,
        Self::Blocks,
        Self::Offsets,
        Self::Segments,
        Self::Transactions,
        Self::Receipts,
        Self::Records,
        Self::Counts,
        Self::Tree,
        Self::Undo,
    ];

    /// Its number, from 0.
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// Its name in the database.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Headers => "headers",
            Self::Heights => "heights",
            Self::Main => "main",
            Self::Blocks => "blocks",
            Self::Offsets => "offsets",
            Self::Segments => "segments",
            Self::Transactions => "transactions",
            Self::Receipts => "receipts",
            Self::Records => "records",
            Self::Counts => "counts",
            Self::Tree => "tree",
            Self::Undo => "undo",
        }
    }
}
