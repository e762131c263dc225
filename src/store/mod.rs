//! Keeping: what the vault asks of a disk.
//!
//! [`Store`] is a trait of domain operations, never get and put: a driver on
//! RocksDB, one on PostgreSQL and a simulated one answer it alike, and
//! `contract` holds the tests that all of them pass.
//!
//! # What the store guarantees
//!
//! - A [`Commit`] is on disk as a whole before `commit` answers `Ok`, or is not there at all.
//! - After a failed write the store answers only [`StoreError::Stopped`]: a write
//!   whose end is not known must not be built upon, and a sync that failed once
//!   cannot be repeated (the kernel has marked the pages clean). It must be opened again.
//! - The head of a log never falls and never forks; entries have no holes and are never
//!   rewritten. A log may close when another begins, and stays readable.
//! - Lists come in pages. A cursor cannot lead out of the list it belongs to.
//! - Every value begins with the version of its layout.
//!
//! # Order of writes
//!
//! `commit` is one synced batch. The head lock ([`head_lock`]) is advanced after
//! it by the one writer, `vault::writer`, who also is the only one to call
//! `commit` and `sweep`.
//!
//! # Not here
//!
//! No plain text, no keys, no clock. Sealing is the work of `vault::records`.

pub mod backup;
mod codec;
mod copy;
mod error;
mod id;
mod operations;
mod row;
mod tables;

#[cfg(test)]
mod contract;

pub mod head_lock;
#[cfg(feature = "rocks")]
pub mod rocks;
pub mod sim;

use std::path::Path;

use crate::domain::digest::Digest;
use crate::domain::time::UnixTime;

pub use copy::Copied;
pub use copy::content_digest;
pub use copy::copy_all;
pub use error::StoreError;
pub use id::HolderId;
pub use id::IssuerTag;
pub use id::KeyTag;
pub use id::RowKey;
pub use id::ShowingId;
pub use id::Tag;
pub use row::Access;
pub use row::AccessLeaf;
pub use row::Certificate;
pub use row::CertificateTag;
pub use row::Change;
pub use row::Client;
pub use row::Commit;
pub use row::Credential;
pub use row::Entry;
pub use row::Head;
pub use row::Holder;
pub use row::HolderTag;
pub use row::Issued;
pub use row::Meta;
pub use row::MetaName;
pub use row::NumberTag;
pub use row::Request;
pub use row::Row;
pub use row::RowId;
pub use row::Sealed;
pub use row::ShowCode;
pub use row::Showing;
pub use row::SignedBy;
pub use row::Slot;
pub use row::StatusChunk;
pub use row::TileHash;
pub use row::Wallet;

/// A place that keeps a vault.
///
/// Object-safe: the vault holds an `Arc<dyn Store>`. Reads may come from any
/// thread; writes come from one.
pub trait Store: Send + Sync {
    /// Puts the rows and the head on disk, together and synced. An error is fatal, except
    /// [`StoreError::Head`] and [`StoreError::TooLong`], which are told before anything is written.
    fn commit(&self, commit: Commit) -> Result<(), StoreError>;

    /// Makes durable what was found when the store was opened. Comes before the head lock is advanced
    /// over it.
    fn sync(&self) -> Result<(), StoreError>;

    /// Deletes some of what expired at `now` or before. The writer calls it again while `rest` says so.
    fn sweep(&self, now: UnixTime) -> Result<Swept, StoreError>;

    /// Rewrites the holder keys, so that no file of this store has a deleted one any more. Slow.
    fn forget(&self) -> Result<(), StoreError>;

    /// Copies the store, as it is at one instant, to a folder that does not exist yet, and reads the
    /// whole copy once. The folder above it is made when it is missing. Writing goes on meanwhile.
    fn checkpoint_copy(&self, dir: &Path) -> Result<Copied, StoreError>;

    /// A certificate's record.
    fn certificate(&self, key: RowKey) -> Result<Option<Certificate>, StoreError>;

    /// The record with that identifier.
    fn certificate_by_tag(&self, tag: Tag) -> Result<Option<RowKey>, StoreError>;

    /// The record that has that number of that issuer and type.
    fn number_owner(&self, tag: Tag) -> Result<Option<RowKey>, StoreError>;

    /// One credential of a record.
    fn credential(&self, key: RowKey, seq: u32) -> Result<Option<Credential>, StoreError>;

    /// The credentials of a record, in the order of `seq`.
    fn credentials(&self, key: RowKey, page: &PageRequest) -> Result<Page<Credential>, StoreError>;

    /// The record that owns a status slot.
    fn slot_owner(&self, list: u32, index: u32) -> Result<Option<RowKey>, StoreError>;

    /// The chunks of all status lists that are not all zero, by list and place. Read once, when the
    /// vault opens.
    fn status_chunks(&self, page: &PageRequest) -> Result<Page<StatusChunk>, StoreError>;

    /// A holder's wrapped key.
    fn holder(&self, id: HolderId) -> Result<Option<Holder>, StoreError>;

    /// The holder with that number.
    fn holder_by_tag(&self, tag: Tag) -> Result<Option<HolderId>, StoreError>;

    /// A holder's certificates, newest first.
    fn wallet(&self, holder: HolderId, page: &PageRequest) -> Result<Page<Wallet>, StoreError>;

    /// An issuer's certificates, newest first.
    fn issued_by(&self, issuer: IssuerTag, page: &PageRequest) -> Result<Page<Issued>, StoreError>;

    /// What a key signed in a span of time, oldest first.
    fn signed_by(&self, signer: KeyTag, span: Span, page: &PageRequest)
    -> Result<Page<SignedBy>, StoreError>;

    /// A showing; also one that has expired and was not swept yet.
    fn showing(&self, id: ShowingId) -> Result<Option<Showing>, StoreError>;

    /// A show code; also one that has expired and was not swept yet.
    fn show_code(&self, tag: Tag) -> Result<Option<ShowCode>, StoreError>;

    /// Who looked at a holder's certificates, newest first.
    fn accesses(&self, holder: HolderId, page: &PageRequest) -> Result<Page<Access>, StoreError>;

    /// The leaves of an hour of access records, in their order.
    fn access_leaves(&self, hour: i64, page: &PageRequest) -> Result<Page<AccessLeaf>, StoreError>;

    /// What a request was answered; also an answer that has expired and was not swept yet.
    fn request(&self, tag: Tag) -> Result<Option<Request>, StoreError>;

    /// A registered system.
    fn client(&self, id: &str) -> Result<Option<Client>, StoreError>;

    /// The registered systems, by name.
    fn clients(&self, page: &PageRequest) -> Result<Page<Client>, StoreError>;

    /// The status changes of a span of time, oldest first.
    fn changes(&self, span: Span, page: &PageRequest) -> Result<Page<Change>, StoreError>;

    /// A log's entries from `start`, at most `count` and at most [`PAGE_ROWS_MAX`]; fewer where the log ends.
    fn entries(&self, log: u16, start: u64, count: usize) -> Result<Vec<Entry>, StoreError>;

    /// The hashes of a level of a log's tree from `start`, at most `count` and at most
    /// [`PAGE_ROWS_MAX`], up to the first that is not known.
    fn tile_hashes(&self, log: u16, level: u8, start: u64, count: usize) -> Result<Vec<Digest>, StoreError>;

    /// A value there is one of.
    fn meta(&self, name: MetaName) -> Result<Option<Vec<u8>>, StoreError>;

    /// The head of the log that is open. `None` in a store that was never committed to with a head.
    fn head(&self) -> Result<Option<Head>, StoreError>;

    /// The last head of a log that has closed.
    fn closed_head(&self, log: u16) -> Result<Option<Head>, StoreError>;

    /// All rows as they are kept, in the order of table and key: for copies, and for comparing them.
    fn export(&self, page: &PageRequest) -> Result<Page<RawRow>, StoreError>;

    /// Takes rows that another store exported. For a store that nobody uses yet.
    fn import(&self, rows: Vec<RawRow>) -> Result<(), StoreError>;
}

/// Which part of a list is wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PageRequest {
    after: Option<Cursor>,
    limit: usize,
}

impl PageRequest {
    /// The first rows, at most `limit` and at most [`PAGE_ROWS_MAX`].
    pub fn first(limit: usize) -> Self {
        Self { after: None, limit: limit.clamp(1, PAGE_ROWS_MAX) }
    }

    /// What comes after an earlier page.
    pub fn after(cursor: Cursor, limit: usize) -> Self {
        Self { after: Some(cursor), ..Self::first(limit) }
    }
}

/// A part of a list, and where the next one begins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end of the list.
    pub next: Option<Cursor>,
}

/// A place in a list. Without the list it says nothing, and it cannot lead into another one.
///
/// It may hold a record's key and a time: what leaves the house should be sealed.
#[derive(Clone, Eq, PartialEq)]
pub struct Cursor(Vec<u8>);

impl Cursor {
    /// What [`Cursor::as_bytes`] once gave. Anything else is refused when it is used.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The place, to hand out and take back.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cursor(..)")
    }
}

/// A span of time: from the first instant to before the last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Span {
    /// The first instant in it.
    pub from: UnixTime,
    /// The first instant after it.
    pub until: UnixTime,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Swept {
    /// How many rows it deleted.
    pub rows: usize,
    /// Whether there is more to sweep.
    pub rest: Rest,
}

/// Whether there is more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rest {
    /// There is more.
    More,
    /// That was all.
    None,
}

/// A row as it is kept, to carry from store to store.
#[derive(Clone, Eq, PartialEq)]
pub struct RawRow {
    table: u8,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl std::fmt::Debug for RawRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawRow(table {}, {} + {} bytes)", self.table, self.key.len(), self.value.len())
    }
}

/// Rows in one page at most, whatever is asked for. Our own choice: a page must fit into memory many times.
pub const PAGE_ROWS_MAX: usize = 4096;
