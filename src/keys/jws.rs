//! Compact JWS (RFC 7515) over our own signers, for everything signed as JSON.
//!
//! A [`VerifiedJws`] was signed by the key it was verified with, under that key's
//! own algorithm and the `typ` that was asked for: neither the algorithm nor the
//! kind of text is chosen by what arrives (RFC 8725, 3.1 and 3.11).
//!
//! # Not here
//!
//! Whether the key is trusted, and what the payload means.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::keys::public::PublicKey;
use crate::keys::{SignError, Signature, Signer};

/// Sign the payload. The header is `alg`, `typ`, `kid` (the key's thumbprint) and, if there are any,
/// `x5c` (DER, leaf first).
///
/// # Errors
/// [`SignError`] when the key cannot be reached.
pub fn sign(signer: &dyn Signer, typ: &str, x5c: &[&[u8]], payload: &[u8]) -> Result<String, SignError> {
    let key = signer.public_key();
    let mut header = Map::new();
    header.insert("alg".into(), key.algorithm().jose().into());
    header.insert("typ".into(), typ.into());
    header.insert("kid".into(), key.kid().into());
    if !x5c.is_empty() {
        header.insert("x5c".into(), x5c.iter().map(|der| STANDARD.encode(der)).collect());
    }
    let header = Value::Object(header).to_string();
    let mut text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = signer.sign(text.as_bytes())?;
    text.push('.');
    text.push_str(&URL_SAFE_NO_PAD.encode(signature));
    Ok(text)
}

/// A well-formed compact JWS of which nothing has been checked.
#[derive(Clone)]
pub struct UnverifiedJws {
    header: Map<String, Value>,
    payload: Vec<u8>,
    signed: String,
    signature: Signature,
}

impl UnverifiedJws {
    /// Takes a compact JWS apart. `length_max` bounds the whole text.
    ///
    /// # Errors
    /// [`JwsError`] when it is too long, not three parts, or has a header we must not pass over.
    pub fn parse(text: &str, length_max: usize) -> Result<Self, JwsError> {
        if text.len() > length_max {
            return Err(JwsError::TooLong);
        }
        let malformed = |part| JwsError::Malformed { part };
        let (signed, signature) = text.rsplit_once('.').ok_or(malformed("parts"))?;
        let (header, payload) = signed.split_once('.').ok_or(malformed("parts"))?;
        if header.len() > HEADER_MAX {
            return Err(JwsError::TooLong);
        }
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| malformed("header"))?;
        let Ok(Value::Object(header)) = serde_json::from_slice(&header) else {
            return Err(malformed("header"));
        };
        // We understand no extension, and a detached or unencoded payload is another signing input.
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(JwsError::Critical);
        }
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| malformed("payload"))?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed("signature"))?;
        let signature = Signature::try_from(&signature[..]).map_err(|_| malformed("signature"))?;
        Ok(Self { header, payload, signed: signed.to_owned(), signature })
    }

    /// The `kid` it names: a hint which key to look up, nothing more.
    pub fn kid(&self) -> Option<&str> {
        self.header.get("kid").and_then(Value::as_str)
    }

    /// The payload, of which nothing has been checked.
    pub fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    /// The x509 it carries, as DER, leaf first; none if it carries none.
    ///
    /// # Errors
    /// [`JwsError`] when `x5c` is not a list of at most 8 texts in standard base64.
    pub fn x5c(&self) -> Result<Vec<Vec<u8>>, JwsError> {
        let Some(value) = self.header.get("x5c") else {
            return Ok(Vec::new());
        };
        let list = value.as_array().ok_or(JwsError::Malformed { part: "x5c" })?;
        if list.len() > X5C_MAX {
            return Err(JwsError::TooLong);
        }
        let decode = |value: &Value| STANDARD.decode(value.as_str()?).ok();
        list.iter().map(|value| decode(value).ok_or(JwsError::Malformed { part: "x5c" })).collect()
    }

    /// Check that this key signed it, as this kind of text.
    ///
    /// # Errors
    /// [`JwsError`] when `typ`, `alg` or `kid` are not those of `typ` and `key`, or the signature is bad.
    pub fn verify(self, key: &PublicKey, typ: &str) -> Result<VerifiedJws, JwsError> {
        let text = |name: &str| self.header.get(name).and_then(Value::as_str);
        if text("typ") != Some(typ) {
            return Err(JwsError::Type);
        }
        if text("alg") != Some(key.algorithm().jose()) {
            return Err(JwsError::Algorithm);
        }
        if self.header.contains_key("kid") && text("kid") != Some(&key.kid()) {
            return Err(JwsError::Key);
        }
        if !key.verify(self.signed.as_bytes(), &self.signature) {
            return Err(JwsError::Signature);
        }
        Ok(VerifiedJws { header: self.header, payload: self.payload, key: key.clone() })
    }
}

/// A JWS whose signature is good under a given key.
#[derive(Clone)]
pub struct VerifiedJws {
    header: Map<String, Value>,
    payload: Vec<u8>,
    key: PublicKey,
}

impl VerifiedJws {
    /// What was signed.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The header that was signed with it.
    pub fn header(&self) -> &Map<String, Value> {
        &self.header
    }

    /// The key that signed it.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }
}

/// Why a text is not a JWS that may be believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum JwsError {
    /// Its `alg` is not the key's.
    Algorithm,
    /// It asks for extensions (`crit`, `b64`) that we do not know.
    Critical,
    /// It names another key.
    Key,
    /// Not a compact JWS.
    Malformed {
        /// Which part.
        part: &'static str,
    },
    /// The signature does not fit.
    Signature,
    /// Longer than this kind of text may be.
    TooLong,
    /// Another kind of text (`typ`).
    Type,
}

impl JwsError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Algorithm => "jws/algorithm",
            Self::Critical => "jws/critical",
            Self::Key => "jws/key",
            Self::Malformed { .. } => "jws/malformed",
            Self::Signature => "jws/signature",
            Self::TooLong => "jws/too-long",
            Self::Type => "jws/type",
        }
    }
}

impl fmt::Display for JwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Algorithm => f.write_str("signed with an algorithm that is not the key's"),
            Self::Critical => f.write_str("asks for an extension that is not known"),
            Self::Key => f.write_str("signed with another key"),
            Self::Malformed { part } => write!(f, "not a compact JWS: {part}"),
            Self::Signature => f.write_str("the signature does not fit"),
            Self::TooLong => f.write_str("longer than this kind of text may be"),
            Self::Type => f.write_str("another kind of signed text"),
        }
    }
}

impl std::error::Error for JwsError {}

/// Room for `x5c` with eight x509 of about 1 KiB each, in base64 twice over. Our own choice.
const HEADER_MAX: usize = 24 * 1024;

/// x509 in one header. Our chains have three; the rest is room. Our own choice.
const X5C_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Algorithm;
    use crate::keys::random::SeededRandom;
    use crate::keys::soft::SoftSigner;

    const TYP: &str = "test+jwt";

    fn signer() -> SoftSigner {
        SoftSigner::ed25519(&[1; 32])
    }

    fn signed() -> String {
        sign(&signer(), TYP, &[b"one", b"two"], b"payload").unwrap()
    }

    /// The signed text with another header, signed again by the same key.
    fn with_header(header: Value) -> String {
        let payload = URL_SAFE_NO_PAD.encode("payload");
        let text = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header.to_string()));
        let signature = URL_SAFE_NO_PAD.encode(signer().sign(text.as_bytes()).unwrap());
        format!("{text}.{signature}")
    }

    #[track_caller]
    fn check(text: &str, key: &PublicKey, expected: Result<(), JwsError>) {
        let actual = UnverifiedJws::parse(text, 4096).and_then(|jws| jws.verify(key, TYP));
        assert_eq!(actual.map(|jws| assert_eq!(jws.payload(), b"payload")), expected, "{text}");
    }

    #[test]
    fn what_we_sign_verifies_with_our_key_only() {
        check(&signed(), signer().public_key(), Ok(()));
        check(&signed(), SoftSigner::ed25519(&[2; 32]).public_key(), Err(JwsError::Key));
        let (p256, _) = SoftSigner::generate(Algorithm::P256, &SeededRandom::danger_seeded(1)).unwrap();
        check(&sign(&p256, TYP, &[], b"payload").unwrap(), p256.public_key(), Ok(()));
        check(&signed(), p256.public_key(), Err(JwsError::Algorithm));
        let jws = UnverifiedJws::parse(&signed(), 4096).unwrap();
        assert_eq!(jws.x5c().unwrap(), [b"one", b"two"]);
    }

    #[test]
    fn the_text_does_not_choose_how_it_is_checked() {
        let key = signer().public_key().clone();
        let kid = key.kid();
        for (header, expected) in [
            (serde_json::json!({"alg": "none", "typ": TYP}), JwsError::Algorithm),
            (serde_json::json!({"alg": "ES256", "typ": TYP}), JwsError::Algorithm),
            (serde_json::json!({"alg": "HS256", "typ": TYP, "kid": kid}), JwsError::Algorithm),
            (serde_json::json!({"alg": "EdDSA", "typ": "other+jwt"}), JwsError::Type),
            (serde_json::json!({"alg": "EdDSA"}), JwsError::Type),
            (serde_json::json!({"alg": "EdDSA", "typ": TYP, "kid": "x"}), JwsError::Key),
            (serde_json::json!({"alg": "EdDSA", "typ": TYP, "kid": 1}), JwsError::Key),
            (serde_json::json!({"alg": "EdDSA", "typ": TYP, "crit": []}), JwsError::Critical),
            (serde_json::json!({"alg": "EdDSA", "typ": TYP, "b64": false}), JwsError::Critical),
            (serde_json::json!([]), JwsError::Malformed { part: "header" }),
        ] {
            check(&with_header(header), &key, Err(expected));
        }
    }

    #[test]
    fn what_is_no_jws_is_refused() {
        let key = signer().public_key().clone();
        for text in ["", "a.b", "a.b.c.d", "....", "e30.e30", "e30.?.AA"] {
            let error = UnverifiedJws::parse(text, 4096).err();
            assert!(matches!(error, Some(JwsError::Malformed { .. })), "{text:?} {error:?}");
        }
        let mut changed = signed();
        changed.truncate(changed.len() - 1);
        check(&changed, &key, Err(JwsError::Malformed { part: "signature" }));
        let (head, _) = changed.rsplit_once('.').unwrap();
        check(&format!("{head}.{}", "A".repeat(86)), &key, Err(JwsError::Signature));
    }

    #[test]
    fn length_header_and_chain_have_limits() {
        assert_eq!(UnverifiedJws::parse(&signed(), 10).err(), Some(JwsError::TooLong));
        let long =
            with_header(serde_json::json!({"alg": "EdDSA", "typ": TYP, "pad": "x".repeat(HEADER_MAX)}));
        assert_eq!(UnverifiedJws::parse(&long, 1 << 20).err(), Some(JwsError::TooLong));
        let chain: Vec<&[u8]> = vec![b"x"; X5C_MAX + 1];
        let text = sign(&signer(), TYP, &chain, b"").unwrap();
        assert_eq!(UnverifiedJws::parse(&text, 4096).unwrap().x5c(), Err(JwsError::TooLong));
    }
}
