//! Chains of trust: x509 made and validated, and the bundle that tells verifiers whom to believe.
//!
//! An x509 is planned ([`profile`]), linted ([`lint`]), signed and read back
//! ([`authority`]), and validated up to an anchor ([`chain`]). Three crates take
//! part, so that none marks its own work: rcgen writes, x509-parser reads,
//! rustls-webpki validates.
//!
//! # Not here
//!
//! Private keys, disk, clock, and randomness but what is handed in. Revocation
//! lists and OCSP: the `status` floor.

pub mod authority;
pub mod chain;
pub mod der;
pub mod hierarchy;
pub mod leaf_use;
pub mod lint;
pub mod profile;
pub mod trust;
pub mod x509;
