//! How large a contract may be.
//!
//! Every list that a stranger's definition can grow has its bound here, so that checking, translating and
//! keeping a contract costs a node little, whatever was deployed.

/// Bytes of a definition's canonical JSON. A transaction must hold it, so a chain's `max_tx_bytes` is usually tighter.
pub const DEFINITION_BYTES_MAX: usize = 65_536;

/// Bytes of any name: contract, record, field, action, parameter, local, event.
pub const NAME_BYTES_MAX: usize = 32;

/// Record types of one contract, foreign ones included.
pub const RECORDS_MAX: usize = 64;

/// Fields of one record type. A record lies in one run of cells, so this bounds a window too.
pub const FIELDS_MAX: usize = 64;

/// Fields that make up one record's key.
pub const KEY_PARTS_MAX: usize = 3;

/// Actions of one contract.
pub const ACTIONS_MAX: usize = 64;

/// Parameters of one action.
pub const PARAMS_MAX: usize = 32;

/// Public keys of one contract.
pub const KEYS_MAX: usize = 8;

/// Statements of one action, at all depths together.
pub const STATEMENTS_MAX: usize = 512;

/// How deep `if` and `repeat` may nest.
pub const BLOCK_DEPTH_MAX: usize = 8;

/// How deep an expression may nest.
pub const EXPRESSION_DEPTH_MAX: usize = 16;

/// Operands of one operator.
pub const OPERANDS_MAX: usize = 32;

/// Product of the literal counts of nested loops: what gas would refuse anyway is refused at deployment.
pub const LOOP_PRODUCT_MAX: u64 = 1_000_000;

/// Bytes of one literal text or `else` reason.
pub const LITERAL_BYTES_MAX: usize = 1_024;

/// Cells of one translated action, code and data. 1 MiB of memory at 8 bytes each.
pub const ACTION_CELLS_MAX: usize = 131_072;

/// Bytes of each part of a record's key. With a contract's and a record's name a path stays below 512 bytes.
pub const KEY_BYTES_MAX: usize = 128;

/// Bytes of a text in a parameter or a record.
pub const TEXT_BYTES_MAX: usize = 16_384;

/// Bits of a contract's Paillier modulus, least.
pub const KEY_BITS_MIN: usize = 2_048;

/// Bits of a contract's Paillier modulus, most.
pub const KEY_BITS_MAX: usize = 4_096;
