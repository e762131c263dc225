//! A private key in memory.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use ed25519_dalek::Signer as _;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use zeroize::Zeroizing;

use crate::keys::public::PublicKey;
use crate::keys::random::Random;
use crate::keys::soft::error::KeyStoreError;
use crate::keys::{Algorithm, SignError, Signature, Signer};

/// A private key in memory. It does not print. Ed25519 keys are zeroed when dropped; ring offers
/// no such thing for P-256.
pub struct SoftSigner {
    public: PublicKey,
    private: Private,
}

enum Private {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    P256(Box<EcdsaKeyPair>, ring::rand::SystemRandom),
}

impl SoftSigner {
    /// The Ed25519 key of this seed (RFC 8032, 5.1.5).
    pub fn ed25519(seed: &[u8; 32]) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = PublicKey::new(Algorithm::Ed25519, key.verifying_key().as_bytes())
            .expect("every seed gives a point of full order");
        Self { public, private: Private::Ed25519(Box::new(key)) }
    }

    /// The P-256 key of this PKCS#8 text (RFC 5958), public key included.
    ///
    /// # Errors
    /// [`KeyStoreError::PrivateKey`] when it is none, or its halves do not belong together.
    pub fn p256(pkcs8: &[u8]) -> Result<Self, KeyStoreError> {
        let random = ring::rand::SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random)
            .map_err(|_| KeyStoreError::PrivateKey)?;
        let public = PublicKey::new(Algorithm::P256, pair.public_key().as_ref())
            .map_err(|_| KeyStoreError::PrivateKey)?;
        Ok(Self { public, private: Private::P256(Box::new(pair), random) })
    }

    /// The key of what [`SoftSigner::generate`] returned beside it.
    ///
    /// # Errors
    /// [`KeyStoreError::PrivateKey`] when it is no such thing.
    pub fn from_secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyStoreError> {
        match algorithm {
            Algorithm::Ed25519 => {
                Ok(Self::ed25519(secret.try_into().map_err(|_| KeyStoreError::PrivateKey)?))
            }
            Algorithm::P256 => Self::p256(secret),
        }
    }

    /// A new key, and its secret to be kept: an Ed25519 seed from `random`, or PKCS#8 that ring made.
    ///
    /// # Errors
    /// [`KeyStoreError::Random`] when there is no randomness.
    pub fn generate(
        algorithm: Algorithm,
        random: &dyn Random,
    ) -> Result<(Self, Zeroizing<Vec<u8>>), KeyStoreError> {
        let secret = match algorithm {
            Algorithm::Ed25519 => {
                let mut seed = Zeroizing::new(vec![0; 32]);
                random.fill(&mut seed)?;
                seed
            }
            Algorithm::P256 => {
                let random = ring::rand::SystemRandom::new();
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
                    .map_err(|_| KeyStoreError::Random)?;
                Zeroizing::new(pkcs8.as_ref().to_vec())
            }
        };
        Ok((Self::from_secret(algorithm, &secret)?, secret))
    }
}

impl Signer for SoftSigner {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        match &self.private {
            Private::Ed25519(key) => Ok(key.try_sign(message).map_err(|_| SignError)?.to_bytes()),
            Private::P256(pair, random) => {
                let signature = pair.sign(random, message).map_err(|_| SignError)?;
                Signature::try_from(signature.as_ref()).map_err(|_| SignError)
            }
        }
    }
}

impl fmt::Debug for SoftSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SoftSigner({:?})", self.public)
    }
}

/// A signer that stops after so many signatures since it was opened.
pub(super) struct BoundedSigner {
    signer: SoftSigner,
    left: AtomicU64,
}

impl BoundedSigner {
    pub(super) fn new(signer: SoftSigner, signs_max: Option<u64>) -> Self {
        Self { signer, left: AtomicU64::new(signs_max.unwrap_or(u64::MAX)) }
    }
}

impl Signer for BoundedSigner {
    fn public_key(&self) -> &PublicKey {
        self.signer.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .map_err(|_| SignError)?;
        self.signer.sign(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::random::{BrokenRandom, SeededRandom};

    #[test]
    fn what_a_key_signs_its_public_key_verifies() {
        let random = SeededRandom::danger_seeded(1);
        for algorithm in [Algorithm::Ed25519, Algorithm::P256] {
            let (signer, secret) = SoftSigner::generate(algorithm, &random).unwrap();
            let signature = signer.sign(b"message").unwrap();
            assert!(signer.public_key().verify(b"message", &signature));
            assert!(!signer.public_key().verify(b"massage", &signature));
            let again = SoftSigner::from_secret(algorithm, &secret).unwrap();
            assert_eq!(again.public_key(), signer.public_key());
            assert_eq!(signer.public_key().algorithm(), algorithm);
        }
    }

    #[test]
    fn ed25519_is_that_of_rfc_8032_section_7_1_test_1() {
        let seed = hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let signer = SoftSigner::from_secret(Algorithm::Ed25519, &seed).unwrap();
        assert_eq!(
            hex::encode(signer.public_key().as_bytes()),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
        assert_eq!(
            hex::encode(signer.sign(b"").unwrap()),
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b\
             d25bf5f0595bbe24655141438e7a100b"
        );
    }

    #[test]
    fn no_key_is_made_without_randomness() {
        let error = SoftSigner::generate(Algorithm::Ed25519, &BrokenRandom).unwrap_err();
        assert_eq!(error, KeyStoreError::Random);
    }

    #[test]
    fn what_is_no_private_key_is_refused() {
        for (algorithm, secret) in [(Algorithm::Ed25519, &[1; 31][..]), (Algorithm::P256, &[1; 32])] {
            let error = SoftSigner::from_secret(algorithm, secret).unwrap_err();
            assert_eq!(error, KeyStoreError::PrivateKey);
        }
    }

    #[test]
    fn a_bounded_key_stops_at_its_bound() {
        let signer = BoundedSigner::new(SoftSigner::ed25519(&[1; 32]), Some(2));
        assert!(signer.sign(b"1").is_ok());
        assert!(signer.sign(b"2").is_ok());
        assert_eq!(signer.sign(b"3"), Err(SignError));
    }

    #[test]
    fn a_private_key_does_not_print() {
        let signer = SoftSigner::ed25519(&[0x5a; 32]);
        assert_eq!(format!("{signer:?}"), format!("SoftSigner({:?})", signer.public_key()));
    }
}
