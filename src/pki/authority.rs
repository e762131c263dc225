//! Signing an x509, and reading it back.
//!
//! [`sign`] takes a linted plan, so one lint gives one signature. What it returns
//! has been read back by another crate and says what was planned: the same names,
//! key, validity and serial, exactly the planned extensions byte for byte and no
//! other, and a signature that verifies. What does not is thrown away.
//!
//! # Not here
//!
//! Keeping the x509 and telling anybody of it: the caller does, before it is used.

use std::fmt;

use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, CustomExtension, DistinguishedName, DnType,
    DnValue, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyUsagePurpose, PublicKeyData, SerialNumber,
    SignatureAlgorithm, SigningKey,
};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;

use crate::domain::digest::Digest;
use crate::domain::time::UnixTime;
use crate::keys::public::PublicKey;
use crate::keys::random::RandomError;
use crate::keys::{Algorithm, Signer};
use crate::pki::der;
use crate::pki::lint::{LintError, LintedPlan};
use crate::pki::profile::{Addresses, KeyUsage, Plan};
use crate::pki::x509::{Standing, Subject, USCC_PREFIX, X509};

/// Sign what was linted, and read it back.
///
/// # Errors
/// [`AuthorityError`]; nothing was issued then.
pub fn sign(linted: LintedPlan, signer: &dyn Signer) -> Result<X509, AuthorityError> {
    let plan = linted.plan();
    let issuer_key = linted.issuer().map_or(&plan.public_key, X509::public_key);
    if signer.public_key() != issuer_key {
        return Err(AuthorityError::Signer);
    }
    let key = RemoteKey(signer);
    let params = params(plan, linted.issuer())?;
    let made = match linted.issuer() {
        None => params.self_signed(&key),
        Some(issuer) => rcgen::Issuer::from_ca_cert_der(&issuer.der().into(), key)
            .and_then(|issuer| params.signed_by(&SubjectKey(&plan.public_key), &issuer)),
    };
    let made = made.map_err(|error| match error {
        rcgen::Error::RemoteKeyError => AuthorityError::Signing,
        _ => AuthorityError::Encoding,
    })?;
    read_back(made.der(), plan, linted.issuer())
}

/// The identifier of a key in x509: RFC 7093, method 1.
pub fn key_id(key: &PublicKey) -> Vec<u8> {
    Digest::of(&[key.as_bytes()]).as_bytes()[..20].to_vec()
}

/// Why an x509 was not issued.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AuthorityError {
    /// The plan cannot be encoded.
    Encoding,
    /// The plan breaks a rule.
    Lint(LintError),
    /// What was made is not what was planned. It was thrown away.
    NotAsPlanned {
        /// What differs.
        part: &'static str,
    },
    /// No random bytes for the serial number.
    Random,
    /// The signer is not the issuer.
    Signer,
    /// The signing key cannot be reached.
    Signing,
}

impl AuthorityError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Encoding => "authority/encoding",
            Self::Lint(error) => error.code(),
            Self::NotAsPlanned { .. } => "authority/not-as-planned",
            Self::Random => "authority/random",
            Self::Signer => "authority/signer",
            Self::Signing => "authority/signing",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Lint(error) => error.hint(),
            Self::NotAsPlanned { .. } => Some("this is a fault of the program; nothing was issued"),
            _ => None,
        }
    }
}

impl fmt::Display for AuthorityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoding => f.write_str("the x509 cannot be encoded"),
            Self::Lint(error) => error.fmt(f),
            Self::NotAsPlanned { part } => write!(f, "the x509 that was made is not the one planned: {part}"),
            Self::Random => f.write_str("the system gives no random bytes"),
            Self::Signer => f.write_str("the signing key is not that of the issuer"),
            Self::Signing => f.write_str("the signing key cannot be reached"),
        }
    }
}

impl std::error::Error for AuthorityError {}

impl From<LintError> for AuthorityError {
    fn from(error: LintError) -> Self {
        Self::Lint(error)
    }
}

impl From<RandomError> for AuthorityError {
    fn from(_: RandomError) -> Self {
        Self::Random
    }
}

/// Lends our signer to rcgen.
struct RemoteKey<'a>(&'a dyn Signer);

impl PublicKeyData for RemoteKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        rcgen_algorithm(self.0.public_key().algorithm())
    }
}

impl SigningKey for RemoteKey<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = self.0.sign(message).map_err(|_| rcgen::Error::RemoteKeyError)?;
        Ok(der::signature(self.0.public_key().algorithm(), &signature))
    }
}

/// Lends a subject's public key to rcgen.
struct SubjectKey<'a>(&'a PublicKey);

impl PublicKeyData for SubjectKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        rcgen_algorithm(self.0.algorithm())
    }
}

fn rcgen_algorithm(algorithm: Algorithm) -> &'static SignatureAlgorithm {
    match algorithm {
        Algorithm::Ed25519 => &rcgen::PKCS_ED25519,
        Algorithm::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
    }
}

fn params(plan: &Plan, issuer: Option<&X509>) -> Result<CertificateParams, AuthorityError> {
    let time = |at: UnixTime| {
        OffsetDateTime::from_unix_timestamp(at.seconds()).map_err(|_| AuthorityError::Encoding)
    };
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(plan.serial.as_bytes()));
    params.not_before = time(plan.not_before)?;
    params.not_after = time(plan.not_after)?;
    params.distinguished_name = distinguished_name(&plan.subject)?;
    params.is_ca = match plan.standing {
        Standing::Authority { path_length } => IsCa::Ca(BasicConstraints::Constrained(path_length)),
        Standing::Leaf => IsCa::ExplicitNoCa,
    };
    params.key_usages = plan.key_usage.iter().map(|usage| rcgen_usage(*usage)).collect();
    params.extended_key_usages =
        plan.leaf_use.iter().map(|usage| ExtendedKeyUsagePurpose::Other(usage.oid().to_vec())).collect();
    params.key_identifier_method = KeyIdMethod::PreSpecified(key_id(&plan.public_key));
    params.use_authority_key_identifier_extension = issuer.is_some();
    if let Some(addresses) = &plan.addresses {
        params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![addresses.crl.clone()] }];
        let access =
            CustomExtension::from_oid_content(AUTHORITY_INFO_ACCESS, authority_info_access(addresses));
        params.custom_extensions = vec![access];
    }
    Ok(params)
}

fn distinguished_name(subject: &Subject) -> Result<DistinguishedName, AuthorityError> {
    let country = "CN".try_into().map_err(|_| AuthorityError::Encoding)?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CountryName, DnValue::PrintableString(country));
    if let Some(organisation) = &subject.organisation {
        name.push(DnType::OrganizationName, organisation);
    }
    if let Some(uscc) = &subject.uscc {
        name.push(DnType::CustomDnType(vec![2, 5, 4, 97]), format!("{USCC_PREFIX}{uscc}"));
    }
    name.push(DnType::CommonName, &subject.common_name);
    Ok(name)
}

fn rcgen_usage(usage: KeyUsage) -> KeyUsagePurpose {
    match usage {
        KeyUsage::DigitalSignature => KeyUsagePurpose::DigitalSignature,
        KeyUsage::ContentCommitment => KeyUsagePurpose::ContentCommitment,
        KeyUsage::KeyCertSign => KeyUsagePurpose::KeyCertSign,
        KeyUsage::CrlSign => KeyUsagePurpose::CrlSign,
    }
}

/// Reads what was made with another crate, and compares it with the plan.
fn read_back(made: &[u8], plan: &Plan, issuer: Option<&X509>) -> Result<X509, AuthorityError> {
    let differs = |part| AuthorityError::NotAsPlanned { part };
    let same = |part, same| if same { Ok(()) } else { Err(differs(part)) };
    let x509 = X509::from_der(made).map_err(|_| differs("der"))?;
    let (_, raw) = x509_parser::parse_x509_certificate(made).map_err(|_| differs("der"))?;

    let issuer_key = issuer.map_or(&plan.public_key, X509::public_key);
    let issuer_name = issuer.map_or(x509.subject_raw(), X509::subject_raw);
    same("version", raw.version() == x509_parser::x509::X509Version::V3)?;
    same("serial", x509.serial() == plan.serial.as_bytes())?;
    same("subject", *x509.subject() == plan.subject && names(&raw) == expected_names(&plan.subject))?;
    same("issuer", raw.issuer().as_raw() == issuer_name)?;
    same("not before", x509.not_before() == plan.not_before)?;
    same("not after", x509.not_after() == plan.not_after)?;
    same("key", *x509.public_key() == plan.public_key)?;
    same("standing", x509.standing() == plan.standing)?;
    for algorithm in [&raw.signature_algorithm, &raw.tbs_certificate.signature] {
        let named = algorithm.algorithm.as_bytes() == der::signature_oid(issuer_key.algorithm());
        same("signature algorithm", named && algorithm.parameters.is_none())?;
    }
    same("extensions", extensions(&raw) == expected_extensions(plan, issuer))?;
    same("signature", x509.is_signed_with(issuer_key))?;
    Ok(x509)
}

/// Attribute type and text, in order.
fn names(raw: &X509Certificate<'_>) -> Vec<(Vec<u8>, String)> {
    let attributes = raw.subject().iter_attributes();
    let named = attributes.map(|attribute| {
        let text = attribute.as_str().unwrap_or_default().to_owned();
        (attribute.attr_type().as_bytes().to_vec(), text)
    });
    named.collect()
}

fn expected_names(subject: &Subject) -> Vec<(Vec<u8>, String)> {
    let mut names = vec![(vec![0x55, 4, 6], "CN".to_owned())];
    names.extend(subject.organisation.iter().map(|name| (vec![0x55, 4, 10], name.clone())));
    names.extend(subject.uscc.iter().map(|uscc| (vec![0x55, 4, 97], format!("{USCC_PREFIX}{uscc}"))));
    names.push((vec![0x55, 4, 3], subject.common_name.clone()));
    names
}

/// One extension: OID, critical or not, value in DER.
type Extension = (Vec<u8>, bool, Vec<u8>);

fn extensions(raw: &X509Certificate<'_>) -> Vec<Extension> {
    let extensions = raw.extensions().iter();
    let mut extensions: Vec<Extension> = extensions
        .map(|extension| (extension.oid.as_bytes().to_vec(), extension.critical, extension.value.to_vec()))
        .collect();
    extensions.sort();
    extensions
}

/// What the plan asks for, encoded here and not by the crate that made the x509.
fn expected_extensions(plan: &Plan, issuer: Option<&X509>) -> Vec<Extension> {
    let usage = plan.key_usage.iter().fold(0u8, |bits, usage| bits | usage_bit(*usage));
    let unused = u8::try_from(usage.trailing_zeros().min(7)).expect("at most seven");
    let constraints = match plan.standing {
        Standing::Authority { path_length } => {
            der::sequence(&[&der::element(der::BOOLEAN, &[0xff]), &der::unsigned(&[path_length])])
        }
        Standing::Leaf => der::sequence(&[]),
    };
    let mut extensions = vec![
        (id_ce(14), false, der::element(der::OCTET_STRING, &key_id(&plan.public_key))),
        (id_ce(15), true, der::element(der::BIT_STRING, &[unused, usage])),
        (id_ce(19), true, constraints),
    ];
    if let Some(id) = issuer.and_then(X509::key_id) {
        extensions.push((id_ce(35), false, der::sequence(&[&der::element(0x80, id)])));
    }
    if let Some(usage) = plan.leaf_use {
        let oid = der::element(der::OBJECT_IDENTIFIER, usage.oid_der());
        extensions.push((id_ce(37), false, der::sequence(&[&oid])));
    }
    if let Some(addresses) = &plan.addresses {
        let full_name = der::element(0xa0, &der::element(0x86, addresses.crl.as_bytes()));
        let point = der::sequence(&[&der::element(0xa0, &full_name)]);
        extensions.push((id_ce(31), false, der::sequence(&[&point])));
        extensions.push((AUTHORITY_INFO_ACCESS_DER.to_vec(), false, authority_info_access(addresses)));
    }
    extensions.sort();
    extensions
}

/// The bit of the first octet of keyUsage.
fn usage_bit(usage: KeyUsage) -> u8 {
    match usage {
        KeyUsage::DigitalSignature => 0x80,
        KeyUsage::ContentCommitment => 0x40,
        KeyUsage::KeyCertSign => 0x04,
        KeyUsage::CrlSign => 0x02,
    }
}

/// RFC 5280, 4.2.2.1.
fn authority_info_access(addresses: &Addresses) -> Vec<u8> {
    let access = |method: &[u8], url: &str| {
        let method = der::element(der::OBJECT_IDENTIFIER, method);
        der::sequence(&[&method, &der::element(0x86, url.as_bytes())])
    };
    der::sequence(&[&access(AD_OCSP, &addresses.ocsp), &access(AD_CA_ISSUERS, &addresses.issuer)])
}

/// An OID of 2.5.29.
fn id_ce(last: u8) -> Vec<u8> {
    vec![0x55, 0x1d, last]
}

/// 1.3.6.1.5.5.7.1.1
const AUTHORITY_INFO_ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
const AUTHORITY_INFO_ACCESS_DER: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01];
/// 1.3.6.1.5.5.7.48.1
const AD_OCSP: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01];
/// 1.3.6.1.5.5.7.48.2
const AD_CA_ISSUERS: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02];

#[cfg(test)]
mod tests;
