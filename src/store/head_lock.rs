//! The head lock: how far the log has been released, kept outside the database.
//!
//! A database that is restored from an old copy looks whole. If we went on from
//! it we would sign a second history of the log, and nobody could take that
//! back. So the highest head that anybody may have seen stands in a second
//! place, and [`open_rule`] compares.
//!
//! # Order of writes
//!
//! 1. the commit    entries and signed head, one synced batch in the database
//! 2. the lock      the same head; from here it may be told
//!
//! A crash between them leaves a head further on than the lock: kept work, which
//! nobody was told of. [`open_rule`] then says to advance the lock, after
//! [`Store::sync`](crate::store::Store::sync).
//!
//! A restore that accepts a loss begins a new log in the same order: the
//! database first, then [`HeadLock::begin_log`]. A crash between them leaves a
//! database of another origin than the lock's, which is not opened.
//!
//! # The file
//!
//! Two slots, 4096 bytes apart, written in turn and synced by one `fdatasync`,
//! so that a torn write spoils one and leaves the other. A slot is 512 bytes:
//! magic (8), sequence (8), size (8), root (32), length of origin (1), origin,
//! zeros, SHA-256 of all before it (32). Numbers are big-endian.
//!
//! # Not here
//!
//! What the tree's root at some size is: the caller knows the log. Where the file
//! lies: a lock that is restored together with the database proves nothing.

use std::fmt;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;

use crate::domain::digest::Digest;
use crate::store::Head;

/// A head as the lock holds it: without the signature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LockedHead {
    /// The log's origin, 1 to 255 bytes.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

impl LockedHead {
    /// Whether a lock that holds `current` may go on from `from` to `to`: compare and swap, and never back.
    pub(super) fn check_step(current: Option<&Self>, from: &Self, to: &Self) -> Result<(), LockError> {
        if current != Some(from) {
            return Err(LockError::Moved);
        }
        let forks = to.size == from.size && to.root != from.root;
        if to.size < from.size || forks || to.origin != from.origin { Err(LockError::Back) } else { Ok(()) }
    }

    /// Whether a lock that holds `current` may go over from the head `from` of a log that closes to `to`
    /// of one that began after it.
    pub(super) fn check_new_log(current: Option<&Self>, from: &Self, to: &Self) -> Result<(), LockError> {
        if current != Some(from) {
            return Err(LockError::Moved);
        }
        if to.origin == from.origin { Err(LockError::Back) } else { Ok(()) }
    }
}

impl From<&Head> for LockedHead {
    fn from(head: &Head) -> Self {
        Self { origin: head.origin.clone(), size: head.size, root: head.root }
    }
}

/// A place outside the database that holds the highest head.
pub trait HeadLock: Send + Sync {
    /// The head it holds. `None` from a lock that was never given one.
    fn read(&self) -> Result<Option<LockedHead>, LockError>;

    /// Puts `to` where `from` stands, durably. After an error other than [`LockError::Back`]
    /// and [`LockError::Moved`] the lock answers only [`LockError::Stopped`].
    fn advance(&self, from: &LockedHead, to: &LockedHead) -> Result<(), LockError>;

    /// Puts the head `to` of a new log where the last head `from` of the log before stands, durably.
    /// Only a restore that accepts a loss does so. Errors as for [`HeadLock::advance`].
    fn begin_log(&self, from: &LockedHead, to: &LockedHead) -> Result<(), LockError>;
}

/// What a vault does when it is opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Opening {
    /// The database has kept work that the lock does not know: sync, then advance the lock to this head.
    AdvanceLock(LockedHead),
    /// Lock and database agree.
    Ready,
    /// It is not opened.
    Refuse(Refusal),
}

/// Why a vault is not opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// The database is behind the lock: an old copy.
    Behind,
    /// The database's tree at the lock's size has another root: another history.
    Forked,
    /// The database's tree does not give the database's own head.
    Incomplete,
    /// The database has a head, and there is no lock, or one that holds nothing.
    NoLock,
    /// The lock is of another log.
    OtherOrigin,
}

impl Refusal {
    /// Stable name for machines. Once released, never reused or renamed.
    pub fn code(self) -> &'static str {
        match self {
            Self::Behind => "head-lock/behind",
            Self::Forked => "head-lock/forked",
            Self::Incomplete => "head-lock/incomplete",
            Self::NoLock => "head-lock/no-lock",
            Self::OtherOrigin => "head-lock/other-origin",
        }
    }

    /// What the operator can do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Behind => "restore a newer backup; `kabao restore --accept-loss` opens a new log instead",
            Self::Forked => "two copies were run; find the one whose log has been published",
            Self::Incomplete => "check the disk, then restore from a backup",
            Self::NoLock => "find the head lock's file; it is never made anew beside a used database",
            Self::OtherOrigin => "check that the head lock's path belongs to this vault",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Behind => "the database is older than the head lock",
            Self::Forked => "the database has another history than the head lock",
            Self::Incomplete => "the log in the database does not give its own head",
            Self::NoLock => "the database is in use, but its head lock is missing or empty",
            Self::OtherOrigin => "the head lock belongs to another log",
        })
    }
}

/// Whether a database may be opened beside a lock.
///
/// `root_at` gives the root of the database's tree at a size, or `None` if it
/// cannot. It is asked for the lock's size, also when both heads look alike: a
/// head alone could be copied.
pub fn open_rule(
    lock: Option<&LockedHead>,
    head: Option<&Head>,
    root_at: impl Fn(u64) -> Option<Digest>,
) -> Opening {
    let (lock, head) = match (lock, head) {
        (None, None) => return Opening::Ready,
        (None, Some(_)) => return Opening::Refuse(Refusal::NoLock),
        // A vault whose making was cut short: the lock is made first, and then holds the empty tree.
        (Some(lock), None) if lock.size == 0 => return Opening::Ready,
        (Some(_), None) => return Opening::Refuse(Refusal::Behind),
        (Some(lock), Some(head)) => (lock, LockedHead::from(head)),
    };
    if lock.origin != head.origin {
        return Opening::Refuse(Refusal::OtherOrigin);
    }
    if head.size < lock.size {
        return Opening::Refuse(Refusal::Behind);
    }
    if root_at(head.size) != Some(head.root) {
        return Opening::Refuse(Refusal::Incomplete);
    }
    match root_at(lock.size) {
        None => Opening::Refuse(Refusal::Incomplete),
        Some(root) if root != lock.root => Opening::Refuse(Refusal::Forked),
        Some(_) if head.size == lock.size => Opening::Ready,
        Some(_) => Opening::AdvanceLock(head),
    }
}

/// A head lock in a file, held by one process.
pub struct FileLock {
    file: File,
    state: Mutex<State>,
}

impl FileLock {
    /// Makes the file, with a head in it. Where a file is already, nothing is done.
    ///
    /// A crash leaves no file, or the whole one; at worst also a `.part` beside it.
    pub fn create(path: &Path, first: &LockedHead) -> Result<Self, LockError> {
        if path.try_exists().map_err(|_| LockError::Io)? {
            return Err(LockError::AlreadyThere);
        }
        let mut bytes = vec![0; FILE_BYTES];
        bytes[..SLOT_BYTES].copy_from_slice(&slot(FIRST_SEQUENCE, first)?);
        let part = path.with_extension("part");
        let file = File::create(&part).map_err(|_| LockError::Io)?;
        file.write_all_at(&bytes, 0).and_then(|()| file.sync_all()).map_err(|_| LockError::Io)?;
        // A link, not a rename: if somebody made the file meanwhile, theirs stays.
        std::fs::hard_link(&part, path).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => LockError::AlreadyThere,
            _ => LockError::Io,
        })?;
        std::fs::remove_file(&part).map_err(|_| LockError::Io)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|_| LockError::Io)?;
        Self::open(path)
    }

    /// Opens the file and keeps other processes out of it.
    pub fn open(path: &Path) -> Result<Self, LockError> {
        let file =
            OpenOptions::new().read(true).write(true).open(path).map_err(|error| match error.kind() {
                ErrorKind::NotFound => LockError::Missing,
                _ => LockError::Io,
            })?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => LockError::InUse,
            TryLockError::Error(_) => LockError::Io,
        })?;
        // What a killed process wrote may be in the page cache only: before we build on it, it is on disk.
        file.sync_data().map_err(|_| LockError::Io)?;
        let current = match (read_slot(&file, 0)?, read_slot(&file, 1)?) {
            (Slot::Held(first), Slot::Held(second)) => Some(first.max_by_sequence(second)),
            (Slot::Held(held), _) | (_, Slot::Held(held)) => Some(held),
            (Slot::Blank, Slot::Blank) => None,
            _ => return Err(LockError::Torn),
        };
        Ok(Self { file, state: Mutex::new(State { current, health: Health::Good }) })
    }
}

impl HeadLock for FileLock {
    fn read(&self) -> Result<Option<LockedHead>, LockError> {
        // A panic while it was held means that a write may be half done.
        let state = self.state.lock().map_err(|_| LockError::Stopped)?;
        match state.health {
            Health::Good => Ok(state.current.as_ref().map(|held| held.head.clone())),
            Health::Stopped => Err(LockError::Stopped),
        }
    }

    fn advance(&self, from: &LockedHead, to: &LockedHead) -> Result<(), LockError> {
        self.put(to, |current| LockedHead::check_step(current, from, to))
    }

    fn begin_log(&self, from: &LockedHead, to: &LockedHead) -> Result<(), LockError> {
        self.put(to, |current| LockedHead::check_new_log(current, from, to))
    }
}

impl FileLock {
    fn put(
        &self,
        to: &LockedHead,
        check: impl FnOnce(Option<&LockedHead>) -> Result<(), LockError>,
    ) -> Result<(), LockError> {
        let mut state = self.state.lock().map_err(|_| LockError::Stopped)?;
        if state.health == Health::Stopped {
            return Err(LockError::Stopped);
        }
        check(state.current.as_ref().map(|held| &held.head))?;
        let sequence = state.current.as_ref().map_or(FIRST_SEQUENCE, |held| held.sequence + 1);
        let bytes = slot(sequence, to)?;
        // The slot that is not the newest: if this write tears, the newest still stands.
        let written = self.file.write_all_at(&bytes, place(sequence)).and_then(|()| self.file.sync_data());
        if written.is_err() {
            state.health = Health::Stopped;
            return Err(LockError::Io);
        }
        state.current = Some(Held { sequence, head: to.clone() });
        Ok(())
    }
}

/// Why the lock did not do what it was asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LockError {
    /// There is already a file where a new one was to be made.
    AlreadyThere,
    /// The new head is smaller, or of the same size with another root, or of another log.
    Back,
    /// Another process holds it.
    InUse,
    /// The disk failed. After a failed write the lock is stopped.
    Io,
    /// There is no file there.
    Missing,
    /// The lock does not hold the head to go on from.
    Moved,
    /// An earlier write failed: open it again.
    Stopped,
    /// The origin is empty or longer than 255 bytes.
    TooLong,
    /// Neither slot can be read: what was released is not known.
    Torn,
}

impl LockError {
    /// Stable name for machines. Once released, never reused or renamed.
    pub fn code(self) -> &'static str {
        match self {
            Self::AlreadyThere => "head-lock/already-there",
            Self::Back => "head-lock/back",
            Self::InUse => "head-lock/in-use",
            Self::Io => "head-lock/io",
            Self::Missing => "head-lock/missing",
            Self::Moved => "head-lock/moved",
            Self::Stopped => "head-lock/stopped",
            Self::TooLong => "head-lock/too-long",
            Self::Torn => "head-lock/torn",
        }
    }

    /// What the operator can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::InUse => Some("stop the other process first"),
            Self::Io | Self::Stopped => Some("check the disk, then start again"),
            Self::Missing => Some("check the path; the file is made once, by `kabao init`"),
            Self::Torn => Some("restore the head lock from its own backup or from a witness"),
            Self::AlreadyThere | Self::Back | Self::Moved | Self::TooLong => None,
        }
    }
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyThere => "there is already a head lock here",
            Self::Back => "the head lock does not go back",
            Self::InUse => "the head lock is in use",
            Self::Io => "the head lock's disk failed",
            Self::Missing => "there is no head lock here",
            Self::Moved => "the head lock holds another head",
            Self::Stopped => "the head lock has stopped after a failed write",
            Self::TooLong => "the origin does not fit into the head lock",
            Self::Torn => "the head lock cannot be read",
        })
    }
}

impl std::error::Error for LockError {}

struct State {
    current: Option<Held>,
    health: Health,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Health {
    Good,
    Stopped,
}

struct Held {
    sequence: u64,
    head: LockedHead,
}

impl Held {
    fn max_by_sequence(self, other: Self) -> Self {
        if other.sequence > self.sequence { other } else { self }
    }
}

enum Slot {
    Blank,
    Held(Held),
    Torn,
}

fn place(sequence: u64) -> u64 {
    if sequence.is_multiple_of(2) { SECOND_SLOT } else { 0 }
}

fn slot(sequence: u64, head: &LockedHead) -> Result<[u8; SLOT_BYTES], LockError> {
    let length = u8::try_from(head.origin.len()).map_err(|_| LockError::TooLong)?;
    if length == 0 {
        return Err(LockError::TooLong);
    }
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&sequence.to_be_bytes());
    bytes.extend_from_slice(&head.size.to_be_bytes());
    bytes.extend_from_slice(head.root.as_bytes());
    bytes.push(length);
    bytes.extend_from_slice(head.origin.as_bytes());
    bytes.resize(SLOT_BYTES - CHECKSUM_BYTES, 0);
    bytes.extend_from_slice(Digest::of(&[&bytes]).as_bytes());
    Ok(bytes.try_into().expect("resized to a slot without its checksum, then the checksum"))
}

fn read_slot(file: &File, number: u64) -> Result<Slot, LockError> {
    let mut bytes = [0; SLOT_BYTES];
    let mut filled = 0;
    // A file cut short reads as zeros.
    while filled < SLOT_BYTES {
        let offset = number * SECOND_SLOT + u64::try_from(filled).expect("less than a slot");
        match file.read_at(&mut bytes[filled..], offset).map_err(|_| LockError::Io)? {
            0 => break,
            read => filled += read,
        }
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(Slot::Blank);
    }
    Ok(parse_slot(&bytes).map_or(Slot::Torn, Slot::Held))
}

fn parse_slot(bytes: &[u8; SLOT_BYTES]) -> Option<Held> {
    let (body, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
    if Digest::of(&[body]).as_bytes() != checksum {
        return None;
    }
    let (magic, rest) = body.split_first_chunk::<8>()?;
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let (size, rest) = rest.split_first_chunk::<8>()?;
    let (root, rest) = rest.split_first_chunk::<32>()?;
    let (length, rest) = rest.split_first()?;
    let origin = String::from_utf8(rest.get(..usize::from(*length))?.to_vec()).ok()?;
    let head = LockedHead { origin, size: u64::from_be_bytes(*size), root: Digest::from_bytes(*root) };
    (magic == MAGIC).then_some(Held { sequence: u64::from_be_bytes(*sequence), head })
}

/// Tells the file and its version.
const MAGIC: &[u8; 8] = b"kabaoHL1";

/// The slot of odd sequences lies at 0, that of even ones here: another page, another sector.
const SECOND_SLOT: u64 = 4096;

/// One sector of any disk.
const SLOT_BYTES: usize = 512;

/// SHA-256.
const CHECKSUM_BYTES: usize = 32;

/// Both slots' pages, so that an advance never changes the file's length.
const FILE_BYTES: usize = 8192;

const FIRST_SEQUENCE: u64 = 1;

#[cfg(test)]
mod tests;
