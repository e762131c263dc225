//! The words of the trade: values that cannot be wrong.

pub mod digest;
pub mod time;
