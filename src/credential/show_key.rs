//! Show keys: keys of hours that sign offline codes, and the certificate each carries.
//!
//! The certificate is a CWT (RFC 8392) with a `cnf` key (RFC 8747), in a COSE_Sign1 by the
//! show authority, whose keys live for months and stand in the trust bundle. It has at most
//! [`BYTES_MAX`] bytes, so that it fits into every code; a verifier whose bundle is weeks old
//! needs nothing else.
//!
//! A [`VerifiedShowKey`] was certified by an authority that the trust bundle knew, for a time
//! inside the authority's own. Whether it is valid *now* is asked at each use.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::cbor::{self, Value};
use super::cose::{self, Sign1};
use crate::domain::digest::Digest;
use crate::domain::time::UnixTime;
use crate::keys::{Algorithm, PublicKey, SignError, Signer};

/// The first eight bytes of a key's RFC 7638 thumbprint: how a certificate names its authority.
pub type ShortKid = [u8; 8];

/// A show key's certificate to be made.
pub struct Plan {
    /// The show key.
    pub key: PublicKey,
    /// The first second it may sign.
    pub not_before: UnixTime,
    /// The first second it may no longer sign.
    pub expires_at: UnixTime,
}

/// A show key's certificate that our authority signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShowKeyCertificate {
    bytes: Vec<u8>,
    key: PublicKey,
    not_before: UnixTime,
    expires_at: UnixTime,
}

/// A show authority that is believed, from the trust bundle.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShowAuthority {
    /// Its key.
    pub key: PublicKey,
    /// The first second it may certify.
    pub not_before: UnixTime,
    /// The first second it may no longer certify.
    pub not_after: UnixTime,
    /// Whether it is for development only.
    pub development: bool,
    /// For people: who runs it.
    pub name: String,
}

/// Where show authorities are looked up: the trust bundle.
pub trait ShowAuthorities {
    /// The authority of this name, if it is believed.
    fn authority(&self, kid: &ShortKid) -> Option<ShowAuthority>;
}

/// A show key under an authority that is believed.
#[derive(Clone, Debug)]
pub struct VerifiedShowKey {
    key: PublicKey,
    not_before: UnixTime,
    expires_at: UnixTime,
    authority_key: PublicKey,
    authority_kid: ShortKid,
}

/// Show keys that have been verified already: one key signs many codes, and a queue of people
/// shows codes of the same hour. Holds at most [`KNOWN_MAX`].
#[derive(Default)]
pub struct KnownShowKeys(Mutex<BTreeMap<Digest, VerifiedShowKey>>);

/// How a certificate names this authority.
pub fn short_kid(key: &PublicKey) -> ShortKid {
    let digest = Digest::of(&[key.jwk().as_bytes()]);
    let mut kid = ShortKid::default();
    kid.copy_from_slice(&digest.as_bytes()[..size_of::<ShortKid>()]);
    kid
}

impl Plan {
    /// Lints, signs once and verifies the signature.
    ///
    /// # Errors
    /// [`ShowKeyError::Plan`] before signing, [`ShowKeyError::Signer`].
    pub fn sign(self, authority: &dyn Signer) -> Result<ShowKeyCertificate, ShowKeyError> {
        let lifetime_s = self.expires_at.seconds() - self.not_before.seconds();
        if self.key.algorithm() != Algorithm::Ed25519 || !(1..=LIFETIME_S_MAX).contains(&lifetime_s) {
            return Err(ShowKeyError::Plan);
        }
        let kid = short_kid(authority.public_key());
        let header = vec![(Value::Integer(KID), Value::Bytes(kid.into()))];
        let cose_key = Value::Map(vec![
            (Value::Integer(KEY_TYPE), Value::Integer(OKP)),
            (Value::Integer(CURVE), Value::Integer(ED25519)),
            (Value::Integer(X), Value::Bytes(self.key.as_bytes().to_vec())),
        ]);
        let claims = Value::Map(vec![
            (Value::Integer(EXP), Value::Integer(self.expires_at.seconds())),
            (Value::Integer(NBF), Value::Integer(self.not_before.seconds())),
            (Value::Integer(CNF), Value::Map(vec![(Value::Integer(COSE_KEY), cose_key)])),
        ]);
        let bytes = cose::sign(authority, header, &claims).map_err(ShowKeyError::Signer)?;
        if bytes.len() > BYTES_MAX {
            return Err(ShowKeyError::Plan);
        }
        Ok(ShowKeyCertificate {
            bytes,
            key: self.key,
            not_before: self.not_before,
            expires_at: self.expires_at,
        })
    }
}

impl ShowKeyCertificate {
    /// Reads back a certificate that we signed and kept. No signature is checked.
    ///
    /// # Errors
    /// [`ShowKeyError::Malformed`].
    pub fn read_back(bytes: &[u8]) -> Result<Self, ShowKeyError> {
        let unverified = Unverified::parse(bytes)?;
        Ok(Self {
            bytes: bytes.to_vec(),
            key: unverified.key,
            not_before: unverified.not_before,
            expires_at: unverified.expires_at,
        })
    }

    /// The CWT.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The show key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The first second it may sign.
    pub fn not_before(&self) -> UnixTime {
        self.not_before
    }

    /// The first second it may no longer sign.
    pub fn expires_at(&self) -> UnixTime {
        self.expires_at
    }
}

impl VerifiedShowKey {
    /// The key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The first second it may no longer sign.
    pub fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// Whether it may sign at this instant.
    pub fn is_valid_at(&self, at: UnixTime) -> bool {
        self.not_before <= at && at < self.expires_at
    }
}

/// Checks a certificate from a code under the authorities that are believed.
///
/// A key in `known` is not verified again, but its authority must still be believed.
///
/// # Errors
/// [`ShowKeyError::Authority`] when nobody believed certified it, [`ShowKeyError::Signature`],
/// [`ShowKeyError::OutsideAuthority`], [`ShowKeyError::Malformed`].
pub fn verify(
    bytes: &[u8],
    authorities: &dyn ShowAuthorities,
    known: &KnownShowKeys,
) -> Result<(VerifiedShowKey, ShowAuthority), ShowKeyError> {
    let digest = Digest::of(&[bytes]);
    if let Some(key) = known.find(&digest) {
        let authority = authorities.authority(&key.authority_kid).ok_or(ShowKeyError::Authority)?;
        if authority.key == key.authority_key {
            within(&key, &authority)?;
            return Ok((key, authority));
        }
    }
    let unverified = Unverified::parse(bytes)?;
    let authority = authorities.authority(&unverified.kid).ok_or(ShowKeyError::Authority)?;
    // Eight bytes only find the authority. What is believed is its signature.
    if !unverified.message.verify(&authority.key) {
        return Err(ShowKeyError::Signature);
    }
    let key = VerifiedShowKey {
        key: unverified.key,
        not_before: unverified.not_before,
        expires_at: unverified.expires_at,
        authority_key: authority.key.clone(),
        authority_kid: unverified.kid,
    };
    within(&key, &authority)?;
    known.insert(digest, key.clone());
    Ok((key, authority))
}

impl KnownShowKeys {
    fn find(&self, digest: &Digest) -> Option<VerifiedShowKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    fn insert(&self, digest: Digest, key: VerifiedShowKey) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            // Show keys live for hours: throwing all away costs one verification each.
            known.clear();
        }
        known.insert(digest, key);
    }
}

/// Why a show key is not certified or not believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ShowKeyError {
    /// No authority that is believed certified it.
    Authority,
    /// Not a show key's certificate.
    Malformed,
    /// It claims a time for which its authority may not certify.
    OutsideAuthority,
    /// Not an Ed25519 key, or not for hours.
    Plan,
    /// The authority did not sign it.
    Signature,
    /// The authority's key cannot be reached, or is not Ed25519.
    Signer(SignError),
}

impl ShowKeyError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Authority => "show-key/authority",
            Self::Malformed => "show-key/malformed",
            Self::OutsideAuthority => "show-key/outside-authority",
            Self::Plan => "show-key/plan",
            Self::Signature => "show-key/signature",
            Self::Signer(_) => "show-key/signer",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Authority => Some("fetch the trust bundle again"),
            Self::Signer(_) => Some("check that the key store can be reached"),
            _ => None,
        }
    }
}

impl fmt::Display for ShowKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authority => f.write_str("the show key is certified by nobody we believe"),
            Self::Malformed => f.write_str("not the certificate of a show key"),
            Self::OutsideAuthority => f.write_str("the show key reaches beyond the time of its authority"),
            Self::Plan => f.write_str("a show key must be Ed25519 and live for hours"),
            Self::Signature => f.write_str("the show key was not certified by the authority it names"),
            Self::Signer(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ShowKeyError {}

/// A certificate as it was read.
struct Unverified {
    message: Sign1,
    kid: ShortKid,
    key: PublicKey,
    not_before: UnixTime,
    expires_at: UnixTime,
}

impl Unverified {
    fn parse(bytes: &[u8]) -> Result<Self, ShowKeyError> {
        let message = Sign1::parse(bytes, BYTES_MAX).map_err(|_| ShowKeyError::Malformed)?;
        let claims = cbor::decode(message.payload(), BYTES_MAX).map_err(|_| ShowKeyError::Malformed)?;
        Self::read(message, &claims).ok_or(ShowKeyError::Malformed)
    }

    fn read(message: Sign1, claims: &Value) -> Option<Self> {
        let kid = message.header().entry(KID)?.as_bytes()?.try_into().ok()?;
        // Exactly our profile: what else stood there, nobody here would read.
        if message.header().as_map()?.len() != 2 || claims.as_map()?.len() != 3 {
            return None;
        }
        let time = |label| UnixTime::new(claims.entry(label)?.as_integer()?);
        let cose_key = claims.entry(CNF)?.entry(COSE_KEY)?;
        let kind = (cose_key.entry(KEY_TYPE)?.as_integer()?, cose_key.entry(CURVE)?.as_integer()?);
        if kind != (OKP, ED25519) || cose_key.as_map()?.len() != 3 {
            return None;
        }
        Some(Self {
            kid,
            key: PublicKey::new(Algorithm::Ed25519, cose_key.entry(X)?.as_bytes()?).ok()?,
            not_before: time(NBF)?,
            expires_at: time(EXP)?,
            message,
        })
    }
}

fn within(key: &VerifiedShowKey, authority: &ShowAuthority) -> Result<(), ShowKeyError> {
    let lifetime_s = key.expires_at.seconds() - key.not_before.seconds();
    let inside = authority.not_before <= key.not_before && key.expires_at <= authority.not_after;
    // The bound on hours is the verifier's too: an authority that was talked into years is not believed.
    if inside && (1..=LIFETIME_S_MAX).contains(&lifetime_s) {
        Ok(())
    } else {
        Err(ShowKeyError::OutsideAuthority)
    }
}

/// Bytes of one certificate (DESIGN, "Offline code").
pub const BYTES_MAX: usize = 150;

/// A show key lives for hours: two days cover a night and a lost connection.
pub const LIFETIME_S_MAX: i64 = 48 * 3600;

/// Certificates remembered. Our own choice: a few authorities with a few keys a day.
pub const KNOWN_MAX: usize = 256;

/// COSE header `kid`.
const KID: i64 = 4;

/// CWT claims (RFC 8392) and the confirmation key (RFC 8747).
const EXP: i64 = 4;
const NBF: i64 = 5;
const CNF: i64 = 8;
const COSE_KEY: i64 = 1;

/// COSE_Key parameters (RFC 9052, 7; RFC 9053, 7.2).
const KEY_TYPE: i64 = 1;
const OKP: i64 = 1;
const CURVE: i64 = -1;
const ED25519: i64 = 6;
const X: i64 = -2;
