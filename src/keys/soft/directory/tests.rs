//! What people rely on in a key store.

use super::*;
use crate::keys::random::{BrokenRandom, SeededRandom, SystemRandom};

fn at(seconds: i64) -> UnixTime {
    UnixTime::clamped(1_700_000_000 + seconds)
}

fn words() -> Passphrase {
    Passphrase::new(b"correct horse".to_vec())
}

/// A new store in a directory of its own.
struct World {
    directory: tempfile::TempDir,
    store: KeyStore,
    random: SystemRandom,
}

impl World {
    fn new(development: Development) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let random = SystemRandom::new();
        let store = KeyStore::create(directory.path(), &words(), development, &random, at(0)).unwrap();
        Self { directory, store, random }
    }

    fn generate(&self, purpose: Purpose, owner: Option<&str>, now: UnixTime) -> KeyInfo {
        let wanted = NewKey::usual(purpose, Algorithm::Ed25519, owner, now);
        self.store.generate(&wanted, &self.random, now).unwrap()
    }

    fn open(&self) -> Result<KeyStore, KeyStoreError> {
        KeyStore::open(self.directory.path(), &words())
    }

    fn edit(&self, name: &str, from: &str, to: &str) {
        let path = self.directory.path().join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }
}

#[test]
fn what_was_kept_is_there_when_the_store_is_opened_again() {
    let world = World::new(Development::No);
    for algorithm in [Algorithm::Ed25519, Algorithm::P256] {
        let wanted = NewKey::usual(Purpose::Issuer, algorithm, Some("91350100M000100Y43"), at(0));
        world.store.generate(&wanted, &world.random, at(0)).unwrap();
    }
    world.generate(Purpose::Log, None, at(0));
    world.store.generate_secret(Purpose::Index, &world.random, at(0)).unwrap();

    let again = world.open().unwrap();
    assert_eq!(again.list(), world.store.list());
    assert_eq!(again.list().len(), 4);
    for info in again.list() {
        match &info.public {
            Some(public) => {
                let signature = again.signer(&info.kid).unwrap().sign(b"message").unwrap();
                assert!(public.verify(b"message", &signature));
            }
            None => {
                let secret = |store: &KeyStore| *store.secret(info.purpose).unwrap()[0].1.expose();
                assert_eq!(secret(&again), secret(&world.store));
            }
        }
    }
}

#[test]
fn a_wrong_passphrase_is_named_even_for_an_empty_store() {
    let world = World::new(Development::No);
    let error = KeyStore::open(world.directory.path(), &Passphrase::new(b"wrong".to_vec())).unwrap_err();
    assert_eq!((error.clone(), error.code()), (KeyStoreError::Passphrase, "keys/passphrase"));
}

#[test]
fn a_store_is_never_made_over_another() {
    let world = World::new(Development::No);
    let again = KeyStore::create(world.directory.path(), &words(), Development::No, &world.random, at(0));
    assert_eq!(again.unwrap_err(), KeyStoreError::Exists);
}

#[test]
fn an_edited_key_file_does_not_open() {
    let world = World::new(Development::No);
    let info = world.generate(Purpose::Log, None, at(0));
    world.edit(&info.file_name(), "\"signs_max\": null", "\"signs_max\": 1000");
    assert_eq!(world.open().unwrap_err(), KeyStoreError::Altered { file: info.file_name() });
    assert!(world.store.reload().is_err());
    assert_eq!(world.store.list(), [info], "a failed reload changed what is open");
}

#[test]
fn development_keys_are_refused_outside_development_even_without_their_mark() {
    let world = World::new(Development::Yes);
    let info = world.generate(Purpose::Log, None, at(0));
    let expected = KeyStoreError::DevelopmentKey { kid: info.kid.clone() };
    assert_eq!(world.open().unwrap_err(), expected);
    assert!(KeyStore::open_in_development(world.directory.path(), &words()).is_ok());

    world.edit(&info.file_name(), "\"development\": true", "\"development\": false");
    assert_eq!(world.open().unwrap_err(), KeyStoreError::Altered { file: info.file_name() });
}

#[test]
fn a_key_is_adopted_once_and_not_from_development_into_earnest() {
    let from = World::new(Development::No);
    let info = from.generate(Purpose::Root, None, at(0));
    let text = fs::read_to_string(from.directory.path().join(info.file_name())).unwrap();

    let to = World::new(Development::No);
    assert_eq!(to.store.adopt(&text, &words(), &to.random).unwrap(), info);
    let again = to.store.adopt(&text, &words(), &to.random).unwrap_err();
    assert_eq!(again, KeyStoreError::Duplicate { kid: info.kid });
    let wrong = to.store.adopt(&text, &Passphrase::new(vec![]), &to.random).unwrap_err();
    assert_eq!(wrong, KeyStoreError::Passphrase);
    assert!(to.open().is_ok());

    let development = World::new(Development::Yes);
    let info = development.generate(Purpose::Root, None, at(0));
    let text = fs::read_to_string(development.directory.path().join(info.file_name())).unwrap();
    let refused = to.store.adopt(&text, &words(), &to.random).unwrap_err();
    assert_eq!(refused, KeyStoreError::DevelopmentKey { kid: info.kid });
}

#[test]
fn one_key_is_never_given_to_two_subjects() {
    let world = World::new(Development::No);
    let wanted = |owner| NewKey::usual(Purpose::Issuer, Algorithm::Ed25519, Some(owner), at(0));
    let first = world.store.import_seed(&wanted("one"), &[1; 32], &world.random, at(0)).unwrap();
    let second = world.store.import_seed(&wanted("two"), &[1; 32], &world.random, at(0));
    assert_eq!(second.unwrap_err(), KeyStoreError::Duplicate { kid: first.kid });
}

#[test]
fn after_a_rotation_the_new_key_signs_and_the_old_one_is_kept() {
    let world = World::new(Development::No);
    let old = world.generate(Purpose::Status, None, at(0));
    let current = |store: &KeyStore, now| {
        store.current(Purpose::Status, None, Algorithm::Ed25519, now).map(|current| current.info.kid)
    };
    assert_eq!(current(&world.store, at(5)), Ok(old.kid.clone()));

    let new = world.store.rotate(&old.kid, &world.random, at(10)).unwrap();
    assert_eq!((new.version, new.purpose, new.owner.clone()), (2, old.purpose, old.owner.clone()));
    for store in [&world.store, &world.open().unwrap()] {
        assert_eq!(current(store, at(10)), Ok(new.kid.clone()));
        assert_eq!(current(store, at(9)), Ok(old.kid.clone()));
        assert_eq!(store.list().len(), 2);
    }
}

#[test]
fn a_retired_key_signs_no_more() {
    let world = World::new(Development::No);
    let info = world.generate(Purpose::Receipt, None, at(0));
    let retired = world.store.retire(&info.kid, &world.random, at(10)).unwrap();
    assert_eq!(retired.retired, Some(at(10)));
    for store in [&world.store, &world.open().unwrap()] {
        let error = store.signer(&info.kid).err();
        assert_eq!(error, Some(KeyStoreError::Retired { kid: info.kid.clone() }));
        let error = store.current(Purpose::Receipt, None, Algorithm::Ed25519, at(11)).err();
        assert_eq!(error, Some(KeyStoreError::NoCurrent { purpose: Purpose::Receipt }));
    }
}

#[test]
fn a_key_signs_only_within_its_time_and_for_its_owner() {
    let world = World::new(Development::No);
    let info = world.generate(Purpose::Issuer, Some("one"), at(0));
    let current = |owner, now| world.store.current(Purpose::Issuer, owner, Algorithm::Ed25519, now).is_ok();
    assert!(current(Some("one"), at(0)));
    assert!(!current(Some("one"), at(-1)));
    assert!(current(Some("one"), info.not_after.minus(1)));
    assert!(!current(Some("one"), info.not_after));
    assert!(!current(Some("two"), at(0)));
    assert!(!current(None, at(0)));
}

#[test]
fn a_rotated_secret_stands_first_and_the_old_one_still_opens() {
    let world = World::new(Development::No);
    let old = world.store.generate_secret(Purpose::KeyEncryption, &world.random, at(0)).unwrap();
    world.store.rotate(&old.kid, &world.random, at(10)).unwrap();
    let secrets = world.open().unwrap().secret(Purpose::KeyEncryption).unwrap();
    assert_eq!(secrets.iter().map(|(version, _)| *version).collect::<Vec<_>>(), [2, 1]);
    let retired = world.store.retire(&old.kid, &world.random, at(10));
    assert_eq!(retired.unwrap_err(), KeyStoreError::Purpose { purpose: Purpose::KeyEncryption });
}

#[test]
fn secrets_do_not_sign_and_signing_keys_are_no_secrets() {
    let world = World::new(Development::No);
    let wanted = NewKey::usual(Purpose::Index, Algorithm::Ed25519, None, at(0));
    let error = KeyStoreError::Purpose { purpose: Purpose::Index };
    assert_eq!(world.store.generate(&wanted, &world.random, at(0)).unwrap_err(), error);
    let error = KeyStoreError::Purpose { purpose: Purpose::Log };
    assert_eq!(world.store.generate_secret(Purpose::Log, &world.random, at(0)).unwrap_err(), error);
    let secret = world.store.generate_secret(Purpose::Index, &world.random, at(0)).unwrap();
    assert!(matches!(world.store.signer(&secret.kid), Err(KeyStoreError::Purpose { .. })));
}

#[test]
fn without_randomness_no_key_is_made() {
    let world = World::new(Development::No);
    let wanted = NewKey::usual(Purpose::Log, Algorithm::Ed25519, None, at(0));
    assert_eq!(world.store.generate(&wanted, &BrokenRandom, at(0)).unwrap_err(), KeyStoreError::Random);
    let error = world.store.generate_secret(Purpose::Index, &BrokenRandom, at(0)).unwrap_err();
    assert_eq!(error, KeyStoreError::Random);
    assert!(world.open().unwrap().list().is_empty());
}

#[test]
fn sixty_keys_open_with_one_derivation() {
    let world = World::new(Development::No);
    for _ in 0..60 {
        world.generate(Purpose::Show, None, at(0));
    }
    let again = world.open().unwrap();
    assert_eq!(again.list().len(), 60);
    let same = |held: &Arc<Held>| held.file.derivation == again.derivation;
    assert!(again.snapshot().iter().all(same));
}

#[test]
fn files_that_are_no_keys_are_left_alone_and_oversized_ones_refused() {
    let world = World::new(Development::No);
    for name in ["README.md", "root.pem", ".log-abc.json.part", ".hidden.json"] {
        fs::write(world.directory.path().join(name), "not a key").unwrap();
    }
    assert!(world.open().unwrap().list().is_empty());
    fs::write(world.directory.path().join("log-x.json"), "{}").unwrap();
    assert!(matches!(world.open(), Err(KeyStoreError::Malformed { .. })));
    fs::write(world.directory.path().join("log-x.json"), " ".repeat(FILE_MAX + 1)).unwrap();
    assert!(matches!(world.open(), Err(KeyStoreError::TooMuch { .. })));
}

#[test]
fn key_files_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let world = World::new(Development::No);
    let info = world.generate(Purpose::Log, None, at(0));
    for name in [STORE_FILE, &info.file_name()] {
        let mode = fs::metadata(world.directory.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn neither_passphrase_nor_seed_stands_in_any_file() {
    let world = World::new(Development::No);
    let seeded = SeededRandom::danger_seeded(7);
    let seed: [u8; 32] = random::bytes(&seeded).unwrap();
    let wanted = NewKey::usual(Purpose::Log, Algorithm::Ed25519, None, at(0));
    world.store.import_seed(&wanted, &seed, &world.random, at(0)).unwrap();
    for entry in fs::read_dir(world.directory.path()).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for secret in [URL_SAFE_NO_PAD.encode(seed), hex::encode(seed), "correct horse".to_owned()] {
            assert!(!text.contains(&secret), "{text}");
        }
    }
}

#[test]
fn a_published_key_sealed_again_without_its_mark_is_refused_by_its_kid() {
    use crate::keys::development;

    let text = development::ROOTS[0].key_file;
    let published = Passphrase::new(development::PASSPHRASE.into());
    let world = World::new(Development::No);
    let refused = world.store.adopt(text, &published, &world.random);
    assert!(matches!(refused, Err(KeyStoreError::DevelopmentKey { .. })));

    let file = KeyFile::parse("name", text).unwrap();
    let secret = file.open(&file.derivation.derive(&published).unwrap()).unwrap();
    let info = KeyInfo { development: Development::No, ..file.info };
    world.store.keep(info.clone(), &secret, &world.random).unwrap();
    assert_eq!(world.open().unwrap_err(), KeyStoreError::DevelopmentKey { kid: info.kid });
}
