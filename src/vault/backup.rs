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
use crate::domain::digest::Digest;
use crate::store::backup::{self, Found, Manifest, Named};

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

    /// Copies the vault to the folder with this name below `folder`, once for each request: the
    /// same request, sent again, finds what it made. `None` when the name is taken by something else.
    ///
    /// Under the name there is never half a backup. Two at once of one name must not be: the
    /// caller sees to that.
    ///
    /// # Errors
    /// As [`Vault::backup`].
    pub fn backup_named(
        &self,
        caller: &Caller,
        folder: &Path,
        name: &str,
        request: &str,
    ) -> Result<Option<Manifest>, VaultError> {
        guard::admit(caller, Verb::Backup)?;
        let named = Named::new(folder, name);
        let asked = Digest::of(&[caller.id.as_bytes(), &[0], request.as_bytes()]);
        match named.look()? {
            Found::Foreign => return Ok(None),
            Found::Whole { request, manifest } => return Ok((request == asked).then_some(manifest)),
            Found::Nothing => named.clear()?,
        }
        let manifest = self.backup(caller, named.part())?;
        named.finish(&asked)?;
        Ok(Some(manifest))
    }
}
