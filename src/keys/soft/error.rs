//! Why the key store refuses.

use std::fmt;
use std::io;
use std::path::Path;

use crate::keys::envelope::SealError;
use crate::keys::purpose::Purpose;
use crate::keys::random::RandomError;

/// Why the key store refuses.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KeyStoreError {
    /// What the file says of its key is not what was sealed with it.
    Altered {
        /// The file's name.
        file: String,
    },
    /// A key for development, and this is not development.
    DevelopmentKey {
        /// Which key.
        kid: String,
    },
    /// The key is in the store already: one key, one subject.
    Duplicate {
        /// Which key.
        kid: String,
    },
    /// There is a key store in this directory already.
    Exists,
    /// The disk refused.
    Io {
        /// Which file or directory.
        path: String,
        /// What the system said.
        kind: io::ErrorKind,
    },
    /// Not a file of a key store.
    Malformed {
        /// The file's name.
        file: String,
        /// Which part of it.
        part: &'static str,
    },
    /// No key for this purpose signs now.
    NoCurrent {
        /// Which purpose.
        purpose: Purpose,
    },
    /// No key of this kid.
    NotFound {
        /// The kid that was asked for.
        kid: String,
    },
    /// Another passphrase than the one of this store.
    Passphrase,
    /// Not a usable private key.
    PrivateKey,
    /// A signing key was asked of a purpose that has secrets, or the other way round.
    Purpose {
        /// Which purpose.
        purpose: Purpose,
    },
    /// No random bytes.
    Random,
    /// A retired key: it verifies, but signs no more.
    Retired {
        /// Which key.
        kid: String,
    },
    /// More than a key store may hold.
    TooMuch {
        /// What there is too much of.
        what: &'static str,
    },
}

impl KeyStoreError {
    /// Stable name for machines. Once released, never reused or renamed.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Altered { .. } => "keys/altered",
            Self::DevelopmentKey { .. } => "keys/development-key",
            Self::Duplicate { .. } => "keys/duplicate",
            Self::Exists => "keys/exists",
            Self::Io { .. } => "keys/io",
            Self::Malformed { .. } => "keys/malformed",
            Self::NoCurrent { .. } => "keys/no-current",
            Self::NotFound { .. } => "keys/not-found",
            Self::Passphrase => "keys/passphrase",
            Self::PrivateKey => "keys/private-key",
            Self::Purpose { .. } => "keys/wrong-purpose",
            Self::Random => "keys/random",
            Self::Retired { .. } => "keys/retired",
            Self::TooMuch { .. } => "keys/too-much",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Altered { .. } => Some("restore the file from a backup"),
            Self::DevelopmentKey { .. } => {
                Some("make keys of your own with `kabao init`; everybody has this one")
            }
            Self::Exists => Some("use another directory"),
            Self::NoCurrent { .. } => Some("see `kabao keys list`; rotate or generate the key"),
            Self::Passphrase => Some("give the passphrase this store was made with"),
            _ => None,
        }
    }

    pub(super) fn io(path: &Path, error: &io::Error) -> Self {
        Self::Io { path: path.display().to_string(), kind: error.kind() }
    }

    pub(super) fn malformed(file: &str, part: &'static str) -> Self {
        Self::Malformed { file: file.to_owned(), part }
    }
}

impl fmt::Display for KeyStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered { file } => write!(f, "the key file `{file}` was changed after it was sealed"),
            Self::DevelopmentKey { kid } => write!(f, "the key `{kid}` is for development only"),
            Self::Duplicate { kid } => write!(f, "the key `{kid}` is in the store already"),
            Self::Exists => f.write_str("there is a key store already"),
            Self::Io { path, kind } => write!(f, "cannot use `{path}`: {kind}"),
            Self::Malformed { file, part } => write!(f, "`{file}` is not a file of a key store: {part}"),
            Self::NoCurrent { purpose } => write!(f, "no `{purpose}` key signs now"),
            Self::NotFound { kid } => write!(f, "no key `{kid}`"),
            Self::Passphrase => f.write_str("wrong passphrase"),
            Self::PrivateKey => f.write_str("not a usable private key"),
            Self::Purpose { purpose } => write!(f, "a `{purpose}` key cannot be used like this"),
            Self::Random => f.write_str("the system gives no random bytes"),
            Self::Retired { kid } => write!(f, "the key `{kid}` is retired and signs no more"),
            Self::TooMuch { what } => write!(f, "too much for a key store: {what}"),
        }
    }
}

impl std::error::Error for KeyStoreError {}

impl From<RandomError> for KeyStoreError {
    fn from(_: RandomError) -> Self {
        Self::Random
    }
}

impl From<SealError> for KeyStoreError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Random => Self::Random,
            SealError::TooLong => Self::TooMuch { what: "one key" },
        }
    }
}
