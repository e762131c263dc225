//! Records: what we keep of one certificate, sealed before the store sees it and opened after.
//!
//! A [`Record`] is the truth about one certificate: its fields, its holders, its
//! credentials with their status slots, and every change with time, reason, legal
//! basis and officer. It is sealed with AES-256-GCM under a key of its own (DEK);
//! the DEK is wrapped once for each holder, under that holder's key; holder keys are
//! wrapped by the key-encryption key. Destroying a holder's key makes the records
//! that only they hold unreadable, in old copies too.
//!
//! # The sealed form of a record
//!
//! `1 ‖ n ‖ n × (holder id ‖ u16 length ‖ wrapped DEK) ‖ sealed body`
//!
//! The additional data binds table, row key and version, so a row moved to another
//! place does not open.
//!
//! # Not here
//!
//! No disk and no decisions: [`super::writer`] keeps, the verbs decide.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::domain::claims::Claims;
use crate::domain::digest::Digest;
use crate::domain::lifecycle::{ChangeKind, State};
use crate::domain::number::CertificateIdentifier;
use crate::domain::time::{Date, UnixTime};
use crate::domain::type_code::TypeCode;
use crate::domain::uscc::Uscc;
use crate::keys::envelope::{self, SecretKey};
use crate::keys::random::Random;
use crate::store::{HolderId, RowKey};

/// What we keep of one certificate.
#[derive(Clone)]
pub struct Record {
    /// 电子证照标识.
    pub identifier: CertificateIdentifier,
    /// Version of the type's field set.
    pub type_version: u16,
    /// Who holds it, in printed order.
    pub holders: Vec<RecordHolder>,
    /// All fields, the header's too.
    pub claims: Claims,
    /// When it was issued.
    pub issued_at: UnixTime,
    /// Registration of the officer or system that issued it.
    pub officer: String,
    /// Its lifecycle, without expiry, which is a view of the date.
    pub state: State,
    /// The version before this one.
    pub previous: Option<CertificateIdentifier>,
    /// The version that took its place.
    pub next: Option<CertificateIdentifier>,
    /// Every change, oldest first.
    pub changes: Vec<Changed>,
    /// Every credential made of it, oldest first.
    pub credentials: Vec<CredentialRef>,
}

/// One holder of a record.
#[derive(Clone)]
pub struct RecordHolder {
    /// The holder's random id.
    pub id: HolderId,
    /// Code type of GB/T 36903 Annex A.
    pub code_type: String,
    /// The code, such as the resident number.
    pub code: String,
    /// The name as printed.
    pub name: String,
}

/// One change of a certificate's state.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Changed {
    /// What was done.
    pub kind: ChangeKind,
    /// Code of the reason.
    pub reason: String,
    /// The rule it rests on.
    pub legal_basis: String,
    /// Registration of the officer or system.
    pub officer: String,
    /// When it takes effect; 撤销 may be retroactive.
    pub effective_at: UnixTime,
    /// When we wrote it down.
    pub recorded_at: UnixTime,
}

/// One credential of a record and the slot that tells its status.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CredentialRef {
    /// Its place among the record's credentials.
    pub seq: u32,
    /// Status list.
    pub list: u32,
    /// Slot in the list.
    pub index: u32,
    /// Thumbprint of the key that signed it.
    pub kid: String,
    /// [`crate::log::entry::commitment`] of the issuer-signed JWT.
    pub commitment: Digest,
    /// When it was signed.
    pub signed_at: UnixTime,
}

impl Record {
    /// The certificate's type.
    pub fn type_code(&self) -> TypeCode {
        self.identifier.type_code()
    }

    /// The department that issued it.
    pub fn issuer(&self) -> Option<Uscc> {
        self.identifier.issuer_uscc()
    }

    /// A date among its claims.
    pub fn date(&self, key: &str) -> Option<Date> {
        self.claims.text(key)?.parse().ok()
    }

    /// The last day of validity.
    pub fn valid_until(&self) -> Option<Date> {
        self.date(crate::catalog::certificate_type::VALID_UNTIL)
    }

    /// The change that brought it into the state it is in.
    pub fn last_change(&self) -> Option<&Changed> {
        self.changes.last()
    }
}

/// The identifier is public; nothing else of it is shown.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({})", self.identifier)
    }
}

/// A record's key, wrapped under one holder's key.
pub struct WrappedKey {
    /// The holder.
    pub holder: HolderId,
    /// The DEK under the holder's key.
    pub wrapped: Vec<u8>,
}

/// Seals a record under a fresh key, wrapped for each of its holders.
///
/// # Errors
/// [`RecordError::NoRandom`].
pub fn seal(
    record: &Record,
    key: RowKey,
    holder_keys: &[(HolderId, &SecretKey)],
    random: &dyn Random,
) -> Result<(Vec<u8>, SecretKey), RecordError> {
    let dek = SecretKey::generate(random).map_err(|_| RecordError::NoRandom)?;
    let sealed = seal_under(record, key, &dek, holder_keys, random)?;
    Ok((sealed, dek))
}

/// Seals a changed record again under the key it has.
///
/// # Errors
/// [`RecordError::NoRandom`].
pub fn seal_under(
    record: &Record,
    key: RowKey,
    dek: &SecretKey,
    holder_keys: &[(HolderId, &SecretKey)],
    random: &dyn Random,
) -> Result<Vec<u8>, RecordError> {
    let count = u8::try_from(holder_keys.len()).map_err(|_| RecordError::Malformed)?;
    let mut out = vec![RECORD_FORM, count];
    for (holder, holder_key) in holder_keys {
        let aad = envelope::aad("record-key", &[&key.0[..], &holder.0[..]].concat(), 1, 1);
        let wrapped =
            envelope::seal(holder_key, random, &aad, dek.expose()).map_err(|_| RecordError::NoRandom)?;
        let length = u16::try_from(wrapped.len()).map_err(|_| RecordError::Malformed)?;
        out.extend_from_slice(&holder.0);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&wrapped);
    }
    let body =
        Zeroizing::new(serde_json::to_vec(&RecordForm::from(record)).map_err(|_| RecordError::Malformed)?);
    out.extend(seal_row("record", &key.0, dek, &body, random)?);
    Ok(out)
}

/// The wrapped keys of a sealed record, and its sealed body.
///
/// # Errors
/// [`RecordError::Malformed`].
pub fn split(sealed: &[u8]) -> Result<(Vec<WrappedKey>, &[u8]), RecordError> {
    let (form, rest) = sealed.split_first().ok_or(RecordError::Malformed)?;
    let (count, mut rest) = rest.split_first().ok_or(RecordError::Malformed)?;
    if *form != RECORD_FORM {
        return Err(RecordError::Malformed);
    }
    let mut keys = Vec::with_capacity(usize::from(*count));
    for _ in 0..*count {
        let (head, after) = rest.split_at_checked(18).ok_or(RecordError::Malformed)?;
        let length = usize::from(u16::from_be_bytes([head[16], head[17]]));
        let (wrapped, after) = after.split_at_checked(length).ok_or(RecordError::Malformed)?;
        let holder = HolderId(head[..16].try_into().expect("16 of 18 bytes"));
        keys.push(WrappedKey { holder, wrapped: wrapped.to_vec() });
        rest = after;
    }
    Ok((keys, rest))
}

/// The record's key, by the key of one of its holders.
///
/// # Errors
/// [`RecordError::Unreadable`] when it was not wrapped for this holder, or was altered.
pub fn unwrap_key(
    keys: &[WrappedKey],
    key: RowKey,
    holder: HolderId,
    holder_key: &SecretKey,
) -> Result<SecretKey, RecordError> {
    let wrapped = keys.iter().find(|wrapped| wrapped.holder == holder).ok_or(RecordError::Unreadable)?;
    let aad = envelope::aad("record-key", &[&key.0[..], &holder.0[..]].concat(), 1, 1);
    let opened = envelope::open(holder_key, &aad, &wrapped.wrapped).map_err(|_| RecordError::Unreadable)?;
    SecretKey::from_slice(&opened).ok_or(RecordError::Unreadable)
}

/// Opens the body of a sealed record.
///
/// # Errors
/// [`RecordError::Unreadable`] when it was altered or moved.
pub fn open(body: &[u8], key: RowKey, dek: &SecretKey) -> Result<Record, RecordError> {
    let opened = open_row("record", &key.0, dek, body)?;
    let form: RecordForm = serde_json::from_slice(&opened).map_err(|_| RecordError::Malformed)?;
    form.try_into()
}

/// Seals the value of any other row, bound to its table and key.
///
/// # Errors
/// [`RecordError::NoRandom`].
pub fn seal_row(
    table: &str,
    row_key: &[u8],
    key: &SecretKey,
    plaintext: &[u8],
    random: &dyn Random,
) -> Result<Vec<u8>, RecordError> {
    let aad = envelope::aad(table, row_key, ROW_SCHEMA, 1);
    envelope::seal(key, random, &aad, plaintext).map_err(|_| RecordError::NoRandom)
}

/// Opens the value of any other row.
///
/// # Errors
/// [`RecordError::Unreadable`] when it was altered or moved.
pub fn open_row(
    table: &str,
    row_key: &[u8],
    key: &SecretKey,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, RecordError> {
    let aad = envelope::aad(table, row_key, ROW_SCHEMA, 1);
    envelope::open(key, &aad, sealed).map_err(|_| RecordError::Unreadable)
}

/// Why a row is not what it should be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RecordError {
    /// The bytes have not our form.
    Malformed,
    /// The operating system gave no random bytes.
    NoRandom,
    /// The bytes do not open: altered, moved, or the key was destroyed.
    Unreadable,
}

impl RecordError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "record/malformed",
            Self::NoRandom => "record/no-random",
            Self::Unreadable => "record/unreadable",
        }
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "a stored record is not in our form",
            Self::NoRandom => "the operating system gave no random bytes",
            Self::Unreadable => "a stored record cannot be opened",
        })
    }
}

impl std::error::Error for RecordError {}

/// The stored shape of a record. Old shapes stay readable: a new one gets a new `form`.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RecordForm {
    identifier: String,
    type_version: u16,
    holders: Vec<HolderForm>,
    claims: serde_json::Map<String, serde_json::Value>,
    issued_at: i64,
    officer: String,
    state: String,
    previous: Option<String>,
    next: Option<String>,
    changes: Vec<ChangeForm>,
    credentials: Vec<CredentialForm>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct HolderForm {
    id: String,
    code_type: String,
    code: String,
    name: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ChangeForm {
    kind: String,
    reason: String,
    legal_basis: String,
    officer: String,
    effective_at: i64,
    recorded_at: i64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct CredentialForm {
    seq: u32,
    list: u32,
    index: u32,
    kid: String,
    commitment: String,
    signed_at: i64,
}

impl From<&Record> for RecordForm {
    fn from(record: &Record) -> Self {
        Self {
            identifier: record.identifier.to_string(),
            type_version: record.type_version,
            holders: record
                .holders
                .iter()
                .map(|holder| HolderForm {
                    id: hex::encode(holder.id.0),
                    code_type: holder.code_type.clone(),
                    code: holder.code.clone(),
                    name: holder.name.clone(),
                })
                .collect(),
            claims: record.claims.iter().map(|(key, value)| (key.to_string(), value.to_json())).collect(),
            issued_at: record.issued_at.seconds(),
            officer: record.officer.clone(),
            state: record.state.name().to_string(),
            previous: record.previous.as_ref().map(ToString::to_string),
            next: record.next.as_ref().map(ToString::to_string),
            changes: record.changes.iter().map(ChangeForm::from).collect(),
            credentials: record.credentials.iter().map(CredentialForm::from).collect(),
        }
    }
}

impl From<&Changed> for ChangeForm {
    fn from(changed: &Changed) -> Self {
        Self {
            kind: changed.kind.name().to_string(),
            reason: changed.reason.clone(),
            legal_basis: changed.legal_basis.clone(),
            officer: changed.officer.clone(),
            effective_at: changed.effective_at.seconds(),
            recorded_at: changed.recorded_at.seconds(),
        }
    }
}

impl From<&CredentialRef> for CredentialForm {
    fn from(credential: &CredentialRef) -> Self {
        Self {
            seq: credential.seq,
            list: credential.list,
            index: credential.index,
            kid: credential.kid.clone(),
            commitment: credential.commitment.to_string(),
            signed_at: credential.signed_at.seconds(),
        }
    }
}

impl TryFrom<RecordForm> for Record {
    type Error = RecordError;

    fn try_from(form: RecordForm) -> Result<Self, RecordError> {
        let identifier =
            |text: &str| CertificateIdentifier::parse_foreign(text).map_err(|_| RecordError::Malformed);
        let linked = |text: Option<String>| text.as_deref().map(identifier).transpose();
        let mut claims = Claims::default();
        for (key, json) in &form.claims {
            claims.insert(key, crate::domain::claims::Value::from_json(json).ok_or(RecordError::Malformed)?);
        }
        Ok(Self {
            identifier: identifier(&form.identifier)?,
            type_version: form.type_version,
            holders: form.holders.into_iter().map(RecordHolder::try_from).collect::<Result<_, _>>()?,
            claims,
            issued_at: UnixTime::clamped(form.issued_at),
            officer: form.officer,
            state: State::parse(&form.state).ok_or(RecordError::Malformed)?,
            previous: linked(form.previous)?,
            next: linked(form.next)?,
            changes: form.changes.into_iter().map(Changed::try_from).collect::<Result<_, _>>()?,
            credentials: form
                .credentials
                .into_iter()
                .map(CredentialRef::try_from)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<HolderForm> for RecordHolder {
    type Error = RecordError;

    fn try_from(form: HolderForm) -> Result<Self, RecordError> {
        let mut id = [0; 16];
        hex::decode_to_slice(&form.id, &mut id).map_err(|_| RecordError::Malformed)?;
        Ok(Self { id: HolderId(id), code_type: form.code_type, code: form.code, name: form.name })
    }
}

impl TryFrom<ChangeForm> for Changed {
    type Error = RecordError;

    fn try_from(form: ChangeForm) -> Result<Self, RecordError> {
        Ok(Self {
            kind: ChangeKind::parse(&form.kind).ok_or(RecordError::Malformed)?,
            reason: form.reason,
            legal_basis: form.legal_basis,
            officer: form.officer,
            effective_at: UnixTime::clamped(form.effective_at),
            recorded_at: UnixTime::clamped(form.recorded_at),
        })
    }
}

impl TryFrom<CredentialForm> for CredentialRef {
    type Error = RecordError;

    fn try_from(form: CredentialForm) -> Result<Self, RecordError> {
        Ok(Self {
            seq: form.seq,
            list: form.list,
            index: form.index,
            kid: form.kid,
            commitment: Digest::from_hex(&form.commitment).ok_or(RecordError::Malformed)?,
            signed_at: UnixTime::clamped(form.signed_at),
        })
    }
}

/// First byte of a sealed record.
const RECORD_FORM: u8 = 1;

/// Version of the shapes of sealed rows.
const ROW_SCHEMA: u16 = 1;
