//! Signing: algorithms, public keys, and the one trait behind which private keys stay.
//!
//! A key has one algorithm for life, fixed on our side; nothing that arrives
//! from outside chooses it. Only [`soft`] (and later an HSM) holds private keys.
//! All others are handed a `&dyn Signer`.

use std::fmt;

pub mod development;
pub mod envelope;
pub mod index;
pub mod jws;
pub mod public;
pub mod purpose;
pub mod random;
pub mod soft;

pub use self::development::Development;
pub use self::envelope::SecretKey;
pub use self::public::{PublicKey, PublicKeyError};
pub use self::purpose::Purpose;
pub use self::random::{Random, RandomError};

/// The signature algorithms we know.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Algorithm {
    /// Ed25519 (RFC 8032), verified strictly. JOSE `EdDSA`, COSE -8.
    Ed25519,
    /// ECDSA on P-256 with SHA-256; signatures are r‖s, 64 bytes. JOSE `ES256`, COSE -7.
    P256,
}

impl Algorithm {
    /// `alg` of JOSE (RFC 7518, RFC 8037).
    pub const fn jose(self) -> &'static str {
        match self {
            Self::Ed25519 => "EdDSA",
            Self::P256 => "ES256",
        }
    }

    /// `alg` of COSE (RFC 9053).
    pub const fn cose(self) -> i64 {
        match self {
            Self::Ed25519 => -8,
            Self::P256 => -7,
        }
    }

    /// The algorithm of this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Ed25519, Self::P256].into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Our own name in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::P256 => "p256",
        }
    }
}

/// A signature: 64 bytes for every algorithm we have (Ed25519; r‖s for ECDSA).
pub type Signature = [u8; 64];

/// Something that signs with one private key, which it never shows.
pub trait Signer: Send + Sync {
    /// The key that verifies what this signs.
    fn public_key(&self) -> &PublicKey;

    /// Sign the message itself, not a digest of it.
    ///
    /// # Errors
    /// [`SignError`] when the key cannot be reached. Soft keys cannot fail but for chance.
    fn sign(&self, message: &[u8]) -> Result<Signature, SignError>;
}

/// The signing key could not be reached or refused to sign.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SignError;

impl SignError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        "keys/cannot-sign"
    }
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the signing key cannot be reached")
    }
}

impl std::error::Error for SignError {}
