//! The offline code: `KB1:` and the base45 of a COSE_Sign1, small enough for one QR.
//!
//! ```text
//! KB1:<base45 of>
//! 18([ h'{1: -8, -65537: h'<CWT of the show key>'}',      protected header
//!      {},
//!      h'{ 1: issuer USCC,                                 payload
//!          2: identifier, without what 1 and -1 say,
//!          4: expires at,  6: issued at,
//!         -1: certificate type,
//!         -2: [list, index, bits, good at],                the status, stapled
//!         -3: {field number: text | integer | boolean | [text]},
//!         -4: version of the certificate type }',
//!      h'<Ed25519 signature>' ])
//! ```
//!
//! All CBOR is deterministic. Where zlib makes the message smaller, the base45 is of the zlib
//! stream, which begins with 0x78 and not with 0xD2. The certificate stands in the protected
//! header, so a code has one form and nobody can swap it.
//!
//! A [`VerifiedOfflineCode`] passed every check at the instant it was verified at: the show key
//! under an authority that is believed, the signature, the hours, the few minutes, the status.
//!
//! # Not here
//!
//! Which field has which number, and whether it may be shown. No network: the status is the
//! stapled one, and says of itself at what time it was good.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use zeroize::Zeroize;

use super::base45;
use super::cbor::{self, Value};
use super::cose::{self, Sign1};
use super::show_key::{self, KnownShowKeys, ShowAuthorities, ShowKeyCertificate};
use super::verify::{DevelopmentKeys, Parts, StatusAnswer, check_chain, check_status};
use crate::domain::claims;
use crate::domain::digest::Digest;
use crate::domain::number::CertificateIdentifier;
use crate::domain::time::UnixTime;
use crate::domain::type_code::TypeCode;
use crate::domain::uscc::Uscc;
use crate::domain::verdict::{Check, Reason};
use crate::keys::{SignError, Signer};

/// What a code will say. It becomes a code at most once.
pub struct Plan {
    /// The department that issued the certificate.
    pub issuer: Uscc,
    /// The kind of certificate.
    pub certificate_type: TypeCode,
    /// The version of the kind.
    pub type_version: u16,
    /// The certificate.
    pub identifier: CertificateIdentifier,
    /// The number of its status list.
    pub list: u32,
    /// Its place there.
    pub index: u32,
    /// Its bits there: 0 active, 1 ended, 2 suspended.
    pub status: u8,
    /// When the bits were read.
    pub good_at: UnixTime,
    /// Now.
    pub issued_at: UnixTime,
    /// The first second it is no longer accepted, at most [`LIFETIME_S_MAX`] later.
    pub expires_at: UnixTime,
    /// The disclosed fields by number. Tables do not fit.
    pub claims: BTreeMap<u16, claims::Value>,
}

/// A code as it was read. Well formed; everything it says may be a lie.
pub struct UnverifiedOfflineCode {
    message: Sign1,
    show_key: Vec<u8>,
    digest: Digest,
    content: Content,
}

/// A code that passed every check, with what was checked.
pub struct VerifiedOfflineCode {
    authority_name: String,
    content: Content,
}

#[derive(Clone)]
struct Content {
    issuer: Uscc,
    certificate_type: TypeCode,
    type_version: u16,
    identifier: CertificateIdentifier,
    list: u32,
    index: u32,
    status: u8,
    good_at: UnixTime,
    issued_at: UnixTime,
    expires_at: UnixTime,
    claims: BTreeMap<u16, claims::Value>,
}

impl Plan {
    /// Says what is wrong with the plan before anything is signed.
    ///
    /// # Errors
    /// [`OfflineError::Plan`] with the first rule that is broken.
    pub fn lint(&self) -> Result<(), OfflineError> {
        let broken = |rule| Err(OfflineError::Plan { rule });
        let lifetime_s = self.expires_at.seconds() - self.issued_at.seconds();
        if !(1..=LIFETIME_S_MAX).contains(&lifetime_s) {
            return broken("a code lives for 1 to 300 seconds");
        }
        if self.good_at > self.issued_at
            || self.issued_at.seconds() - self.good_at.seconds() > STAPLE_AGE_S_MAX
        {
            return broken("the status was read within the last hour");
        }
        if self.status > STATUS_BITS_MAX {
            return broken("the status bits are 0, 1 or 2");
        }
        if self.claims.values().any(|value| matches!(value, claims::Value::Rows(_))) {
            return broken("tables do not go into a code");
        }
        Ok(())
    }

    /// Lints, signs once under the show key, verifies the signature, and writes the text.
    ///
    /// # Errors
    /// [`OfflineError::Plan`] before signing; [`OfflineError::Signer`] also when `signer` is not the key
    /// of `certificate`; [`OfflineError::TooLong`] when it does not fit its QR.
    pub fn sign(self, signer: &dyn Signer, certificate: &ShowKeyCertificate) -> Result<String, OfflineError> {
        self.lint()?;
        if signer.public_key() != certificate.key() {
            return Err(OfflineError::Signer(SignError));
        }
        if self.issued_at < certificate.not_before() || self.expires_at > certificate.expires_at() {
            return Err(OfflineError::Plan { rule: "a code lies within the hours of its show key" });
        }
        let header = vec![(Value::Integer(SHOW_KEY), Value::Bytes(certificate.as_bytes().to_vec()))];
        let message = cose::sign(signer, header, &self.payload()).map_err(OfflineError::Signer)?;
        let unpacked = message.len();
        let compressed = compress(&message);
        let shorter = if compressed.len() < message.len() { compressed } else { message };
        let text = format!("{PREFIX}{}", base45::encode(&shorter));
        if unpacked > MESSAGE_BYTES_MAX || text.len() > TEXT_CHARACTERS_MAX {
            return Err(OfflineError::TooLong);
        }
        Ok(text)
    }

    fn payload(&self) -> Value {
        let text = |text: &dyn fmt::Display| Value::Text(text.to_string());
        let time = |time: UnixTime| Value::Integer(time.seconds());
        let number = |number: u32| Value::Integer(i64::from(number));
        let claims =
            self.claims.iter().map(|(field, value)| (Value::Integer(i64::from(*field)), to_cbor(value)));
        let status =
            [number(self.list), number(self.index), number(u32::from(self.status)), time(self.good_at)];
        Value::Map(vec![
            (Value::Integer(ISSUER), text(&self.issuer)),
            (
                Value::Integer(IDENTIFIER),
                Value::Text(short_identifier(&self.identifier, self.certificate_type, self.issuer)),
            ),
            (Value::Integer(EXPIRES_AT), time(self.expires_at)),
            (Value::Integer(ISSUED_AT), time(self.issued_at)),
            (Value::Integer(TYPE), text(&self.certificate_type)),
            (Value::Integer(STATUS), Value::Array(status.into())),
            (Value::Integer(CLAIMS), Value::Map(claims.collect())),
            (Value::Integer(TYPE_VERSION), number(u32::from(self.type_version))),
        ])
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        self.claims.values_mut().for_each(Zeroize::zeroize);
    }
}

impl UnverifiedOfflineCode {
    /// Whether a text is meant as an offline code.
    pub fn is_meant_by(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// Takes the text of a QR apart.
    ///
    /// # Errors
    /// [`OfflineError::NotOffline`], [`OfflineError::TooLong`] or [`OfflineError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, OfflineError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(OfflineError::NotOffline)?;
        if text.len() > TEXT_CHARACTERS_MAX {
            return Err(OfflineError::TooLong);
        }
        let malformed = |part| OfflineError::Malformed { part };
        let bytes = base45::decode(encoded).ok_or(malformed("base45"))?;
        let bytes = if bytes.first() == Some(&ZLIB) { decompress(&bytes)? } else { bytes };
        let message = Sign1::parse(&bytes, MESSAGE_BYTES_MAX).map_err(|_| malformed("message"))?;
        let header = message.header();
        let show_key = header.entry(SHOW_KEY).and_then(Value::as_bytes).ok_or(malformed("header"))?.to_vec();
        if header.as_map().map(<[_]>::len) != Some(2) {
            return Err(malformed("header"));
        }
        let payload = cbor::decode(message.payload(), MESSAGE_BYTES_MAX).map_err(|_| malformed("payload"))?;
        let content = Content::read(&payload).ok_or(malformed("payload"))?;
        Ok(Self { message, show_key, digest: Digest::of(&[&bytes]), content })
    }

    /// The digest of the signed message: for receipts, and for seeing the same code twice.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The show key's certificate that it carries (a CWT): unverified, as all of it.
    pub fn show_key(&self) -> &[u8] {
        &self.show_key
    }

    /// Checks it at an instant. The second part is there exactly when all of the first passed.
    pub fn verify(
        &self,
        authorities: &dyn ShowAuthorities,
        known: &KnownShowKeys,
        development: DevelopmentKeys,
        at: UnixTime,
    ) -> (Parts, Option<VerifiedOfflineCode>) {
        let (key, authority) = match show_key::verify(&self.show_key, authorities, known) {
            Ok(verified) => verified,
            Err(_) => return (Parts::stopped_at_chain(Reason::ChainShowKey), None),
        };
        if !self.message.verify(key.key()) {
            return (Parts::stopped_at_signature(Reason::SignatureBad), None);
        }
        let content = &self.content;
        let in_hours = key.is_valid_at(content.issued_at) && at < key.expires_at();
        let parts = Parts {
            signature: Check::new(Reason::SignatureGood),
            chain: check_chain(authority.development, development),
            key_validity: Check::new(if in_hours { Reason::KeyValid } else { Reason::KeyNotValid }),
            status: check_status(content.stapled(at)),
            time: Check::new(content.time(at)),
            binding: Check::new(Reason::BindingShortLived),
        };
        let verified = parts
            .all_passed()
            .then(|| VerifiedOfflineCode { authority_name: authority.name, content: content.clone() });
        (parts, verified)
    }
}

impl VerifiedOfflineCode {
    /// Who runs the show authority, for people.
    pub fn authority_name(&self) -> &str {
        &self.authority_name
    }

    /// The department that issued the certificate.
    pub fn issuer(&self) -> Uscc {
        self.content.issuer
    }

    /// The kind of certificate.
    pub fn certificate_type(&self) -> TypeCode {
        self.content.certificate_type
    }

    /// The version of the kind.
    pub fn type_version(&self) -> u16 {
        self.content.type_version
    }

    /// The certificate.
    pub fn identifier(&self) -> &CertificateIdentifier {
        &self.content.identifier
    }

    /// Number of its status list and its place there: for asking again when there is a network.
    pub fn status_reference(&self) -> (u32, u32) {
        (self.content.list, self.content.index)
    }

    /// When the status was read.
    pub fn good_at(&self) -> UnixTime {
        self.content.good_at
    }

    /// When the code was made.
    pub fn issued_at(&self) -> UnixTime {
        self.content.issued_at
    }

    /// The first second it is no longer accepted.
    pub fn expires_at(&self) -> UnixTime {
        self.content.expires_at
    }

    /// The disclosed fields by number, for who may see them.
    pub fn expose(&self) -> &BTreeMap<u16, claims::Value> {
        &self.content.claims
    }
}

impl Content {
    fn read(payload: &Value) -> Option<Self> {
        if payload.as_map()?.len() != 8 {
            return None;
        }
        let time = |value: &Value| UnixTime::new(value.as_integer()?);
        let number = |value: &Value| u32::try_from(value.as_integer()?).ok();
        let [list, index, bits, good_at] = payload.entry(STATUS)?.as_array()? else {
            return None;
        };
        let issuer = payload.entry(ISSUER)?.as_text()?.parse().ok()?;
        let certificate_type = payload.entry(TYPE)?.as_text()?.parse().ok()?;
        let field = |(field, value): &(Value, Value)| {
            Some((u16::try_from(field.as_integer()?).ok()?, from_cbor(value)?))
        };
        Some(Self {
            issuer,
            certificate_type,
            type_version: u16::try_from(payload.entry(TYPE_VERSION)?.as_integer()?).ok()?,
            identifier: read_identifier(payload.entry(IDENTIFIER)?.as_text()?, certificate_type, issuer)?,
            list: number(list)?,
            index: number(index)?,
            status: u8::try_from(bits.as_integer()?).ok().filter(|bits| *bits <= STATUS_BITS_MAX)?,
            good_at: time(good_at)?,
            issued_at: time(payload.entry(ISSUED_AT)?)?,
            expires_at: time(payload.entry(EXPIRES_AT)?)?,
            claims: payload.entry(CLAIMS)?.as_map()?.iter().map(field).collect::<Option<_>>()?,
        })
    }

    fn stapled(&self, at: UnixTime) -> StatusAnswer {
        let as_of = self.good_at;
        if as_of < at.minus(STAPLE_AGE_S_MAX + LIFETIME_S_MAX) || as_of > at.plus(CLOCK_SKEW_S) {
            StatusAnswer::Stale { as_of }
        } else {
            StatusAnswer::Value { value: self.status, as_of }
        }
    }

    /// The bound on minutes is the verifier's: a code that claims more gets no more.
    fn time(&self, at: UnixTime) -> Reason {
        if self.issued_at > at.plus(CLOCK_SKEW_S) {
            Reason::TimeNotYet
        } else if at >= self.expires_at.min(self.issued_at.plus(LIFETIME_S_MAX)) {
            Reason::TimeCodeExpired
        } else {
            Reason::TimeWithin
        }
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        self.claims.values_mut().for_each(Zeroize::zeroize);
    }
}

impl fmt::Debug for UnverifiedOfflineCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnverifiedOfflineCode(..)")
    }
}

impl fmt::Debug for VerifiedOfflineCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifiedOfflineCode(..)")
    }
}

/// Why a code is not made, or why a text is not a code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OfflineError {
    /// It begins as a code but is built wrongly.
    Malformed {
        /// Which part.
        part: &'static str,
    },
    /// It does not begin with `KB1:`.
    NotOffline,
    /// The plan breaks a rule.
    Plan {
        /// The rule, as a sentence that ought to be true.
        rule: &'static str,
    },
    /// The show key cannot be reached, or is not the certified one.
    Signer(SignError),
    /// More than [`TEXT_CHARACTERS_MAX`].
    TooLong,
}

impl OfflineError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed { .. } => "offline/malformed",
            Self::NotOffline => "offline/not-offline",
            Self::Plan { .. } => "offline/plan",
            Self::Signer(_) => "offline/signer",
            Self::TooLong => "offline/too-long",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Malformed { .. } => Some("scan the code again"),
            Self::NotOffline => Some("an offline code begins with `KB1:`"),
            Self::TooLong => Some("show fewer fields"),
            _ => None,
        }
    }
}

impl fmt::Display for OfflineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { part } => write!(f, "the offline code is built wrongly: {part}"),
            Self::NotOffline => f.write_str("not an offline code"),
            Self::Plan { rule } => write!(f, "the offline code was not made: {rule}"),
            Self::Signer(error) => error.fmt(f),
            Self::TooLong => f.write_str("the fields do not fit an offline code"),
        }
    }
}

impl std::error::Error for OfflineError {}

fn to_cbor(value: &claims::Value) -> Value {
    match value {
        claims::Value::Boolean(boolean) => Value::Boolean(*boolean),
        claims::Value::Integer(integer) => Value::Integer(*integer),
        claims::Value::List(items) => Value::Array(items.iter().cloned().map(Value::Text).collect()),
        // The plan is refused before it comes to this.
        claims::Value::Rows(_) => Value::Array(Vec::new()),
        claims::Value::Text(text) => Value::Text(text.clone()),
    }
}

fn from_cbor(value: &Value) -> Option<claims::Value> {
    Some(match value {
        Value::Array(items) => claims::Value::List(
            items.iter().map(|item| item.as_text().map(str::to_owned)).collect::<Option<_>>()?,
        ),
        Value::Boolean(boolean) => claims::Value::Boolean(*boolean),
        Value::Integer(integer) => claims::Value::Integer(*integer),
        Value::Text(text) => claims::Value::Text(text.clone()),
        Value::Bytes(_) | Value::Map(_) | Value::Tag(..) => return None,
    })
}

/// Serial and version, when type and issuer say the rest; whole for a certificate that was
/// imported with another issuer in its identifier.
fn short_identifier(identifier: &CertificateIdentifier, certificate_type: TypeCode, issuer: Uscc) -> String {
    if identifier.type_code() == certificate_type && identifier.issuer_uscc() == Some(issuer) {
        format!("{}.{}", identifier.serial(), identifier.version())
    } else {
        identifier.to_string()
    }
}

fn read_identifier(text: &str, certificate_type: TypeCode, issuer: Uscc) -> Option<CertificateIdentifier> {
    let identifier = match text.split_once('.') {
        Some((serial, version)) if !version.contains('.') => {
            CertificateIdentifier::new(certificate_type, issuer, serial.parse().ok()?, version.parse().ok()?)
        }
        _ => CertificateIdentifier::parse_foreign(text).ok()?,
    };
    // One identifier has one spelling.
    (short_identifier(&identifier, certificate_type, issuer) == text).then_some(identifier)
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    // Writing to memory does not fail; if it did, what is longer is not used.
    written.unwrap_or_else(|_| vec![0; bytes.len()])
}

/// At most one byte more than may be is ever unpacked.
fn decompress(bytes: &[u8]) -> Result<Vec<u8>, OfflineError> {
    let malformed = OfflineError::Malformed { part: "zlib" };
    let mut decoder = ZlibDecoder::new(bytes);
    let mut unpacked = Vec::new();
    let limit = u64::try_from(MESSAGE_BYTES_MAX).map_err(|_| malformed)? + 1;
    decoder.by_ref().take(limit).read_to_end(&mut unpacked).map_err(|_| malformed)?;
    let all_read = u64::try_from(bytes.len()) == Ok(decoder.total_in());
    if unpacked.len() > MESSAGE_BYTES_MAX || !all_read { Err(malformed) } else { Ok(unpacked) }
}

/// How every code begins.
pub const PREFIX: &str = "KB1:";

/// Characters of one code: QR version 20, level M (DESIGN, "Offline code").
pub const TEXT_CHARACTERS_MAX: usize = 966;

/// Seconds a code lives (DESIGN, "Offline code").
pub const LIFETIME_S_MAX: i64 = 300;

/// Seconds a stapled status may be old when a code is made. Our own choice.
pub const STAPLE_AGE_S_MAX: i64 = 3600;

/// How far the vault's clock may be ahead of the verifier's. Our own choice.
const CLOCK_SKEW_S: i64 = 60;

/// Bytes of an unpacked message. Our own choice: 641 fit a code unpacked.
const MESSAGE_BYTES_MAX: usize = 1500;

/// Active, ended, suspended.
const STATUS_BITS_MAX: u8 = 2;

/// The first byte of a zlib stream with the usual window (RFC 1950).
const ZLIB: u8 = 0x78;

/// Header label of the show key's certificate: from the range for private use (RFC 9052, 3.1).
const SHOW_KEY: i64 = -65537;

/// Labels of the payload; those of a CWT where they mean the same (RFC 8392).
const ISSUER: i64 = 1;
const IDENTIFIER: i64 = 2;
const EXPIRES_AT: i64 = 4;
const ISSUED_AT: i64 = 6;
const TYPE: i64 = -1;
const STATUS: i64 = -2;
const CLAIMS: i64 = -3;
const TYPE_VERSION: i64 = -4;

#[cfg(test)]
mod tests;
