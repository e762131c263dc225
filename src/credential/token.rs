//! Signed JSON as credentials use it: [`jws`], narrower still.
//!
//! Above what `keys::jws` promises, a token from here had a header without doubled
//! members, a `typ` checked before anything else is believed of it, a `kid` of at
//! most 64 bytes, and brought no key of its own: `jwk`, `jku` and `x5u` are refused
//! (RFC 8725, 3.10; T13). [`sign`] verifies what it signed before anyone sees it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::json::{self, JsonError};
use crate::keys::jws::{self, JwsError, UnverifiedJws};
use crate::keys::{PublicKey, SignError, Signature, Signer};

/// Signs the payload and verifies the signature.
pub(super) fn sign(
    signer: &dyn Signer,
    typ: &str,
    x5c: &[&[u8]],
    payload: &[u8],
) -> Result<String, TokenError> {
    let text = jws::sign(signer, typ, x5c, payload).map_err(TokenError::Signer)?;
    let wrong = TokenError::Jws(JwsError::Signature);
    let (signed, signature) = text.rsplit_once('.').ok_or(wrong)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| wrong)?;
    let signature = Signature::try_from(signature).map_err(|_| wrong)?;
    if signer.public_key().verify(signed.as_bytes(), &signature) { Ok(text) } else { Err(wrong) }
}

/// A token of the expected `typ` whose signature has not been checked.
pub(super) struct UnverifiedToken {
    jws: UnverifiedJws,
    typ: &'static str,
    claims: Map<String, Value>,
}

impl UnverifiedToken {
    /// Reads a token of at most `bytes_max` bytes.
    pub(super) fn parse(text: &str, typ: &'static str, bytes_max: usize) -> Result<Self, TokenError> {
        let jws = UnverifiedJws::parse(text, bytes_max).map_err(TokenError::Jws)?;
        // What `keys::jws` has read is read again, strictly: it keeps the last of doubled members.
        let (header, _) = text.split_once('.').unwrap_or_default();
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| TokenError::Json(JsonError::Syntax))?;
        let header = object(&header, bytes_max)?;
        if let Some(member) = KEY_SOURCES.into_iter().find(|member| header.contains_key(*member)) {
            return Err(TokenError::KeySource { member });
        }
        if header.get("typ").and_then(Value::as_str) != Some(typ) {
            return Err(TokenError::Jws(JwsError::Type));
        }
        match header.get("kid") {
            None => {}
            Some(Value::String(kid)) if kid.len() <= KID_BYTES_MAX => {}
            Some(_) => return Err(TokenError::Jws(JwsError::Malformed { part: "kid" })),
        }
        let claims = object(jws.unverified_payload(), bytes_max)?;
        Ok(Self { jws, typ, claims })
    }

    /// The `kid` it names: for looking up a key, nothing else.
    pub(super) fn kid(&self) -> Option<&str> {
        self.jws.kid()
    }

    /// The claims, which anyone may have written.
    pub(super) fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// Checks that this key signed it, under the key's own algorithm.
    pub(super) fn verify(&self, key: &PublicKey) -> Result<(), TokenError> {
        self.jws.clone().verify(key, self.typ).map(|_| ()).map_err(TokenError::Jws)
    }
}

/// Why a token is not made or not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TokenError {
    /// Header or payload is not the JSON we take.
    Json(JsonError),
    /// Not a JWS of this type by this key.
    Jws(JwsError),
    /// It brings or points to a key of its own.
    KeySource {
        /// The header member.
        member: &'static str,
    },
    /// The signing key cannot be reached.
    Signer(SignError),
}

impl TokenError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Json(error) => error.code(),
            Self::Jws(error) => error.code(),
            Self::KeySource { .. } => "token/key-source",
            Self::Signer(error) => error.code(),
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Jws(JwsError::Type) => Some("this text was made for another use"),
            Self::Signer(_) => Some("check that the key store can be reached"),
            _ => None,
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::Jws(error) => error.fmt(f),
            Self::KeySource { member } => write!(f, "brings a key of its own in `{member}`"),
            Self::Signer(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TokenError {}

fn object(bytes: &[u8], bytes_max: usize) -> Result<Map<String, Value>, TokenError> {
    match json::parse(bytes, bytes_max).map_err(TokenError::Json)? {
        Value::Object(members) => Ok(members),
        _ => Err(TokenError::Json(JsonError::Syntax)),
    }
}

/// Header members that would let the text choose its key (RFC 7515, 4.1). `x5c` is only ever evidence.
const KEY_SOURCES: [&str; 3] = ["jku", "jwk", "x5u"];

/// A thumbprint has 43 (T13).
const KID_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::soft::SoftSigner;

    const TEST_TYP: &str = "test+jwt";

    fn signer() -> SoftSigner {
        SoftSigner::ed25519(&[1; 32])
    }

    fn signed(header: &str, payload: &str) -> String {
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = signer().sign(text.as_bytes()).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[track_caller]
    fn check(text: &str, expected: Result<(), TokenError>) {
        let actual = UnverifiedToken::parse(text, TEST_TYP, 4096)
            .and_then(|token| token.verify(signer().public_key()));
        assert_eq!(actual, expected, "{text}");
    }

    #[test]
    fn a_token_cannot_choose_its_key_or_be_read_in_two_ways() {
        let kid = signer().public_key().kid();
        let header = |more: &str| format!(r#"{{"alg":"EdDSA","typ":"test+jwt"{more}}}"#);
        check(&signed(&header(""), "{}"), Ok(()));
        check(&signed(&header(&format!(r#","kid":"{kid}""#)), "{}"), Ok(()));
        for member in KEY_SOURCES {
            check(
                &signed(&header(&format!(r#","{member}":{{}}"#)), "{}"),
                Err(TokenError::KeySource { member }),
            );
        }
        check(&signed(&header(r#","alg":"EdDSA""#), "{}"), Err(TokenError::Json(JsonError::DuplicateMember)));
        check(
            &signed(&header(r#","typ":"test+jwt""#), "{}"),
            Err(TokenError::Json(JsonError::DuplicateMember)),
        );
        check(
            &signed(&header(""), r#"{"exp":1,"exp":2}"#),
            Err(TokenError::Json(JsonError::DuplicateMember)),
        );
        check(&signed(&header(""), "[]"), Err(TokenError::Json(JsonError::Syntax)));
        check(&signed(&header(r#","crit":[]"#), "{}"), Err(TokenError::Jws(JwsError::Critical)));
        check(&signed(&header(r#","b64":false"#), "{}"), Err(TokenError::Jws(JwsError::Critical)));
        check(&signed(&header(r#","kid":"other""#), "{}"), Err(TokenError::Jws(JwsError::Key)));
        let kid = Err(TokenError::Jws(JwsError::Malformed { part: "kid" }));
        check(&signed(&header(r#","kid":7"#), "{}"), kid);
        check(&signed(&header(&format!(r#","kid":"{}""#, "k".repeat(65))), "{}"), kid);
        check(&signed(r#"{"alg":"EdDSA","typ":"JWT"}"#, "{}"), Err(TokenError::Jws(JwsError::Type)));
        check(&signed(r#"{"alg":"EdDSA"}"#, "{}"), Err(TokenError::Jws(JwsError::Type)));
        check(&signed(r#"{"alg":"none","typ":"test+jwt"}"#, "{}"), Err(TokenError::Jws(JwsError::Algorithm)));
        check(
            &signed(r#"{"alg":"ES256","typ":"test+jwt"}"#, "{}"),
            Err(TokenError::Jws(JwsError::Algorithm)),
        );
        check(
            &signed(r#"{"alg":"HS256","typ":"test+jwt"}"#, "{}"),
            Err(TokenError::Jws(JwsError::Algorithm)),
        );
    }

    #[test]
    fn a_signature_has_one_spelling() {
        let text = signed(r#"{"alg":"EdDSA","typ":"test+jwt"}"#, "{}");
        let (head, _) = text.rsplit_once('.').unwrap();
        let signature = Err(TokenError::Jws(JwsError::Malformed { part: "signature" }));
        check(&format!("{text}="), signature);
        check(&format!("{text}=="), signature);
        check(&format!("{head}."), signature);
        check(&text[..text.len() - 2], signature);
        // 86 characters hold 516 bits: the four that are over must be zero.
        let last = char::from(text.as_bytes()[text.len() - 1] + 1);
        check(&format!("{}{last}", &text[..text.len() - 1]), signature);
        check(&text.replace('.', ". "), Err(TokenError::Jws(JwsError::Malformed { part: "payload" })));
        check(&"x".repeat(4097), Err(TokenError::Jws(JwsError::TooLong)));
    }
}
