//! Validating an x509 up to an anchor (RFC 5280, 6), by rustls-webpki.
//!
//! A [`VerifiedChain`] holds the leaf that was validated: signed all the way up to
//! one of the given anchors, every x509 in it (the anchor too) valid at the given
//! instant, and the leaf meant for the given use.
//!
//! # Not here
//!
//! Revocation: who revoked which x509 is told by the trust bundle and the status floor.

use std::fmt;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime as WebpkiTime};
use webpki::{EndEntityCert, KeyUsage};

use crate::domain::time::UnixTime;
use crate::keys::development;
use crate::pki::leaf_use::LeafUse;
use crate::pki::x509::X509;

/// A leaf that was validated, with the anchor it was validated up to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifiedChain {
    leaf: X509,
    anchor: X509,
}

impl VerifiedChain {
    /// The leaf: its key, subject and serial may now be believed.
    pub fn leaf(&self) -> &X509 {
        &self.leaf
    }

    /// The unified social credit code of the department it speaks of, if it speaks of one.
    pub fn uscc(&self) -> Option<&str> {
        self.leaf.subject().uscc.as_deref()
    }

    /// The anchor it hangs on.
    pub fn anchor(&self) -> &X509 {
        &self.anchor
    }

    /// Whether it hangs on one of the published development roots.
    #[must_use]
    pub fn is_for_development(&self) -> bool {
        development::knows(&self.anchor.public_key().kid())
    }
}

/// Validate `chain` (leaf first; the rest in any order, the root may be left out) up to one of `anchors`.
///
/// # Errors
/// [`ChainError`] says why it leads nowhere.
pub fn validate(
    chain: &[X509],
    anchors: &[X509],
    usage: LeafUse,
    at: UnixTime,
) -> Result<VerifiedChain, ChainError> {
    let (leaf, rest) = chain.split_first().ok_or(ChainError::Empty)?;
    if rest.len() > INTERMEDIATES_MAX || anchors.len() > ANCHORS_MAX {
        return Err(ChainError::TooLong);
    }
    // webpki asks a required use of every authority on the way, so it is required of the leaf here.
    if !leaf.is_for(usage) {
        return Err(ChainError::Use);
    }
    // An anchor is believed for what it says of itself, its own validity too, which webpki does not read.
    let valid = |x509: &&X509| x509.not_before() <= at && at <= x509.not_after();
    let anchor_ders: Vec<CertificateDer<'_>> =
        anchors.iter().filter(valid).map(|anchor| anchor.der().into()).collect();
    let trusted: Vec<TrustAnchor<'_>> = anchor_ders
        .iter()
        .map(|der| webpki::anchor_from_trusted_cert(der).map_err(|_| ChainError::Malformed))
        .collect::<Result<_, _>>()?;
    let rest: Vec<CertificateDer<'_>> =
        rest.iter().filter(|x509| !x509.is_self_issued()).map(|x509| x509.der().into()).collect();
    let der = leaf.der().into();
    let entity = EndEntityCert::try_from(&der).map_err(|error| reason(&error))?;
    let seconds = u64::try_from(at.seconds()).expect("an instant is after 1970");
    let path = entity
        .verify_for_usage(
            &[webpki::ring::ED25519, webpki::ring::ECDSA_P256_SHA256],
            &trusted,
            &rest,
            WebpkiTime::since_unix_epoch(Duration::from_secs(seconds)),
            KeyUsage::required_if_present(usage.oid_der()),
            None,
            None,
        )
        .map_err(|error| reason(&error))?;
    let index = trusted.iter().position(|anchor| anchor == path.anchor()).ok_or(ChainError::Untrusted)?;
    let anchor = anchors.iter().filter(valid).nth(index).ok_or(ChainError::Untrusted)?;
    Ok(VerifiedChain { leaf: leaf.clone(), anchor: anchor.clone() })
}

/// Why a chain leads nowhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ChainError {
    /// There is no leaf.
    Empty,
    /// An x509 of it was no longer valid at that instant.
    Expired,
    /// An x509 of it says things that cannot be understood or must not be passed over.
    Malformed,
    /// An x509 of it was not yet valid at that instant.
    NotYet,
    /// A signature in it does not fit.
    Signature,
    /// More x509 or more work than one chain may cost.
    TooLong,
    /// It leads to no anchor that was valid at that instant.
    Untrusted,
    /// The leaf is not for this use, or an authority on the way may not sign it.
    Use,
}

impl ChainError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "chain/empty",
            Self::Expired => "chain/expired",
            Self::Malformed => "chain/malformed",
            Self::NotYet => "chain/not-yet",
            Self::Signature => "chain/signature",
            Self::TooLong => "chain/too-long",
            Self::Untrusted => "chain/untrusted",
            Self::Use => "chain/use",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Untrusted => Some("get the anchors of the installation from its operator"),
            _ => None,
        }
    }
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "there is no x509 to validate",
            Self::Expired => "an x509 of the chain was no longer valid",
            Self::Malformed => "an x509 of the chain cannot be understood",
            Self::NotYet => "an x509 of the chain was not yet valid",
            Self::Signature => "a signature in the chain does not fit",
            Self::TooLong => "the chain is too long",
            Self::Untrusted => "the chain leads to no trusted root",
            Self::Use => "the x509 is not for this use",
        })
    }
}

impl std::error::Error for ChainError {}

fn reason(error: &webpki::Error) -> ChainError {
    use webpki::Error;
    match error {
        Error::CertExpired { .. } => ChainError::Expired,
        Error::CertNotValidYet { .. } => ChainError::NotYet,
        Error::UnknownIssuer => ChainError::Untrusted,
        Error::InvalidSignatureForPublicKey
        | Error::SignatureAlgorithmMismatch
        | Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => ChainError::Signature,
        Error::MaximumSignatureChecksExceeded
        | Error::MaximumPathBuildCallsExceeded
        | Error::MaximumPathDepthExceeded => ChainError::TooLong,
        Error::CaUsedAsEndEntity
        | Error::EndEntityUsedAsCa
        | Error::EmptyEkuExtension
        | Error::PathLenConstraintViolated
        | Error::RequiredEkuNotFoundContext(_) => ChainError::Use,
        _ => ChainError::Malformed,
    }
}

/// Our chains have one; the rest is room. Our own choice.
const INTERMEDIATES_MAX: usize = 7;

/// Two roots of an installation and their successors. Our own choice.
const ANCHORS_MAX: usize = 32;

#[cfg(test)]
mod tests;
