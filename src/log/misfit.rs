//! What an audit says when something does not fit: which entry, and why.

use std::fmt;

use crate::log::event::EntryError;

/// The first entry that does not fit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Misfit {
    /// Its index in the log.
    pub index: u64,
    /// What does not fit.
    pub reason: Reason,
}

impl Misfit {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        self.reason.code()
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        self.reason.hint()
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {} does not fit: {}", self.index, self.reason)
    }
}

impl std::error::Error for Misfit {}

/// Why an entry or a published list does not fit the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// The clock override does not begin at the entry before or not end at itself.
    ClockOverride,
    /// Not an entry.
    Entry(EntryError),
    /// An end went back, or nothing changed.
    IllegalChange,
    /// A published list has another length than the log's.
    ListLength,
    /// The list was open already.
    ListOpenedTwice,
    /// The list was never opened.
    ListUnopened,
    /// The log does not begin with its opening, or is opened twice.
    Opening,
    /// Not the next entry.
    OutOfOrder,
    /// The entries so far do not make the tree of the checkpoint.
    RootDiffers,
    /// The bits are not those of the snapshot.
    SnapshotDiffers,
    /// The log continues another, and the bits of this list were not offered.
    SnapshotUnknown,
    /// It is earlier than the entry before.
    TimeFalls,
    /// More lists than we hold.
    TooManyLists,
    /// A version of the trust bundle or an hour that does not come after the last.
    VersionFalls,
}

impl Reason {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::ClockOverride => "log/clock-override",
            Self::Entry(error) => error.code(),
            Self::IllegalChange => "log/illegal-change",
            Self::ListLength => "log/list-length",
            Self::ListOpenedTwice => "log/list-opened-twice",
            Self::ListUnopened => "log/list-unopened",
            Self::Opening => "log/opening",
            Self::OutOfOrder => "log/out-of-order",
            Self::RootDiffers => "log/root-differs",
            Self::SnapshotDiffers => "log/snapshot-differs",
            Self::SnapshotUnknown => "log/snapshot-unknown",
            Self::TimeFalls => "log/time-falls",
            Self::TooManyLists => "log/too-many-lists",
            Self::VersionFalls => "log/version-falls",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Entry(error) => error.hint(),
            Self::SnapshotUnknown => Some("audit the log that this one continues first, or offer its lists"),
            Self::RootDiffers => Some("keep the entries and the checkpoint: together they show the fault"),
            _ => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClockOverride => "the clock override does not begin where the log stood",
            Self::Entry(error) => return error.fmt(f),
            Self::IllegalChange => "a status cannot change like that",
            Self::ListLength => "the published list has another length",
            Self::ListOpenedTwice => "the list was open already",
            Self::ListUnopened => "the list was never opened",
            Self::Opening => "a log begins with its opening, and has one",
            Self::OutOfOrder => "it is not the next entry",
            Self::RootDiffers => "the entries do not make the tree of the checkpoint",
            Self::SnapshotDiffers => "the bits are not those of the snapshot",
            Self::SnapshotUnknown => "the bits of the snapshot are not at hand",
            Self::TimeFalls => "it is earlier than the entry before",
            Self::TooManyLists => "the log has more lists than can be held",
            Self::VersionFalls => "a version or an hour does not come after the last",
        })
    }
}

impl std::error::Error for Reason {}
