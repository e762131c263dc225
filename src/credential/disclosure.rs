//! One disclosure: a salt, a name, a value, and the digest by which the issuer's signature covers them.
//!
//! RFC 9901, 4.2. A [`Disclosure`] has two or three elements as the RFC wants them and
//! no reserved name; whether a signature covers it, `processing` finds out.
//! It holds a value of somebody's certificate: it does not print it, and wipes it when dropped.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use zeroize::Zeroize;

use super::json;
use crate::domain::digest::Digest;

/// 128 random bits (RFC 9901, 9.3).
pub type Salt = [u8; 16];

/// One disclosable claim, or one element of an array.
pub struct Disclosure {
    /// The exact text that was or will be digested.
    encoded: String,
    /// `None` for an element of an array.
    key: Option<String>,
    value: Value,
}

impl Disclosure {
    /// A claim to disclose under a name. The name has been checked by the plan.
    pub(super) fn of_claim(salt: &Salt, key: String, value: Value) -> Self {
        let mut text =
            format!(r#"["{}",{},{}]"#, URL_SAFE_NO_PAD.encode(salt), Value::String(key.clone()), value);
        let encoded = URL_SAFE_NO_PAD.encode(&text);
        text.zeroize();
        Self { encoded, key: Some(key), value }
    }

    /// Reads the text between two tildes.
    ///
    /// # Errors
    /// [`DisclosureError`].
    pub fn parse(encoded: &str) -> Result<Self, DisclosureError> {
        if encoded.len() > BYTES_MAX {
            return Err(DisclosureError::TooLong);
        }
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| DisclosureError::Encoding)?;
        let parsed = json::parse(&bytes, BYTES_MAX).map_err(|_| DisclosureError::Encoding)?;
        let Value::Array(elements) = parsed else {
            return Err(DisclosureError::Elements);
        };
        let mut elements = elements.into_iter();
        let taken = (elements.next(), elements.next(), elements.next(), elements.next());
        let (salt, key, value) = match taken {
            (Some(salt), Some(value), None, None) => (salt, None, value),
            (Some(salt), Some(Value::String(key)), Some(value), None) => (salt, Some(key), value),
            (Some(_), Some(_), Some(_), None) => return Err(DisclosureError::Name),
            _ => return Err(DisclosureError::Elements),
        };
        if !salt.is_string() {
            return Err(DisclosureError::Salt);
        }
        if key.as_deref().is_some_and(|key| RESERVED.contains(&key)) {
            return Err(DisclosureError::ReservedName);
        }
        Ok(Self { encoded: encoded.to_owned(), key, value })
    }

    /// The name of the claim; `None` for an element of an array.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The value, for who may see it.
    pub fn expose(&self) -> &Value {
        &self.value
    }

    /// base64url of the SHA-256 of the text as it was received.
    pub fn digest(&self) -> String {
        URL_SAFE_NO_PAD.encode(Digest::of(&[self.encoded.as_bytes()]).as_bytes())
    }

    /// The text between two tildes.
    pub(super) fn encoded(&self) -> &str {
        &self.encoded
    }
}

impl Drop for Disclosure {
    fn drop(&mut self) {
        self.encoded.zeroize();
        wipe(&mut self.value);
    }
}

impl fmt::Debug for Disclosure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Disclosure({}, ..)", self.key.as_deref().unwrap_or("element"))
    }
}

/// Overwrites the texts inside a value. Numbers and member names stay; it is a best effort.
pub(super) fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Bool(_) | Value::Null | Value::Number(_) => {}
    }
}

/// Why a text is not a disclosure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DisclosureError {
    /// Not an array of two or three elements.
    Elements,
    /// Not base64url of JSON.
    Encoding,
    /// The name of the claim is not a text.
    Name,
    /// The claim is called `_sd`, `...` or `_sd_alg`.
    ReservedName,
    /// The salt is not a text.
    Salt,
    /// Longer than [`BYTES_MAX`].
    TooLong,
}

impl DisclosureError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Elements => "disclosure/elements",
            Self::Encoding => "disclosure/encoding",
            Self::Name => "disclosure/name",
            Self::ReservedName => "disclosure/reserved-name",
            Self::Salt => "disclosure/salt",
            Self::TooLong => "disclosure/too-long",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        None
    }
}

impl fmt::Display for DisclosureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Elements => "a disclosure must have two or three elements",
            Self::Encoding => "a disclosure is not base64url of JSON",
            Self::Name => "the name in a disclosure is not a text",
            Self::ReservedName => "a disclosure has a reserved name",
            Self::Salt => "the salt of a disclosure is not a text",
            Self::TooLong => "a disclosure is too long",
        })
    }
}

impl std::error::Error for DisclosureError {}

/// Names that carry the digests themselves (RFC 9901, 4.1 and 4.2.1).
pub(super) const RESERVED: [&str; 3] = ["...", "_sd", "_sd_alg"];

/// Bytes of one encoded disclosure: a long table of a register fits. Our own choice.
pub const BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Result<Option<&str>, DisclosureError>) {
        let parsed = Disclosure::parse(&URL_SAFE_NO_PAD.encode(json));
        assert_eq!(parsed.as_ref().map(Disclosure::key).map_err(|error| *error), expected, "{json}");
    }

    #[test]
    fn only_well_built_disclosures_are_read() {
        check(r#"["salt","name",1]"#, Ok(Some("name")));
        check(r#"["salt",1]"#, Ok(None));
        check(r#"["salt"]"#, Err(DisclosureError::Elements));
        check(r#"["salt","name",1,2]"#, Err(DisclosureError::Elements));
        check("[]", Err(DisclosureError::Elements));
        check(r#"{"salt":1}"#, Err(DisclosureError::Elements));
        check(r#"[1,"name",1]"#, Err(DisclosureError::Salt));
        check(r#"["salt",7,1]"#, Err(DisclosureError::Name));
        check(r#"["salt","_sd",[]]"#, Err(DisclosureError::ReservedName));
        check(r#"["salt","...","x"]"#, Err(DisclosureError::ReservedName));
        check(r#"["salt","_sd_alg","sha-1"]"#, Err(DisclosureError::ReservedName));
        check(r#"["salt","name",{"a":1,"a":2}]"#, Err(DisclosureError::Encoding));
        check("nonsense", Err(DisclosureError::Encoding));
        assert_eq!(Disclosure::parse("W10=").map(|_| ()), Err(DisclosureError::Encoding));
        assert_eq!(Disclosure::parse(&"A".repeat(BYTES_MAX + 1)).map(|_| ()), Err(DisclosureError::TooLong));
    }

    #[test]
    fn digests_are_taken_as_rfc_9901_4_2_3_does() {
        let example = "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0";
        let disclosure = Disclosure::parse(example).unwrap();
        assert_eq!(disclosure.digest(), "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0");
        assert_eq!(disclosure.expose(), "Möbius");
        assert_eq!(format!("{disclosure:?}"), "Disclosure(family_name, ..)");
    }
}
