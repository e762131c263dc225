//! Checking a credential: whose it is, whether it is genuine, whether it holds now.
//!
//! [`UnverifiedCredential::parse`] takes a text apart under RFC 9901, 7.1 and types its claims;
//! [`verify`](UnverifiedCredential::verify) gives one [`Check`] for each part of a verdict. A
//! [`VerifiedCredential`] exists only when every check passed, and it holds the very claims that
//! were checked: those that were signed in the clear and those that were disclosed.
//!
//! The key comes from [`IssuerTrust`] alone, asked for by `iss`, `kid` and `vct` together. The `x5c`
//! in the header is evidence for others; here nothing is read from it.
//!
//! # Not here
//!
//! Over-asking: only the vault knows the scenario. Fetching lists or bundles: [`StatusSource`] and
//! [`IssuerTrust`] answer from what the caller holds.

use std::fmt;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::disclosure::wipe;
use super::key_binding::{self, Expected};
use super::processing::process;
use super::sd_jwt::{self, Parts as TextParts, SdJwtError};
use super::token::UnverifiedToken;
use crate::domain::time::UnixTime;
use crate::domain::verdict::{Check, Checks, Outcome, Reason, Verdict};
use crate::keys::PublicKey;

/// Whose keys are believed for what: the trust bundle.
pub trait IssuerTrust {
    /// The key `kid`, if it is registered for this issuer and this certificate type.
    fn issuer_key(&self, iss: &str, kid: &str, vct: &str) -> Option<TrustedIssuerKey>;
}

/// A department's key that is believed.
#[derive(Clone, Debug)]
pub struct TrustedIssuerKey {
    /// The key.
    pub key: PublicKey,
    /// The first second it may sign.
    pub not_before: UnixTime,
    /// The first second it may no longer sign.
    pub not_after: UnixTime,
    /// Since when others may have been signing with it.
    pub compromised_since: Option<UnixTime>,
    /// The department, for people.
    pub issuer_name: String,
    /// Whether it is for development only.
    pub development: bool,
}

/// Where status lists are looked up.
pub trait StatusSource {
    /// What the list at this address says of this place.
    fn status(&self, uri: &str, index: u32) -> StatusAnswer;
}

/// What a status source knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StatusAnswer {
    /// There is a list, but it is older than it may be.
    Stale {
        /// When the list was signed.
        as_of: UnixTime,
    },
    /// No list of that address, or no such place in it.
    Unknown,
    /// The two bits: 0 active, 1 ended, 2 suspended.
    Value {
        /// The bits.
        value: u8,
        /// When they were published.
        as_of: UnixTime,
    },
}

/// What this verifier wants. The default wants a credential without key binding and no development keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy<'a> {
    /// Whether the holder must prove to hold a key.
    pub key_binding: KeyBinding<'a>,
    /// Whether keys for development are believed.
    pub development: DevelopmentKeys,
    /// When the public log says that it was issued, if the caller has looked. Of use for a key that
    /// was compromised: what such a key says of its own time is worth nothing.
    pub logged_at: Option<UnixTime>,
}

/// Whether the holder must prove to hold a key.
#[derive(Clone, Copy, Debug, Default)]
pub enum KeyBinding<'a> {
    /// None is asked for, and one made for somebody else is refused.
    #[default]
    Refuse,
    /// The holder's key must have signed what this verifier asked.
    Require(Expected<'a>),
}

/// Whether keys for development are believed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DevelopmentKeys {
    /// Only in development mode.
    DangerAccept,
    /// Keys for development sign nothing real.
    #[default]
    Refuse,
}

/// The parts of a verdict that a credential or code can give by itself.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Whether the bytes are what was signed.
    pub signature: Check,
    /// Whether the key belongs to somebody who may issue this.
    pub chain: Check,
    /// Whether the key was valid that day.
    pub key_validity: Check,
    /// Whether the certificate is in force.
    pub status: Check,
    /// Whether it is within its time.
    pub time: Check,
    /// Whether it was shown by the one who may, now.
    pub binding: Check,
}

impl Parts {
    /// The verdict, with what the vault found about the asking.
    pub fn verdict(self, asking: Check) -> Verdict {
        Verdict::new(Checks {
            signature: self.signature,
            chain: self.chain,
            key_validity: self.key_validity,
            status: self.status,
            time: self.time,
            binding: self.binding,
            asking,
        })
    }

    /// Nobody who is believed stands behind it, so nothing it says was looked at.
    pub(super) fn stopped_at_chain(reason: Reason) -> Self {
        Self { signature: Check::new(Reason::SignatureNotReached), ..Self::stopped(Check::new(reason)) }
    }

    /// It is not its signer's word, so nothing it says was looked at.
    pub(super) fn stopped_at_signature(reason: Reason) -> Self {
        Self { signature: Check::new(reason), ..Self::stopped(Check::new(Reason::ChainNotReached)) }
    }

    fn stopped(chain: Check) -> Self {
        Self {
            signature: Check::new(Reason::SignatureNotReached),
            chain,
            key_validity: Check::new(Reason::KeyNotReached),
            status: Check::new(Reason::StatusNotReached),
            time: Check::new(Reason::TimeNotReached),
            binding: Check::new(Reason::BindingNone),
        }
    }

    /// Whether every part passed, or does not arise.
    pub fn all_passed(&self) -> bool {
        let parts =
            [&self.signature, &self.chain, &self.key_validity, &self.status, &self.time, &self.binding];
        parts.into_iter().all(|check| matches!(check.outcome(), Outcome::Passed | Outcome::NotApplicable))
    }
}

/// A credential as it was received. Well formed; everything it says may be a lie.
pub struct UnverifiedCredential {
    token: UnverifiedToken,
    jwt: String,
    presentation: Zeroizing<String>,
    key_binding: Option<String>,
    content: Content,
}

/// What a credential says.
#[derive(Clone)]
struct Content {
    iss: String,
    vct: String,
    kid: String,
    issued_at: UnixTime,
    not_before: UnixTime,
    expires_at: Option<UnixTime>,
    status: (String, u32),
    holder_key: Option<PublicKey>,
    /// All claims but those above.
    claims: Map<String, Value>,
}

/// A credential that passed every check, with the claims that were checked.
pub struct VerifiedCredential {
    jwt: String,
    issuer_name: String,
    content: Content,
}

impl UnverifiedCredential {
    /// Takes a credential or a presentation of one apart.
    ///
    /// # Errors
    /// [`SdJwtError`], one variant for each rule.
    pub fn parse(text: &str) -> Result<Self, SdJwtError> {
        let parts = TextParts::split(text)?;
        let token =
            UnverifiedToken::parse(parts.jwt, sd_jwt::TYP, sd_jwt::BYTES_MAX).map_err(SdJwtError::Token)?;
        let disclosures = parts.disclosures()?;
        let claims = process(token.claims().clone(), &disclosures)?;
        let kid = token.kid().ok_or(SdJwtError::Claim { name: "kid" })?.to_owned();
        Ok(Self {
            content: Content::read(claims, kid)?,
            jwt: parts.jwt.to_owned(),
            presentation: Zeroizing::new(parts.presentation.to_owned()),
            key_binding: parts.key_binding.map(str::to_owned),
            token,
        })
    }

    /// The issuer-signed JWT: what the log commits to.
    pub fn jwt(&self) -> &str {
        &self.jwt
    }

    /// The address of its certificate type, as it says.
    pub fn vct(&self) -> &str {
        &self.content.vct
    }

    /// Address of its status list and its place there, as it says.
    pub fn status_reference(&self) -> (&str, u32) {
        (&self.content.status.0, self.content.status.1)
    }

    /// Checks it at an instant. The second part is there exactly when all of the first passed.
    pub fn verify(
        &self,
        trust: &dyn IssuerTrust,
        status: &dyn StatusSource,
        policy: &Policy<'_>,
        at: UnixTime,
    ) -> (Parts, Option<VerifiedCredential>) {
        let content = &self.content;
        let Some(trusted) = trust.issuer_key(&content.iss, &content.kid, &content.vct) else {
            return (Parts::stopped_at_chain(Reason::ChainUntrusted), None);
        };
        if self.token.verify(&trusted.key).is_err() {
            return (Parts::stopped_at_signature(Reason::SignatureBad), None);
        }
        let status = check_status(status.status(&content.status.0, content.status.1));
        let parts = Parts {
            signature: Check::new(Reason::SignatureGood),
            chain: check_chain(trusted.development, policy.development),
            key_validity: Check::new(key_validity(&trusted, content.issued_at, policy.logged_at)),
            status: done_by(status, &trusted.issuer_name),
            time: content.check_time(at),
            binding: Check::new(self.binding(&policy.key_binding, at)),
        };
        let verified = parts.all_passed().then(|| VerifiedCredential {
            jwt: self.jwt.clone(),
            issuer_name: trusted.issuer_name,
            content: content.clone(),
        });
        (parts, verified)
    }

    fn binding(&self, wanted: &KeyBinding<'_>, at: UnixTime) -> Reason {
        match (wanted, &self.key_binding, &self.content.holder_key) {
            (KeyBinding::Refuse, None, _) => Reason::BindingNone,
            (KeyBinding::Require(expected), Some(binding), Some(key)) => {
                match key_binding::verify(binding, &self.presentation, key, expected, at) {
                    Ok(()) => Reason::BindingKey,
                    Err(_) => Reason::BindingKeyBad,
                }
            }
            _ => Reason::BindingKeyBad,
        }
    }
}

impl VerifiedCredential {
    /// The issuer-signed JWT: what the log commits to.
    pub fn jwt(&self) -> &str {
        &self.jwt
    }

    /// `iss`, the address of the department.
    pub fn issuer_url(&self) -> &str {
        &self.content.iss
    }

    /// The department, for people.
    pub fn issuer_name(&self) -> &str {
        &self.issuer_name
    }

    /// The `kid` of the key that signed it.
    pub fn kid(&self) -> &str {
        &self.content.kid
    }

    /// The address of its certificate type.
    pub fn vct(&self) -> &str {
        &self.content.vct
    }

    /// When it was issued.
    pub fn issued_at(&self) -> UnixTime {
        self.content.issued_at
    }

    /// The first second it is no longer valid; `None` for 长期.
    pub fn expires_at(&self) -> Option<UnixTime> {
        self.content.expires_at
    }

    /// Address of its status list and its place there.
    pub fn status_reference(&self) -> (&str, u32) {
        (&self.content.status.0, self.content.status.1)
    }

    /// The disclosed claims, for who may see them.
    pub fn expose(&self) -> &Map<String, Value> {
        &self.content.claims
    }
}

impl fmt::Debug for UnverifiedCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnverifiedCredential(..)")
    }
}

impl fmt::Debug for VerifiedCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifiedCredential(..)")
    }
}

impl Content {
    fn read(mut claims: Map<String, Value>, kid: String) -> Result<Self, SdJwtError> {
        let holder_key = match claims.remove("cnf") {
            None => None,
            Some(cnf) => {
                let jwk = cnf.get("jwk").ok_or(SdJwtError::Claim { name: "cnf" })?;
                Some(PublicKey::from_jwk(jwk).map_err(|_| SdJwtError::Claim { name: "cnf" })?)
            }
        };
        let status = claims.remove("status").and_then(|status| read_status(&status));
        Ok(Self {
            kid,
            iss: take_text(&mut claims, "iss")?,
            vct: take_text(&mut claims, "vct")?,
            issued_at: take_time(&mut claims, "iat")?.ok_or(SdJwtError::Claim { name: "iat" })?,
            not_before: take_time(&mut claims, "nbf")?.ok_or(SdJwtError::Claim { name: "nbf" })?,
            // A certificate of unlimited validity has none. One of the wrong type is not "none" (T14).
            expires_at: take_time(&mut claims, "exp")?,
            status: status.ok_or(SdJwtError::Claim { name: "status" })?,
            holder_key,
            claims,
        })
    }

    /// It ends at `exp`: that second is no longer in it.
    fn check_time(&self, at: UnixTime) -> Check {
        let latest = at.plus(CLOCK_SKEW_S);
        match self.expires_at {
            Some(end) if at >= end => {
                Check { when: Some(end.minus(1).date()), ..Check::new(Reason::TimeExpired) }
            }
            _ if self.not_before > latest || self.issued_at > latest => Check::new(Reason::TimeNotYet),
            _ => Check::new(Reason::TimeWithin),
        }
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        self.claims.values_mut().for_each(wipe);
    }
}

fn read_status(status: &Value) -> Option<(String, u32)> {
    let reference = status.get("status_list")?;
    let index = u32::try_from(reference.get("idx")?.as_u64()?).ok()?;
    Some((reference.get("uri")?.as_str()?.to_owned(), index))
}

fn take_text(claims: &mut Map<String, Value>, name: &'static str) -> Result<String, SdJwtError> {
    match claims.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        _ => Err(SdJwtError::Claim { name }),
    }
}

/// Whole seconds only: RFC 7519 allows fractions, and two readers round them differently.
fn take_time(claims: &mut Map<String, Value>, name: &'static str) -> Result<Option<UnixTime>, SdJwtError> {
    let Some(value) = claims.remove(name) else {
        return Ok(None);
    };
    let time = value.as_i64().and_then(UnixTime::new);
    time.map(Some).ok_or(SdJwtError::Claim { name })
}

pub(super) fn check_chain(is_development: bool, policy: DevelopmentKeys) -> Check {
    Check::new(match policy {
        DevelopmentKeys::Refuse if is_development => Reason::ChainDevelopment,
        _ => Reason::ChainTrusted,
    })
}

/// With the name of who did it, where the reason names something that was done.
fn done_by(status: Check, issuer: &str) -> Check {
    let is_act = matches!(
        status.reason,
        Reason::StatusCancelled
            | Reason::StatusEnded
            | Reason::StatusRevoked
            | Reason::StatusSuperseded
            | Reason::StatusSuspended
            | Reason::StatusTransferred
            | Reason::StatusWithdrawn
    );
    Check { by: is_act.then(|| issuer.to_owned()), ..status }
}

fn key_validity(trusted: &TrustedIssuerKey, issued_at: UnixTime, logged_at: Option<UnixTime>) -> Reason {
    if issued_at < trusted.not_before || issued_at >= trusted.not_after {
        return Reason::KeyNotValid;
    }
    match trusted.compromised_since {
        None => Reason::KeyValid,
        // A thief dates back: `iat` is worth nothing now. Only the log knows, if somebody has asked it.
        Some(since) if issued_at < since && logged_at.is_some_and(|logged_at| logged_at < since) => {
            Reason::KeyValid
        }
        Some(_) => Reason::KeyCompromised,
    }
}

/// The check that an answer about the status gives.
pub fn check_status(answer: StatusAnswer) -> Check {
    let (reason, as_of) = match answer {
        StatusAnswer::Stale { as_of } => (Reason::StatusStale, Some(as_of)),
        StatusAnswer::Value { value: 0, .. } => (Reason::StatusActive, None),
        StatusAnswer::Value { value: 1, .. } => (Reason::StatusEnded, None),
        StatusAnswer::Value { value: 2, .. } => (Reason::StatusSuspended, None),
        // 3 is given by nobody: whoever wrote it knows something that we do not.
        StatusAnswer::Unknown | StatusAnswer::Value { .. } => (Reason::StatusUnknown, None),
    };
    Check { when: as_of.map(UnixTime::date), ..Check::new(reason) }
}

/// How far an issuer's clock may be ahead of the verifier's. Our own choice.
const CLOCK_SKEW_S: i64 = 60;

#[cfg(test)]
mod tests;
