//! `kabao backup` and `kabao restore`.
//!
//! A backup is made by the running server, which alone has the database open: the command
//! asks it to. A restore puts a backup in the place of the database.
//!
//! # What a restore may do
//!
//! It compares the backup with the head lock, which was not restored with it. When both
//! stand at the same head, the vault opens as if nothing had been. When the lock is
//! further on, acknowledged work is missing: only `--accept-loss` goes on, by closing the
//! old log and beginning a new one.
//!
//! # Order of writes
//!
//! 1. the copy beside its place (`store.restoring`), compared with the backup
//! 2. the old database moved aside (`store.before-restore`)
//! 3. the copy moved into its place
//!
//! A crash before 2 leaves the old database; between 2 and 3 there is none in place, and
//! the command is run again.

use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Method;
use serde_json::json;

use super::client::{self, Server};
use super::config::{Config, Place};
use super::open;
use super::report::{Failure, data, say};
use crate::log::merkle;
use crate::log::tile::Tiled;
use crate::store::head_lock::{FileLock, HeadLock, LockedHead, Opening, open_rule};
use crate::store::{Store, content_digest};
use crate::vault::tree::StoredTree;

/// A backup of a running vault.
#[derive(Args, Debug)]
pub(super) struct Backup {
    /// Name of the backup: a folder below the vault's `backups`
    #[arg(long, value_name = "NAME")]
    name: String,
    #[command(flatten)]
    server: Server,
}

/// A backup to be put in place.
#[derive(Args, Debug)]
pub(super) struct Restore {
    /// The backup
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    #[command(flatten)]
    place: Place,
    /// Go on although acknowledged work is missing: the old log closes, a new one begins
    #[arg(long)]
    accept_loss: bool,
}

impl Backup {
    /// Asks the server for it.
    pub(super) fn run(self) -> Result<(), Failure> {
        let api = self.server.connect()?;
        let body = json!({ "name": self.name });
        let request = client::request_key()?;
        let answer = client::wait(api.json(Method::POST, "/v1/backups", Some(&body), Some(&request)))?;
        data(format!("{answer:#}"));
        say("keep the head lock and the key store apart from it: together they would prove nothing");
        Ok(())
    }
}

impl Restore {
    /// Does it.
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = Config::read(&self.place.dir)?;
        // Holds the lock to the end: no server may open the vault meanwhile.
        let lock = FileLock::open(&config.head_lock)?;
        let restoring = beside(&config.store, "restoring");
        let before = beside(&config.store, "before-restore");
        if before.exists() && config.store.exists() {
            return Err(Failure::refused(format!(
                "`{}` is still there from an earlier restore",
                before.display()
            ))
            .hint("look whether it is still needed, and move it away"));
        }
        remove(&restoring)?;
        copy_folder(&self.from, &restoring)?;
        let at = |store: &Path| Config { store: store.to_owned(), ..config.clone() };
        let (digest, opening, head) = {
            let backup = open::database(&at(&restoring))?;
            (content_digest(backup.as_ref())?, rule(backup.as_ref(), lock.read()?.as_ref())?, backup.head()?)
        };
        let head = head.ok_or_else(|| Failure::refused("the backup holds no log"))?;
        match opening {
            Opening::Ready | Opening::AdvanceLock(_) => {}
            Opening::Refuse(refusal) if self.accept_loss => {
                remove(&restoring)?;
                return Err(Failure::refused(format!("{refusal}; beginning a new log is not built yet"))
                    .hint("restore the newest backup; see DESIGN.md, Store"));
            }
            Opening::Refuse(refusal) => {
                remove(&restoring)?;
                let size = lock.read()?.map_or(0, |locked| locked.size);
                return Err(Failure::refused(format!(
                    "{refusal}: the backup has {} entries, {size} were released",
                    head.size
                ))
                .hint("restore a newer backup; `--accept-loss` begins a new log without what is missing"));
            }
        }
        if config.store.exists() {
            rename(&config.store, &before)?;
        }
        rename(&restoring, &config.store)?;
        let restored = open::database(&config)?;
        let again = content_digest(restored.as_ref())?;
        if again != digest || restored.head()?.map(|head| head.root) != Some(head.root) {
            return Err(Failure::refused("what was put in place is not what was in the backup")
                .hint("check the disk"));
        }
        data(format!("{} entries, root {}, content {digest}", head.size, head.root));
        say(format!("restored; the database of before is in {}", before.display()));
        Ok(())
    }
}

fn rule(store: &dyn Store, locked: Option<&LockedHead>) -> Result<Opening, Failure> {
    let tree = StoredTree(store);
    let root_at = |size| merkle::root(size, &Tiled(&tree)).ok();
    Ok(open_rule(locked, store.head()?.as_ref(), root_at))
}

fn beside(store: &Path, ending: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(format!(".{ending}"));
    name.into()
}

fn remove(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::file(path, &error)),
        _ => Ok(()),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::rename(from, to).map_err(|error| Failure::file(from, &error))
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::file(from, &error);
    std::fs::create_dir_all(to).map_err(|error| Failure::file(to, &error))?;
    for entry in std::fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let target = to.join(entry.file_name());
        if entry.file_type().map_err(failed)?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target).map_err(|error| Failure::file(&target, &error))?;
        }
    }
    Ok(())
}
