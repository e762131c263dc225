//! Why a backup is not restored.

use std::fmt;

use crate::domain::time::UnixTime;
use crate::store::StoreError;
use crate::store::head_lock::{LockError, LockedHead, Refusal};
use crate::vault::VaultError;

/// Why a backup is not restored.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RestoreError {
    /// The copy is not what its manifest says, or its log does not give its head.
    Altered,
    /// The clock is behind the last entry of the backup.
    ClockBack {
        /// What the clock says.
        now: UnixTime,
        /// When the last entry was written.
        last_time: UnixTime,
    },
    /// A published list belongs to a log that has not begun.
    LaterList,
    /// The head lock cannot be used.
    Lock(LockError),
    /// An entry of the new log cannot be made, or the kept lists cannot be read.
    Log,
    /// Acknowledged work is missing from the backup, and that was not accepted.
    Missing(Box<Gap>),
    /// A file given as a published status list is not one.
    Published {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// A record cannot be read or sealed.
    Record(VaultError),
    /// Backup and head lock do not belong together.
    Refused(Refusal),
    /// The log key cannot be reached.
    Signer,
    /// The store cannot be used.
    Store(StoreError),
}

/// Two heads with acknowledged work between them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Gap {
    /// The head the backup has.
    pub backup: LockedHead,
    /// The head the lock holds.
    pub locked: LockedHead,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backup, locked } = self;
        write!(
            f,
            "acknowledged work is missing: the backup has {} entries of {}, the head lock {} of {}",
            backup.size, backup.origin, locked.size, locked.origin
        )
    }
}

impl RestoreError {
    /// Stable name for machines. Once released, never reused or renamed.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Altered => "restore/altered",
            Self::ClockBack { .. } => "restore/clock-back",
            Self::LaterList => "restore/later-list",
            Self::Lock(error) => error.code(),
            Self::Log => "restore/log",
            Self::Missing(_) => "restore/missing",
            Self::Published { .. } => "restore/published",
            Self::Record(error) => error.code(),
            Self::Refused(refusal) => refusal.code(),
            Self::Signer => "restore/log-key",
            Self::Store(error) => error.code(),
        }
    }

    /// What the operator can do about it, if anything.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Altered => Some("take another backup; this one is damaged"),
            Self::ClockBack { .. } => Some("set the machine's clock right"),
            Self::LaterList => Some("the head lock is older than the published lists: find the newest lock"),
            Self::Lock(LockError::Io | LockError::Stopped) => {
                Some("open the vault: if it opens, the restore was done; otherwise restore again")
            }
            Self::Lock(error) => error.hint(),
            Self::Missing(_) => {
                Some("restore a newer backup; `--accept-loss` goes on without what is missing, in a new log")
            }
            Self::Published { .. } => {
                Some("give a folder with nothing in it but status tokens of this vault")
            }
            Self::Record(_) => Some("check that the key store is this vault's"),
            Self::Refused(refusal) => Some(refusal.hint()),
            Self::Signer => Some("check the key store"),
            Self::Store(error) => error.hint(),
            Self::Log => None,
        }
    }
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered => f.write_str("the backup is not what it says it is"),
            Self::ClockBack { now, last_time } => {
                write!(f, "the clock says {now}, but the last entry of the backup is of {last_time}")
            }
            Self::LaterList => f.write_str("a published list belongs to a log that has not begun"),
            Self::Lock(error) => error.fmt(f),
            Self::Log => f.write_str("the new log cannot be begun"),
            Self::Missing(gap) => gap.fmt(f),
            Self::Published { file, why } => write!(f, "`{file}`: {why}"),
            Self::Record(error) => write!(f, "a record cannot follow its published status: {error}"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Signer => f.write_str("the log key cannot be used"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RestoreError {}

impl From<LockError> for RestoreError {
    fn from(error: LockError) -> Self {
        Self::Lock(error)
    }
}

impl From<Refusal> for RestoreError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for RestoreError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
