//! The status of certificates, as everyone may fetch it: Token Status Lists.
//!
//! [`list`] holds the bits, [`slot`] says which slot is next, [`token`] signs a
//! list and verifies it. The bits that are published must be those that the log
//! folds to.
//!
//! # Not here
//!
//! No disk, network, clock or randomness. CRL and OCSP for x509 are not here
//! either: they belong to the chains of trust.

pub mod list;
pub mod slot;
pub mod token;
