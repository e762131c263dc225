//! What the fuzz targets do with their bytes.
//!
//! One function for each parser of foreign bytes. It must come back: no panic, no endless
//! work, no memory without a bound. What it takes, it must give back the same: that is
//! asserted where a form has one spelling.
//!
//! Where a signature stands before a parser, the bytes are signed here first, so that
//! what is behind it is reached.

#[path = "../../tests/it/world.rs"]
#[expect(dead_code, reason = "made for tests, which need more of it")]
mod world;

pub mod inputs;
