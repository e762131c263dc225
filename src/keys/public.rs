//! Public keys.
//!
//! A [`PublicKey`] is a valid point of its curve: on it, and for Ed25519 not of
//! small order. Its [`kid`](PublicKey::kid) is the RFC 7638 thumbprint.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Algorithm, Signature};
use crate::domain::digest::Digest;

/// A public key that is a valid point of its curve.
#[derive(Clone, Eq, PartialEq)]
pub struct PublicKey {
    algorithm: Algorithm,
    /// Ed25519: 32 bytes. P-256: 65 bytes, 04 ‖ x ‖ y.
    bytes: Vec<u8>,
    ed25519: Option<ed25519_dalek::VerifyingKey>,
}

impl PublicKey {
    /// Ed25519: 32 bytes. P-256: 65 bytes, 04 ‖ x ‖ y.
    ///
    /// # Errors
    /// [`PublicKeyError`] when the bytes are not a point that may be used.
    pub fn new(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, PublicKeyError> {
        let ed25519 = match algorithm {
            Algorithm::Ed25519 => {
                let array: &[u8; 32] = bytes.try_into().map_err(|_| PublicKeyError)?;
                let key = ed25519_dalek::VerifyingKey::from_bytes(array).map_err(|_| PublicKeyError)?;
                if key.is_weak() {
                    return Err(PublicKeyError);
                }
                Some(key)
            }
            Algorithm::P256 => {
                if bytes.len() != 65 || bytes[0] != 4 || !on_p256(bytes) {
                    return Err(PublicKeyError);
                }
                None
            }
        };
        Ok(Self { algorithm, bytes: bytes.to_vec(), ed25519 })
    }

    /// The algorithm this key is for, and no other.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Ed25519: 32 bytes. P-256: 65 bytes, 04 ‖ x ‖ y.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// RFC 7638 thumbprint (SHA-256, base64url): the `kid` everywhere.
    pub fn kid(&self) -> String {
        URL_SAFE_NO_PAD.encode(Digest::of(&[self.jwk().as_bytes()]).as_bytes())
    }

    /// The JWK with its required members only, in RFC 7638 order.
    pub fn jwk(&self) -> String {
        match self.algorithm {
            Algorithm::Ed25519 => {
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(&self.bytes))
            }
            Algorithm::P256 => format!(
                r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
                URL_SAFE_NO_PAD.encode(&self.bytes[1..33]),
                URL_SAFE_NO_PAD.encode(&self.bytes[33..])
            ),
        }
    }

    /// Reads `kty`, `crv`, `x` and `y` of a JWK; other members are left to the caller.
    ///
    /// # Errors
    /// [`PublicKeyError`] when members are missing or the point may not be used.
    pub fn from_jwk(jwk: &serde_json::Value) -> Result<Self, PublicKeyError> {
        let text = |name: &str| jwk.get(name).and_then(serde_json::Value::as_str).ok_or(PublicKeyError);
        let bytes = |name| URL_SAFE_NO_PAD.decode(text(name)?).map_err(|_| PublicKeyError);
        match (text("kty")?, text("crv")?) {
            ("OKP", "Ed25519") => Self::new(Algorithm::Ed25519, &bytes("x")?),
            ("EC", "P-256") => {
                Self::new(Algorithm::P256, &[&[4], &bytes("x")?[..], &bytes("y")?[..]].concat())
            }
            _ => Err(PublicKeyError),
        }
    }

    /// Whether this key signed the message. Ed25519 strictly: no malleable or small-order points.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        match (&self.algorithm, &self.ed25519) {
            (Algorithm::Ed25519, Some(key)) => {
                key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
            }
            _ => ring::signature::UnparsedPublicKey::new(
                &ring::signature::ECDSA_P256_SHA256_FIXED,
                &self.bytes,
            )
            .verify(message, signature)
            .is_ok(),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm.name(), self.kid())
    }
}

/// The bytes are not a public key that may be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PublicKeyError;

impl PublicKeyError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        "keys/public-key"
    }
}

impl fmt::Display for PublicKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a usable Ed25519 or P-256 public key")
    }
}

impl std::error::Error for PublicKeyError {}

/// Whether 04 ‖ x ‖ y lies on P-256.
///
/// ring parses the point only when it agrees on a key or verifies, so we agree
/// with it once, which fails for a point that is not on the curve.
fn on_p256(bytes: &[u8]) -> bool {
    let random = ring::rand::SystemRandom::new();
    let Ok(own) = ring::agreement::EphemeralPrivateKey::generate(&ring::agreement::ECDH_P256, &random) else {
        return false;
    };
    let peer = ring::agreement::UnparsedPublicKey::new(&ring::agreement::ECDH_P256, bytes);
    ring::agreement::agree_ephemeral(own, &peer, |_| ()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kid_is_the_thumbprint_of_rfc_8037_appendix_a_3() {
        let jwk = serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        assert_eq!(PublicKey::from_jwk(&jwk).unwrap().kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn points_off_the_curve_and_of_small_order_are_refused() {
        assert!(PublicKey::new(Algorithm::Ed25519, &[0; 32]).is_err());
        let mut identity = [0; 32];
        identity[0] = 1;
        assert!(PublicKey::new(Algorithm::Ed25519, &identity).is_err());
        assert!(PublicKey::new(Algorithm::P256, &[4; 65]).is_err());
    }
}
