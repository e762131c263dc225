//! What an x509 shall say, before anything is signed.
//!
//! There are five profiles. A [`Plan`] is filled from one, may still be wrong,
//! and becomes signable only through [`crate::pki::lint`].
//!
//! ```text
//! root ─┬─ authority ─┬─ issuer      a department's credentials     Ed25519
//!       │             └─ documents   a department's PDFs, wallets   P-256
//!       └─ trust                     the trust bundle
//! ```

use std::fmt;

use crate::domain::time::UnixTime;
use crate::keys::public::PublicKey;
use crate::keys::random::{self, Random, RandomError};
use crate::pki::leaf_use::LeafUse;
use crate::pki::x509::{Standing, Subject, X509};

/// What kind of x509.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Profile {
    /// An anchor: signs authorities and the trust leaf.
    Root,
    /// Signs departments.
    Authority,
    /// A department's key for credentials.
    Issuer,
    /// A department's key for documents and external wallets.
    Documents,
    /// Signs the trust bundle.
    Trust,
}

/// keyUsage (RFC 5280, 4.2.1.3), as far as we use it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyUsage {
    /// Signs things that are not x509.
    DigitalSignature,
    /// Its signatures commit to a document's content (nonRepudiation).
    ContentCommitment,
    /// Signs x509.
    KeyCertSign,
    /// Signs revocation lists.
    CrlSign,
}

/// A serial number: 20 octets, positive, 158 of its bits random (T25).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Serial([u8; 20]);

impl Serial {
    /// A new random one.
    ///
    /// # Errors
    /// [`RandomError`] when the source fails.
    pub fn generate(random: &dyn Random) -> Result<Self, RandomError> {
        let mut bytes: [u8; 20] = random::bytes(random)?;
        // Top bits 01: never negative, and always 20 octets long.
        bytes[0] = bytes[0] & 0x7f | 0x40;
        Ok(Self(bytes))
    }

    /// These octets as they are; the lint decides whether they will do.
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The 20 octets.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

/// Hexadecimal.
impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Where whoever validates an x509 finds more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Addresses {
    /// The revocation list (cRLDistributionPoints).
    pub crl: String,
    /// The OCSP responder (authorityInfoAccess).
    pub ocsp: String,
    /// The issuer's own x509 (authorityInfoAccess, caIssuers).
    pub issuer: String,
}

impl Addresses {
    /// The addresses under the vault's public URL of what this issuer signs:
    /// `/pki/crl/{kid}.crl`, `/pki/ocsp`, `/pki/x509/{kid}.cer`.
    pub fn under(public_url: &str, issuer: &PublicKey) -> Self {
        let base = public_url.trim_end_matches('/');
        let kid = issuer.kid();
        Self {
            crl: format!("{base}/pki/crl/{kid}.crl"),
            ocsp: format!("{base}/pki/ocsp"),
            issuer: format!("{base}/pki/x509/{kid}.cer"),
        }
    }
}

/// What an x509 shall say. It may be wrong: only the lint makes it signable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// What kind of x509.
    pub profile: Profile,
    /// Its serial number.
    pub serial: Serial,
    /// Whom it speaks of.
    pub subject: Subject,
    /// The key it speaks of.
    pub public_key: PublicKey,
    /// Valid from here.
    pub not_before: UnixTime,
    /// Valid until here, this second included.
    pub not_after: UnixTime,
    /// Where to find more; `None` for a root.
    pub addresses: Option<Addresses>,
    /// Whether it may sign others.
    pub standing: Standing,
    /// keyUsage.
    pub key_usage: Vec<KeyUsage>,
    /// extKeyUsage; `None` for authorities.
    pub leaf_use: Option<LeafUse>,
}

impl Plan {
    /// A plan of this profile, valid from now for as long as is usual for it, though never longer than its
    /// issuer. `issuer` is `None` for a root, which has no addresses either.
    pub fn new(
        profile: Profile,
        subject: Subject,
        public_key: &PublicKey,
        issuer: Option<(&X509, Addresses)>,
        serial: Serial,
        now: UnixTime,
    ) -> Self {
        let (standing, key_usage, leaf_use) = match profile {
            Profile::Root => (Standing::Authority { path_length: 1 }, SIGNS_X509, None),
            Profile::Authority => (Standing::Authority { path_length: 0 }, SIGNS_X509, None),
            Profile::Issuer => (Standing::Leaf, SIGNS, Some(LeafUse::DocumentSigning)),
            Profile::Documents => (Standing::Leaf, SIGNS_DOCUMENTS, Some(LeafUse::DocumentSigning)),
            Profile::Trust => (Standing::Leaf, SIGNS, Some(LeafUse::TrustList)),
        };
        let usual = now.plus(usual_validity(profile));
        let not_after = issuer.as_ref().map_or(usual, |(x509, _)| usual.min(x509.not_after()));
        Self {
            profile,
            serial,
            subject,
            public_key: public_key.clone(),
            not_before: now,
            not_after,
            addresses: issuer.map(|(_, addresses)| addresses),
            standing,
            key_usage: key_usage.to_vec(),
            leaf_use,
        }
    }
}

/// Our own choice; the CA/Browser Forum's limits are for web servers.
const fn usual_validity(profile: Profile) -> i64 {
    match profile {
        Profile::Root => 20 * YEAR,
        Profile::Authority => 10 * YEAR,
        Profile::Issuer | Profile::Documents | Profile::Trust => 3 * YEAR,
    }
}

const YEAR: i64 = 365 * 86_400;

const SIGNS_X509: &[KeyUsage] = &[KeyUsage::KeyCertSign, KeyUsage::CrlSign];
const SIGNS: &[KeyUsage] = &[KeyUsage::DigitalSignature];
const SIGNS_DOCUMENTS: &[KeyUsage] = &[KeyUsage::DigitalSignature, KeyUsage::ContentCommitment];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::keys::random::{BrokenRandom, SystemRandom};

    #[test]
    fn serials_are_positive_have_20_octets_and_do_not_repeat() {
        let random = SystemRandom::new();
        let mut seen = HashSet::new();
        let mut ones = [0u32; 160];
        for _ in 0..20_000 {
            let serial = Serial::generate(&random).unwrap();
            assert!((0x40..0x80).contains(&serial.as_bytes()[0]));
            for (bit, count) in ones.iter_mut().enumerate() {
                *count += u32::from(serial.as_bytes()[bit / 8] >> (7 - bit % 8) & 1);
            }
            assert!(seen.insert(*serial.as_bytes()));
        }
        // Ten standard deviations of a fair coin thrown 20,000 times are 707.
        assert!(ones[2..].iter().all(|count| count.abs_diff(10_000) < 707), "{ones:?}");
        assert_eq!(Serial::generate(&BrokenRandom), Err(RandomError));
    }
}
