//! Keys in software: signers in memory, kept as encrypted files.
//!
//! A [`KeyStore`] is a directory. Each key is one file `<purpose>-<kid8>.json`,
//! sealed under a key that is derived from the store's passphrase. What a file
//! says about its key (purpose, owner, validity, mark) is bound to the seal:
//! editing it makes the file refuse to open.
//!
//! # Not here
//!
//! Keys in an HSM; where the passphrase comes from (the command line decides).

mod directory;
mod disk;
mod error;
mod file;
mod passphrase;
mod signer;

pub use self::directory::{Current, KeyStore, NewKey};
pub use self::error::KeyStoreError;
pub use self::file::KeyInfo;
pub use self::passphrase::Passphrase;
pub use self::signer::SoftSigner;
