//! The trust bundle: whom a verifier believes, signed and served as `/trust`.
//!
//! A [`VerifiedBundle`] was signed by a trust leaf under a configured anchor (or by
//! a pinned key), and every issuing key in it has a chain of its own up to an
//! anchor of the bundle, with a leaf that names that department. No key in it
//! stands for two departments.
//!
//! It is a compact JWS of type `kabao-trust+jwt`; its content is described in `wire.rs`.
//!
//! # Not here
//!
//! How old a bundle a verifier accepts, and that versions never fall between two
//! fetches: see [`VerifiedBundle::at_least`] for the second.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

use crate::domain::time::UnixTime;
use crate::keys::development::{self, Development};
use crate::keys::jws::{self, JwsError, UnverifiedJws};
use crate::keys::public::PublicKey;
use crate::keys::{SignError, Signer};
use crate::pki::chain::{self, ChainError};
use crate::pki::leaf_use::LeafUse;
use crate::pki::x509::X509;

mod wire;

/// What a verifier must know of an installation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrustBundle {
    /// Counts the bundles of an installation; never falls.
    pub version: u64,
    /// When it was made.
    pub issued_at: UnixTime,
    /// The vault's public URL.
    pub origin: String,
    /// Whether all this is for development only.
    pub development: Development,
    /// The roots.
    pub anchors: Vec<X509>,
    /// The departments and their keys.
    pub issuers: Vec<TrustedIssuer>,
    /// The log.
    pub log: TrustedLog,
    /// Keys that sign status lists.
    pub status_keys: Vec<TrustedKey>,
    /// Keys that sign receipts.
    pub receipt_keys: Vec<TrustedKey>,
    /// Keys that sign show keys.
    pub show_authority_keys: Vec<TrustedKey>,
    /// Under which URL the status lists stand.
    pub status_base: String,
    /// The newest version of each type.
    pub type_versions: BTreeMap<String, u32>,
}

/// A department, with the keys it issues with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrustedIssuer {
    /// Its unified social credit code.
    pub uscc: String,
    /// Its name in Chinese.
    pub name_zh: String,
    /// Its name in English.
    pub name_en: String,
    /// Its keys, retired ones too.
    pub keys: Vec<IssuerKey>,
}

/// A key of a department.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IssuerKey {
    /// The key.
    pub key: PublicKey,
    /// Its x509 and those above it, leaf first, without the root.
    pub x509: Vec<X509>,
    /// What it may sign.
    pub types: Types,
    /// It signs from here.
    pub not_before: UnixTime,
    /// It signs until here, this instant excluded.
    pub not_after: UnixTime,
    /// Since when it signs no more, if it was retired early.
    pub retired_at: Option<UnixTime>,
    /// Since when somebody else may have had it.
    pub compromised_since: Option<UnixTime>,
}

/// What a key may sign.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Types {
    /// Every type of certificate its department issues.
    All,
    /// These type codes.
    Only(BTreeSet<String>),
}

/// The log of an installation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrustedLog {
    /// The origin line of its checkpoints.
    pub origin: String,
    /// Its key as a note verifier key (C2SP signed-note).
    pub vkey: String,
}

/// A key of the installation itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrustedKey {
    /// The key.
    pub key: PublicKey,
    /// It signs from here.
    pub not_before: UnixTime,
    /// It signs until here, this instant excluded.
    pub not_after: UnixTime,
}

/// What a department's key was good for on a given day.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyDay {
    /// Its signatures count.
    Good,
    /// Somebody else may have had it by then.
    Compromised,
    /// It had not begun to sign.
    NotYet,
    /// It no longer signed.
    Over,
}

impl IssuerKey {
    /// What it was good for at this instant.
    pub fn on(&self, at: UnixTime) -> KeyDay {
        let end = self.retired_at.map_or(self.not_after, |retired| retired.min(self.not_after));
        if self.compromised_since.is_some_and(|since| since <= at) {
            KeyDay::Compromised
        } else if at < self.not_before {
            KeyDay::NotYet
        } else if at >= end {
            KeyDay::Over
        } else {
            KeyDay::Good
        }
    }

    /// Whether it may sign certificates of this type.
    #[must_use]
    pub fn may_sign(&self, type_code: &str) -> bool {
        match &self.types {
            Types::All => true,
            Types::Only(codes) => codes.contains(type_code),
        }
    }
}

impl TrustedKey {
    /// The key of this kid that signs at this instant, if there is one.
    pub fn find<'a>(keys: &'a [Self], kid: &str, at: UnixTime) -> Option<&'a PublicKey> {
        let signs = |key: &&Self| key.not_before <= at && at < key.not_after && key.key.kid() == kid;
        keys.iter().find(signs).map(|key| &key.key)
    }
}

impl TrustBundle {
    /// Sign it. `x5c` is the trust leaf and what is above it, leaf first, without the root.
    ///
    /// The bundle is verified again before it is returned, so that none goes out that nobody can use.
    ///
    /// # Errors
    /// [`TrustError`] when the key cannot be reached, or the bundle would not verify.
    pub fn sign(&self, signer: &dyn Signer, x5c: &[X509]) -> Result<String, TrustError> {
        let chain: Vec<&[u8]> = x5c.iter().map(X509::der).collect();
        let text = jws::sign(signer, TYP, &chain, &wire::encode(self))?;
        let verified =
            UnverifiedBundle::parse(&text)?.verify(&Anchoring::Anchors(&self.anchors), self.issued_at)?;
        if verified.bundle == *self { Ok(text) } else { Err(TrustError::Malformed { part: "content" }) }
    }
}

/// What a verifier holds before it has a bundle.
#[derive(Clone, Copy, Debug)]
pub enum Anchoring<'a> {
    /// Roots: the bundle's signer must hang on one of them.
    Anchors(&'a [X509]),
    /// The kid of the trust key itself.
    Key(&'a str),
}

/// A bundle of which nothing has been checked.
#[derive(Clone)]
pub struct UnverifiedBundle {
    jws: UnverifiedJws,
    x5c: Vec<X509>,
}

impl UnverifiedBundle {
    /// Takes a bundle of at most 16 MiB.
    ///
    /// # Errors
    /// [`TrustError`] when it is not built like one.
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        let jws = UnverifiedJws::parse(text.trim_ascii(), LENGTH_MAX)?;
        let x5c = jws.x5c()?.iter().map(|der| X509::from_der(der)).collect::<Result<_, _>>();
        Ok(Self { jws, x5c: x5c.map_err(|_| TrustError::Malformed { part: "x5c" })? })
    }

    /// Check that it was signed by whom we trust, and that each key in it is what it says.
    ///
    /// # Errors
    /// [`TrustError`] says what is wrong.
    pub fn verify(self, anchoring: &Anchoring<'_>, at: UnixTime) -> Result<VerifiedBundle, TrustError> {
        let leaf = self.x5c.first().ok_or(TrustError::Malformed { part: "x5c" })?.clone();
        match anchoring {
            Anchoring::Anchors(anchors) => {
                chain::validate(&self.x5c, anchors, LeafUse::TrustList, at).map_err(TrustError::Signer)?;
            }
            Anchoring::Key(kid) if leaf.public_key().kid() == *kid => {}
            Anchoring::Key(_) => return Err(TrustError::Pin),
        }
        let jws = self.jws.verify(leaf.public_key(), TYP)?;
        let bundle = wire::decode(jws.payload())?;
        if bundle.issued_at > at.plus(SKEW_SECONDS) {
            return Err(TrustError::FromTheFuture);
        }
        check_issuers(&bundle)?;
        Ok(VerifiedBundle { bundle, signer: leaf.public_key().clone() })
    }
}

/// A bundle that may be believed.
#[derive(Clone, Debug)]
pub struct VerifiedBundle {
    bundle: TrustBundle,
    signer: PublicKey,
}

impl VerifiedBundle {
    /// Its content.
    pub fn content(&self) -> &TrustBundle {
        &self.bundle
    }

    /// The key that signed it.
    pub fn signer(&self) -> &PublicKey {
        &self.signer
    }

    /// The bundle, unless one of a higher version has been seen.
    ///
    /// # Errors
    /// [`TrustError::Older`] when it is older than what was seen.
    pub fn at_least(self, version: u64) -> Result<Self, TrustError> {
        if self.bundle.version < version { Err(TrustError::Older { seen: version }) } else { Ok(self) }
    }

    /// Whether all this is for development only: it says so, or hangs on a published development root.
    #[must_use]
    pub fn is_for_development(&self) -> bool {
        let known = |anchor: &X509| development::knows(&anchor.public_key().kid());
        self.bundle.development == Development::Yes || self.bundle.anchors.iter().any(known)
    }

    /// The department of this USCC.
    pub fn issuer(&self, uscc: &str) -> Option<&TrustedIssuer> {
        self.bundle.issuers.iter().find(|issuer| issuer.uscc == uscc)
    }

    /// The key of this department with this kid. What it was good for that day is [`IssuerKey::on`].
    pub fn issuer_key(&self, uscc: &str, kid: &str) -> Option<&IssuerKey> {
        self.issuer(uscc)?.keys.iter().find(|key| key.key.kid() == kid)
    }
}

/// Why a bundle is not believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TrustError {
    /// One key stands for two departments, or one department stands twice.
    Duplicate,
    /// It says it was made later than now.
    FromTheFuture,
    /// A department's key has no good chain to the bundle's anchors.
    Issuer(ChainError),
    /// A department's x509 is not for that key or that department, or ends before the key does.
    IssuerMismatch,
    /// The signature is missing or bad.
    Jws(JwsError),
    /// Not built like a bundle.
    Malformed {
        /// Which part.
        part: &'static str,
    },
    /// A higher version has been seen.
    Older {
        /// That version.
        seen: u64,
    },
    /// Not signed by the pinned key.
    Pin,
    /// Its signer has no good chain to a configured anchor.
    Signer(ChainError),
    /// The trust key cannot be reached.
    Signing,
    /// More than a bundle may hold.
    TooMuch {
        /// What there is too much of.
        what: &'static str,
    },
}

impl TrustError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Duplicate => "trust/duplicate",
            Self::FromTheFuture => "trust/from-the-future",
            Self::Issuer(_) => "trust/issuer",
            Self::IssuerMismatch => "trust/issuer-mismatch",
            Self::Jws(_) => "trust/signature",
            Self::Malformed { .. } => "trust/malformed",
            Self::Older { .. } => "trust/older",
            Self::Pin => "trust/pin",
            Self::Signer(_) => "trust/signer",
            Self::Signing => "trust/signing",
            Self::TooMuch { .. } => "trust/too-much",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::FromTheFuture => Some("check the clock"),
            Self::Older { .. } => Some("fetch `/trust` again; somebody may be serving you an old one"),
            Self::Pin | Self::Signer(_) => Some("check the configured anchors with the operator"),
            _ => None,
        }
    }
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate => f.write_str("the trust bundle gives one key or code to two departments"),
            Self::FromTheFuture => f.write_str("the trust bundle was made later than now"),
            Self::Issuer(error) => write!(f, "a department's key in the trust bundle is not good: {error}"),
            Self::IssuerMismatch => f.write_str("a department's x509 in the trust bundle is not its own"),
            Self::Jws(error) => write!(f, "the trust bundle is not signed well: {error}"),
            Self::Malformed { part } => write!(f, "not a trust bundle: {part}"),
            Self::Older { seen } => {
                write!(f, "the trust bundle is older than version {seen}, which was seen")
            }
            Self::Pin => f.write_str("the trust bundle is not signed by the expected key"),
            Self::Signer(error) => write!(f, "the trust bundle's signer is not trusted: {error}"),
            Self::Signing => f.write_str("the trust key cannot be reached"),
            Self::TooMuch { what } => write!(f, "the trust bundle holds too much: {what}"),
        }
    }
}

impl std::error::Error for TrustError {}

impl From<JwsError> for TrustError {
    fn from(error: JwsError) -> Self {
        Self::Jws(error)
    }
}

impl From<SignError> for TrustError {
    fn from(_: SignError) -> Self {
        Self::Signing
    }
}

/// Every key has a chain to the bundle's anchors on the day it began, which names its department.
///
/// On that day and not today: a key that ended long ago still vouches for what it signed.
fn check_issuers(bundle: &TrustBundle) -> Result<(), TrustError> {
    let mut usccs = HashSet::new();
    let mut kids = HashSet::new();
    for issuer in &bundle.issuers {
        if !usccs.insert(issuer.uscc.as_str()) {
            return Err(TrustError::Duplicate);
        }
        for key in &issuer.keys {
            if !kids.insert(key.key.kid()) {
                return Err(TrustError::Duplicate);
            }
            let usage = LeafUse::DocumentSigning;
            let chain = chain::validate(&key.x509, &bundle.anchors, usage, key.not_before);
            let chain = chain.map_err(TrustError::Issuer)?;
            let fits = chain.uscc() == Some(&issuer.uscc)
                && *chain.leaf().public_key() == key.key
                && key.not_before < key.not_after
                && key.not_after <= chain.leaf().not_after().plus(1);
            if !fits {
                return Err(TrustError::IssuerMismatch);
            }
        }
    }
    Ok(())
}

/// `typ` of the bundle's JWS.
pub const TYP: &str = "kabao-trust+jwt";

/// A thousand departments with four keys of 2 KiB each, in base64 twice over. Our own choice.
const LENGTH_MAX: usize = 16 * 1024 * 1024;

/// How far two clocks may be apart. Our own choice.
const SKEW_SECONDS: i64 = 300;

#[cfg(test)]
mod tests;
