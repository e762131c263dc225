//! Bearer tokens: short-lived, signed, and worth nothing once a registration is withdrawn.
//!
//! Systems authenticate with a registered key (private_key_jwt, RFC 7523) and are
//! given a token for at most 15 minutes. The registration is read again at every call.
//! A holder's token carries the keyed hash of their code, never the code.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value as Json, json};

use super::guard::{Caller, Role};
use super::registry::RegistrationState;
use super::{Vault, VaultError};
use crate::domain::digest::Digest;
use crate::domain::party::HolderCode;
use crate::domain::time::UnixTime;
use crate::keys::Purpose;
use crate::keys::Signer;
use crate::keys::index::IndexKey;
use crate::keys::jws::{self, UnverifiedJws};

/// Whom a token is for.
pub enum Subject {
    /// A holder, known by their code.
    Holder(HolderCode),
    /// A registered caller, by its name.
    Registration(String),
}

/// A token that was minted.
#[derive(Clone)]
pub struct MintedToken {
    /// The token.
    pub token: String,
    /// Its life in seconds.
    pub expires_in: i64,
}

/// Assertions seen, so that none is used twice.
#[derive(Default)]
pub struct SeenAssertions(Mutex<BTreeMap<Digest, UnixTime>>);

impl SeenAssertions {
    /// `false` when it was seen before.
    fn first(&self, assertion: &str, expires: UnixTime, now: UnixTime) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, until| *until > now);
        seen.len() < SEEN_MAX && seen.insert(Digest::of(&[assertion.as_bytes()]), expires).is_none()
    }
}

/// Signs a token with the token key, without a vault: for `kabao token`.
///
/// # Errors
/// [`TokenError::Unavailable`] when the key cannot be reached.
pub fn mint(
    signer: &dyn Signer,
    index: &IndexKey,
    url: &str,
    subject: &Subject,
    now: UnixTime,
    seconds: i64,
) -> Result<MintedToken, TokenError> {
    let expires_in = seconds.clamp(1, SECONDS_MAX);
    let sub = match subject {
        Subject::Registration(id) => format!("r:{id}"),
        Subject::Holder(code) => {
            let parts = [code.code_type().code().as_bytes(), code.expose().as_bytes()];
            format!("h:{}", hex::encode(index.tag("holder", &parts)))
        }
    };
    let claims = json!({
        "iss": url, "aud": url, "sub": sub,
        "iat": now.seconds(), "exp": now.plus(expires_in).seconds(),
    });
    let token =
        jws::sign(signer, TYP, &[], claims.to_string().as_bytes()).map_err(|_| TokenError::Unavailable)?;
    Ok(MintedToken { token, expires_in })
}

impl Vault {
    /// A token for a subject; who may ask for it is the route's business.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn mint_token(&self, subject: &Subject, seconds: i64) -> Result<MintedToken, TokenError> {
        let index = self.keyring.index.first().ok_or(TokenError::Unavailable)?;
        mint(self.keyring.token.as_ref(), index, &self.settings.url, subject, self.now(), seconds)
    }

    /// The caller behind a token.
    ///
    /// # Errors
    /// [`TokenError::Refused`] for any token that is not ours, in time and of an active registration.
    pub fn admit_token(&self, token: &str) -> Result<Caller, TokenError> {
        let now = self.now();
        let unverified = UnverifiedJws::parse(token, TOKEN_MAX).map_err(|_| TokenError::Refused)?;
        // A token that was signed just before its key was replaced lives on: 15 minutes, not longer.
        let keys = self.keyring.own_keys(Purpose::Token).into_iter();
        let mut keys = keys.filter(|own| now < own.not_after.plus(SECONDS_MAX)).take(TOKEN_KEYS_MAX);
        let signed = keys.find_map(|own| {
            let verified = unverified.clone().verify(&own.key, TYP).ok()?;
            Some((own, serde_json::from_slice::<Json>(verified.payload()).ok()?))
        });
        let (own, claims) = signed.ok_or(TokenError::Refused)?;
        let text = |name: &str| claims.get(name).and_then(Json::as_str).ok_or(TokenError::Refused);
        let time = |name: &str| claims.get(name).and_then(Json::as_i64).ok_or(TokenError::Refused);
        if time("iat")? >= own.not_after.seconds() || time("exp")? - time("iat")? > SECONDS_MAX {
            return Err(TokenError::Refused);
        }
        if text("iss")? != self.settings.url || text("aud")? != self.settings.url {
            return Err(TokenError::Refused);
        }
        if now.seconds() >= time("exp")? || now.seconds() + SKEW_SECONDS < time("iat")? {
            return Err(TokenError::Refused);
        }
        match text("sub")?.split_once(':') {
            Some(("h", tag)) => {
                let tag = Digest::from_hex(tag).ok_or(TokenError::Refused)?;
                let id = format!("h:{}", &tag.to_string()[..16]);
                Ok(Caller { id, role: Role::Holder, organisation: None, holder: Some(*tag.as_bytes()) })
            }
            Some(("r", id)) => self.registered(id),
            _ => Err(TokenError::Refused),
        }
    }

    /// A token for a system that proves its registered key (RFC 7523).
    ///
    /// # Errors
    /// [`TokenError::Refused`] for any assertion that is not right in every part, or was seen before.
    pub fn token_for_assertion(&self, assertion: &str) -> Result<MintedToken, TokenError> {
        let now = self.now();
        let unverified = UnverifiedJws::parse(assertion, TOKEN_MAX).map_err(|_| TokenError::Refused)?;
        let unread: Json =
            serde_json::from_slice(unverified.unverified_payload()).map_err(|_| TokenError::Refused)?;
        // Who claims to speak only chooses the keys to try; what is believed is read after the signature.
        let claimed = unread.get("iss").and_then(Json::as_str).ok_or(TokenError::Refused)?.to_string();
        let registration = self.registration(&claimed).map_err(|_| TokenError::Unavailable)?;
        let registration = registration.ok_or(TokenError::Refused)?;
        if registration.state != RegistrationState::Active {
            return Err(TokenError::Refused);
        }
        let kid = unverified.kid().map(str::to_string);
        let key = registration.keys.iter().find(|key| kid.as_deref().is_none_or(|kid| key.kid() == kid));
        let verified =
            unverified.verify(key.ok_or(TokenError::Refused)?, "JWT").map_err(|_| TokenError::Refused)?;
        let claims: Json = serde_json::from_slice(verified.payload()).map_err(|_| TokenError::Refused)?;
        let text = |name: &str| claims.get(name).and_then(Json::as_str).ok_or(TokenError::Refused);
        let time = |name: &str| claims.get(name).and_then(Json::as_i64).ok_or(TokenError::Refused);
        let audience = format!("{}/oauth/token", self.settings.url);
        if text("iss")? != claimed
            || text("sub")? != claimed
            || text("aud")? != audience
            || text("jti")?.is_empty()
        {
            return Err(TokenError::Refused);
        }
        let (issued, expires) = (time("iat")?, time("exp")?);
        let in_time = now.seconds() < expires && issued <= now.seconds() + SKEW_SECONDS;
        if !in_time || expires.saturating_sub(issued) > ASSERTION_SECONDS_MAX {
            return Err(TokenError::Refused);
        }
        if !self.assertions.first(assertion, UnixTime::clamped(expires), now) {
            return Err(TokenError::Refused);
        }
        self.mint_token(&Subject::Registration(claimed), SECONDS_MAX)
    }

    fn registered(&self, id: &str) -> Result<Caller, TokenError> {
        let registration =
            self.registration(id).map_err(|_| TokenError::Unavailable)?.ok_or(TokenError::Refused)?;
        if registration.state != RegistrationState::Active {
            return Err(TokenError::Refused);
        }
        let organisation = registration.organisation;
        Ok(Caller { id: registration.id, role: registration.role, organisation, holder: None })
    }
}

/// Why a token is not given or not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TokenError {
    /// Not ours, out of time, or of a registration that is not active. Which of them is not said.
    Refused,
    /// The token key or the registry cannot be reached.
    Unavailable,
}

impl TokenError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Refused => "access/token-refused",
            Self::Unavailable => "access/token-unavailable",
        }
    }

    /// What the reader can do about it.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Refused => Some("ask for a fresh token at /oauth/token"),
            Self::Unavailable => Some("try again"),
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "the token is not accepted",
            Self::Unavailable => "tokens cannot be checked now",
        })
    }
}

impl std::error::Error for TokenError {}

impl From<TokenError> for VaultError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Refused => Self::Forbidden,
            TokenError::Unavailable => Self::Unreadable,
        }
    }
}

/// `typ` of our tokens.
const TYP: &str = "kabao-access+jwt";

/// Longest life of a token.
pub const SECONDS_MAX: i64 = 15 * 60;

/// How far a caller's clock may be ahead of ours.
const SKEW_SECONDS: i64 = 30;

/// Longest life of an assertion (RFC 7523 leaves it to us).
const ASSERTION_SECONDS_MAX: i64 = 300;

/// Token keys tried: the present one and the one before.
const TOKEN_KEYS_MAX: usize = 2;

/// Longest token or assertion in characters.
const TOKEN_MAX: usize = 4096;

/// Assertions remembered; beyond it new ones wait until old ones expire.
const SEEN_MAX: usize = 100_000;
