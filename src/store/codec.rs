//! Rows to bytes and back.
//!
//! Every value begins with the version of its layout, 1 today. A reader stops
//! at a version it does not know. Keys are of fixed length (but for the names
//! of registered systems), big-endian, so that byte order is the order in which
//! a list is read; where the newest comes first, time is turned over.
//!
//! # What a row from here guarantees
//!
//! Decoding takes exactly what encoding gives: no byte missing, none left over.
//!
//! # Not here
//!
//! Which fields a row has, and in which order: `layout`.

use crate::domain::time::UnixTime;
use crate::store::Row;
use crate::store::RowId;
use crate::store::StoreError;
use crate::store::row;
use crate::store::tables::Mutation;
use crate::store::tables::Pair;
use crate::store::tables::Table;

mod layout;
mod log_layout;

pub(super) use layout::Expiry;
pub(super) use layout::access_key;
pub(super) use layout::client_key;
pub(super) use layout::credential_key;
pub(super) use layout::hour_bytes;
pub(super) use layout::issued_key;
pub(super) use layout::meta_key;
pub(super) use layout::slot_key;
pub(super) use layout::time as time_bytes;
pub(super) use layout::wallet_key;
pub(super) use log_layout::closed_head_key;
pub(super) use log_layout::entry_key;
pub(super) use log_layout::head_key;
pub(super) use log_layout::tile_hash_key;

/// A kind of row: its table, and how it is laid out there.
pub(super) trait Record: Sized {
    /// Where it stands.
    const TABLE: Table;

    /// Its name in the table.
    fn key(&self) -> Vec<u8>;

    /// Writes what the key does not tell.
    fn write(&self, value: &mut Vec<u8>);

    /// Reads it back. `None` if it is not one.
    fn read(key: &mut Fields<'_>, value: &mut Fields<'_>) -> Option<Self>;

    /// When a sweep may delete it, if ever.
    fn expires(&self) -> Option<UnixTime> {
        None
    }

    /// Whether its parts of free length have the length they may have.
    fn fits(&self) -> bool {
        true
    }
}

/// A row's key and value.
pub(super) fn encode<R: Record>(record: &R) -> Result<Pair, StoreError> {
    let mut value = vec![VERSION];
    record.write(&mut value);
    if !record.fits() || value.len() > VALUE_BYTES_MAX {
        return Err(StoreError::TooLong { table: R::TABLE.name() });
    }
    Ok((record.key(), value))
}

/// The row of a key and value.
pub(super) fn decode<R: Record>(key: &[u8], value: &[u8]) -> Result<R, StoreError> {
    let table = R::TABLE.name();
    let mut key = Fields(key);
    let mut value = Fields(value);
    match value.byte() {
        Some(VERSION) => {}
        Some(found) => return Err(StoreError::Version { table, found }),
        None => return Err(StoreError::Corrupt { table }),
    }
    match R::read(&mut key, &mut value) {
        Some(record) if key.is_empty() && value.is_empty() => Ok(record),
        _ => Err(StoreError::Corrupt { table }),
    }
}

/// What a row does to the tables.
pub(super) fn mutations(row: &Row, out: &mut Vec<Mutation>) -> Result<(), StoreError> {
    match row {
        Row::Access(row) => put(row, out),
        Row::AccessLeaf(row) => put(row, out),
        Row::Certificate(row) => put(row, out),
        Row::CertificateTag(row) => put(row, out),
        Row::Change(row) => put(row, out),
        Row::Client(row) => put(row, out),
        Row::Credential(row) => put(row, out),
        Row::Entry(row) => put(row, out),
        Row::Holder(row) => put(row, out),
        Row::HolderTag(row) => put(row, out),
        Row::Issued(row) => put(row, out),
        Row::Meta(row) => put(row, out),
        Row::NumberTag(row) => put(row, out),
        Row::Request(row) => put(row, out),
        Row::ShowCode(row) => put(row, out),
        Row::Showing(row) => put(row, out),
        Row::SignedBy(row) => put(row, out),
        Row::Slot(row) => put(row, out),
        Row::StatusChunk(row) => put(row, out),
        Row::TileHash(row) => put(row, out),
        Row::Wallet(row) => put(row, out),
        Row::Delete(id) => {
            let (table, key) = place(id);
            out.push(Mutation::Delete { table, key });
            Ok(())
        }
    }
}

/// Puts a row, and with it the note that it expires.
pub(super) fn put<R: Record>(record: &R, out: &mut Vec<Mutation>) -> Result<(), StoreError> {
    let (key, value) = encode(record)?;
    if let Some(expires) = record.expires() {
        let note = Expiry { expires, table: R::TABLE, key: key.clone() };
        let (key, value) = encode(&note)?;
        out.push(Mutation::Put { table: Table::Expiry, key, value });
    }
    out.push(Mutation::Put { table: R::TABLE, key, value });
    Ok(())
}

/// When the row at that place expires; `None` if it never does. For rows that a sweep comes upon.
pub(super) fn expiry_of(table: Table, key: &[u8], value: &[u8]) -> Result<Option<UnixTime>, StoreError> {
    match table {
        Table::Request => Ok(decode::<row::Request>(key, value)?.expires()),
        Table::ShowCode => Ok(decode::<row::ShowCode>(key, value)?.expires()),
        Table::Showing => Ok(decode::<row::Showing>(key, value)?.expires()),
        _ => Ok(None),
    }
}

/// Whether a pair from elsewhere is a row of that table.
pub(super) fn check(table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    match table {
        Table::Access => decode::<row::Access>(key, value).map(drop),
        Table::AccessLeaf => decode::<row::AccessLeaf>(key, value).map(drop),
        Table::Certificate => decode::<row::Certificate>(key, value).map(drop),
        Table::CertificateTag => decode::<row::CertificateTag>(key, value).map(drop),
        Table::Change => decode::<row::Change>(key, value).map(drop),
        Table::Client => decode::<row::Client>(key, value).map(drop),
        Table::Credential => decode::<row::Credential>(key, value).map(drop),
        Table::Entry => decode::<row::Entry>(key, value).map(drop),
        Table::Expiry => decode::<Expiry>(key, value).map(drop),
        Table::Holder => decode::<row::Holder>(key, value).map(drop),
        Table::HolderTag => decode::<row::HolderTag>(key, value).map(drop),
        Table::Issued => decode::<row::Issued>(key, value).map(drop),
        Table::Meta if key == head_key() => decode::<row::Head>(key, value).map(drop),
        Table::Meta if key.len() > 1 => decode::<row::ClosedHead>(key, value).map(drop),
        Table::Meta if key == LAYOUT_KEY => check_layout(Some(value)),
        Table::Meta => decode::<row::Meta>(key, value).map(drop),
        Table::NumberTag => decode::<row::NumberTag>(key, value).map(drop),
        Table::Request => decode::<row::Request>(key, value).map(drop),
        Table::ShowCode => decode::<row::ShowCode>(key, value).map(drop),
        Table::Showing => decode::<row::Showing>(key, value).map(drop),
        Table::SignedBy => decode::<row::SignedBy>(key, value).map(drop),
        Table::Slot => decode::<row::Slot>(key, value).map(drop),
        Table::StatusChunk => decode::<row::StatusChunk>(key, value).map(drop),
        Table::TileHash => decode::<row::TileHash>(key, value).map(drop),
        Table::Wallet => decode::<row::Wallet>(key, value).map(drop),
    }
}

/// Where a row that may be deleted stands.
pub(super) fn place(id: &RowId) -> (Table, Vec<u8>) {
    match id {
        RowId::Access { holder, at, seq } => (Table::Access, access_key(*holder, *at, *seq)),
        RowId::Certificate(key) => (Table::Certificate, key.0.to_vec()),
        RowId::CertificateTag(tag) => (Table::CertificateTag, tag.0.to_vec()),
        RowId::Client(id) => (Table::Client, client_key(id)),
        RowId::Credential { key, seq } => (Table::Credential, credential_key(*key, *seq)),
        RowId::Holder(id) => (Table::Holder, id.0.to_vec()),
        RowId::HolderTag(tag) => (Table::HolderTag, tag.0.to_vec()),
        RowId::Issued { issuer, issued, key } => (Table::Issued, issued_key(*issuer, *issued, *key)),
        RowId::NumberTag(tag) => (Table::NumberTag, tag.0.to_vec()),
        RowId::Request(tag) => (Table::Request, tag.0.to_vec()),
        RowId::ShowCode(tag) => (Table::ShowCode, tag.0.to_vec()),
        RowId::Showing(id) => (Table::Showing, id.0.to_vec()),
        RowId::Wallet { holder, issued, key } => (Table::Wallet, wallet_key(*holder, *issued, *key)),
    }
}

/// The first row of a new store: which layout its tables follow.
pub(super) fn layout_row() -> Mutation {
    Mutation::Put { table: Table::Meta, key: LAYOUT_KEY.to_vec(), value: vec![VERSION, LAYOUT] }
}

/// The key of that row.
pub(super) fn layout_key() -> &'static [u8] {
    LAYOUT_KEY
}

/// Whether the tables follow a layout that we know.
pub(super) fn check_layout(value: Option<&[u8]>) -> Result<(), StoreError> {
    let table = Table::Meta.name();
    match value {
        None => Err(StoreError::Missing),
        Some([VERSION, LAYOUT]) => Ok(()),
        Some([VERSION, found] | [found, ..]) => Err(StoreError::Version { table, found: *found }),
        Some([]) => Err(StoreError::Corrupt { table }),
    }
}

/// Bytes that are read from the front.
pub(super) struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// The next bytes, so many as the byte before them says.
    pub(super) fn short(&mut self) -> Option<Vec<u8>> {
        let length = usize::from(self.byte()?);
        let (first, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(first.to_vec())
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0).to_vec()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The version of every value's layout today.
const VERSION: u8 = 1;

/// Which tables there are and how their keys are made.
const LAYOUT: u8 = 1;

/// Stands after every name that a value has.
const LAYOUT_KEY: &[u8] = &[255];

/// One value at most. Our own choice: the batch it stands in is held in memory several times.
const VALUE_BYTES_MAX: usize = 16 << 20;

#[cfg(test)]
mod tests;
