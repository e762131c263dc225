//! `kabao restore`: puts a backup in the place of a vault's database, with the server stopped.
//!
//! It compares the backup with the head lock, which must not have been restored with it: a
//! restored lock proves nothing. When the backup has all that the lock has seen, the vault
//! opens as if nothing had been. When the lock is further on, acknowledged work is missing,
//! and only `--accept-loss` goes on ([`crate::vault::restore`]).
//!
//! The head lock, the list of deleted holders and the keys are not in a backup; they are
//! backed up and brought back apart.
//!
//! # Order of writes
//!
//! 1. the copy beside its place (`store.restoring`), compared with the backup
//! 2. with a loss: the new log in that copy, then the head lock
//! 3. the old database moved aside (`store.before-restore`), the copy moved into its place
//! 4. with a loss: `loss-statement.jws`; it also stands in the database
//!
//! After a crash the command is run again. Before the end of 2 it begins anew; after it the
//! copy is the one that the lock knows, and is put in place.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clap::Args;

use super::config::{Config, Place, write_whole};
use super::open;
use super::report::{Failure, data, say};
use crate::keys::random::SystemRandom;
use crate::keys::soft::KeyStore;
use crate::keys::{PublicKey, Purpose};
use crate::store::StoreError;
use crate::store::backup::{self, Manifest};
use crate::store::head_lock::{FileLock, HeadLock, LockedHead};
use crate::vault::clock::{Clock, SystemClock};
use crate::vault::restore::published::Published;
use crate::vault::restore::{Lost, Missing, Order, RestoreError, Restored, restore, statement};

/// A backup to be put in place.
#[derive(Args, Debug)]
pub(super) struct Restore {
    /// The backup
    #[arg(long, value_name = "BACKUP")]
    from: PathBuf,
    #[command(flatten)]
    place: Place,
    /// Go on although acknowledged work is missing: the old log closes, a new one begins
    #[arg(long)]
    accept_loss: bool,
    /// Folder of published status tokens: every end in them is applied again
    #[arg(long, value_name = "DIR", requires = "accept_loss")]
    published: Option<PathBuf>,
}

impl Restore {
    /// Does it.
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = Config::read(&self.place.dir)?;
        let passphrase = self.place.passphrase.read(config.passphrase_file.as_deref())?;
        let keys = open::key_store(&config, &passphrase)?;
        // Holds the lock to the end: no server may open the vault meanwhile.
        let lock = FileLock::open(&config.head_lock)?;
        let manifest = Manifest::read(&self.from).map_err(|error| match error {
            StoreError::Missing => {
                Failure::refused(format!("`{}` is no finished backup", self.from.display())).hint(
                    "take the folder that `kabao backup` made; one without `kabao-backup.json` was cut short",
                )
            }
            error => error.into(),
        })?;
        let restoring = beside(&config.store, "restoring");
        let before = beside(&config.store, "before-restore");
        if before.exists() && config.store.exists() {
            let what = format!("`{}` is still there from an earlier restore", before.display());
            return Err(Failure::refused(what).hint("look whether it is still needed, and move it away"));
        }
        let at = Config { store: restoring.clone(), ..config.clone() };
        let lost = match finished(&at, &lock, &manifest)? {
            Some(statement) => Some(statement),
            None => self.prepare(&at, &keys, &lock, &manifest)?.map(|lost| {
                tell(&lost);
                lost.statement
            }),
        };
        if config.store.exists() {
            rename(&config.store, &before)?;
        }
        rename(&restoring, &config.store)?;
        if let Some(statement) = lost {
            let path = self.place.dir.join(STATEMENT_FILE);
            write_whole(&path, format!("{statement}\n").as_bytes())?;
            say(format!("the signed statement of the loss is in {}; publish it", path.display()));
        }
        let LockedHead { origin, size, root } = &manifest.head;
        data(format!("{size} entries of {origin}, root {root}, content {}", manifest.content));
        if before.exists() {
            say(format!("restored; the database of before is in {}", before.display()));
        }
        Ok(())
    }

    /// Makes the copy and brings it into a state in which the vault opens.
    fn prepare(
        &self,
        at: &Config,
        keys: &KeyStore,
        lock: &FileLock,
        manifest: &Manifest,
    ) -> Result<Option<Lost>, Failure> {
        let published = self.published(at, keys)?;
        remove(&at.store)?;
        backup::copy_folder(&self.from, &at.store)?;
        let outcome = {
            let store = open::database(at)?;
            let now = SystemClock.now();
            restore(&Order {
                store: store.as_ref(),
                manifest,
                lock,
                keyring: &open::keyring(at, keys, now)?,
                settings: &open::settings(at),
                random: &SystemRandom::new(),
                now,
                missing: if self.accept_loss { Missing::Accept(&published) } else { Missing::Refuse },
            })
        };
        match outcome {
            Ok(Restored::AsLocked(_)) => Ok(None),
            Ok(Restored::FurtherOn(head)) => {
                say(format!("the backup is ahead of the head lock: it follows to {} entries", head.size));
                Ok(None)
            }
            Ok(Restored::WithLoss(lost)) => Ok(Some(*lost)),
            // The lock may have moved: then this copy is the one that it knows.
            Err(error @ RestoreError::Lock(_)) => Err(error.into()),
            Err(error) => {
                remove(&at.store)?;
                Err(error.into())
            }
        }
    }

    fn published(&self, config: &Config, keys: &KeyStore) -> Result<Published, Failure> {
        let mut published = Published::default();
        let Some(dir) = &self.published else {
            if self.accept_loss {
                say(
                    "no published status tokens are given: what was revoked after the backup is accepted again",
                );
            }
            return Ok(published);
        };
        let status = keys.list().into_iter().filter(|info| info.purpose == Purpose::Status);
        let status: Vec<PublicKey> = status.filter_map(|info| info.public).collect();
        let settings = open::settings(config);
        for file in fs::read_dir(dir).map_err(|error| Failure::file(dir, &error))? {
            let path = file.map_err(|error| Failure::file(dir, &error))?.path();
            let length = path.metadata().map_err(|error| Failure::file(&path, &error))?.len();
            if length > FILE_BYTES_MAX {
                return Err(Failure::refused(format!("`{}` is too long for a status token", path.display())));
            }
            let text = fs::read_to_string(&path).map_err(|error| Failure::file(&path, &error))?;
            published.take(&path.display().to_string(), text.trim_end(), &settings, &status)?;
        }
        Ok(published)
    }
}

/// The statement of a restore with a loss that was cut short after the lock had moved.
fn finished(at: &Config, lock: &FileLock, manifest: &Manifest) -> Result<Option<String>, Failure> {
    if !at.store.exists() {
        return Ok(None);
    }
    // What cannot be opened was cut short earlier, and is made anew.
    let Ok(store) = open::database(at) else { return Ok(None) };
    let Some(head) = store.head()? else { return Ok(None) };
    let known = lock.read()? == Some(LockedHead::from(&head));
    if !known || head.origin == manifest.head.origin {
        return Ok(None);
    }
    Ok(statement::of(store.as_ref(), head.log)?)
}

fn tell(lost: &Lost) {
    say(format!("{} entries of {} were acknowledged;", lost.locked.size, lost.locked.origin));
    say(format!("the backup has {} of {}", lost.backup.size, lost.backup.origin));
    say(format!("{} begins with {} entries", lost.opened.origin, lost.opened.size));
    say(format!("{} certificates follow their published status", lost.followed));
}

fn beside(store: &Path, ending: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(format!(".{ending}"));
    name.into()
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::file(path, &error)),
        _ => Ok(()),
    }
}

/// Durably: a database that comes back under another name after a power cut is one too many.
fn rename(from: &Path, to: &Path) -> Result<(), Failure> {
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let rename = || {
        fs::rename(from, to)?;
        File::open(folder)?.sync_all()
    };
    rename().map_err(|error| Failure::file(from, &error))
}

/// The statement of a loss, in the vault's directory.
const STATEMENT_FILE: &str = "loss-statement.jws";

/// A token holds one list of 2^18 bytes, compressed and in base64. Our own choice, above what one takes.
const FILE_BYTES_MAX: u64 = 1 << 20;
