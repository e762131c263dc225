//! Key binding: the holder's wallet signs that it shows this, now, to this verifier (RFC 9901, 4.3).
//!
//! Whether a binding is needed is the verifier's policy, never the presence of one (7.3).
//! [`verify`] checks type, algorithm, audience, nonce, age and the digest of exactly the
//! presented text, under the key that the issuer put into `cnf`.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::token::{self, TokenError, UnverifiedToken};
use crate::domain::digest::Digest;
use crate::domain::time::UnixTime;
use crate::keys::{PublicKey, Signer};

/// What a verifier asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Expected<'a> {
    /// The verifier's own name, `aud`.
    pub audience: &'a str,
    /// The random text it gave out for this one presentation.
    pub nonce: &'a str,
    /// How old the binding may be.
    pub age_s_max: i64,
}

/// Binds a presentation `jwt~d~…~` to a verifier: the same text with a key binding at its end.
///
/// # Errors
/// [`KeyBindingError::Token`] when the key cannot sign.
pub fn bind(
    presentation: &str,
    signer: &dyn Signer,
    audience: &str,
    nonce: &str,
    now: UnixTime,
) -> Result<String, KeyBindingError> {
    let payload = json!({
        "aud": audience,
        "iat": now.seconds(),
        "nonce": nonce,
        "sd_hash": hash(presentation),
    });
    let binding =
        token::sign(signer, TYP, &[], payload.to_string().as_bytes()).map_err(KeyBindingError::Token)?;
    Ok(format!("{presentation}{binding}"))
}

/// Checks a key binding over exactly `presentation`, which ends with its last tilde.
///
/// # Errors
/// [`KeyBindingError`], one variant for each rule.
pub fn verify(
    binding: &str,
    presentation: &str,
    key: &PublicKey,
    expected: &Expected<'_>,
    at: UnixTime,
) -> Result<(), KeyBindingError> {
    let token = UnverifiedToken::parse(binding, TYP, BYTES_MAX).map_err(KeyBindingError::Token)?;
    token.verify(key).map_err(KeyBindingError::Token)?;
    let claims = token.claims();
    let text = |name| claims.get(name).and_then(Value::as_str);
    if text("aud") != Some(expected.audience) {
        return Err(KeyBindingError::Audience);
    }
    if text("nonce") != Some(expected.nonce) {
        return Err(KeyBindingError::Nonce);
    }
    if text("sd_hash") != Some(hash(presentation).as_str()) {
        return Err(KeyBindingError::Presentation);
    }
    let issued_at = claims.get("iat").and_then(Value::as_i64).and_then(UnixTime::new);
    match issued_at {
        Some(issued_at)
            if issued_at <= at.plus(CLOCK_SKEW_S) && issued_at >= at.minus(expected.age_s_max) =>
        {
            Ok(())
        }
        _ => Err(KeyBindingError::Age),
    }
}

/// Why a key binding is not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KeyBindingError {
    /// Too old, from the future, or without a time.
    Age,
    /// For another verifier.
    Audience,
    /// Another nonce: a replay.
    Nonce,
    /// Made over another presentation.
    Presentation,
    /// Not a key binding, or not signed by the holder's key.
    Token(TokenError),
}

impl KeyBindingError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Age => "key-binding/age",
            Self::Audience => "key-binding/audience",
            Self::Token(_) => "key-binding/signature",
            Self::Nonce => "key-binding/nonce",
            Self::Presentation => "key-binding/presentation",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Age | Self::Nonce => Some("ask the holder to show it again"),
            _ => None,
        }
    }
}

impl fmt::Display for KeyBindingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Age => f.write_str("the key binding is not of now"),
            Self::Audience => f.write_str("the key binding is for another verifier"),
            Self::Token(error) => write!(f, "the key binding is not signed by the holder: {error}"),
            Self::Nonce => f.write_str("the key binding answers another question"),
            Self::Presentation => f.write_str("the key binding is for another presentation"),
        }
    }
}

impl std::error::Error for KeyBindingError {}

fn hash(presentation: &str) -> String {
    URL_SAFE_NO_PAD.encode(Digest::of(&[presentation.as_bytes()]).as_bytes())
}

/// `typ` of a key binding (RFC 9901, 4.3).
pub const TYP: &str = "kb+jwt";

/// Bytes of one binding. Our own choice; ours have about 350.
const BYTES_MAX: usize = 8 << 10;

/// How far a wallet's clock may be ahead of ours. Our own choice.
const CLOCK_SKEW_S: i64 = 60;
