//! The passphrase of a key store, and the key that is derived from it.
//!
//! Argon2id (RFC 9106) with OWASP's smallest recommended cost. One salt serves a
//! whole store, so opening a store with many keys costs one derivation.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use argon2::{Argon2, Params};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use zeroize::{Zeroize, Zeroizing};

use crate::keys::envelope::SecretKey;
use crate::keys::random::{self, Random, RandomError};
use crate::keys::soft::error::KeyStoreError;

/// The passphrase of a key store. Zeroed when dropped; it does not print.
pub struct Passphrase(Vec<u8>);

impl Passphrase {
    /// These bytes as they are.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The content of a file, without one line break at its end.
    ///
    /// # Errors
    /// [`KeyStoreError`] when the file cannot be read, is empty, or longer than 4096 bytes.
    pub fn read_file(path: &Path) -> Result<Self, KeyStoreError> {
        let file = File::open(path).map_err(|error| KeyStoreError::io(path, &error))?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH_MAX + 1));
        let limit = u64::try_from(LENGTH_MAX + 1).expect("a small constant");
        file.take(limit).read_to_end(&mut bytes).map_err(|error| KeyStoreError::io(path, &error))?;
        if bytes.len() > LENGTH_MAX {
            return Err(KeyStoreError::TooMuch { what: "the passphrase" });
        }
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Err(KeyStoreError::Passphrase);
        }
        Ok(Self(line.to_vec()))
    }
}

impl Drop for Passphrase {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// How a key is derived from a passphrase: cost and salt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Derivation {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: [u8; 16],
}

impl Derivation {
    /// Today's cost with a new salt.
    pub(super) fn new(random: &dyn Random) -> Result<Self, RandomError> {
        let salt = random::bytes(random)?;
        Ok(Self { memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES, salt })
    }

    /// The key of this passphrase.
    pub(super) fn derive(&self, passphrase: &Passphrase) -> Result<SecretKey, KeyStoreError> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32))
            .map_err(|_| KeyStoreError::malformed("store.json", "kdf"))?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
            .hash_password_into(&passphrase.0, &self.salt, &mut key[..])
            .map_err(|_| KeyStoreError::Passphrase)?;
        Ok(SecretKey::from_bytes(&key))
    }

    /// Reads what [`Derivation::to_json`] wrote, and nothing that would cost more than we allow.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let number = |name: &str| u32::try_from(value.get(name)?.as_u64()?).ok();
        let salt = URL_SAFE_NO_PAD.decode(value.get("salt")?.as_str()?).ok()?;
        let derivation = Self {
            memory_kib: number("m")?,
            passes: number("t")?,
            lanes: number("p")?,
            salt: salt.try_into().ok()?,
        };
        let affordable = derivation.memory_kib <= MEMORY_KIB_MAX
            && derivation.passes <= PASSES_MAX
            && derivation.lanes <= LANES_MAX;
        (value.get("name")?.as_str()? == "argon2id" && affordable).then_some(derivation)
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "name": "argon2id",
            "m": self.memory_kib,
            "t": self.passes,
            "p": self.lanes,
            "salt": URL_SAFE_NO_PAD.encode(self.salt),
        })
    }
}

/// Longer passphrases are a file given by mistake. Our own choice.
const LENGTH_MAX: usize = 4096;

/// OWASP Password Storage: Argon2id with 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// The most a file may ask of us. Our own choice: about a second.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
const PASSES_MAX: u32 = 8;
const LANES_MAX: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::random::SeededRandom;

    #[test]
    fn a_passphrase_file_counts_without_its_line_break() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("passphrase");
        for (content, expected) in
            [("word", "word"), ("word\n", "word"), ("word\r\n", "word"), ("a b\n\n", "a b\n")]
        {
            std::fs::write(&path, content).unwrap();
            assert_eq!(Passphrase::read_file(&path).unwrap().0, expected.as_bytes(), "{content:?}");
        }
        std::fs::write(&path, "\n").unwrap();
        assert_eq!(Passphrase::read_file(&path).unwrap_err(), KeyStoreError::Passphrase);
        std::fs::write(&path, vec![b'x'; LENGTH_MAX + 1]).unwrap();
        assert!(matches!(Passphrase::read_file(&path), Err(KeyStoreError::TooMuch { .. })));
        assert!(matches!(Passphrase::read_file(directory.path()), Err(KeyStoreError::Io { .. })));
    }

    #[test]
    fn a_file_cannot_ask_for_a_derivation_we_cannot_afford() {
        let good = Derivation::new(&SeededRandom::danger_seeded(1)).unwrap();
        assert_eq!(Derivation::from_json(&good.to_json()), Some(good.clone()));
        for (name, value) in [("m", MEMORY_KIB_MAX + 1), ("t", PASSES_MAX + 1), ("p", LANES_MAX + 1)] {
            let mut json = good.to_json();
            json[name] = value.into();
            assert_eq!(Derivation::from_json(&json), None, "{name}");
        }
        let mut json = good.to_json();
        json["name"] = "argon2i".into();
        assert_eq!(Derivation::from_json(&json), None);
    }

    #[test]
    fn passphrase_and_salt_decide_the_key() {
        let cheap = |salt| Derivation { memory_kib: 64, passes: 1, lanes: 1, salt: [salt; 16] };
        let key = |salt, word: &str| *cheap(salt).derive(&Passphrase::new(word.into())).unwrap().expose();
        assert_eq!(key(1, "a"), key(1, "a"));
        assert_ne!(key(1, "a"), key(1, "b"));
        assert_ne!(key(1, "a"), key(2, "a"));
        assert_eq!(format!("{:?}", Passphrase::new(b"word".to_vec())), "Passphrase(..)");
    }
}
