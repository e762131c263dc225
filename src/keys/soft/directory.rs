//! The key store: a directory of sealed key files, opened with one passphrase.
//!
//! What a [`KeyStore`] lists has been opened: passphrase right, every file as it
//! was sealed, every private key belonging to its public key, no key twice, and
//! no development key outside development mode.
//!
//! # Order of writes
//!
//! Each file is written whole beside its place, synced, renamed, and the
//! directory synced. A crash leaves the old file or the new one, and perhaps a
//! `.part` file that nobody reads. [`KeyStore::rotate`] writes the new key first:
//! stopped between, both sign, and [`KeyStore::current`] takes the newer.
//!
//! # Not here
//!
//! A lock against a second process: the command line holds the vault's head lock while
//! it changes keys.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::domain::time::UnixTime;
use crate::keys::development::Development;
use crate::keys::envelope::{self, SecretKey};
use crate::keys::purpose::{Kind, Purpose};
use crate::keys::random::{self, Random};
use crate::keys::soft::disk::{FILE_MAX, read_file, write_file};
use crate::keys::soft::error::KeyStoreError;
use crate::keys::soft::file::{KeyFile, KeyInfo};
use crate::keys::soft::passphrase::{Derivation, Passphrase};
use crate::keys::soft::signer::{BoundedSigner, SoftSigner};
use crate::keys::{Algorithm, Signer};

/// An open key store. All its methods may be called from several threads.
pub struct KeyStore {
    directory: PathBuf,
    derivation: Derivation,
    key: SecretKey,
    development: Development,
    keys: RwLock<Vec<Arc<Held>>>,
}

/// A signing key to be made.
#[derive(Clone, Debug)]
pub struct NewKey<'a> {
    /// What it is for; one that signs.
    pub purpose: Purpose,
    /// Its algorithm for life.
    pub algorithm: Algorithm,
    /// Whose it is: a department's USCC, a client's id; `None` for the operator's own.
    pub owner: Option<&'a str>,
    /// It signs from here.
    pub not_before: UnixTime,
    /// It signs until here, this instant excluded.
    pub not_after: UnixTime,
    /// How many signatures it may make between two openings of the store.
    pub signs_max: Option<u64>,
}

impl<'a> NewKey<'a> {
    /// A key that signs from now on for as long as is usual for its purpose.
    pub fn usual(purpose: Purpose, algorithm: Algorithm, owner: Option<&'a str>, now: UnixTime) -> Self {
        let not_after = now.plus(purpose.lifetime());
        Self { purpose, algorithm, owner, not_before: now, not_after, signs_max: None }
    }
}

/// The key that signs now for a purpose.
#[derive(Clone)]
pub struct Current {
    /// What is known of it.
    pub info: KeyInfo,
    /// Signs with it.
    pub signer: Arc<dyn Signer>,
}

impl KeyStore {
    /// Make a new, empty store in a directory that is made if need be (mode 0700).
    ///
    /// # Errors
    /// [`KeyStoreError`] when there is one already, or the disk refuses.
    pub fn create(
        directory: &Path,
        passphrase: &Passphrase,
        development: Development,
        random: &dyn Random,
        now: UnixTime,
    ) -> Result<Self, KeyStoreError> {
        let path = directory.join(STORE_FILE);
        if path.exists() {
            return Err(KeyStoreError::Exists);
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| KeyStoreError::io(directory, &error))?;
        let derivation = Derivation::new(random)?;
        let key = derivation.derive(passphrase)?;
        let check = envelope::seal(&key, random, &store_aad(development), b"")?;
        let value = json!({
            "kabao_key_store": FORMAT,
            "created": now.to_string(),
            "development": development == Development::Yes,
            "kdf": derivation.to_json(),
            "check": URL_SAFE_NO_PAD.encode(check),
        });
        write_file(directory, STORE_FILE, &format!("{value:#}\n"))?;
        Ok(Self { directory: directory.into(), derivation, key, development, keys: RwLock::default() })
    }

    /// Open a store in earnest: one that has development keys is refused.
    ///
    /// # Errors
    /// [`KeyStoreError::Passphrase`] for a wrong passphrase, [`KeyStoreError::DevelopmentKey`], or what
    /// is wrong with which file.
    pub fn open(directory: &Path, passphrase: &Passphrase) -> Result<Self, KeyStoreError> {
        let store = Self::open_in_development(directory, passphrase)?;
        store.refuse_development()?;
        Ok(store)
    }

    /// Open a store in development mode: development keys are welcome.
    ///
    /// # Errors
    /// As [`KeyStore::open`], but for development keys.
    pub fn open_in_development(directory: &Path, passphrase: &Passphrase) -> Result<Self, KeyStoreError> {
        let text = read_file(&directory.join(STORE_FILE))?;
        let malformed = |part| KeyStoreError::malformed(STORE_FILE, part);
        let value: Value = serde_json::from_str(&text).map_err(|_| malformed("json"))?;
        if value["kabao_key_store"].as_u64() != Some(FORMAT) {
            return Err(malformed("kabao_key_store"));
        }
        let development = match value["development"].as_bool().ok_or(malformed("development"))? {
            true => Development::Yes,
            false => Development::No,
        };
        let derivation = Derivation::from_json(&value["kdf"]).ok_or(malformed("kdf"))?;
        let check = value["check"].as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let check = check.ok_or(malformed("check"))?;
        let key = derivation.derive(passphrase)?;
        envelope::open(&key, &store_aad(development), &check).map_err(|_| KeyStoreError::Passphrase)?;
        let store =
            Self { directory: directory.into(), derivation, key, development, keys: RwLock::default() };
        store.reload()?;
        Ok(store)
    }

    /// Refuse if any key is marked for development, or is one of the published development keys.
    ///
    /// # Errors
    /// [`KeyStoreError::DevelopmentKey`] names the first.
    pub fn refuse_development(&self) -> Result<(), KeyStoreError> {
        match self.list().into_iter().find(KeyInfo::is_for_development) {
            Some(info) => Err(KeyStoreError::DevelopmentKey { kid: info.kid }),
            None => Ok(()),
        }
    }

    /// Read the directory again, after another process changed it. On an error all stays as it was.
    ///
    /// # Errors
    /// [`KeyStoreError`] when a file is not as it was sealed.
    pub fn reload(&self) -> Result<(), KeyStoreError> {
        let mut keys = Vec::new();
        let mut kids = HashSet::new();
        let io = |error: std::io::Error| KeyStoreError::io(&self.directory, &error);
        for entry in fs::read_dir(&self.directory).map_err(io)? {
            let name = entry.map_err(io)?.file_name().to_string_lossy().into_owned();
            if !name.ends_with(".json") || name.starts_with('.') || name == STORE_FILE {
                continue;
            }
            if keys.len() >= KEYS_MAX {
                return Err(KeyStoreError::TooMuch { what: "keys" });
            }
            let file = KeyFile::parse(&name, &read_file(&self.directory.join(&name))?)?;
            if file.derivation != self.derivation {
                return Err(KeyStoreError::malformed(&name, "kdf"));
            }
            if !kids.insert(file.info.kid.clone()) {
                return Err(KeyStoreError::Duplicate { kid: file.info.kid });
            }
            keys.push(Arc::new(Held::open(file, &self.key)?));
        }
        keys.sort_by(|a, b| a.order().cmp(&b.order()));
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// Make a new signing key and keep it. Development stores make development keys.
    ///
    /// # Errors
    /// [`KeyStoreError`]; the key was then not made.
    pub fn generate(
        &self,
        wanted: &NewKey<'_>,
        random: &dyn Random,
        now: UnixTime,
    ) -> Result<KeyInfo, KeyStoreError> {
        if wanted.purpose.kind() != Kind::Signing {
            return Err(KeyStoreError::Purpose { purpose: wanted.purpose });
        }
        let (signer, secret) = SoftSigner::generate(wanted.algorithm, random)?;
        self.keep_signer(wanted, &signer, &secret, random, now)
    }

    /// Keep the Ed25519 key of this seed.
    ///
    /// # Errors
    /// [`KeyStoreError`] when the store has it already, or the purpose or algorithm is not one for it.
    pub fn import_seed(
        &self,
        wanted: &NewKey<'_>,
        seed: &[u8; 32],
        random: &dyn Random,
        now: UnixTime,
    ) -> Result<KeyInfo, KeyStoreError> {
        if wanted.purpose.kind() != Kind::Signing || wanted.algorithm != Algorithm::Ed25519 {
            return Err(KeyStoreError::Purpose { purpose: wanted.purpose });
        }
        self.keep_signer(wanted, &SoftSigner::ed25519(seed), seed, random, now)
    }

    /// Make a new secret of 256 bits and keep it, one version after the last.
    ///
    /// # Errors
    /// [`KeyStoreError`]; the secret was then not made.
    pub fn generate_secret(
        &self,
        purpose: Purpose,
        random: &dyn Random,
        now: UnixTime,
    ) -> Result<KeyInfo, KeyStoreError> {
        if purpose.kind() != Kind::Secret {
            return Err(KeyStoreError::Purpose { purpose });
        }
        let secret = SecretKey::generate(random)?;
        let info = KeyInfo {
            kid: URL_SAFE_NO_PAD.encode(random::bytes::<32>(random)?),
            purpose,
            public: None,
            owner: None,
            version: UNCOUNTED,
            created: now,
            not_before: now,
            not_after: now.plus(purpose.lifetime()),
            retired: None,
            development: self.development,
            signs_max: None,
        };
        self.keep(info, secret.expose(), random)
    }

    /// Take in a key file of another store, with that store's passphrase. What it says of its key stays,
    /// but for the version, which is counted here.
    ///
    /// # Errors
    /// [`KeyStoreError`], also for a development key in a store that is not for development.
    pub fn adopt(
        &self,
        text: &str,
        passphrase: &Passphrase,
        random: &dyn Random,
    ) -> Result<KeyInfo, KeyStoreError> {
        if text.len() > FILE_MAX {
            return Err(KeyStoreError::TooMuch { what: "one key file" });
        }
        let file = KeyFile::parse("the key file", text)?;
        let key = file.derivation.derive(passphrase)?;
        let secret = file.open(&key).map_err(|_| KeyStoreError::Passphrase)?;
        let info = file.info;
        if info.is_for_development() && self.development == Development::No {
            return Err(KeyStoreError::DevelopmentKey { kid: info.kid });
        }
        self.keep(info, &secret, random)
    }

    /// A new key for the same purpose, owner and algorithm, which signs from now on; the old one stops now.
    /// A secret gets a next version beside it; the old versions stay readable.
    ///
    /// # Errors
    /// [`KeyStoreError`] when there is no such key, or the disk refuses.
    pub fn rotate(&self, kid: &str, random: &dyn Random, now: UnixTime) -> Result<KeyInfo, KeyStoreError> {
        let old = self.find(kid)?;
        let info = &old.file.info;
        let Some(algorithm) = info.algorithm() else {
            return self.generate_secret(info.purpose, random, now);
        };
        let wanted = NewKey {
            signs_max: info.signs_max,
            ..NewKey::usual(info.purpose, algorithm, info.owner.as_deref(), now)
        };
        let new = self.generate(&wanted, random, now)?;
        // If we stop here both keys sign, and the newer one is taken.
        if info.not_after > now {
            self.change(&old, KeyInfo { not_after: now, ..info.clone() }, random)?;
        }
        Ok(new)
    }

    /// This key signs no more from now on; what it signed stays good. Its signer is gone from the store.
    ///
    /// # Errors
    /// [`KeyStoreError`] when there is no such key, or it is a secret: those must stay to open what they sealed.
    pub fn retire(&self, kid: &str, random: &dyn Random, now: UnixTime) -> Result<KeyInfo, KeyStoreError> {
        let old = self.find(kid)?;
        let info = old.file.info.clone();
        if info.purpose.kind() != Kind::Signing {
            return Err(KeyStoreError::Purpose { purpose: info.purpose });
        }
        match info.retired {
            Some(_) => Ok(info),
            None => self.change(&old, KeyInfo { retired: Some(now), ..info }, random),
        }
    }

    /// Whether this is a store for development.
    pub fn development(&self) -> Development {
        self.development
    }

    /// What is known of every key, by purpose, owner and version.
    pub fn list(&self) -> Vec<KeyInfo> {
        self.snapshot().iter().map(|held| held.file.info.clone()).collect()
    }

    /// The signer of this key, unless it is retired. Whether it may sign *now* is [`KeyInfo::signs_at`].
    ///
    /// # Errors
    /// [`KeyStoreError`] when there is no such key, it is retired, or a secret.
    pub fn signer(&self, kid: &str) -> Result<Arc<dyn Signer>, KeyStoreError> {
        let held = self.find(kid)?;
        match &held.material {
            Material::Secret(_) => Err(KeyStoreError::Purpose { purpose: held.file.info.purpose }),
            Material::Signer(_) if held.file.info.retired.is_some() => {
                Err(KeyStoreError::Retired { kid: kid.to_owned() })
            }
            Material::Signer(signer) => Ok(signer.clone()),
        }
    }

    /// The key that signs now for this purpose, owner and algorithm: the newest that may.
    ///
    /// # Errors
    /// [`KeyStoreError::NoCurrent`] when none may.
    pub fn current(
        &self,
        purpose: Purpose,
        owner: Option<&str>,
        algorithm: Algorithm,
        now: UnixTime,
    ) -> Result<Current, KeyStoreError> {
        let keys = self.snapshot();
        let fitting = keys.iter().filter_map(|held| {
            let info = &held.file.info;
            let fits = info.purpose == purpose
                && info.owner.as_deref() == owner
                && info.algorithm() == Some(algorithm)
                && info.signs_at(now);
            match &held.material {
                Material::Signer(signer) if fits => Some((info, signer)),
                _ => None,
            }
        });
        let newest = fitting.max_by_key(|(info, _)| (info.not_before, info.version));
        let (info, signer) = newest.ok_or(KeyStoreError::NoCurrent { purpose })?;
        Ok(Current { info: info.clone(), signer: signer.clone() })
    }

    /// Every version of a secret, newest first. The first seals, all open.
    ///
    /// # Errors
    /// [`KeyStoreError::NoCurrent`] when there is none.
    pub fn secret(&self, purpose: Purpose) -> Result<Vec<(u32, SecretKey)>, KeyStoreError> {
        let keys = self.snapshot();
        let mut secrets: Vec<_> = keys
            .iter()
            .filter(|held| held.file.info.purpose == purpose)
            .filter_map(|held| match &held.material {
                Material::Secret(secret) => Some((held.file.info.version, secret.clone())),
                Material::Signer(_) => None,
            })
            .collect();
        secrets.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
        if secrets.is_empty() { Err(KeyStoreError::NoCurrent { purpose }) } else { Ok(secrets) }
    }

    fn keep_signer(
        &self,
        wanted: &NewKey<'_>,
        signer: &SoftSigner,
        secret: &[u8],
        random: &dyn Random,
        now: UnixTime,
    ) -> Result<KeyInfo, KeyStoreError> {
        if wanted.owner.is_some_and(|owner| owner.is_empty() || owner.len() > OWNER_MAX) {
            return Err(KeyStoreError::TooMuch { what: "the owner of a key" });
        }
        let info = KeyInfo {
            kid: signer.public_key().kid(),
            purpose: wanted.purpose,
            public: Some(signer.public_key().clone()),
            owner: wanted.owner.map(str::to_owned),
            version: UNCOUNTED,
            created: now,
            not_before: wanted.not_before,
            not_after: wanted.not_after,
            retired: None,
            development: self.development,
            signs_max: wanted.signs_max,
        };
        self.keep(info, secret, random)
    }

    /// Seals and writes a new key. Its version is counted here, under the lock.
    fn keep(&self, mut info: KeyInfo, secret: &[u8], random: &dyn Random) -> Result<KeyInfo, KeyStoreError> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let infos = keys.iter().map(|held| &held.file.info);
        let same = infos.filter(|other| {
            (other.purpose, &other.owner, other.algorithm()) == (info.purpose, &info.owner, info.algorithm())
        });
        info.version = same.map(|other| other.version).max().unwrap_or(UNCOUNTED).saturating_add(1);
        let name = info.file_name();
        let known = keys.iter().any(|held| held.file.info.kid == info.kid);
        if known || self.directory.join(&name).exists() {
            return Err(KeyStoreError::Duplicate { kid: info.kid });
        }
        if keys.len() >= KEYS_MAX {
            return Err(KeyStoreError::TooMuch { what: "keys" });
        }
        let file = KeyFile::seal(info.clone(), &self.derivation, &self.key, secret, random)?;
        let held = Held::open(file, &self.key)?;
        write_file(&self.directory, &name, &held.file.to_text())?;
        keys.push(Arc::new(held));
        keys.sort_by(|a, b| a.order().cmp(&b.order()));
        Ok(info)
    }

    fn change(&self, old: &Held, info: KeyInfo, random: &dyn Random) -> Result<KeyInfo, KeyStoreError> {
        let secret = old.file.open(&self.key)?;
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let file = KeyFile::seal(info.clone(), &self.derivation, &self.key, &secret, random)?;
        write_file(&self.directory, &info.file_name(), &file.to_text())?;
        let held = Arc::new(Held { material: old.material.clone(), file });
        for place in keys.iter_mut().filter(|place| place.file.info.kid == info.kid) {
            *place = held.clone();
        }
        Ok(info)
    }

    fn find(&self, kid: &str) -> Result<Arc<Held>, KeyStoreError> {
        let found = self.snapshot().into_iter().find(|held| held.file.info.kid == kid);
        found.ok_or_else(|| KeyStoreError::NotFound { kid: kid.to_owned() })
    }

    fn snapshot(&self) -> Vec<Arc<Held>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyStore({})", self.directory.display())
    }
}

/// One key of the store, opened.
struct Held {
    file: KeyFile,
    material: Material,
}

#[derive(Clone)]
enum Material {
    Signer(Arc<BoundedSigner>),
    Secret(SecretKey),
}

impl Held {
    /// Opens the file and checks that the private key belongs to the public one.
    fn open(file: KeyFile, key: &SecretKey) -> Result<Self, KeyStoreError> {
        let secret = file.open(key)?;
        let material = match &file.info.public {
            None => Material::Secret(SecretKey::from_slice(&secret).ok_or(KeyStoreError::PrivateKey)?),
            Some(public) => {
                let signer = SoftSigner::from_secret(public.algorithm(), &secret)?;
                if signer.public_key() != public {
                    return Err(KeyStoreError::PrivateKey);
                }
                Material::Signer(Arc::new(BoundedSigner::new(signer, file.info.signs_max)))
            }
        };
        Ok(Self { file, material })
    }

    fn order(&self) -> (Purpose, Option<&str>, u32, &str) {
        let info = &self.file.info;
        (info.purpose, info.owner.as_deref(), info.version, &info.kid)
    }
}

fn store_aad(development: Development) -> Vec<u8> {
    match development {
        Development::Yes => b"kabao/key-store/1/development".to_vec(),
        Development::No => b"kabao/key-store/1".to_vec(),
    }
}

/// The file that says how the store's key is derived.
const STORE_FILE: &str = "store.json";

/// Versions count from 1; a key that is not yet kept has none.
const UNCOUNTED: u32 = 0;

/// The version of the format of stores.
const FORMAT: u64 = 1;

/// Keys in one store: 1,000 departments with two algorithms and two versions each. Our own choice.
const KEYS_MAX: usize = 4096;

/// A USCC has 18 characters, a client id at most 64. Our own choice.
const OWNER_MAX: usize = 128;

#[cfg(test)]
mod tests;
