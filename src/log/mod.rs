//! The public record (公开日志): a Merkle log after RFC 9162, served as C2SP tlog-tiles.
//!
//! Everything here is pure: an edge and entries go in, tiles and a head come
//! out. What is believed is a type of its own: [`checkpoint::VerifiedCheckpoint`]
//! and [`proof::VerifiedEntry`] can only be made by verifying.
//!
//! Read [`entry`] for what is recorded, [`merkle`] and [`tile`] for how it is
//! kept, [`note`] and [`checkpoint`] for how it is signed, [`append`] for how it
//! grows, [`proof`] and [`audit`] for how others check it.
//!
//! # Not here
//!
//! No disk, network, clock or randomness.

pub mod append;
pub mod audit;
pub mod checkpoint;
pub mod entry;
pub mod event;
pub mod merkle;
pub mod misfit;
pub mod note;
pub mod proof;
pub mod resume;
pub mod tile;

mod cbor;
