//! The log that begins after a loss: its first entries, kept batch by batch.
//!
//! | entry | says |
//! |---|---|
//! | opened | this origin, and the head that the lock held |
//! | list opened, status …, snapshot | one list after the other: every slot that is not active, and the digest of all |
//!
//! A reader needs nothing but this log to fold it to the published lists.

use std::collections::BTreeMap;

use super::RestoreError;
use crate::domain::time::UnixTime;
use crate::keys::Signer;
use crate::log::append::append;
use crate::log::checkpoint::Checkpoint;
use crate::log::entry::Entry;
use crate::log::event::{Event, SlotValue};
use crate::log::merkle::Edge;
use crate::status::list::StatusList;
use crate::store::{self, Change, Commit, Head, IssuerTag, Meta, MetaName, Row, RowKey, Store, TileHash};

/// A certificate whose record followed its published status.
pub(super) struct Followed {
    /// Its record.
    pub(super) key: RowKey,
    /// Code of the department.
    pub(super) uscc: String,
    /// The department.
    pub(super) issuer: IssuerTag,
    /// Number of the change.
    pub(super) kind: u8,
}

/// A log at its beginning.
pub(super) struct NewLog<'a> {
    store: &'a dyn Store,
    signer: &'a dyn Signer,
    log: u16,
    origin: String,
    at: UnixTime,
    edge: Edge,
    entries: Vec<Vec<u8>>,
    rows: Vec<Row>,
}

impl<'a> NewLog<'a> {
    /// Begins it; these rows are kept with its first entries.
    pub(super) fn begin(
        store: &'a dyn Store,
        signer: &'a dyn Signer,
        (log, origin): (u16, String),
        at: UnixTime,
        rows: Vec<Row>,
    ) -> Self {
        Self { store, signer, log, origin, at, edge: Edge::empty(), entries: vec![], rows }
    }

    /// Writes its first entry.
    pub(super) fn open(&mut self, previous: Checkpoint) -> Result<(), RestoreError> {
        let origin = self.origin.parse().map_err(|_| RestoreError::Log)?;
        self.push(Event::Opened { origin, previous: Some(previous) }, None)
    }

    /// Writes a list: every slot that is not active, then the digest of all.
    pub(super) fn list(
        &mut self,
        list: u32,
        bits: &StatusList,
        followed: &BTreeMap<(u32, u32), Followed>,
    ) -> Result<(), RestoreError> {
        self.push(Event::ListOpened { list }, None)?;
        for index in super::published::differing(&StatusList::new(), bits) {
            let value = bits.value(index);
            let class = if value == SlotValue::Suspended { CLASS_SUSPENDED } else { CLASS_ENDED };
            let index = index.number();
            let found = followed.get(&(list, index));
            if let Some(Followed { key, issuer, kind, .. }) = found {
                let (key, issuer, kind) = (*key, *issuer, *kind);
                self.rows.push(Change { at: self.at, issuer, entry: self.size(), key, kind }.into());
            }
            let event = Event::Status { list, index, value, class };
            self.push(event, found.map(|followed| followed.uscc.as_str()))?;
        }
        let size = self.size();
        self.push(Event::Snapshot { list, digest: bits.digest(), size }, None)
    }

    /// Keeps what is left and tells the head.
    pub(super) fn finish(mut self) -> Result<Head, RestoreError> {
        self.keep()?;
        self.store.head()?.ok_or(RestoreError::Log)
    }

    fn size(&self) -> u64 {
        self.edge.size() + u64::try_from(self.entries.len()).unwrap_or(u64::MAX)
    }

    fn push(&mut self, event: Event, issuer: Option<&str>) -> Result<(), RestoreError> {
        let entry = Entry::new(event, self.at, issuer).map_err(|_| RestoreError::Log)?;
        self.entries.push(entry.encode());
        if self.entries.len() >= BATCH { self.keep() } else { Ok(()) }
    }

    fn keep(&mut self) -> Result<(), RestoreError> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let (before, log) = (self.edge.size(), self.log);
        let appended = append(&self.edge, &self.entries).map_err(|_| RestoreError::Log)?;
        let mut rows = std::mem::take(&mut self.rows);
        for (index, bytes) in (before..).zip(self.entries.drain(..)) {
            rows.push(store::Entry { log, index, bytes }.into());
        }
        for known in appended.hashes() {
            rows.push(TileHash { log, level: known.level, index: known.index, hash: known.hash }.into());
        }
        let bytes = self.at.seconds().to_be_bytes().to_vec();
        rows.push(Meta { name: MetaName::EntryTime, bytes }.into());
        let (size, root) = (appended.size(), appended.root());
        let origin = self.origin.parse().map_err(|_| RestoreError::Log)?;
        let checkpoint = Checkpoint::new(origin, size, root).map_err(|_| RestoreError::Log)?;
        let note = checkpoint.sign(self.signer).map_err(|_| RestoreError::Signer)?.into_bytes();
        let head = Head { log, origin: self.origin.clone(), size, root, note };
        // Nobody is told of this head before the lock holds the last one.
        self.store.commit(Commit { rows, head: Some(head) })?;
        self.edge = appended.into_edge();
        Ok(())
    }
}

/// What the log says of an end of which no more is known, and of a suspension.
const CLASS_ENDED: u8 = 1;
const CLASS_SUSPENDED: u8 = 2;

/// Entries kept at a time. Our own choice: a batch stays below a megabyte.
const BATCH: usize = 4096;
