//! The words of the trade: values that cannot be wrong.
//!
//! No disk, no network, no clock, no randomness. A text from outside becomes one of
//! these types once, at the door, and nobody asks again.

pub mod claims;
pub mod digest;
pub mod lifecycle;
pub mod mask;
pub mod number;
pub mod party;
pub mod resident_id;
pub mod time;
pub mod type_code;
pub mod uscc;
pub mod verdict;
