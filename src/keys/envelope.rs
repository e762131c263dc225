//! Sealing bytes under a symmetric key: AES-256-GCM (NIST SP 800-38D) with a random nonce.
//!
//! What [`open`] returns is what was sealed with the same key and the same
//! additional data, or an error; two rows that were swapped do not open, since
//! [`aad`] binds each to its place (T31).
//!
//! ```text
//! version 1 (one byte) ‖ nonce (12 random bytes) ‖ ciphertext ‖ tag (16 bytes)
//! ```
//!
//! # Limits
//!
//! Random nonces allow 2^32 sealings under one key. Records have a key each, so
//! only the keys that wrap other keys come near; rotate those before.
//!
//! AES-GCM does not commit to its key: never try several keys on one sealed
//! text. The key's version stands beside it and in the additional data.

use std::fmt;

use ring::aead;
use zeroize::{Zeroize, Zeroizing};

use crate::keys::random::{self, Random, RandomError};

/// A symmetric key of 256 bits. Zeroed when dropped; it does not print.
#[derive(Clone)]
pub struct SecretKey(Box<[u8; 32]>);

impl SecretKey {
    /// A new random key.
    ///
    /// # Errors
    /// [`RandomError`] when the source fails.
    pub fn generate(random: &dyn Random) -> Result<Self, RandomError> {
        let mut key = Self(Box::new([0; 32]));
        random.fill(&mut key.0[..])?;
        Ok(key)
    }

    /// These 32 bytes as a key. The caller wipes its own copy.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Box::new(*bytes))
    }

    /// As [`SecretKey::from_bytes`], or `None` when they are not 32.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_bytes)
    }

    /// The key itself, to be wrapped by another.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// Seal the plaintext, bound to the additional data.
///
/// # Errors
/// [`SealError`] when there is no randomness for the nonce, or the text is beyond what GCM can hold.
pub fn seal(
    key: &SecretKey,
    random: &dyn Random,
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, SealError> {
    let nonce = random::bytes::<NONCE_LENGTH>(random).map_err(|_| SealError::Random)?;
    let mut sealed = Vec::with_capacity(plaintext.len() + OVERHEAD);
    sealed.push(VERSION);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plaintext);
    let tag = cipher(key)
        .seal_in_place_separate_tag(
            aead::Nonce::assume_unique_for_key(nonce),
            aead::Aad::from(aad),
            &mut sealed[PREFIX..],
        )
        .map_err(|_| SealError::TooLong)?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

/// Open what [`seal`] made with the same key and additional data. The plaintext is zeroed when dropped.
///
/// # Errors
/// [`OpenError`]; nothing of the plaintext stays in memory then.
pub fn open(key: &SecretKey, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (&version, rest) = sealed.split_first().ok_or(OpenError::Malformed)?;
    if version != VERSION {
        return Err(OpenError::Version { version });
    }
    let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LENGTH>().ok_or(OpenError::Malformed)?;
    if ciphertext.len() < TAG_LENGTH {
        return Err(OpenError::Malformed);
    }
    let mut plaintext = Zeroizing::new(ciphertext.to_vec());
    cipher(key)
        .open_in_place(aead::Nonce::assume_unique_for_key(*nonce), aead::Aad::from(aad), &mut plaintext[..])
        .map_err(|_| OpenError::Refused)?;
    plaintext.truncate(ciphertext.len() - TAG_LENGTH);
    Ok(plaintext)
}

/// The additional data of a stored row: which table, which row, which schema, which version of the key.
///
/// Every part has its length before it, so two different rows never share one text.
pub fn aad(table: &str, row_key: &[u8], schema_version: u16, key_version: u32) -> Vec<u8> {
    let mut text = Vec::with_capacity(table.len() + row_key.len() + 40);
    for part in [b"kabao/row/1", table.as_bytes(), row_key] {
        let length = u64::try_from(part.len()).expect("a length fits in 64 bits");
        text.extend_from_slice(&length.to_be_bytes());
        text.extend_from_slice(part);
    }
    text.extend_from_slice(&schema_version.to_be_bytes());
    text.extend_from_slice(&key_version.to_be_bytes());
    text
}

/// Why something could not be sealed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SealError {
    /// No random bytes for the nonce.
    Random,
    /// Longer than AES-GCM can hold (64 GiB).
    TooLong,
}

impl SealError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Random => "envelope/random",
            Self::TooLong => "envelope/too-long",
        }
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Random => "the system gives no random bytes",
            Self::TooLong => "too long to be sealed in one piece",
        })
    }
}

impl std::error::Error for SealError {}

/// Why something sealed did not open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OpenError {
    /// Too short to have been sealed here.
    Malformed,
    /// Another key, another place, or changed bytes: these cannot be told apart.
    Refused,
    /// Sealed in a format this program does not know.
    Version {
        /// The format it says it has.
        version: u8,
    },
}

impl OpenError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "envelope/malformed",
            Self::Refused => "envelope/refused",
            Self::Version { .. } => "envelope/version",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Version { .. } => Some("it was written by a newer kabao; use that one"),
            _ => None,
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("not sealed bytes"),
            Self::Refused => f.write_str("sealed under another key, for another place, or changed since"),
            Self::Version { version } => write!(f, "sealed in an unknown format {version}"),
        }
    }
}

impl std::error::Error for OpenError {}

fn cipher(key: &SecretKey) -> aead::LessSafeKey {
    let key = aead::UnboundKey::new(&aead::AES_256_GCM, key.expose()).expect("a key of 256 bits");
    aead::LessSafeKey::new(key)
}

/// First byte of everything sealed.
const VERSION: u8 = 1;
/// NIST SP 800-38D, 8.2.2.
const NONCE_LENGTH: usize = 12;
const TAG_LENGTH: usize = 16;
const PREFIX: usize = 1 + NONCE_LENGTH;
const OVERHEAD: usize = PREFIX + TAG_LENGTH;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::keys::random::{BrokenRandom, SeededRandom};

    fn key(byte: u8) -> SecretKey {
        SecretKey::from_bytes(&[byte; 32])
    }

    #[test]
    fn what_was_sealed_opens_with_the_same_key_and_place_only() {
        let random = SeededRandom::danger_seeded(1);
        for length in [0, 1, 15, 16, 17, 1000] {
            let text = vec![7; length];
            let sealed = seal(&key(1), &random, b"place", &text).unwrap();
            assert_eq!(sealed.len(), length + OVERHEAD);
            assert_eq!(*open(&key(1), b"place", &sealed).unwrap(), text);
            assert_eq!(open(&key(2), b"place", &sealed).unwrap_err(), OpenError::Refused);
            assert_eq!(open(&key(1), b"elsewhere", &sealed).unwrap_err(), OpenError::Refused);
        }
    }

    #[test]
    fn any_changed_bit_and_any_missing_byte_is_refused() {
        let sealed = seal(&key(1), &SeededRandom::danger_seeded(1), b"", b"secret").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&key(1), b"", &changed).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(open(&key(1), b"", &sealed[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn a_newer_format_is_named_and_not_guessed() {
        let mut sealed = seal(&key(1), &SeededRandom::danger_seeded(1), b"", b"secret").unwrap();
        sealed[0] = 2;
        assert_eq!(open(&key(1), b"", &sealed).unwrap_err(), OpenError::Version { version: 2 });
    }

    #[test]
    fn the_same_text_is_sealed_differently_each_time() {
        let random = SeededRandom::danger_seeded(1);
        let sealed: HashSet<_> = (0..100).map(|_| seal(&key(1), &random, b"", b"same").unwrap()).collect();
        assert_eq!(sealed.len(), 100);
    }

    #[test]
    fn two_places_never_share_their_additional_data() {
        let places = [
            aad("ab", b"c", 1, 1),
            aad("a", b"bc", 1, 1),
            aad("abc", b"", 1, 1),
            aad("", b"abc", 1, 1),
            aad("ab", b"c", 2, 1),
            aad("ab", b"c", 1, 2),
            aad("ab", b"c\0\x01", 0, 1),
            aad("ab", b"c\0\0\0\x01", 1, 0),
        ];
        let different: HashSet<_> = places.iter().collect();
        assert_eq!(different.len(), places.len());
    }

    #[test]
    fn without_randomness_nothing_is_sealed() {
        assert_eq!(seal(&key(1), &BrokenRandom, b"", b"secret"), Err(SealError::Random));
    }

    #[test]
    fn a_key_does_not_print() {
        assert_eq!(format!("{:?}", key(0x5a)), "SecretKey(..)");
    }
}
