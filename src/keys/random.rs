//! Chance, as something that is handed in.
//!
//! Whoever needs random bytes takes a `&dyn Random`. A source that fails is an
//! error that the caller must pass on: nothing is ever made with bytes that were
//! not filled (T24, Debian 2008).
//!
//! # Not here
//!
//! P-256 keys: ring generates those with its own handle on the same system source.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use ring::rand::SecureRandom;

use crate::domain::digest::Digest;

/// A source of random bytes fit for keys.
pub trait Random: Send + Sync {
    /// Fill all of `bytes`.
    ///
    /// # Errors
    /// [`RandomError`]; `bytes` must then not be used.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError>;
}

/// The random source of the operating system.
#[derive(Debug)]
pub struct SystemRandom(ring::rand::SystemRandom);

impl SystemRandom {
    /// The random source of the operating system.
    pub fn new() -> Self {
        Self(ring::rand::SystemRandom::new())
    }
}

impl Default for SystemRandom {
    fn default() -> Self {
        Self::new()
    }
}

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        self.0.fill(bytes).map_err(|_| RandomError)
    }
}

/// Bytes that follow from a seed. **For tests only**: whoever knows the seed knows every key.
#[derive(Debug)]
pub struct SeededRandom {
    seed: u64,
    block: AtomicU64,
}

impl SeededRandom {
    /// The same seed gives the same bytes, if asked in the same order. **For tests only.**
    pub fn danger_seeded(seed: u64) -> Self {
        Self { seed, block: AtomicU64::new(0) }
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        for chunk in bytes.chunks_mut(32) {
            let block = self.block.fetch_add(1, Ordering::Relaxed);
            let digest = Digest::of(&[b"kabao/seeded", &self.seed.to_be_bytes(), &block.to_be_bytes()]);
            chunk.copy_from_slice(&digest.as_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// So many random bytes.
///
/// # Errors
/// [`RandomError`] when the source fails.
pub fn bytes<const N: usize>(random: &dyn Random) -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    random.fill(&mut bytes)?;
    Ok(bytes)
}

/// The random source failed. Nothing was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RandomError;

impl RandomError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        "keys/random"
    }

    /// What the reader can do about it.
    pub fn hint(self) -> Option<&'static str> {
        Some("check that the process may call getrandom")
    }
}

impl fmt::Display for RandomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the system gives no random bytes")
    }
}

impl std::error::Error for RandomError {}

/// A source that always fails.
#[cfg(test)]
pub(crate) struct BrokenRandom;

#[cfg(test)]
impl Random for BrokenRandom {
    fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
        Err(RandomError)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_system_does_not_repeat_itself() {
        let random = SystemRandom::new();
        let seen: HashSet<[u8; 16]> = (0..1000).map(|_| bytes(&random).unwrap()).collect();
        assert_eq!(seen.len(), 1000);
    }

    #[test]
    fn a_seed_gives_the_same_bytes_again_and_no_block_twice() {
        let take = |seed| bytes::<100>(&SeededRandom::danger_seeded(seed)).unwrap();
        assert_eq!(take(1), take(1));
        assert_ne!(take(1), take(2));
        assert_ne!(take(1)[..32], take(1)[32..64]);
    }

    #[test]
    fn a_broken_source_gives_no_bytes() {
        assert_eq!(bytes::<16>(&BrokenRandom), Err(RandomError));
    }
}
