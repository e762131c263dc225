//! The statement of a loss: what was lost, said by the log's own key.
//!
//! A compact JWS of type `kabao-loss+jwt`. It names the head that the backup had,
//! the head that the lock held, which is the last anybody may have seen, and the
//! log that begins. It is kept in the store and served beside that log.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::RestoreError;
use crate::domain::time::UnixTime;
use crate::keys::{Signer, jws};
use crate::store::backup::Manifest;
use crate::store::head_lock::LockedHead;
use crate::store::{MetaName, Store, StoreError};
use crate::vault::{Settings, Vault, VaultError};

/// What a statement says.
pub(super) struct Loss<'a> {
    /// The vault.
    pub(super) settings: &'a Settings,
    /// What is left.
    pub(super) backup: &'a Manifest,
    /// What had been acknowledged.
    pub(super) locked: &'a LockedHead,
    /// The number of the log that begins.
    pub(super) log: u16,
    /// How many published status tokens were looked at.
    pub(super) published: u64,
    /// When.
    pub(super) at: UnixTime,
}

impl Loss<'_> {
    /// The signed statement.
    pub(super) fn sign(&self, signer: &dyn Signer) -> Result<String, RestoreError> {
        let mut backup = head(&self.backup.head);
        backup["made_at"] = self.backup.made_at.to_string().into();
        let payload = json!({
            "iss": self.settings.url,
            "iat": self.at.seconds(),
            "backup": backup,
            "locked": head(self.locked),
            "opens": self.settings.origin_of(u32::from(self.log)),
            "published_lists_read": self.published,
        });
        jws::sign(signer, TYPE, &[], payload.to_string().as_bytes()).map_err(|_| RestoreError::Signer)
    }
}

/// The statements kept so far, and one more.
pub(super) fn kept_with(store: &dyn Store, log: u16, statement: &str) -> Result<Vec<u8>, StoreError> {
    let mut kept = store.meta(MetaName::LossStatements)?.unwrap_or_default();
    kept.extend_from_slice(format!("{log} {statement}\n").as_bytes());
    Ok(kept)
}

impl Vault {
    /// The statement of the loss after which a log began; `None` of a log that began otherwise.
    ///
    /// # Errors
    /// The store's.
    pub fn loss_statement(&self, log: u16) -> Result<Option<String>, VaultError> {
        Ok(of(self.store.as_ref(), log)?)
    }
}

/// The statement of the loss after which a log began, from a store that no vault may have open.
///
/// # Errors
/// The store's.
pub fn of(store: &dyn Store, log: u16) -> Result<Option<String>, StoreError> {
    let kept = store.meta(MetaName::LossStatements)?.unwrap_or_default();
    let kept = String::from_utf8(kept).map_err(|_| StoreError::Corrupt { table: "meta" })?;
    let log = log.to_string();
    let found = kept.lines().filter_map(|line| line.split_once(' ')).find(|(number, _)| *number == log);
    Ok(found.map(|(_, statement)| statement.to_owned()))
}

fn head(head: &LockedHead) -> Value {
    json!({ "origin": head.origin, "size": head.size, "root": STANDARD.encode(head.root.as_bytes()) })
}

/// The `typ` of a statement.
pub const TYPE: &str = "kabao-loss+jwt";
