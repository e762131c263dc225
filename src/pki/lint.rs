//! Checks a plan before it is signed: a signature cannot be taken back.
//!
//! A [`LintedPlan`] obeys every rule below *under the issuer it was linted for*,
//! and moves into [`crate::pki::authority::sign`], so that it is signed once.
//! The rules are written out here again, apart from [`crate::pki::profile`].

use std::fmt;

use crate::domain::time::UnixTime;
use crate::keys::Algorithm;
use crate::pki::leaf_use::LeafUse;
use crate::pki::profile::{Addresses, KeyUsage, Plan, Profile};
use crate::pki::x509::{Standing, Subject, X509};

/// A plan that may be signed by the issuer it was linted for.
#[derive(Debug)]
pub struct LintedPlan {
    plan: Plan,
    issuer: Option<X509>,
}

impl LintedPlan {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Who shall sign it; `None` for a root, which signs itself.
    pub fn issuer(&self) -> Option<&X509> {
        self.issuer.as_ref()
    }
}

/// Check the plan under its issuer, or as a root when there is none.
///
/// # Errors
/// [`LintError`] names the first rule it breaks.
pub fn lint(plan: Plan, issuer: Option<&X509>) -> Result<LintedPlan, LintError> {
    serial(plan.serial.as_bytes())?;
    subject(&plan.subject, plan.profile)?;
    standing(&plan)?;
    algorithm(&plan)?;
    if plan.not_before >= plan.not_after {
        return Err(LintError::Validity);
    }
    match (plan.profile, issuer) {
        (Profile::Root, None) if plan.addresses.is_some() => return Err(LintError::Addresses),
        (Profile::Root, None) => {}
        (Profile::Root, Some(_)) | (_, None) => return Err(LintError::Issuer),
        (_, Some(issuer)) => {
            under(&plan, issuer)?;
            addresses(plan.addresses.as_ref().ok_or(LintError::Addresses)?)?;
        }
    }
    lifetime(&plan)?;
    Ok(LintedPlan { plan, issuer: issuer.cloned() })
}

/// The first rule that a plan breaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LintError {
    /// Addresses are missing, are no http URL, or stand in a root.
    Addresses,
    /// An algorithm this profile is not for.
    Algorithm,
    /// The issuer may not sign this, or there must be none.
    Issuer,
    /// Key usage, key purpose, authority flag or path length do not fit the profile or each other.
    KeyUsage,
    /// Valid for longer than such an x509 may be.
    Lifetime,
    /// The subject's key is its issuer's key.
    SameKey,
    /// Not 20 octets, not positive, or plainly not random.
    Serial,
    /// A name is missing, too long, or has control characters; or the USCC is missing or not one.
    Subject,
    /// Ends before it begins, or reaches beyond its issuer's own validity.
    Validity,
}

impl LintError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Addresses => "lint/addresses",
            Self::Algorithm => "lint/algorithm",
            Self::Issuer => "lint/issuer",
            Self::KeyUsage => "lint/key-usage",
            Self::Lifetime => "lint/lifetime",
            Self::SameKey => "lint/same-key",
            Self::Serial => "lint/serial",
            Self::Subject => "lint/subject",
            Self::Validity => "lint/validity",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Addresses => Some("set the public URL to one that begins with http:// or https://"),
            Self::Subject => Some("names have 1 to 64 characters; a department has a USCC of 18"),
            Self::Validity => Some("renew the issuing authority first"),
            _ => None,
        }
    }
}

impl fmt::Display for LintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Addresses => "the x509 would have no usable address for its revocation list and OCSP",
            Self::Algorithm => "the x509 would have a key of an algorithm it is not for",
            Self::Issuer => "this issuer may not sign such an x509",
            Self::KeyUsage => "the x509 would be usable for what it is not for",
            Self::Lifetime => "the x509 would be valid for too long",
            Self::SameKey => "the x509 would give the issuer's own key to another subject",
            Self::Serial => "the serial number is not 20 random octets",
            Self::Subject => "the x509 would name its subject badly",
            Self::Validity => "the x509 would end before it begins, or after its issuer",
        })
    }
}

impl std::error::Error for LintError {}

fn serial(serial: &[u8; 20]) -> Result<(), LintError> {
    let positive_and_long = (0x40..0x80).contains(&serial[0]);
    // 20 random octets have fewer than six different values once in 10^26.
    let mut values = serial.to_vec();
    values.sort_unstable();
    values.dedup();
    if positive_and_long && values.len() >= 6 { Ok(()) } else { Err(LintError::Serial) }
}

fn subject(subject: &Subject, profile: Profile) -> Result<(), LintError> {
    let good = |name: &str| {
        name.trim() == name
            && !name.is_empty()
            && name.chars().count() <= NAME_MAX
            && !name.chars().any(char::is_control)
    };
    let is_uscc = |text: &String| {
        text.len() == 18 && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
    };
    let department = matches!(profile, Profile::Issuer | Profile::Documents);
    let uscc_fits = match &subject.uscc {
        Some(uscc) => department && is_uscc(uscc),
        None => !department,
    };
    let organisation = subject.organisation.as_deref().is_some_and(good);
    if good(&subject.common_name) && organisation && uscc_fits { Ok(()) } else { Err(LintError::Subject) }
}

fn standing(plan: &Plan) -> Result<(), LintError> {
    use KeyUsage::{ContentCommitment, CrlSign, DigitalSignature, KeyCertSign};
    let fits = match (plan.profile, plan.standing, plan.leaf_use) {
        (Profile::Root, Standing::Authority { path_length: 1 }, None)
        | (Profile::Authority, Standing::Authority { path_length: 0 }, None) => {
            plan.key_usage == [KeyCertSign, CrlSign]
        }
        (Profile::Issuer, Standing::Leaf, Some(LeafUse::DocumentSigning))
        | (Profile::Trust, Standing::Leaf, Some(LeafUse::TrustList)) => plan.key_usage == [DigitalSignature],
        (Profile::Documents, Standing::Leaf, Some(LeafUse::DocumentSigning)) => {
            plan.key_usage == [DigitalSignature, ContentCommitment]
        }
        _ => false,
    };
    if fits { Ok(()) } else { Err(LintError::KeyUsage) }
}

/// PDF readers and OpenSSL's CMS take no Ed25519.
fn algorithm(plan: &Plan) -> Result<(), LintError> {
    match (plan.profile, plan.public_key.algorithm()) {
        (Profile::Documents, Algorithm::Ed25519) => Err(LintError::Algorithm),
        _ => Ok(()),
    }
}

fn under(plan: &Plan, issuer: &X509) -> Result<(), LintError> {
    let Standing::Authority { path_length } = issuer.standing() else {
        return Err(LintError::Issuer);
    };
    let may_sign = match plan.profile {
        // The root signs authorities and the trust leaf, an authority departments, and nothing else.
        Profile::Authority | Profile::Trust => path_length == 1 && issuer.is_self_issued(),
        Profile::Issuer | Profile::Documents => path_length == 0 && !issuer.is_self_issued(),
        Profile::Root => false,
    };
    // One algorithm up to the root: a reader who takes the leaf's takes the whole chain's.
    if !may_sign || issuer.key_id().is_none() {
        return Err(LintError::Issuer);
    }
    if issuer.public_key().algorithm() != plan.public_key.algorithm() {
        return Err(LintError::Algorithm);
    }
    if issuer.public_key() == &plan.public_key {
        return Err(LintError::SameKey);
    }
    if plan.not_before < issuer.not_before() || plan.not_after > issuer.not_after() {
        return Err(LintError::Validity);
    }
    Ok(())
}

fn addresses(addresses: &Addresses) -> Result<(), LintError> {
    let good = |url: &String| {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        url.len() <= URL_MAX
            && url.bytes().all(|byte| byte.is_ascii_graphic())
            && rest.is_some_and(|rest| rest.find('/').is_some_and(|slash| slash > 0))
    };
    let all = [&addresses.crl, &addresses.ocsp, &addresses.issuer];
    if all.into_iter().all(good) { Ok(()) } else { Err(LintError::Addresses) }
}

fn lifetime(plan: &Plan) -> Result<(), LintError> {
    let most = match plan.profile {
        Profile::Root => 30 * YEAR,
        Profile::Authority => 15 * YEAR,
        Profile::Issuer | Profile::Documents | Profile::Trust => 5 * YEAR,
    };
    let end: UnixTime = plan.not_before.plus(most);
    if plan.not_after <= end { Ok(()) } else { Err(LintError::Lifetime) }
}

/// RFC 5280, appendix A.1: ub-common-name and ub-organization-name.
const NAME_MAX: usize = 64;

/// Our own choice.
const URL_MAX: usize = 512;

const YEAR: i64 = 366 * 86_400;

#[cfg(test)]
mod tests;
