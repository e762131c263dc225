//! The credential: what a department signs, what a holder shows, how either is checked.
//!
//! - [`sd_jwt`] plans and signs credentials (RFC 9901, SD-JWT VC); [`disclosure`] is one field of one.
//! - [`verify`] turns an [`UnverifiedCredential`](verify::UnverifiedCredential) into parts of a verdict.
//! - [`offline`] is the `KB1:` code that a verifier reads without a network, under a [`show_key`].
//! - [`qr`] draws and reads the picture.
//! - [`json`], [`token`] and the private `cose` and `cbor` are the envelopes, as narrow as we use them.
//!
//! # Not here
//!
//! No disk, network, clock or randomness: they come in as arguments. No certificate
//! types: the vault knows which field has which number.

mod base45;
mod cbor;
mod cose;
pub mod disclosure;
pub mod json;
pub mod key_binding;
pub mod offline;
mod processing;
pub mod qr;
pub mod sd_jwt;
pub mod show_key;
pub mod token;
pub mod verify;
