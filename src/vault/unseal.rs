//! Keys of holders and records: found by a holder's code, unwrapped for one verb, dropped after it.
//!
//! A holder's code leads to a random id through a keyed hash (look-ups try the
//! current index key, then the previous). The id leads to the holder's key, wrapped
//! by a version of the key-encryption key. A deleted holder has no key: what only
//! they held cannot be opened.

use super::keyring::Keyring;
use super::records::{self, Record, RecordError};
use super::{Vault, VaultError};
use crate::domain::digest::Digest;
use crate::domain::number::CertificateIdentifier;
use crate::domain::party::HolderCode;
use crate::keys::envelope::{self, SecretKey};
use crate::keys::index::IndexKey;
use crate::keys::random::{self, Random};
use crate::store::{Holder, HolderId, HolderTag, Row, RowKey, Store, Tag};

/// A holder, found or made, with their key.
pub(super) struct OpenHolder {
    pub(super) id: HolderId,
    pub(super) key: SecretKey,
    /// The keyed hash of their code under the current index key.
    pub(super) tag: Tag,
    /// The rows of a holder that was not there yet.
    pub(super) rows: Vec<Row>,
    /// What the index must say when these rows are kept.
    pub(super) known: Option<HolderId>,
}

/// A record as it was read.
pub(super) struct OpenRecord {
    pub(super) key: RowKey,
    pub(super) record: Record,
    pub(super) dek: SecretKey,
    /// The sealed bytes read: a change is kept only if they are still the same.
    pub(super) digest: Digest,
}

impl Vault {
    /// The keyed hash under which a holder is found, under the current index key.
    pub fn holder_tag(&self, code: &HolderCode) -> Tag {
        self.tags("holder", &[code.code_type().code().as_bytes(), code.expose().as_bytes()])[0]
    }

    /// The keyed hashes under every index key, the current one first.
    pub(super) fn tags(&self, label: &str, parts: &[&[u8]]) -> Vec<Tag> {
        self.keyring.index.iter().map(|key| Tag(key.tag(label, parts))).collect()
    }

    pub(super) fn identifier_tag(&self, identifier: &CertificateIdentifier) -> Tag {
        self.tags("identifier", &[identifier.to_string().as_bytes()])[0]
    }

    /// The holder with this code; made, but not kept, when there is none.
    pub(super) fn holder_for(&self, code: &HolderCode) -> Result<OpenHolder, VaultError> {
        let tags = self.tags("holder", &[code.code_type().code().as_bytes(), code.expose().as_bytes()]);
        for (place, tag) in tags.iter().enumerate() {
            let Some(id) = self.store.holder_by_tag(*tag)? else { continue };
            let key = self.holder_key(id)?;
            // Found under an older index key: the current one learns it with this plan.
            let rows = if place == 0 { vec![] } else { vec![HolderTag { tag: tags[0], id }.into()] };
            let known = (place == 0).then_some(id);
            return Ok(OpenHolder { id, key, tag: tags[0], rows, known });
        }
        let id = HolderId(random::bytes(self.random.as_ref()).map_err(|_| RecordError::NoRandom)?);
        let key = SecretKey::generate(self.random.as_ref()).map_err(|_| RecordError::NoRandom)?;
        let (version, wrapping) = self.keyring.key_encryption.first().ok_or(VaultError::Unreadable)?;
        let aad = envelope::aad("holder", &id.0, 1, *version);
        let wrapped = envelope::seal(wrapping, self.random.as_ref(), &aad, key.expose());
        let wrapped = wrapped.map_err(|_| RecordError::NoRandom)?;
        let sealed = [&version.to_be_bytes()[..], &wrapped].concat();
        let rows = vec![Holder { id, sealed: sealed.into() }.into(), HolderTag { tag: tags[0], id }.into()];
        Ok(OpenHolder { id, key, tag: tags[0], rows, known: None })
    }

    /// The id of the holder that a keyed hash leads to.
    pub(super) fn holder_id(&self, tag: Tag) -> Result<Option<HolderId>, VaultError> {
        Ok(self.store.holder_by_tag(tag)?)
    }

    /// A holder's key.
    pub(super) fn holder_key(&self, id: HolderId) -> Result<SecretKey, VaultError> {
        holder_key(self.store.as_ref(), &self.keyring, id)
    }

    /// The record in a row, opened by the key of any of its holders who is still there.
    ///
    /// A record whose state is not what its status bits say is refused: one of the two was
    /// tampered with. A change may be released between the two looks, so both are taken again.
    pub(super) fn open_record(&self, key: RowKey) -> Result<OpenRecord, VaultError> {
        for _ in 0..LOOKS_MAX {
            let open = self.read_record(key)?;
            if self.agrees_with_status(&open.record) {
                return Ok(open);
            }
        }
        tracing::error!(alert = "record-and-status-differ", "a record is refused");
        Err(VaultError::Unreadable)
    }

    fn read_record(&self, key: RowKey) -> Result<OpenRecord, VaultError> {
        read_record(self.store.as_ref(), &self.keyring, key)
    }

    /// The record with this identifier.
    pub(super) fn record_of(&self, identifier: &CertificateIdentifier) -> Result<OpenRecord, VaultError> {
        for tag in self.tags("identifier", &[identifier.to_string().as_bytes()]) {
            if let Some(key) = self.store.certificate_by_tag(tag)? {
                return self.open_record(key);
            }
        }
        Err(VaultError::NotFound)
    }

    /// Seals a changed record for the holders it has, under the key it has.
    pub(super) fn seal_again(&self, open: &OpenRecord, record: &Record) -> Result<Vec<u8>, VaultError> {
        seal_again(self.store.as_ref(), &self.keyring, self.random.as_ref(), open, record)
    }

    fn agrees_with_status(&self, record: &Record) -> bool {
        let published = self.published();
        let bits = record.state.status_bits();
        record.credentials.iter().all(|it| published.has_or_awaits(it.list, it.index, bits))
    }

    /// Seals bytes of our own (answers, registrations) under the key-encryption key.
    pub(super) fn seal_own(
        &self,
        table: &str,
        row_key: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, VaultError> {
        let (version, key) = self.keyring.key_encryption.first().ok_or(VaultError::Unreadable)?;
        let key = &row_own_key(key, table, row_key);
        let aad = envelope::aad(table, row_key, 1, *version);
        let sealed =
            envelope::seal(key, self.random.as_ref(), &aad, plaintext).map_err(|_| RecordError::NoRandom)?;
        Ok([&version.to_be_bytes()[..], &sealed].concat())
    }

    /// Opens what [`Vault::seal_own`] sealed.
    pub(super) fn open_own(
        &self,
        table: &str,
        row_key: &[u8],
        sealed: &[u8],
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, VaultError> {
        let (version, sealed) = sealed.split_at_checked(4).ok_or(RecordError::Malformed)?;
        let version = u32::from_be_bytes(version.try_into().expect("4 bytes"));
        let key = self.keyring.key_encryption.iter().find(|(candidate, _)| *candidate == version);
        let (_, key) = key.ok_or(RecordError::Unreadable)?;
        let key = &row_own_key(key, table, row_key);
        let aad = envelope::aad(table, row_key, 1, version);
        Ok(envelope::open(key, &aad, sealed).map_err(|_| RecordError::Unreadable)?)
    }
}

/// A holder's key, from a store that no vault may have open.
pub(super) fn holder_key(
    store: &dyn Store,
    keyring: &Keyring,
    id: HolderId,
) -> Result<SecretKey, VaultError> {
    let row = store.holder(id)?.ok_or(VaultError::NotFound)?;
    let (version, wrapped) = row.sealed.as_bytes().split_at_checked(4).ok_or(RecordError::Malformed)?;
    let version = u32::from_be_bytes(version.try_into().expect("4 bytes"));
    let wrapping = keyring.key_encryption.iter().find(|(candidate, _)| *candidate == version);
    let (_, wrapping) = wrapping.ok_or(RecordError::Unreadable)?;
    let aad = envelope::aad("holder", &id.0, 1, version);
    let opened = envelope::open(wrapping, &aad, wrapped).map_err(|_| RecordError::Unreadable)?;
    Ok(SecretKey::from_slice(&opened).ok_or(RecordError::Malformed)?)
}

/// The record in a row, whatever its status bits say.
pub(super) fn read_record(
    store: &dyn Store,
    keyring: &Keyring,
    key: RowKey,
) -> Result<OpenRecord, VaultError> {
    let row = store.certificate(key)?.ok_or(VaultError::NotFound)?;
    let sealed = row.sealed.as_bytes();
    let (wrapped, body) = records::split(sealed)?;
    for candidate in &wrapped {
        let Ok(holder_key) = holder_key(store, keyring, candidate.holder) else { continue };
        let dek = records::unwrap_key(&wrapped, key, candidate.holder, &holder_key)?;
        let record = records::open(body, key, &dek)?;
        return Ok(OpenRecord { key, record, dek, digest: Digest::of(&[sealed]) });
    }
    Err(VaultError::NotFound)
}

/// Seals a changed record for the holders it has, under the key it has.
pub(super) fn seal_again(
    store: &dyn Store,
    keyring: &Keyring,
    random: &dyn Random,
    open: &OpenRecord,
    record: &Record,
) -> Result<Vec<u8>, VaultError> {
    let mut keys = Vec::with_capacity(record.holders.len());
    for holder in &record.holders {
        // A holder who was deleted stays without access.
        if let Ok(key) = holder_key(store, keyring, holder.id) {
            keys.push((holder.id, key));
        }
    }
    let keys: Vec<_> = keys.iter().map(|(id, key)| (*id, key)).collect();
    Ok(records::seal_under(record, open.key, &open.dek, &keys, random)?)
}

/// The key of one row of our own: each has another, so random nonces never come near their bound.
fn row_own_key(key: &SecretKey, table: &str, row_key: &[u8]) -> SecretKey {
    SecretKey::from_bytes(&IndexKey::new(key).tag("own-row", &[table.as_bytes(), row_key]))
}

/// How often record and status are looked at before they are taken to differ.
const LOOKS_MAX: usize = 8;
