//! Putting a backup in place of a database, and what that does to the public record.
//!
//! The head lock, which was not restored with the backup, says what had been
//! acknowledged. There are two ways:
//!
//! - **As locked.** The backup holds all of it: the vault opens as if nothing had been.
//! - **With a loss.** The lock is further on: acknowledged work is missing. Only when the
//!   operator accepts the loss does it go on. The old log closes where the backup has it and
//!   stays readable; a new one begins, whose first entry names the head that the lock
//!   held; the status lists are written into it slot by slot; every end that was ever
//!   published is applied again, to lists and records; and a statement signed by the log
//!   key names both heads.
//!
//! # Order of writes, with a loss
//!
//! 1. records that follow their published status, and the chunks of the lists
//! 2. the new log, batch by batch; its first batch closes the old log and keeps the statement
//! 3. the head lock goes over to the new log
//!
//! It works on a copy of the backup that nobody else has open. A crash before 3 leaves a
//! copy that no vault opens: it is thrown away and the restore begins anew. From 3 on it is
//! done. An error in 3 leaves either: if the vault opens, it was done.
//!
//! # Invariants
//!
//! - Content and log root of the copy are those that the manifest names; both are computed anew.
//! - A status bit never goes back. A slot is never given twice: lists belong to one log
//!   ([`LISTS_PER_LOG`](super::slots::LISTS_PER_LOG)), and the new log has a number of its own.
//! - A record agrees with its status bits, as everywhere.
//!
//! # Not here
//!
//! Copying folders: [`crate::store::backup`]. What a restored lock is worth: nothing, since
//! whoever restores the lock together with the database takes back what it was to prove.

pub mod published;
pub mod statement;

mod error;
mod new_log;

use std::collections::{BTreeMap, BTreeSet};

pub use self::error::{Gap, RestoreError};
use self::new_log::{Followed, NewLog};
use self::published::Published;
use self::statement::Loss;
use super::keyring::Keyring;
use super::opening::{instant, number, read_lists};
use super::records::{Changed, Record};
use super::slots::{first_list, first_slot};
use super::tree::StoredTree;
use super::unseal::{read_record, seal_again};
use super::writer::CLOCK_SLACK_SECONDS;
use super::{Settings, VaultError};
use crate::domain::digest::Digest;
use crate::domain::lifecycle::{ChangeKind, ReasonCode};
use crate::domain::time::UnixTime;
use crate::keys::random::Random;
use crate::log::checkpoint::Checkpoint;
use crate::log::event::SlotValue;
use crate::log::merkle::{self, Edge, leaf_hash};
use crate::log::tile::Tiled;
use crate::status::list::{ChunkIndex, SlotIndex, StatusList};
use crate::store::backup::Manifest;
use crate::store::head_lock::{HeadLock, LockedHead, Opening, Refusal, open_rule};
use crate::store::{
    Certificate, Commit, Copied, Head, Meta, MetaName, Row, RowKey, StatusChunk, Store, StoreError,
};

/// A restore that an operator orders.
pub struct Order<'a> {
    /// A copy of the backup. No vault has it open.
    pub store: &'a dyn Store,
    /// What the backup says it is.
    pub manifest: &'a Manifest,
    /// The head outside the database. It was not restored.
    pub lock: &'a dyn HeadLock,
    /// The keys.
    pub keyring: &'a Keyring,
    /// What the operator decided about the vault.
    pub settings: &'a Settings,
    /// Chance.
    pub random: &'a dyn Random,
    /// The present instant.
    pub now: UnixTime,
    /// What to do when acknowledged work is missing.
    pub missing: Missing<'a>,
}

/// What to do when acknowledged work is missing from a backup.
#[derive(Clone, Copy)]
pub enum Missing<'a> {
    /// Go on without it: the old log closes, and these published lists are applied again.
    Accept(&'a Published),
    /// Do not restore.
    Refuse,
}

/// How a restore ended well: the vault can be opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Restored {
    /// The backup has exactly what the lock holds.
    AsLocked(LockedHead),
    /// The backup has more than the lock holds: work that was kept but never acknowledged. It stays.
    FurtherOn(LockedHead),
    /// Acknowledged work is missing; a new log has begun.
    WithLoss(Box<Lost>),
}

/// What a restore with a loss did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lost {
    /// The head the backup had.
    pub backup: LockedHead,
    /// The head the lock held.
    pub locked: LockedHead,
    /// The head of the log that began.
    pub opened: LockedHead,
    /// Certificates whose records followed their published status.
    pub followed: u64,
    /// The signed statement.
    pub statement: String,
}

/// Puts a copy of a backup into a state in which the vault opens.
///
/// # Errors
/// [`RestoreError`]; the head lock holds what it held then, save perhaps after [`RestoreError::Lock`].
/// The copy is to be thrown away.
pub fn restore(order: &Order<'_>) -> Result<Restored, RestoreError> {
    let head = check_copy(order)?;
    let locked = order.lock.read()?;
    let tree = StoredTree { store: order.store, log: head.log };
    let root_at = |size| merkle::root(size, &Tiled(&tree)).ok();
    match way(order.settings, locked.as_ref(), &head, root_at)? {
        Way::AsLocked => Ok(Restored::AsLocked(LockedHead::from(&head))),
        Way::FurtherOn => Ok(Restored::FurtherOn(LockedHead::from(&head))),
        Way::WithLoss(locked) => match order.missing {
            Missing::Accept(published) => accept(order, published, &head, locked),
            Missing::Refuse => {
                let backup = LockedHead::from(&head);
                Err(RestoreError::Missing(Box::new(Gap { backup, locked })))
            }
        },
    }
}

/// How a backup stands to the lock.
enum Way {
    AsLocked,
    FurtherOn,
    WithLoss(LockedHead),
}

/// The rule of opening, and which of its refusals a loss explains.
fn way(
    settings: &Settings,
    locked: Option<&LockedHead>,
    head: &Head,
    root_at: impl Fn(u64) -> Option<Digest>,
) -> Result<Way, Refusal> {
    let locked = locked.ok_or(Refusal::NoLock)?;
    if settings.log_of(&head.origin) != Some(head.log) {
        return Err(Refusal::OtherOrigin);
    }
    let log = settings.log_of(&locked.origin).ok_or(Refusal::OtherOrigin)?;
    // A lock of a later log: the backup is from before an earlier loss.
    if log > head.log {
        return Ok(Way::WithLoss(locked.clone()));
    }
    match open_rule(Some(locked), Some(head), root_at) {
        Opening::Ready => Ok(Way::AsLocked),
        Opening::AdvanceLock(_) => Ok(Way::FurtherOn),
        Opening::Refuse(Refusal::Behind) => Ok(Way::WithLoss(locked.clone())),
        Opening::Refuse(refusal) => Err(refusal),
    }
}

/// Whether the copy is what the manifest says, and its log gives its head.
fn check_copy(order: &Order<'_>) -> Result<Head, RestoreError> {
    let Copied { head, content } = Copied::of(order.store)?;
    let head = head.ok_or(RestoreError::Altered)?;
    if content != order.manifest.content || LockedHead::from(&head) != order.manifest.head {
        return Err(RestoreError::Altered);
    }
    let mut edge = Edge::empty();
    while edge.size() < head.size {
        let entries = order.store.entries(head.log, edge.size(), PAGE)?;
        if entries.is_empty() {
            return Err(RestoreError::Altered);
        }
        for entry in entries {
            edge.push(leaf_hash(&entry.bytes));
        }
    }
    if edge.size() == head.size && edge.root() == head.root { Ok(head) } else { Err(RestoreError::Altered) }
}

fn accept(
    order: &Order<'_>,
    published: &Published,
    head: &Head,
    locked: LockedHead,
) -> Result<Restored, RestoreError> {
    let store = order.store;
    let at = entry_time(order)?;
    let last = order.settings.log_of(&locked.origin).ok_or(Refusal::OtherOrigin)?;
    let log = last.checked_add(1).ok_or(RestoreError::Log)?;
    let origin = locked.origin.parse().map_err(|_| RestoreError::Log)?;
    let previous = Checkpoint::new(origin, locked.size, locked.root).map_err(|_| RestoreError::Log)?;

    let reserved = number(store.meta(MetaName::SlotsReserved)?).max(first_slot(head.log));
    let kept = read_lists(store, head.log, reserved).map_err(|_| RestoreError::Log)?;
    let mut lists = kept.clone();
    let graver = published.apply(&mut lists, (head.log, head.size));
    if lists.keys().any(|list| *list >= first_list(log)) {
        return Err(RestoreError::LaterList);
    }
    let followed = follow(order, at, &graver, &mut lists)?;
    keep_chunks(store, &kept, &lists)?;

    let backup = LockedHead::from(head);
    let loss = Loss {
        settings: order.settings,
        backup: order.manifest,
        locked: &locked,
        log,
        published: published.tokens(),
        at: order.now,
    };
    let statement = loss.sign(order.keyring.log.as_ref())?;
    let numbers = lists.keys().flat_map(|list| list.to_be_bytes()).collect();
    let rows = vec![
        Meta { name: MetaName::Lists, bytes: numbers }.into(),
        // No key is known to the new log: the vault names them in it when it opens.
        Meta { name: MetaName::KeyVersions, bytes: vec![] }.into(),
        Meta { name: MetaName::SlotsReserved, bytes: first_slot(log).to_be_bytes().to_vec() }.into(),
        Meta { name: MetaName::LossStatements, bytes: statement::kept_with(store, log, &statement)? }.into(),
    ];
    let name = (log, order.settings.origin_of(u32::from(log)));
    let mut new_log = NewLog::begin(store, order.keyring.log.as_ref(), name, at, rows);
    new_log.open(previous)?;
    for (list, bits) in &lists {
        new_log.list(*list, bits, &followed)?;
    }
    let opened = LockedHead::from(&new_log.finish()?);

    // Everything is on disk; nobody has been told. From here on the new log is the vault's.
    order.lock.begin_log(&locked, &opened)?;
    let records: BTreeSet<RowKey> = followed.values().map(|followed| followed.key).collect();
    let followed = u64::try_from(records.len()).unwrap_or(u64::MAX);
    tracing::warn!(
        log.size = opened.size,
        log.origin = opened.origin,
        "a loss was accepted; a new log has begun"
    );
    Ok(Restored::WithLoss(Box::new(Lost { backup, locked, opened, followed, statement })))
}

/// The time of the new log's first entries: not before the last of the old one.
fn entry_time(order: &Order<'_>) -> Result<UnixTime, RestoreError> {
    let last_time = instant(order.store.meta(MetaName::EntryTime)?);
    if order.now.plus(CLOCK_SLACK_SECONDS) < last_time {
        return Err(RestoreError::ClockBack { now: order.now, last_time });
    }
    Ok(order.now.max(last_time))
}

/// Lets the records of slots that became graver follow; every slot of such a record then has the gravest
/// value of them.
fn follow(
    order: &Order<'_>,
    at: UnixTime,
    graver: &[(u32, SlotIndex)],
    lists: &mut BTreeMap<u32, StatusList>,
) -> Result<BTreeMap<(u32, u32), Followed>, RestoreError> {
    let mut followed = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut rows: Vec<Row> = Vec::new();
    for (list, index) in graver {
        let Some(key) = order.store.slot_owner(*list, index.number())? else { continue };
        if !seen.insert(key) {
            continue;
        }
        let open = match read_record(order.store, order.keyring, key) {
            Ok(open) => open,
            // Its holders were deleted: nobody opens it, and its bits alone speak.
            Err(VaultError::NotFound) => continue,
            Err(error) => return Err(RestoreError::Record(error)),
        };
        let Some((record, kind)) = following(&open.record, at, lists) else { continue };
        let sealed = seal_again(order.store, order.keyring, order.random, &open, &record)
            .map_err(RestoreError::Record)?;
        rows.push(Certificate { key, sealed: sealed.into() }.into());
        let issuer = record.issuer().ok_or(RestoreError::Record(VaultError::Unreadable))?;
        for slot in &record.credentials {
            let (uscc, issuer, kind) = (issuer.to_string(), order.keyring.issuer_tag(issuer), kind.number());
            followed.insert((slot.list, slot.index), Followed { key, uscc, issuer, kind });
        }
        if rows.len() >= ROWS {
            order.store.commit(Commit { rows: std::mem::take(&mut rows), head: None })?;
        }
    }
    order.store.commit(Commit { rows, head: None })?;
    Ok(followed)
}

/// A record as its published status wants it; `None` if it is so already.
///
/// What was done is not known. An end becomes the mildest that an officer orders (注销), so that a graver
/// one can still be recorded over it.
fn following(
    record: &Record,
    at: UnixTime,
    lists: &mut BTreeMap<u32, StatusList>,
) -> Option<(Record, ChangeKind)> {
    let slots: Vec<(u32, SlotIndex)> = record
        .credentials
        .iter()
        .filter_map(|credential| Some((credential.list, SlotIndex::new(credential.index)?)))
        .collect();
    let values = slots.iter().filter_map(|(list, index)| Some(lists.get(list)?.value(*index)));
    let values: Vec<SlotValue> = values.collect();
    let (value, kind) = if values.contains(&SlotValue::Ended) {
        (SlotValue::Ended, ChangeKind::Cancel)
    } else {
        (SlotValue::Suspended, ChangeKind::Suspend)
    };
    for (list, index) in slots {
        lists.entry(list).or_default().set(index, value);
    }
    let state = record.state.after(kind).ok().filter(|_| record.state.status_bits() != value.bits())?;
    let mut record = record.clone();
    record.state = state;
    record.changes.push(Changed {
        kind,
        reason: ReasonCode::Restored.code().to_string(),
        legal_basis: LEGAL_BASIS.to_string(),
        officer: OFFICER.to_string(),
        effective_at: at,
        recorded_at: at,
    });
    Some((record, kind))
}

/// Keeps the chunks in which the lists have changed.
fn keep_chunks(
    store: &dyn Store,
    kept: &BTreeMap<u32, StatusList>,
    lists: &BTreeMap<u32, StatusList>,
) -> Result<(), StoreError> {
    let empty = StatusList::new();
    for (list, bits) in lists {
        let before = kept.get(list).unwrap_or(&empty);
        let rows = (0..=u16::MAX)
            .map_while(ChunkIndex::new)
            .filter(|chunk| before.chunk(*chunk) != bits.chunk(*chunk))
            .map(|chunk| StatusChunk { list: *list, chunk: chunk.number(), bits: *bits.chunk(chunk) }.into());
        store.commit(Commit { rows: rows.collect(), head: None })?;
    }
    Ok(())
}

/// What a record says of a change that only its published status tells.
const LEGAL_BASIS: &str = "按已公布的状态恢复 (restored from the published status)";

/// Who made that change.
const OFFICER: &str = "restore";

/// Entries read at a time.
const PAGE: usize = 4096;

/// Records kept at a time: some kilobytes each.
const ROWS: usize = 256;
