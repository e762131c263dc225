//! Why the store did not do what it was asked.
//!
//! The driver's own words (paths, file names) go to the trace, never into an
//! error: an error may end up in an answer.

use std::fmt;

/// Why the store did not do what it was asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum StoreError {
    /// There is already a store where a new one was to be made.
    AlreadyThere,
    /// A row does not read as what it should be. Not a refusal of input: the disk or we have a fault.
    Corrupt {
        /// The table the row stands in.
        table: &'static str,
    },
    /// Not a cursor that an earlier page of this list gave.
    Cursor,
    /// The new head does not continue the old one, or the entries do not fill the space between. Nothing
    /// was written.
    Head,
    /// Another process, or another part of this one, has the store open.
    InUse,
    /// The disk failed. After a failed write the store is stopped: what reached the disk is not known.
    Io,
    /// There is no store there.
    Missing,
    /// An earlier write failed. Nothing is answered until the store has been opened again.
    Stopped,
    /// A key or value is longer than its table takes. Nothing was written.
    TooLong {
        /// The table the row was meant for.
        table: &'static str,
    },
    /// Written by a later release, in a form that this one does not know.
    Version {
        /// The table the row stands in.
        table: &'static str,
        /// The version found.
        found: u8,
    },
}

impl StoreError {
    /// Stable name for machines. Once released, never reused or renamed.
    pub fn code(self) -> &'static str {
        match self {
            Self::AlreadyThere => "store/already-there",
            Self::Corrupt { .. } => "store/corrupt",
            Self::Cursor => "store/cursor",
            Self::Head => "store/head",
            Self::InUse => "store/in-use",
            Self::Io => "store/io",
            Self::Missing => "store/missing",
            Self::Stopped => "store/stopped",
            Self::TooLong { .. } => "store/too-long",
            Self::Version { .. } => "store/version",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::AlreadyThere => Some("choose an empty folder, or open the store that is there"),
            Self::Corrupt { .. } => Some("check the disk, then restore from a backup"),
            Self::Cursor => Some("start again from the first page"),
            Self::InUse => Some("stop the other process first"),
            Self::Io => Some("check the disk and its free space, then start again"),
            Self::Missing => Some("check the path, or make a store with `kabao init`"),
            Self::Stopped => Some("check the disk, then start again"),
            Self::Version { .. } => Some("use the release that wrote it, or a later one"),
            Self::Head | Self::TooLong { .. } => None,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyThere => f.write_str("there is already a store here"),
            Self::Corrupt { table } => write!(f, "a row of table `{table}` cannot be read"),
            Self::Cursor => f.write_str("not a cursor of this list"),
            Self::Head => f.write_str("the new head does not continue the log that is kept"),
            Self::InUse => f.write_str("the store is in use"),
            Self::Io => f.write_str("the disk failed"),
            Self::Missing => f.write_str("there is no store here"),
            Self::Stopped => f.write_str("the store has stopped after a failed write"),
            Self::TooLong { table } => write!(f, "a row is too long for table `{table}`"),
            Self::Version { table, found } => {
                write!(f, "a row of table `{table}` has version {found}, which this release does not know")
            }
        }
    }
}

impl std::error::Error for StoreError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_own_code_and_a_plain_sentence() {
        let all = [
            StoreError::AlreadyThere,
            StoreError::Corrupt { table: "holder" },
            StoreError::Cursor,
            StoreError::Head,
            StoreError::InUse,
            StoreError::Io,
            StoreError::Missing,
            StoreError::Stopped,
            StoreError::TooLong { table: "entry" },
            StoreError::Version { table: "holder", found: 9 },
        ];
        let codes: std::collections::BTreeSet<_> = all.iter().map(|error| error.code()).collect();
        assert_eq!(codes.len(), all.len());
        for error in all {
            let text = error.to_string();
            assert!(!text.ends_with('.') && !text.starts_with(char::is_uppercase), "{text}");
        }
    }
}
