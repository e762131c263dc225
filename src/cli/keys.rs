//! `kabao keys`: what keys there are, and changing them.
//!
//! Keys are changed while no server runs: one that did would go on signing with a key that
//! has ended. The head lock says so, and is held for as long as it takes.

use clap::{Args, Subcommand};
use serde_json::json;

use super::config::{Config, Place};
use super::report::{Failure, data, say};
use super::{hierarchy, open};
use crate::domain::time::UnixTime;
use crate::keys::Purpose;
use crate::keys::development::Development;
use crate::keys::random::SystemRandom;
use crate::keys::soft::{KeyInfo, KeyStore};
use crate::store::head_lock::{FileLock, LockError};
use crate::vault::clock::{Clock, SystemClock};

/// `kabao keys …`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List all keys
    #[command(after_help = "Example: kabao keys list --dir /var/lib/kabao")]
    List {
        #[command(flatten)]
        place: Place,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a new key for the same purpose; the old one stops signing
    #[command(after_help = "Example: kabao keys rotate u3PUUKrU --dir /var/lib/kabao")]
    Rotate(Change),
    /// Let a key sign no more; what it signed stays good
    #[command(after_help = "Example: kabao keys retire u3PUUKrU --dir /var/lib/kabao")]
    Retire(Change),
}

/// One key to be changed.
#[derive(Args, Debug)]
pub(super) struct Change {
    /// The key's kid, or its beginning
    kid: String,
    #[command(flatten)]
    place: Place,
}

impl Command {
    /// Does it.
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::List { place, json } => {
                let (_, store) = open(&place)?;
                list(&store, json);
                Ok(())
            }
            Self::Rotate(change) => change.rotate(),
            Self::Retire(change) => change.retire(),
        }
    }
}

impl Change {
    fn rotate(self) -> Result<(), Failure> {
        let (config, store, _lock) = open_alone(&self.place)?;
        let old = find(&store, &self.kid)?;
        let (random, now) = (SystemRandom::new(), SystemClock.now());
        check_rotates(old.purpose)?;
        let new = store.rotate(&old.kid, &random, now)?;
        match new.purpose {
            Purpose::Issuer => {
                let owner = new.owner.as_deref().unwrap_or_default();
                let department = config.departments.iter().find(|department| department.uscc == owner);
                let name = department.map_or(owner, |department| &department.zh);
                hierarchy::certify(&store, &config, name, &new, &random, now)?;
            }
            Purpose::Trust => hierarchy::certify_trust(&store, &config, &new, &random, now)?,
            _ => {}
        }
        data(&new.kid);
        say(format!("`{}` key {} takes the place of {}", new.purpose, new.kid, old.kid));
        say("the server works with it from its next start");
        Ok(())
    }

    fn retire(self) -> Result<(), Failure> {
        let (_, store, _lock) = open_alone(&self.place)?;
        let old = find(&store, &self.kid)?;
        let now = SystemClock.now();
        let alone = !store.list().iter().any(|info| {
            info.kid != old.kid
                && info.purpose == old.purpose
                && info.owner == old.owner
                && info.algorithm() == old.algorithm()
                && info.signs_at(now)
        });
        if alone && old.signs_at(now) && old.purpose != Purpose::Root {
            return Err(Failure::refused(format!("no other `{}` key would sign", old.purpose))
                .hint("`kabao keys rotate` makes a new one and stops the old"));
        }
        let info = store.retire(&old.kid, &SystemRandom::new(), now)?;
        say(format!("`{}` key {} signs no more", info.purpose, info.kid));
        Ok(())
    }
}

fn open(place: &Place) -> Result<(Config, KeyStore), Failure> {
    let config = Config::read(&place.dir)?;
    let passphrase = place.passphrase.read(config.passphrase_file.as_deref())?;
    let store = open::key_store(&config, &passphrase)?;
    Ok((config, store))
}

/// The same, while nobody else has the vault open.
fn open_alone(place: &Place) -> Result<(Config, KeyStore, FileLock), Failure> {
    let config = Config::read(&place.dir)?;
    let lock = FileLock::open(&config.head_lock).map_err(|error| match error {
        LockError::InUse => Failure::refused("the vault is in use: keys are changed while no server runs")
            .hint("stop the server, change the key, and start it again"),
        other => other.into(),
    })?;
    let passphrase = place.passphrase.read(config.passphrase_file.as_deref())?;
    let store = open::key_store(&config, &passphrase)?;
    Ok((config, store, lock))
}

/// Refuses what cannot be rotated in place.
fn check_rotates(purpose: Purpose) -> Result<(), Failure> {
    match purpose {
        Purpose::Root | Purpose::Authority => {
            Err(Failure::refused(format!("a `{purpose}` key is not rotated in place"))
                .hint("every x509 below it would lose its anchor; found a new chain beside it"))
        }
        Purpose::Log => Err(Failure::refused("the log's key is the log's name to its verifiers")
            .hint("a new key is a new log; see `kabao restore --accept-loss` for how one succeeds another")),
        Purpose::SlotPermutation => {
            Err(Failure::refused("the slots of the lists in use were given by this secret"))
        }
        Purpose::Index => Err(Failure::refused(
            "the index key is not rotated: holders, numbers and certificates are found by what it tags",
        )
        .hint("this version cannot index a vault again under a new key")),
        _ => Ok(()),
    }
}

fn find(store: &KeyStore, text: &str) -> Result<KeyInfo, Failure> {
    let mut found: Vec<KeyInfo> =
        store.list().into_iter().filter(|info| info.kid.starts_with(text)).collect();
    match (found.pop(), found.is_empty()) {
        (Some(info), true) => Ok(info),
        (Some(_), false) => Err(Failure::misuse(format!("more than one key begins with `{text}`"))),
        (None, _) => Err(Failure::refused(format!("there is no key `{text}`")).hint("see `kabao keys list`")),
    }
}

fn list(store: &KeyStore, json: bool) {
    let now = SystemClock.now();
    for info in store.list() {
        let algorithm = info.algorithm().map_or("secret", |algorithm| algorithm.name());
        let state = state(&info, now);
        let development = info.development == Development::Yes;
        if json {
            data(json!({
                "kid": info.kid, "purpose": info.purpose.name(), "algorithm": algorithm, "owner": info.owner,
                "version": info.version, "state": state, "not_before": info.not_before.to_string(),
                "not_after": info.not_after.to_string(), "development": development,
            }));
        } else {
            data(format!(
                "{}\t{}\t{algorithm}\tv{}\t{state}\tuntil {}\t{}{}",
                info.kid,
                info.purpose,
                info.version,
                info.not_after.date(),
                info.owner.as_deref().unwrap_or("-"),
                if development { "\tdevelopment" } else { "" },
            ));
        }
    }
}

fn state(info: &KeyInfo, now: UnixTime) -> &'static str {
    match info.retired {
        Some(_) => "retired",
        None if info.signs_at(now) => "active",
        None if now < info.not_before => "waiting",
        None => "over",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everything_else_hangs_on_is_not_rotated() {
        let fixed =
            [Purpose::Root, Purpose::Authority, Purpose::Log, Purpose::Index, Purpose::SlotPermutation];
        for purpose in Purpose::ALL {
            assert_eq!(check_rotates(purpose).is_err(), fixed.contains(&purpose), "{purpose}");
        }
    }

    #[test]
    fn keys_are_not_changed_beside_a_running_server() {
        use crate::cli::config::{Mode, PassphraseSource};
        use crate::domain::digest::Digest;
        use crate::store::head_lock::LockedHead;
        let directory = tempfile::tempdir().unwrap();
        let config = Config::new("https://vault.example", "127.0.0.1:0", Mode::Production, "测试");
        config.write(directory.path()).unwrap();
        let path = Config::read(directory.path()).unwrap().head_lock;
        let head = LockedHead { origin: "vault.example/log/0".into(), size: 0, root: Digest::of(&[]) };
        let _server = FileLock::create(&path, &head).unwrap();
        let place = Place { dir: directory.path().to_owned(), passphrase: PassphraseSource::default() };
        let failure = open_alone(&place).err().unwrap();
        assert!(failure.to_string().contains("in use"), "{failure}");
    }
}
