//! Backups and both ways of restoring them, on every driver.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kabao::domain::digest::Digest;
use kabao::domain::lifecycle::{ChangeKind, ReasonCode, State, StateView};
use kabao::domain::number::CertificateIdentifier;
use kabao::domain::verdict::Decision;
use kabao::keys::PublicKey;
use kabao::keys::jws::UnverifiedJws;
use kabao::log::audit::Fold;
use kabao::log::tile::{EntryBundle, TileKind, TilePath};
use kabao::store::backup::{self, Manifest};
use kabao::store::head_lock::{HeadLock, LockedHead, Refusal};
use kabao::store::sim::{Fault, Faults, Sim, SimDisk, SimLock};
use kabao::store::{Client, Commit, Sealed, Store, StoreError, content_digest};
use kabao::vault::guard::{Caller, Role};
use kabao::vault::lifecycle::ChangeOrder;
use kabao::vault::opening::OpenError;
use kabao::vault::restore::published::Published;
use kabao::vault::restore::{Gap, Lost, Missing, Order, RestoreError, Restored, restore, statement};
use kabao::vault::slots::LISTS_PER_LOG;
use kabao::vault::verify::{Presented, VerifyOrder};
use kabao::vault::view::Reveal;
use kabao::vault::{Settings, Vault, VaultError};

use crate::world::{PERSONS, World, case, check_log, clerk, holder, officer, order, settings};

const LICENCE: &str = "driving_licence";
const VEHICLE: &str = "vehicle_licence";

/// The promises, on every driver.
macro_rules! on_every_driver {
    ($($name:ident),* $(,)?) => {
        mod sim {
            $(#[test]
            fn $name() {
                super::$name(&super::Site::sim());
            })*
        }
        #[cfg(feature = "rocks")]
        mod rocks {
            $(#[test]
            fn $name() {
                super::$name(&super::Site::rocks());
            })*
        }
    };
}

on_every_driver!(
    a_backup_that_the_lock_knows_opens_as_if_nothing_had_been,
    a_backup_ahead_of_the_lock_keeps_what_was_never_acknowledged,
    a_backup_behind_the_lock_is_refused_unless_the_loss_is_accepted,
    what_ended_stays_ended_and_the_new_log_folds_to_the_lists,
    no_slot_is_given_again,
    the_closed_log_is_still_served_and_the_statement_names_both_heads,
    a_backup_can_be_restored_after_a_loss_and_from_before_it,
    a_changed_backup_is_refused,
    a_lock_of_another_history_or_vault_is_refused_also_with_loss,
);

/// A machine: people and keys, a shelf for backups, databases one after the other, and one head lock.
struct Site {
    world: World,
    shelf: tempfile::TempDir,
    driver: Driver,
}

#[derive(Clone, Copy)]
enum Driver {
    #[cfg(feature = "rocks")]
    Rocks,
    Sim,
}

/// Where a database lies.
enum Place {
    #[cfg(feature = "rocks")]
    Rocks(PathBuf),
    Sim(SimDisk),
}

impl Place {
    fn open(&self) -> Result<Arc<dyn Store>, StoreError> {
        Ok(match self {
            #[cfg(feature = "rocks")]
            Self::Rocks(path) => Arc::new(kabao::store::rocks::Rocks::open(path)?),
            Self::Sim(disk) => Arc::new(Sim::open(disk, &Faults::none())?),
        })
    }
}

impl Site {
    fn sim() -> Self {
        Self::on(Driver::Sim)
    }

    #[cfg(feature = "rocks")]
    fn rocks() -> Self {
        let site = Self::on(Driver::Rocks);
        let empty = site.world.lock.read().unwrap().unwrap();
        kabao::store::head_lock::FileLock::create(&site.shelf.path().join("head.lock"), &empty).unwrap();
        site
    }

    fn on(driver: Driver) -> Self {
        Self { world: World::default(), shelf: tempfile::tempdir().unwrap(), driver }
    }

    fn lock(&self) -> Box<dyn HeadLock> {
        match self.driver {
            #[cfg(feature = "rocks")]
            Driver::Rocks => {
                let path = self.shelf.path().join("head.lock");
                Box::new(kabao::store::head_lock::FileLock::open(&path).unwrap())
            }
            Driver::Sim => Box::new(self.world.lock.clone()),
        }
    }

    fn locked(&self) -> LockedHead {
        self.lock().read().unwrap().unwrap()
    }

    /// A database of its own.
    fn empty(&self) -> Place {
        match self.driver {
            #[cfg(feature = "rocks")]
            Driver::Rocks => {
                let path = self.shelf.path().join("first");
                kabao::store::rocks::Rocks::create(&path).unwrap();
                Place::Rocks(path)
            }
            Driver::Sim => Place::Sim(SimDisk::new(7)),
        }
    }

    /// A copy of a backup, to be restored.
    fn copy(&self, from: &Path, name: &str) -> Place {
        match self.driver {
            #[cfg(feature = "rocks")]
            Driver::Rocks => {
                let path = self.shelf.path().join(name);
                backup::copy_folder(from, &path).unwrap();
                Place::Rocks(path)
            }
            Driver::Sim => {
                backup::copy_folder(from, &self.shelf.path().join(name)).unwrap();
                Place::Sim(SimDisk::read_copy(from, 3).unwrap())
            }
        }
    }

    fn open(&self, place: &Place) -> Result<Vault, OpenError> {
        self.world.open_on(place.open()?, self.lock())
    }

    fn backup(&self, vault: &Vault, name: &str) -> PathBuf {
        let dir = self.shelf.path().join(name);
        let manifest = vault.backup(&administrator(), &dir).unwrap();
        assert_eq!(Manifest::read(&dir).unwrap(), manifest);
        dir
    }

    fn restore(&self, place: &Place, from: &Path, missing: Missing<'_>) -> Result<Restored, RestoreError> {
        let store = place.open().unwrap();
        self.restore_on(store.as_ref(), self.lock().as_ref(), from, missing)
    }

    fn restore_on(
        &self,
        store: &dyn Store,
        lock: &dyn HeadLock,
        from: &Path,
        missing: Missing<'_>,
    ) -> Result<Restored, RestoreError> {
        restore(&Order {
            store,
            manifest: &Manifest::read(from).unwrap(),
            lock,
            keyring: &self.world.keyring,
            settings: &settings(),
            random: self.world.random.as_ref(),
            now: kabao::vault::clock::Clock::now(self.world.clock.as_ref()),
            missing,
        })
    }

    fn restore_with_loss(&self, place: &Place, from: &Path, published: &Published) -> Lost {
        match self.restore(place, from, Missing::Accept(published)).unwrap() {
            Restored::WithLoss(lost) => *lost,
            other => panic!("{other:?}"),
        }
    }

    /// Keeps the status tokens as they are published now.
    fn keep_published(&self, vault: &Vault, name: &str) -> PathBuf {
        let dir = self.shelf.path().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        vault.sign_changed_lists().unwrap();
        for (number, uri) in vault.status_uris().iter().enumerate() {
            let token = vault.status_token(list_of(uri)).unwrap().unwrap();
            std::fs::write(dir.join(format!("{number}.jwt")), format!("{}\n", token.jwt)).unwrap();
        }
        dir
    }

    fn read_published(&self, dir: &Path) -> Published {
        read_published(dir, &settings(), &[self.world.keyring.status.public_key().clone()]).unwrap()
    }
}

fn read_published(dir: &Path, settings: &Settings, keys: &[PublicKey]) -> Result<Published, RestoreError> {
    let mut published = Published::default();
    for file in std::fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        let token = std::fs::read_to_string(&path).unwrap();
        published.take(&path.display().to_string(), token.trim_end(), settings, keys)?;
    }
    Ok(published)
}

fn administrator() -> Caller {
    Caller { id: "ops".into(), role: Role::SystemAdministrator, organisation: None, holder: None }
}

fn list_of(uri: &str) -> u32 {
    uri.rsplit_once('/').unwrap().1.parse().unwrap()
}

fn change(vault: &Vault, identifier: &CertificateIdentifier, kind: ChangeKind) -> Result<(), VaultError> {
    let order = ChangeOrder {
        kind,
        reason: ReasonCode::Sanction,
        legal_basis: "第九十一条".into(),
        effective_at: None,
        request: None,
    };
    vault.change(&officer(), identifier, order).map(drop)
}

/// The decision on a certificate, and why.
fn verdict(vault: &Vault, person: usize, identifier: &CertificateIdentifier) -> (Decision, String) {
    let credential = vault.credential(&holder(vault, PERSONS[person]), identifier).unwrap();
    let order = VerifyOrder {
        presented: Presented::Credential(credential),
        case: case("traffic_stop"),
        supplied: BTreeMap::new(),
        request: None,
    };
    let answer = vault.verify(&clerk(), order).unwrap();
    let verdict = &answer.items[0].verdict;
    (verdict.decision(), verdict.deciding().reason.code().to_owned())
}

fn state(vault: &Vault, identifier: &CertificateIdentifier) -> StateView {
    vault.issued(&officer(), identifier, Reveal::Masked).unwrap().state
}

fn slot(vault: &Vault, identifier: &CertificateIdentifier) -> (String, u64) {
    let person = PERSONS.iter().find_map(|person| vault.credential(&holder(vault, person), identifier).ok());
    let jwt = person.unwrap();
    let payload = UnverifiedJws::parse(jwt.split('~').next().unwrap(), 1 << 20).unwrap();
    let payload: serde_json::Value = serde_json::from_slice(payload.unverified_payload()).unwrap();
    let status = &payload["status"]["status_list"];
    (status["uri"].as_str().unwrap().to_owned(), status["idx"].as_u64().unwrap())
}

fn log_entries(vault: &Vault, log: u16, size: u64) -> Vec<Vec<u8>> {
    let mut entries = vec![];
    for index in 0..size.div_ceil(256) {
        let width = u16::try_from((size - index * 256).min(256)).unwrap();
        let path = TilePath::new(TileKind::Entries, index, width).unwrap();
        let bytes = vault.tile(log, &path).unwrap().unwrap();
        entries.extend(EntryBundle::decode(&bytes, width).unwrap().into_entries());
    }
    entries
}

fn a_backup_that_the_lock_knows_opens_as_if_nothing_had_been(site: &Site) {
    let place = site.empty();
    let vault = site.open(&place).unwrap();
    let first = site.world.issue(&vault, order(LICENCE, PERSONS[0], 1)).unwrap();
    assert_eq!(vault.backup(&officer(), &site.shelf.path().join("no")).err(), Some(VaultError::Forbidden));
    let from = site.backup(&vault, "backup");
    let head = vault.log_head();
    drop(vault);
    let content = content_digest(place.open().unwrap().as_ref()).unwrap();

    let restored = site.copy(&from, "restored");
    let outcome = site.restore(&restored, &from, Missing::Refuse).unwrap();
    assert_eq!(outcome, Restored::AsLocked(site.locked()));
    assert_eq!(content_digest(restored.open().unwrap().as_ref()).unwrap(), content);
    let vault = site.open(&restored).unwrap();
    assert_eq!(vault.log_head(), head);
    site.world.check(&vault);
    assert_eq!(verdict(&vault, 0, &first).0, Decision::Accepted);
    site.world.issue(&vault, order(LICENCE, PERSONS[1], 2)).unwrap();
    site.world.check(&vault);
    drop(vault);

    // The old database is now the one that is behind.
    assert!(matches!(site.open(&place), Err(OpenError::Refused(Refusal::Behind))));
}

fn a_backup_ahead_of_the_lock_keeps_what_was_never_acknowledged(site: &Site) {
    let place = site.empty();
    let vault = site.open(&place).unwrap();
    site.world.issue(&vault, order(LICENCE, PERSONS[0], 1)).unwrap();
    drop(vault);
    let locked = site.locked();
    let vault = site.open(&place).unwrap();
    site.world.issue(&vault, order(LICENCE, PERSONS[1], 2)).unwrap();
    let from = site.backup(&vault, "backup");
    drop(vault);

    // As if the machine had stopped between the batch and the lock.
    let behind = SimLock::new(Some(locked.clone()));
    let restored = site.copy(&from, "restored");
    let store = restored.open().unwrap();
    let outcome = site.restore_on(store.as_ref(), &behind, &from, Missing::Refuse).unwrap();
    assert!(matches!(outcome, Restored::FurtherOn(head) if head.size > locked.size));
    let vault = site.world.open_on(store, Box::new(behind)).unwrap();
    site.world.check(&vault);
}

fn a_backup_behind_the_lock_is_refused_unless_the_loss_is_accepted(site: &Site) {
    let place = site.empty();
    let vault = site.open(&place).unwrap();
    let from = site.backup(&vault, "backup");
    site.world.issue(&vault, order(LICENCE, PERSONS[0], 1)).unwrap();
    drop(vault);

    let locked = site.locked();
    let restored = site.copy(&from, "restored");
    let manifest = Manifest::read(&from).unwrap();
    let refused = site.restore(&restored, &from, Missing::Refuse).unwrap_err();
    assert_eq!(
        refused,
        RestoreError::Missing(Box::new(Gap { backup: manifest.head, locked: locked.clone() }))
    );
    assert_eq!(site.locked(), locked);
    assert_eq!(content_digest(restored.open().unwrap().as_ref()).unwrap(), manifest.content);
    assert!(matches!(site.open(&restored), Err(OpenError::Refused(Refusal::Behind))));

    let lost = site.restore_with_loss(&restored, &from, &Published::default());
    assert_eq!(lost.locked, locked);
    assert_eq!(site.locked(), lost.opened);
    assert_eq!(site.open(&restored).unwrap().settings().log, 1);
    assert!(matches!(site.open(&place), Err(OpenError::Refused(Refusal::OtherOrigin))));
}

/// A vault with a backup, and acknowledged work after it.
struct Story {
    from: PathBuf,
    published: PathBuf,
    /// Revoked, suspended, and issued and revoked, all after the backup.
    revoked: CertificateIdentifier,
    suspended: CertificateIdentifier,
    lost: CertificateIdentifier,
    lost_slot: (String, u64),
    /// Untouched, and revoked before the backup.
    kept: CertificateIdentifier,
    ended: CertificateIdentifier,
}

fn story(site: &Site) -> Story {
    let place = site.empty();
    let vault = site.open(&place).unwrap();
    let issue =
        |person: usize, number| site.world.issue(&vault, order(LICENCE, PERSONS[person], number)).unwrap();
    let (revoked, suspended, kept, ended) = (issue(0, 1), issue(1, 2), issue(2, 3), issue(3, 4));
    change(&vault, &ended, ChangeKind::Revoke).unwrap();
    let from = site.backup(&vault, "backup");
    site.world.clock.advance(3600);
    let lost = site.world.issue(&vault, order(VEHICLE, PERSONS[0], 5)).unwrap();
    let lost_slot = slot(&vault, &lost);
    change(&vault, &revoked, ChangeKind::Revoke).unwrap();
    change(&vault, &lost, ChangeKind::Revoke).unwrap();
    change(&vault, &suspended, ChangeKind::Suspend).unwrap();
    let published = site.keep_published(&vault, "published");
    drop(vault);
    site.world.acknowledged.lock().unwrap().remove(&lost);
    site.world.clock.advance(3 * 86_400);
    Story { from, published, revoked, suspended, lost, lost_slot, kept, ended }
}

fn what_ended_stays_ended_and_the_new_log_folds_to_the_lists(site: &Site) {
    let story = story(site);
    let restored = site.copy(&story.from, "restored");
    let lost = site.restore_with_loss(&restored, &story.from, &site.read_published(&story.published));
    assert_eq!(lost.followed, 2);

    let vault = site.open(&restored).unwrap();
    site.world.check(&vault);
    let refused = |reason: &str| (Decision::Refused, reason.to_owned());
    assert_eq!(verdict(&vault, 0, &story.revoked), refused("status/cancelled"));
    assert_eq!(verdict(&vault, 1, &story.suspended), refused("status/suspended"));
    assert_eq!(verdict(&vault, 2, &story.kept).0, Decision::Accepted);
    assert_eq!(verdict(&vault, 3, &story.ended), refused("status/revoked"));
    assert_eq!(vault.issued(&officer(), &story.lost, Reveal::Masked).err(), Some(VaultError::NotFound));
    // Its record is gone; that it ended is not.
    let (uri, index) = &story.lost_slot;
    let token = vault.status_token(list_of(uri)).unwrap().unwrap();
    let token = kabao::status::token::UnverifiedStatusToken::parse(&token.jwt).unwrap();
    let token = token.verify(&[vault.keyring().status.public_key().clone()], uri, vault.now()).unwrap();
    let index = kabao::status::list::SlotIndex::new(u32::try_from(*index).unwrap()).unwrap();
    assert_eq!(token.value(index).bits(), 1);

    // What was done is written down again: graver over mild, and a suspension lifted.
    change(&vault, &story.revoked, ChangeKind::Revoke).unwrap();
    assert_eq!(state(&vault, &story.revoked), StateView::In(State::Revoked));
    change(&vault, &story.suspended, ChangeKind::Resume).unwrap();
    assert_eq!(verdict(&vault, 1, &story.suspended).0, Decision::Accepted);
    let listed = vault
        .revocations(&crate::world::auditor(), vault.now().minus(60), vault.now().plus(60), None, 10)
        .unwrap();
    assert_eq!(listed.items.len(), 4);
    site.world.check(&vault);
    drop(vault);
    site.world.check(&site.open(&restored).unwrap());
}

fn no_slot_is_given_again(site: &Site) {
    let story = story(site);
    let restored = site.copy(&story.from, "restored");
    site.restore_with_loss(&restored, &story.from, &Published::default());
    let vault = site.open(&restored).unwrap();
    // Nothing was published: the lost certificate's slot reads 0, and nobody gets it.
    let again = site.world.issue(&vault, order(VEHICLE, PERSONS[0], 9)).unwrap();
    assert_eq!(list_of(&slot(&vault, &again).0), LISTS_PER_LOG);
    assert_eq!(slot(&vault, &story.kept).0, story.lost_slot.0);
    assert_eq!(state(&vault, &story.revoked), StateView::In(State::Active));
    site.world.acknowledged.lock().unwrap().insert(story.revoked, State::Active);
    site.world.acknowledged.lock().unwrap().insert(story.suspended, State::Active);
    site.world.check(&vault);
    assert_eq!(vault.status_uris().len(), 2);
    drop(vault);
    let vault = site.open(&restored).unwrap();
    let third = site.world.issue(&vault, order(VEHICLE, PERSONS[1], 10)).unwrap();
    assert_ne!(slot(&vault, &third), slot(&vault, &again));
    site.world.check(&vault);
}

fn the_closed_log_is_still_served_and_the_statement_names_both_heads(site: &Site) {
    let story = story(site);
    let locked = site.locked();
    let restored = site.copy(&story.from, "restored");
    let lost = site.restore_with_loss(&restored, &story.from, &site.read_published(&story.published));
    let vault = site.open(&restored).unwrap();

    let manifest = Manifest::read(&story.from).unwrap();
    let note = String::from_utf8(vault.checkpoint(0).unwrap().unwrap()).unwrap();
    assert!(note.starts_with(&format!("{}\n{}\n", manifest.head.origin, manifest.head.size)), "{note}");
    let mut old = Fold::new();
    let mut edge = kabao::log::merkle::Edge::empty();
    for (index, entry) in (0..).zip(log_entries(&vault, 0, manifest.head.size)) {
        old.apply_bytes(index, &entry).unwrap();
        edge.push(kabao::log::merkle::leaf_hash(&entry));
    }
    assert_eq!(edge.root(), manifest.head.root);
    let beyond = TilePath::new(TileKind::Entries, 0, u16::try_from(manifest.head.size + 1).unwrap()).unwrap();
    assert_eq!(vault.tile(0, &beyond).unwrap(), None);
    assert_eq!(vault.checkpoint(2).unwrap(), None);

    let note = String::from_utf8(vault.checkpoint(1).unwrap().unwrap()).unwrap();
    assert!(note.starts_with(&format!("{}\n", settings().origin_of(1))), "{note}");
    let mut new = Fold::new();
    for (index, entry) in (0..).zip(log_entries(&vault, 1, vault.log_head().0)) {
        new.apply_bytes(index, &entry).unwrap();
    }
    let previous = new.previous().unwrap();
    assert_eq!((previous.origin().as_str(), previous.size()), (locked.origin.as_str(), locked.size));
    assert_eq!(*previous.root(), locked.root);

    let statement = vault.loss_statement(1).unwrap().unwrap();
    assert_eq!(statement, lost.statement);
    assert_eq!(vault.loss_statement(0).unwrap(), None);
    let signed = UnverifiedJws::parse(&statement, 1 << 16).unwrap();
    let signed = signed.verify(site.world.keyring.log.public_key(), statement::TYPE).unwrap();
    let said: serde_json::Value = serde_json::from_slice(signed.payload()).unwrap();
    assert_eq!(said["backup"]["size"], manifest.head.size);
    assert_eq!(said["locked"]["size"], locked.size);
    assert_eq!(said["locked"]["origin"], locked.origin);
    assert_eq!(said["opens"], settings().origin_of(1));
}

fn a_backup_can_be_restored_after_a_loss_and_from_before_it(site: &Site) {
    let story = story(site);
    let place = site.copy(&story.from, "second");
    site.restore_with_loss(&place, &story.from, &site.read_published(&story.published));
    let vault = site.open(&place).unwrap();
    let fresh = site.world.issue(&vault, order(VEHICLE, PERSONS[0], 20)).unwrap();
    let from = site.backup(&vault, "backup-2");
    change(&vault, &fresh, ChangeKind::Revoke).unwrap();
    let published = site.keep_published(&vault, "published-2");
    drop(vault);
    site.world.clock.advance(60);

    // Of the second log, with a loss: a third log begins.
    let place = site.copy(&from, "third");
    let lost = site.restore_with_loss(&place, &from, &site.read_published(&published));
    assert_eq!(lost.opened.origin, settings().origin_of(2));
    let vault = site.open(&place).unwrap();
    site.world.check(&vault);
    assert_eq!(verdict(&vault, 0, &fresh).1, "status/cancelled");
    assert_eq!(verdict(&vault, 0, &story.revoked).1, "status/cancelled");
    for log in 0..=2 {
        assert!(vault.checkpoint(log).unwrap().is_some());
        assert_eq!(vault.loss_statement(log).unwrap().is_some(), log > 0);
    }
    let another = site.world.issue(&vault, order(VEHICLE, PERSONS[1], 21)).unwrap();
    assert_eq!(list_of(&slot(&vault, &another).0), 2 * LISTS_PER_LOG);
    let last = site.keep_published(&vault, "published-3");
    let head = vault.log_head();
    drop(vault);

    // As locked, in the third log.
    let vault = site.open(&place).unwrap();
    let whole = site.backup(&vault, "backup-3");
    drop(vault);
    let again = site.copy(&whole, "fourth");
    assert_eq!(site.restore(&again, &whole, Missing::Refuse).unwrap(), Restored::AsLocked(site.locked()));
    let vault = site.open(&again).unwrap();
    assert_eq!(vault.log_head(), head);
    site.world.check(&vault);
    drop(vault);

    // From the very first backup: no number and no list of the logs between is used again.
    let place = site.copy(&story.from, "fifth");
    let refused = site.restore(&place, &story.from, Missing::Refuse);
    assert!(matches!(refused, Err(RestoreError::Missing(_))), "{refused:?}");
    let lost = site.restore_with_loss(&place, &story.from, &site.read_published(&last));
    assert_eq!(lost.opened.origin, settings().origin_of(3));
    let vault = site.open(&place).unwrap();
    check_log(&vault);
    assert_eq!(verdict(&vault, 0, &story.revoked).1, "status/cancelled");
    assert_eq!(verdict(&vault, 2, &story.kept).0, Decision::Accepted);
    let uris: Vec<u32> = vault.status_uris().iter().map(|uri| list_of(uri)).collect();
    assert_eq!(uris, [0, LISTS_PER_LOG, 2 * LISTS_PER_LOG]);
    let next = site.world.issue(&vault, order(VEHICLE, PERSONS[1], 30)).unwrap();
    assert_eq!(list_of(&slot(&vault, &next).0), 3 * LISTS_PER_LOG);
    check_log(&vault);
}

fn a_changed_backup_is_refused(site: &Site) {
    let place = site.empty();
    let vault = site.open(&place).unwrap();
    let from = site.backup(&vault, "backup");
    drop(vault);
    let restored = site.copy(&from, "restored");
    let store = restored.open().unwrap();
    let row = Client { id: "intruder".into(), sealed: Sealed::from(&b"x"[..]) };
    store.commit(Commit { rows: vec![row.into()], head: None }).unwrap();
    drop(store);
    let published = Published::default();
    for missing in [Missing::Refuse, Missing::Accept(&published)] {
        assert_eq!(site.restore(&restored, &from, missing).unwrap_err(), RestoreError::Altered);
    }
}

fn a_lock_of_another_history_or_vault_is_refused_also_with_loss(site: &Site) {
    let place = site.empty();
    let vault = site.open(&place).unwrap();
    let from = site.backup(&vault, "backup");
    drop(vault);
    let restored = site.copy(&from, "restored");
    let store = restored.open().unwrap();
    let locked = site.locked();
    let published = Published::default();
    let refused = |lock: Option<LockedHead>, refusal| {
        let lock = SimLock::new(lock);
        let outcome = site.restore_on(store.as_ref(), &lock, &from, Missing::Accept(&published));
        assert_eq!(outcome.unwrap_err(), RestoreError::Refused(refusal));
    };
    refused(None, Refusal::NoLock);
    refused(Some(LockedHead { root: Digest::of(&[b"other"]), ..locked.clone() }), Refusal::Forked);
    let other = Settings { url: "https://other.example.org".into(), log: 0 };
    refused(
        Some(LockedHead { origin: other.origin_of(0), size: 90, ..locked.clone() }),
        Refusal::OtherOrigin,
    );
    refused(Some(LockedHead { origin: other.origin_of(4), size: 90, ..locked }), Refusal::OtherOrigin);
}

#[test]
fn only_tokens_that_the_status_key_signed_for_this_vault_count_as_published() {
    let site = Site::sim();
    let story = story(&site);
    let keys = [site.world.keyring.status.public_key().clone()];
    let other = Settings { url: "https://other.example.org".into(), log: 0 };
    let read =
        |settings: &Settings, keys: &[PublicKey]| match read_published(&story.published, settings, keys) {
            Err(RestoreError::Published { file, why }) => (file.ends_with("0.jwt"), why),
            other => panic!("{other:?}"),
        };
    assert_eq!(read(&other, &keys), (true, "a list of another vault".to_owned()));
    let stranger = [site.world.keyring.log.public_key().clone()];
    assert!(read(&settings(), &stranger).0);
    std::fs::write(story.published.join("note.txt"), "to whom it may concern").unwrap();
    let refused = read_published(&story.published, &settings(), &keys);
    assert!(matches!(refused, Err(RestoreError::Published { file, .. }) if file.ends_with("note.txt")));
}

#[test]
fn a_backup_that_was_cut_short_has_no_manifest() {
    let site = Site::sim();
    let vault = site.open(&site.empty()).unwrap();
    let from = site.backup(&vault, "backup");
    std::fs::remove_file(from.join("kabao-backup.json")).unwrap();
    assert_eq!(Manifest::read(&from), Err(StoreError::Missing));
}

#[test]
fn a_crash_at_any_write_of_a_restore_leaves_a_vault_that_opens_or_a_backup_that_restores() {
    for fault in [Fault::BeforeWrite, Fault::DuringWrite, Fault::AfterWrite] {
        for write in 0.. {
            let site = Site::sim();
            let story = story(&site);
            let published = site.read_published(&story.published);
            let before = site.locked();
            let disk = SimDisk::read_copy(&story.from, 11).unwrap();
            let faults = Faults::at(write, fault);
            let store = Sim::open(&disk, &faults).unwrap();
            let lock = site.world.lock.reopen(&faults);
            let outcome = site.restore_on(&store, &lock, &story.from, Missing::Accept(&published));
            drop(store);
            disk.crash();

            let place = Place::Sim(disk);
            let opened = site.open(&place);
            let whole = outcome.is_ok();
            let place = match opened {
                Ok(vault) => {
                    assert_ne!(site.locked(), before, "opened, but the lock has not moved");
                    drop(vault);
                    place
                }
                Err(error) => {
                    assert!(!whole && matches!(error, OpenError::Refused(_)), "write {write}: {error:?}");
                    assert_eq!(site.locked(), before);
                    let again = site.copy(&story.from, "again");
                    site.restore_with_loss(&again, &story.from, &published);
                    again
                }
            };
            let vault = site.open(&place).unwrap();
            site.world.check(&vault);
            assert_eq!(verdict(&vault, 0, &story.revoked).1, "status/cancelled");
            if whole {
                assert!(write > 3, "only {write} writes: is the fault still reached?");
                break;
            }
        }
    }
}
