//! A store without a disk, for tests: it loses what was not synced, and fails when told to.
//!
//! A [`SimDisk`] outlives the [`Sim`] that is open on it, as a real disk
//! outlives a process. After [`SimDisk::crash`] a seeded part of the unsynced
//! writes is left: always a beginning of them, never one with a hole. The same
//! seed and the same calls give the same end.
//!
//! A vault makes its writes to a store and to a head lock; [`Faults`] counts
//! both, so that a test can fail every write there is, one after another.
//!
//! # Not here
//!
//! Torn pages and lying syncs: those are RocksDB's to find, and tested on it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::store::Rest;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::codec;
use crate::store::head_lock::HeadLock;
use crate::store::head_lock::LockError;
use crate::store::head_lock::LockedHead;
use crate::store::tables::KeyRange;
use crate::store::tables::Mutation;
use crate::store::tables::Pair;
use crate::store::tables::SCAN_BYTES_MAX;
use crate::store::tables::Stop;
use crate::store::tables::Table;
use crate::store::tables::Tables;

/// What is left when a process ends. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<Platter>>);

impl SimDisk {
    /// A disk with an empty store on it. The seed decides what a crash leaves.
    pub fn new(seed: u64) -> Self {
        let mut platter =
            Platter { rows: BTreeMap::new(), unsynced: Vec::new(), opened: None, openings: 0, seed };
        platter.write(vec![codec::layout_row()]);
        platter.unsynced.clear();
        Self(Arc::new(Mutex::new(platter)))
    }

    /// A disk with the store that was copied to a folder.
    pub fn read_copy(dir: &Path, seed: u64) -> Result<Self, StoreError> {
        let bytes = fs::read(dir.join(COPY_FILE)).map_err(|_| StoreError::Missing)?;
        let disk = Self::new(seed);
        let mut batch = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let row = take_row(&mut rest).ok_or(StoreError::Corrupt { table: COPY_FILE })?;
            batch.push(row);
        }
        let mut platter = disk.platter();
        platter.write(batch);
        platter.unsynced.clear();
        drop(platter);
        Ok(disk)
    }

    /// Ends whoever has the disk open, and loses some of what was not synced.
    pub fn crash(&self) {
        let mut platter = self.platter();
        platter.opened = None;
        let unsynced = platter.unsynced.len();
        let kept = platter.below(unsynced + 1);
        while platter.unsynced.len() > kept {
            platter.undo_last();
        }
        platter.unsynced.clear();
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        // A panic elsewhere in a test leaves a whole platter: every change is made under one lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store open on a [`SimDisk`].
pub struct Sim {
    disk: SimDisk,
    opening: u64,
    faults: Faults,
    syncing: Syncing,
    stop: Stop,
}

impl Sim {
    /// A store on a disk of its own, that never fails.
    pub fn fresh() -> Self {
        Self::open(&SimDisk::new(0), &Faults::none()).expect("nobody else has the new disk")
    }

    /// Opens the store on a disk.
    pub fn open(disk: &SimDisk, faults: &Faults) -> Result<Self, StoreError> {
        let mut platter = disk.platter();
        if platter.opened.is_some() {
            return Err(StoreError::InUse);
        }
        let layout = platter.rows.get(&(Table::Meta, codec::layout_key().to_vec()));
        codec::check_layout(layout.map(Vec::as_slice))?;
        platter.openings += 1;
        platter.opened = Some(platter.openings);
        let opening = platter.openings;
        drop(platter);
        let (faults, syncing, stop) = (faults.clone(), Syncing::On, Stop::default());
        Ok(Self { disk: disk.clone(), opening, faults, syncing, stop })
    }

    /// The same store, syncing every commit or none.
    #[must_use]
    pub fn with_syncing(mut self, syncing: Syncing) -> Self {
        self.syncing = syncing;
        self
    }

    /// The disk, unless it has crashed under us or been opened by another since.
    fn platter(&self) -> Result<MutexGuard<'_, Platter>, StoreError> {
        let platter = self.disk.platter();
        if platter.opened == Some(self.opening) { Ok(platter) } else { Err(StoreError::Stopped) }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let mut platter = self.disk.platter();
        if platter.opened == Some(self.opening) {
            platter.opened = None;
        }
    }
}

/// Whether every commit is synced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Syncing {
    /// No commit is, so a crash may lose any number of the last ones: a disk that lies.
    Off,
    /// Every commit is.
    On,
}

/// What goes wrong with a write. The writer is told of an error each time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The write is whole and durable.
    AfterWrite,
    /// Nothing is written.
    BeforeWrite,
    /// It is written but not synced: a crash decides. A head lock keeps its old value.
    DuringWrite,
}

/// Counts writes, and fails one of them. Clones count together.
#[derive(Clone)]
pub struct Faults(Arc<Mutex<FaultPlan>>);

impl Faults {
    /// No write fails.
    pub fn none() -> Self {
        Self(Arc::new(Mutex::new(FaultPlan { writes: 0, planned: None })))
    }

    /// The write with that number, from 0, goes wrong.
    pub fn at(write: u64, fault: Fault) -> Self {
        Self(Arc::new(Mutex::new(FaultPlan { writes: 0, planned: Some((write, fault)) })))
    }

    /// How many writes there have been.
    pub fn writes(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).writes
    }

    fn next(&self) -> Option<Fault> {
        let mut plan = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let write = plan.writes;
        plan.writes += 1;
        plan.planned.filter(|(planned, _)| *planned == write).map(|(_, fault)| fault)
    }
}

/// A head lock that outlives its users. Clones hold the same head.
#[derive(Clone)]
pub struct SimLock {
    head: Arc<Mutex<Option<LockedHead>>>,
    faults: Faults,
    stopped: Arc<Mutex<Option<LockError>>>,
}

impl SimLock {
    /// A lock that holds a head, or nothing.
    pub fn new(head: Option<LockedHead>) -> Self {
        Self { head: Arc::new(Mutex::new(head)), faults: Faults::none(), stopped: Arc::default() }
    }

    /// The same lock, opened again by a process whose writes go wrong so.
    #[must_use]
    pub fn reopen(&self, faults: &Faults) -> Self {
        Self { head: self.head.clone(), faults: faults.clone(), stopped: Arc::default() }
    }
}

impl HeadLock for SimLock {
    fn read(&self) -> Result<Option<LockedHead>, LockError> {
        match *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(self.head.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        }
    }

    fn advance(&self, from: &LockedHead, to: &LockedHead) -> Result<(), LockError> {
        LockedHead::check_step(self.read()?.as_ref(), from, to)?;
        self.put(to)
    }

    fn begin_log(&self, from: &LockedHead, to: &LockedHead) -> Result<(), LockError> {
        LockedHead::check_new_log(self.read()?.as_ref(), from, to)?;
        self.put(to)
    }
}

impl SimLock {
    fn put(&self, to: &LockedHead) -> Result<(), LockError> {
        let fault = self.faults.next();
        if matches!(fault, None | Some(Fault::AfterWrite)) {
            *self.head.lock().unwrap_or_else(PoisonError::into_inner) = Some(to.clone());
        }
        if fault.is_some() {
            *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some(LockError::Stopped);
            return Err(LockError::Io);
        }
        Ok(())
    }
}

struct FaultPlan {
    writes: u64,
    planned: Option<(u64, Fault)>,
}

/// What a batch replaced: enough to take it back.
type Undo = Vec<(Table, Vec<u8>, Option<Vec<u8>>)>;

struct Platter {
    rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    unsynced: Vec<Undo>,
    opened: Option<u64>,
    openings: u64,
    seed: u64,
}

impl Platter {
    fn write(&mut self, batch: Vec<Mutation>) {
        let mut undo = Undo::new();
        for mutation in batch {
            match mutation {
                Mutation::Delete { table, key } => {
                    let old = self.rows.remove(&(table, key.clone()));
                    undo.push((table, key, old));
                }
                Mutation::DeleteRange { table, from, until } => {
                    let range = (Bound::Included((table, from)), Bound::Excluded((table, until)));
                    let keys: Vec<_> = self.rows.range(range).map(|(key, _)| key.clone()).collect();
                    for place in keys {
                        let old = self.rows.remove(&place);
                        undo.push((place.0, place.1, old));
                    }
                }
                Mutation::Put { table, key, value } => {
                    let old = self.rows.insert((table, key.clone()), value);
                    undo.push((table, key, old));
                }
            }
        }
        self.unsynced.push(undo);
    }

    fn undo_last(&mut self) {
        for (table, key, old) in self.unsynced.pop().into_iter().flatten().rev() {
            match old {
                Some(value) => self.rows.insert((table, key), value),
                None => self.rows.remove(&(table, key)),
            };
        }
    }

    /// A number below the bound, from the seed (SplitMix64).
    fn below(&mut self, bound: usize) -> usize {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(mixed % bound).unwrap_or(0)
    }
}

impl Tables for Sim {
    fn stop(&self) -> &Stop {
        &self.stop
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.platter()?.rows.get(&(table, key.to_vec())).cloned())
    }

    fn scan(&self, table: Table, range: &KeyRange, limit: usize) -> Result<(Vec<Pair>, Rest), StoreError> {
        let platter = self.platter()?;
        let from = Bound::Included((table, range.from.clone()));
        let mut pairs = Vec::new();
        let mut bytes = 0;
        for ((found, key), value) in platter.rows.range((from, Bound::Unbounded)) {
            if *found != table || range.until.as_ref().is_some_and(|until| key >= until) {
                return Ok((pairs, Rest::None));
            }
            if pairs.len() == limit || bytes > SCAN_BYTES_MAX {
                return Ok((pairs, Rest::More));
            }
            bytes += key.len() + value.len();
            pairs.push((key.clone(), value.clone()));
        }
        Ok((pairs, Rest::None))
    }

    fn apply(&self, batch: Vec<Mutation>) -> Result<(), StoreError> {
        let mut platter = self.platter()?;
        let fault = self.faults.next();
        if fault != Some(Fault::BeforeWrite) {
            platter.write(batch);
        }
        if self.syncing == Syncing::On && matches!(fault, None | Some(Fault::AfterWrite)) {
            platter.unsynced.clear();
        }
        if fault.is_some() { Err(StoreError::Io) } else { Ok(()) }
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.platter()?.unsynced.clear();
        Ok(())
    }

    fn purge(&self, _: Table) -> Result<(), StoreError> {
        self.platter().map(drop)
    }

    fn copy_to(&self, dir: &Path) -> Result<Box<dyn Store>, StoreError> {
        let platter = self.platter()?;
        let mut bytes = Vec::new();
        for ((table, key), value) in &platter.rows {
            bytes.push(table.number());
            for part in [key, value] {
                bytes.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
                bytes.extend_from_slice(part);
            }
        }
        fs::create_dir(dir).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => StoreError::AlreadyThere,
            _ => StoreError::Io,
        })?;
        let mut file = fs::File::create_new(dir.join(COPY_FILE)).map_err(|_| StoreError::Io)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(|_| StoreError::Io)?;
        let copy = SimDisk::read_copy(dir, 0)?;
        Ok(Box::new(Self::open(&copy, &Faults::none())?))
    }
}

fn take_row(rest: &mut &[u8]) -> Option<Mutation> {
    let (number, after) = rest.split_first()?;
    *rest = after;
    let key = take_part(rest)?;
    let value = take_part(rest)?;
    Some(Mutation::Put { table: Table::from_number(*number)?, key, value })
}

fn take_part(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let (length, after) = rest.split_first_chunk::<8>()?;
    let (part, after) = after.split_at_checked(usize::try_from(u64::from_be_bytes(*length)).ok()?)?;
    *rest = after;
    Some(part.to_vec())
}

/// What a copy of a simulated store consists of.
const COPY_FILE: &str = "sim-rows";

#[cfg(test)]
mod tests;
