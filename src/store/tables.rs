//! What a driver must be able to do: ordered tables of bytes, and batches on them.
//!
//! This layer is private to the store. A driver that keeps ordered bytes
//! (`rocks`, `sim`) implements [`Tables`] and gets the domain operations of
//! `operations` for it; one that speaks SQL implements
//! [`Store`](crate::store::Store) itself.
//!
//! # What a driver guarantees
//!
//! - `apply` is all or nothing, applies in order, and is durable when it answers `Ok`.
//! - `scan` is in ascending byte order and sees one instant.
//!
//! # Not here
//!
//! What the bytes mean: `codec`.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use crate::store::Rest;
use crate::store::Store;
use crate::store::StoreError;

/// The tables, in the order in which copies and digests go through them.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Table {
    Access,
    AccessLeaf,
    Certificate,
    CertificateTag,
    Change,
    Client,
    Credential,
    Entry,
    Expiry,
    Holder,
    HolderTag,
    Issued,
    Meta,
    NumberTag,
    Request,
    ShowCode,
    Showing,
    SignedBy,
    Slot,
    StatusChunk,
    TileHash,
    Wallet,
}

impl Table {
    /// The table with that number.
    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.number() == number)
    }

    /// Stable: it stands in copies and digests. Never reused.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Access => 1,
            Self::AccessLeaf => 2,
            Self::Certificate => 3,
            Self::CertificateTag => 4,
            Self::Change => 5,
            Self::Client => 6,
            Self::Credential => 7,
            Self::Entry => 8,
            Self::Expiry => 9,
            Self::Holder => 10,
            Self::HolderTag => 11,
            Self::Issued => 12,
            Self::Meta => 13,
            Self::NumberTag => 14,
            Self::Request => 15,
            Self::ShowCode => 16,
            Self::Showing => 17,
            Self::SignedBy => 18,
            Self::Slot => 19,
            Self::StatusChunk => 20,
            Self::TileHash => 21,
            Self::Wallet => 22,
        }
    }

    /// Stable: the name of the column family, and of the table in errors.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::AccessLeaf => "access-leaf",
            Self::Certificate => "certificate",
            Self::CertificateTag => "certificate-tag",
            Self::Change => "change",
            Self::Client => "client",
            Self::Credential => "credential",
            Self::Entry => "entry",
            Self::Expiry => "expiry",
            Self::Holder => "holder",
            Self::HolderTag => "holder-tag",
            Self::Issued => "issued",
            Self::Meta => "meta",
            Self::NumberTag => "number-tag",
            Self::Request => "request",
            Self::ShowCode => "show-code",
            Self::Showing => "showing",
            Self::SignedBy => "signed-by",
            Self::Slot => "slot",
            Self::StatusChunk => "status-chunk",
            Self::TileHash => "tile-hash",
            Self::Wallet => "wallet",
        }
    }

    /// Every table, by number.
    pub(super) const ALL: [Self; 22] = [
        Self::Access,
        Self::AccessLeaf,
        Self::Certificate,
        Self::CertificateTag,
        Self::Change,
        Self::Client,
        Self::Credential,
        Self::Entry,
        Self::Expiry,
        Self::Holder,
        Self::HolderTag,
        Self::Issued,
        Self::Meta,
        Self::NumberTag,
        Self::Request,
        Self::ShowCode,
        Self::Showing,
        Self::SignedBy,
        Self::Slot,
        Self::StatusChunk,
        Self::TileHash,
        Self::Wallet,
    ];
}

/// One step of a batch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Mutation {
    Delete {
        table: Table,
        key: Vec<u8>,
    },
    /// From the first key to before the last.
    DeleteRange {
        table: Table,
        from: Vec<u8>,
        until: Vec<u8>,
    },
    Put {
        table: Table,
        key: Vec<u8>,
        value: Vec<u8>,
    },
}

/// Keys of one table: from the first to before the last; to the end of the table without a last.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct KeyRange {
    pub(super) from: Vec<u8>,
    pub(super) until: Option<Vec<u8>>,
}

impl KeyRange {
    /// All keys that begin so.
    pub(super) fn prefix(prefix: &[u8]) -> Self {
        Self { from: prefix.to_vec(), until: after_prefix(prefix) }
    }
}

/// A key and its value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// Ordered tables of bytes.
pub(super) trait Tables: Send + Sync {
    /// Whether a write has failed. Asked before every read and write, set after a failed write.
    fn stop(&self) -> &Stop;

    /// The value of a key.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The first pairs of a range, ascending: at most `limit`, and no more after [`SCAN_BYTES_MAX`]; and
    /// whether the range has more.
    fn scan(&self, table: Table, range: &KeyRange, limit: usize) -> Result<(Vec<Pair>, Rest), StoreError>;

    /// The batch, all or nothing, durable when it answers.
    fn apply(&self, batch: Vec<Mutation>) -> Result<(), StoreError>;

    /// Makes everything that can be read durable.
    fn sync(&self) -> Result<(), StoreError>;

    /// Rewrites a table's files, so that nothing deleted is left in them.
    fn purge(&self, table: Table) -> Result<(), StoreError>;

    /// A copy in a folder that does not exist yet, opened.
    fn copy_to(&self, dir: &Path) -> Result<Box<dyn Store>, StoreError>;
}

/// Remembers that a write failed.
#[derive(Debug, Default)]
pub(super) struct Stop(AtomicBool);

impl Stop {
    /// Refuses once a write has failed.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.0.load(Ordering::Acquire) { Err(StoreError::Stopped) } else { Ok(()) }
    }

    /// Passes a write's result on, and remembers a failure.
    pub(super) fn guard<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if result.is_err() {
            self.0.store(true, Ordering::Release);
        }
        result
    }
}

/// The first key after all that begin so; `None` if there is none.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

/// Bytes after which one scan ends. Our own choice: a page must fit into memory many times.
pub(super) const SCAN_BYTES_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_numbers_and_names_of_their_own_and_stand_in_the_order_of_both() {
        let numbers: Vec<_> = Table::ALL.iter().map(|table| table.number()).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(Table::ALL.windows(2).all(|pair| pair[0].name() != pair[1].name() && pair[0] < pair[1]));
        for table in Table::ALL {
            assert_eq!(Table::from_number(table.number()), Some(table));
        }
        assert_eq!(Table::from_number(0), None);
    }

    #[test]
    fn a_prefix_ends_where_the_next_one_begins() {
        assert_eq!(after_prefix(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(after_prefix(&[1, 255, 255]), Some(vec![2]));
        assert_eq!(after_prefix(&[255, 255]), None);
        assert_eq!(after_prefix(&[]), None);
    }

    #[test]
    fn after_a_failed_write_nothing_is_answered() {
        let stop = Stop::default();
        assert_eq!(stop.guard(Ok(1)), Ok(1));
        assert_eq!(stop.check(), Ok(()));
        assert_eq!(stop.guard::<()>(Err(StoreError::Io)), Err(StoreError::Io));
        assert_eq!(stop.check(), Err(StoreError::Stopped));
    }
}
