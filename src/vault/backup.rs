//! Copying a vault while it runs.
//!
//! A backup is of one instant: the store's own copy, read back once, with a manifest
//! that names the head it is of. It may be a batch further on than the head lock was
//! at that moment; such work is whole.
//!
//! # What is not in it
//!
//! The head lock, the deletion ledger and the keys. They are backed up apart: a lock
//! that is restored together with the database proves nothing, and a key beside what
//! it opens protects nothing.

use std::path::Path;

use super::guard::{self, Caller, Verb};
use super::{Vault, VaultError};
use crate::store::backup::{self, Manifest};

impl Vault {
    /// Copies the vault to a folder that does not exist yet, while it runs. The folders above
    /// are made.
    ///
    /// The whole copy is read once: a backup that cannot be read is none. A crash leaves a folder
    /// without a manifest, to be thrown away.
    ///
    /// # Errors
    /// [`VaultError::Forbidden`] but for system administrators; the store's.
    pub fn backup(&self, caller: &Caller, dir: &Path) -> Result<Manifest, VaultError> {
        guard::admit(caller, Verb::Backup)?;
        backup::make_place(dir)?;
        let copied = self.store.checkpoint_copy(dir)?;
        let manifest = Manifest::of(&copied, self.now()).ok_or(VaultError::Unreadable)?;
        manifest.write(dir)?;
        tracing::info!(log.size = manifest.head.size, "a backup was made");
        Ok(manifest)
    }
}
