//! An x509 that was read.
//!
//! An [`X509`] is well-formed, has one of our kinds of key, and says each thing
//! we read from it once. Nothing is verified: that is [`crate::pki::chain`].

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

use crate::domain::time::UnixTime;
use crate::keys::Algorithm;
use crate::keys::public::PublicKey;
use crate::pki::der;
use crate::pki::leaf_use::LeafUse;

/// A well-formed x509 of which nothing is verified.
#[derive(Clone, Eq, PartialEq)]
pub struct X509 {
    der: Vec<u8>,
    serial: Vec<u8>,
    subject: Subject,
    subject_raw: Vec<u8>,
    issuer_raw: Vec<u8>,
    not_before: UnixTime,
    not_after: UnixTime,
    public_key: PublicKey,
    key_id: Option<Vec<u8>>,
    standing: Standing,
    uses: Vec<LeafUse>,
}

/// Whom an x509 speaks of. The country is always China (`C=CN`).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Subject {
    /// Name (CN).
    pub common_name: String,
    /// Name of the organisation (O).
    pub organisation: Option<String>,
    /// Its unified social credit code (`USCC:…` in organizationIdentifier, 2.5.4.97).
    pub uscc: Option<String>,
}

/// Whether an x509 may sign others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It may sign others, with at most so many authorities between.
    Authority {
        /// pathLenConstraint.
        path_length: u8,
    },
    /// It may sign no x509.
    Leaf,
}

impl X509 {
    /// Reads one x509 in DER, at most 8 KiB long, with nothing after it.
    ///
    /// # Errors
    /// [`X509Error`] says which part is not what we take.
    pub fn from_der(der: &[u8]) -> Result<Self, X509Error> {
        if der.len() > LENGTH_MAX {
            return Err(X509Error::TooLong);
        }
        let malformed = |part| X509Error::Malformed { part };
        let (rest, x509) = x509_parser::parse_x509_certificate(der).map_err(|_| malformed("der"))?;
        if !rest.is_empty() {
            return Err(malformed("length"));
        }
        signature_is_plain(der, &x509)?;
        let time = |time: x509_parser::time::ASN1Time| {
            UnixTime::new(time.timestamp()).ok_or(X509Error::Malformed { part: "validity" })
        };
        Ok(Self {
            der: der.to_vec(),
            serial: x509.raw_serial().to_vec(),
            subject: subject(x509.subject())?,
            subject_raw: x509.subject().as_raw().to_vec(),
            issuer_raw: x509.issuer().as_raw().to_vec(),
            not_before: time(x509.validity().not_before)?,
            not_after: time(x509.validity().not_after)?,
            public_key: public_key(&x509)?,
            key_id: key_id(&x509)?,
            standing: standing(&x509)?,
            uses: uses(&x509)?,
        })
    }

    /// Reads the one x509 of a PEM text (RFC 7468); what stands before it is left alone.
    ///
    /// # Errors
    /// [`X509Error`] when there is none.
    pub fn from_pem(text: &str) -> Result<Self, X509Error> {
        let malformed = X509Error::Malformed { part: "pem" };
        let (_, rest) = text.split_once(PEM_BEGIN).ok_or(malformed)?;
        let (body, _) = rest.split_once(PEM_END).ok_or(malformed)?;
        if body.len() > 2 * LENGTH_MAX {
            return Err(X509Error::TooLong);
        }
        let body: String = body.split_ascii_whitespace().collect();
        Self::from_der(&STANDARD.decode(body).map_err(|_| malformed)?)
    }

    /// The bytes.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// As PEM (RFC 7468), with a line break at the end.
    pub fn pem(&self) -> String {
        let body = STANDARD.encode(&self.der);
        let lines: Vec<&str> = body
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).expect("base64 is ASCII"))
            .collect();
        format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", lines.join("\n"))
    }

    /// Serial number, big-endian as it stands.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// Whom it speaks of.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The key it speaks of.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Valid from here.
    pub fn not_before(&self) -> UnixTime {
        self.not_before
    }

    /// Valid until here, this second included (RFC 5280).
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// Whether it may sign others.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether it is a leaf for this use, and its key may sign.
    #[must_use]
    pub fn is_for(&self, usage: LeafUse) -> bool {
        self.standing == Standing::Leaf && self.uses.contains(&usage)
    }

    /// subjectKeyIdentifier.
    pub fn key_id(&self) -> Option<&[u8]> {
        self.key_id.as_deref()
    }

    /// Whether issuer and subject are one, as in a root.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.subject_raw == self.issuer_raw
    }

    /// Whether this key signed it. Says nothing of whether it should have.
    #[must_use]
    pub fn is_signed_with(&self, key: &PublicKey) -> bool {
        let spki = der::subject_public_key_info(key);
        let Ok((_, spki)) = SubjectPublicKeyInfo::from_der(&spki) else {
            return false;
        };
        x509_parser::parse_x509_certificate(&self.der)
            .is_ok_and(|(_, x509)| x509.verify_signature(Some(&spki)).is_ok())
    }

    pub(super) fn subject_raw(&self) -> &[u8] {
        &self.subject_raw
    }
}

impl fmt::Debug for X509 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "X509({} {})", self.subject.common_name, hex::encode(&self.serial))
    }
}

/// Why bytes are not an x509 we read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum X509Error {
    /// A key that is neither Ed25519 nor P-256, or not a usable point.
    Key,
    /// Not an x509, or one that says a thing twice.
    Malformed {
        /// Which part.
        part: &'static str,
    },
    /// Longer than 8 KiB.
    TooLong,
}

impl X509Error {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Key => "x509/key",
            Self::Malformed { .. } => "x509/malformed",
            Self::TooLong => "x509/too-long",
        }
    }
}

impl fmt::Display for X509Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("the x509 has a key of a kind that is not used here"),
            Self::Malformed { part } => write!(f, "not a well-formed x509: {part}"),
            Self::TooLong => f.write_str("the x509 is too long"),
        }
    }
}

impl std::error::Error for X509Error {}

/// What is signed, one of our two algorithms, the signature: re-encoded, these must give the same bytes,
/// for what stands outside the signed part is not signed and could be changed by anybody.
fn signature_is_plain(der: &[u8], x509: &X509Certificate<'_>) -> Result<(), X509Error> {
    let oid = x509.tbs_certificate.signature.algorithm.as_bytes();
    let ours = [Algorithm::Ed25519, Algorithm::P256].map(der::signature_oid).contains(&oid);
    let algorithm = der::sequence(&[&der::element(der::OBJECT_IDENTIFIER, oid)]);
    let signature = der::bit_string(&x509.signature_value.data);
    let plain = der::sequence(&[x509.tbs_certificate.as_ref(), &algorithm, &signature]);
    let parameters = &x509.tbs_certificate.signature.parameters;
    if ours && parameters.is_none() && plain == der {
        Ok(())
    } else {
        Err(X509Error::Malformed { part: "signature algorithm" })
    }
}

fn subject(name: &X509Name<'_>) -> Result<Subject, X509Error> {
    let malformed = X509Error::Malformed { part: "subject" };
    let one = |oid: &[u8]| {
        let mut values = name.iter_attributes().filter(|attribute| attribute.attr_type().as_bytes() == oid);
        let first = values.next().map(|attribute| attribute.as_str().map_err(|_| malformed)).transpose()?;
        if values.next().is_some() { Err(malformed) } else { Ok(first.map(str::to_owned)) }
    };
    let uscc = match one(ORGANIZATION_IDENTIFIER)? {
        None => None,
        Some(text) => text.strip_prefix(USCC_PREFIX).map(str::to_owned),
    };
    Ok(Subject { common_name: one(COMMON_NAME)?.ok_or(malformed)?, organisation: one(ORGANIZATION)?, uscc })
}

fn public_key(x509: &X509Certificate<'_>) -> Result<PublicKey, X509Error> {
    let spki = x509.public_key();
    let algorithm = match spki.subject_public_key.data.len() {
        32 => Algorithm::Ed25519,
        _ => Algorithm::P256,
    };
    let key = PublicKey::new(algorithm, &spki.subject_public_key.data).map_err(|_| X509Error::Key)?;
    // The same bytes as we would write: so the algorithm is the one it says.
    if der::subject_public_key_info(&key) == spki.raw { Ok(key) } else { Err(X509Error::Key) }
}

fn key_id(x509: &X509Certificate<'_>) -> Result<Option<Vec<u8>>, X509Error> {
    let oid = x509_parser::oid_registry::OID_X509_EXT_SUBJECT_KEY_IDENTIFIER;
    let malformed = X509Error::Malformed { part: "subject key identifier" };
    let Some(extension) = x509.get_extension_unique(&oid).map_err(|_| malformed)? else {
        return Ok(None);
    };
    match extension.parsed_extension() {
        x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => Ok(Some(id.0.to_vec())),
        _ => Err(malformed),
    }
}

fn standing(x509: &X509Certificate<'_>) -> Result<Standing, X509Error> {
    let malformed = X509Error::Malformed { part: "basic constraints" };
    match x509.basic_constraints().map_err(|_| malformed)? {
        Some(constraints) if constraints.value.ca => {
            let length = constraints.value.path_len_constraint.unwrap_or(u32::from(u8::MAX));
            Ok(Standing::Authority { path_length: u8::try_from(length).unwrap_or(u8::MAX) })
        }
        _ => Ok(Standing::Leaf),
    }
}

/// The uses of extKeyUsage that we know; none if keyUsage does not allow signing at all.
fn uses(x509: &X509Certificate<'_>) -> Result<Vec<LeafUse>, X509Error> {
    let malformed = X509Error::Malformed { part: "key usage" };
    let signs = x509.key_usage().map_err(|_| malformed)?.is_some_and(|usage| usage.value.digital_signature());
    let Some(extended) = x509.extended_key_usage().map_err(|_| malformed)?.filter(|_| signs) else {
        return Ok(Vec::new());
    };
    let has = |usage: &LeafUse| extended.value.other.iter().any(|oid| oid.as_bytes() == usage.oid_der());
    Ok([LeafUse::DocumentSigning, LeafUse::TrustList].into_iter().filter(has).collect())
}

/// What stands before a USCC in organizationIdentifier.
pub(super) const USCC_PREFIX: &str = "USCC:";

/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.4.10
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
/// 2.5.4.97
const ORGANIZATION_IDENTIFIER: &[u8] = &[0x55, 0x04, 0x61];

const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const PEM_END: &str = "-----END CERTIFICATE-----";

/// Ours have about 700 bytes. Our own choice.
const LENGTH_MAX: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Signer;
    use crate::keys::random::SeededRandom;
    use crate::keys::soft::SoftSigner;
    use crate::pki::hierarchy;

    fn root() -> X509 {
        let signer = SoftSigner::ed25519(&[1; 32]);
        let now = UnixTime::clamped(1_800_000_000);
        hierarchy::root("测试机构", &signer, &SeededRandom::danger_seeded(1), now).unwrap()
    }

    #[test]
    fn an_x509_survives_der_and_pem() {
        let root = root();
        assert_eq!(X509::from_der(root.der()), Ok(root.clone()));
        assert_eq!(X509::from_pem(&root.pem()), Ok(root.clone()));
        assert_eq!(
            X509::from_pem(&format!("subject: …\n{}", root.pem().replace('\n', "\r\n"))),
            Ok(root.clone())
        );
        assert_eq!(root.subject().organisation.as_deref(), Some("测试机构"));
        assert!(root.is_self_issued());
        assert!(root.is_signed_with(root.public_key()));
        assert!(!root.is_signed_with(SoftSigner::ed25519(&[2; 32]).public_key()));
    }

    #[test]
    fn what_is_no_x509_is_refused() {
        let root = root();
        let longer = [root.der(), &[0]].concat();
        assert_eq!(X509::from_der(&longer), Err(X509Error::Malformed { part: "length" }));
        assert_eq!(X509::from_der(&[0; LENGTH_MAX + 1]), Err(X509Error::TooLong));
        assert_eq!(X509::from_pem(&"x".repeat(100)), Err(X509Error::Malformed { part: "pem" }));
        let long = format!("{PEM_BEGIN}{}{PEM_END}", "A".repeat(3 * LENGTH_MAX));
        assert_eq!(X509::from_pem(&long), Err(X509Error::TooLong));
        for length in 0..root.der().len() {
            assert!(X509::from_der(&root.der()[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_changed_x509_is_not_signed_any_more_or_does_not_parse() {
        let root = root();
        for index in 0..root.der().len() {
            let mut changed = root.der().to_vec();
            changed[index] ^= 1;
            let good = X509::from_der(&changed).is_ok_and(|x509| x509.is_signed_with(root.public_key()));
            assert!(!good, "byte {index}");
        }
    }
}
