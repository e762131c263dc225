//! From a directory to an open vault: keys, x509, catalogue, database, head lock.
//!
//! Development keys are refused unless the configuration says `mode = "development"`.

use std::sync::Arc;

use super::config::{Config, Mode};
use super::hierarchy;
use super::report::Failure;
use crate::catalog::Catalog;
use crate::domain::time::UnixTime;
use crate::domain::uscc::Uscc;
use crate::keys::development::Development;
use crate::keys::index::IndexKey;
use crate::keys::random::SystemRandom;
use crate::keys::soft::{KeyInfo, KeyStore, Passphrase};
use crate::keys::{Algorithm, PublicKey, Purpose, SignError, Signature, Signer};
use crate::pki::x509::X509;
use crate::store::Store;
use crate::store::head_lock::FileLock;
use crate::vault::clock::{Clock, SystemClock};
use crate::vault::keyring::{IssuerKey, IssuerKeyState, Keyring, OwnKey};
use crate::vault::opening::{ClockStep, Opening};
use crate::vault::{Settings, Vault};

/// Opens the key store, in earnest unless the vault is for development.
pub(super) fn key_store(config: &Config, passphrase: &Passphrase) -> Result<KeyStore, Failure> {
    Ok(match config.mode {
        Mode::Development => KeyStore::open_in_development(&config.keys, passphrase)?,
        Mode::Production => KeyStore::open(&config.keys, passphrase)?,
    })
}

/// The kinds of certificate of this vault.
pub(super) fn catalog(config: &Config) -> Result<Catalog, Failure> {
    Ok(match &config.schemas {
        Some(folder) => Catalog::with_folder(folder)?,
        None => Catalog::embedded()?,
    })
}

/// Opens the vault.
pub(super) fn vault(
    config: &Config,
    passphrase: &Passphrase,
    clock_step: ClockStep,
) -> Result<Arc<Vault>, Failure> {
    let keys = key_store(config, passphrase)?;
    let lock = FileLock::open(&config.head_lock)?;
    vault_with(config, &keys, Box::new(lock), database(config)?, clock_step)
}

/// Opens the vault with parts that are open already.
pub(super) fn vault_with(
    config: &Config,
    keys: &KeyStore,
    lock: Box<FileLock>,
    store: Arc<dyn Store>,
    clock_step: ClockStep,
) -> Result<Arc<Vault>, Failure> {
    let opening = Opening {
        store,
        lock,
        catalog: Arc::new(catalog(config)?),
        keyring: Arc::new(keyring(config, keys, SystemClock.now())?),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom::new()),
        settings: settings(config),
        clock_step,
    };
    Ok(Arc::new(Vault::open(opening)?))
}

/// What the operator decided about the vault.
pub(super) fn settings(config: &Config) -> Settings {
    Settings { url: config.url.clone(), log: config.log }
}

/// Opens the database.
#[cfg(feature = "rocks")]
pub(super) fn database(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    Ok(Arc::new(crate::store::rocks::Rocks::open(&config.store)?))
}

/// This build has no database.
#[cfg(not(feature = "rocks"))]
pub(super) fn database(_: &Config) -> Result<Arc<dyn Store>, Failure> {
    Err(Failure::refused("this build of kabao has no database").hint("build it with the feature `rocks`"))
}

/// Makes the database.
#[cfg(feature = "rocks")]
pub(super) fn new_database(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    Ok(Arc::new(crate::store::rocks::Rocks::create(&config.store)?))
}

/// This build has no database.
#[cfg(not(feature = "rocks"))]
pub(super) fn new_database(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    database(config)
}

/// The keys a vault works with, each behind its trait.
pub(super) fn keyring(config: &Config, keys: &KeyStore, now: UnixTime) -> Result<Keyring, Failure> {
    let own = |purpose| -> Result<Arc<dyn Signer>, Failure> {
        Ok(keys.current(purpose, None, Algorithm::Ed25519, now)?.signer)
    };
    let trust = keys.current(Purpose::Trust, None, Algorithm::Ed25519, now)?;
    let secret = |purpose| keys.secret(purpose);
    let slots = secret(Purpose::SlotPermutation)?;
    let slots = slots.into_iter().next().map(|(_, secret)| secret);
    let mut anchors = Vec::new();
    for algorithm in [Algorithm::Ed25519, Algorithm::P256] {
        anchors.extend(ders(&hierarchy::read_pem(&config.x509.join(hierarchy::root_file(algorithm)))?));
    }
    Ok(Keyring {
        development: match config.mode {
            Mode::Development => Development::Yes,
            Mode::Production => Development::No,
        },
        issuers: issuers(config, keys, now)?,
        log: own(Purpose::Log)?,
        status: own(Purpose::Status)?,
        receipt: own(Purpose::Receipt)?,
        show_authority: own(Purpose::ShowAuthority)?,
        trust_chain: ders(&hierarchy::read_pem(&config.x509.join(hierarchy::chain_file(&trust.info.kid)))?),
        trust: trust.signer,
        token: own(Purpose::Token)?,
        key_encryption: secret(Purpose::KeyEncryption)?,
        index: secret(Purpose::Index)?.iter().map(|(_, secret)| IndexKey::new(secret)).collect(),
        slots: slots.ok_or_else(|| Failure::refused("the key store has no secret for slots"))?,
        anchors,
        history: history(keys),
    })
}

/// Every key the vault signed with for itself, the newest of each purpose first.
fn history(keys: &KeyStore) -> Vec<OwnKey> {
    let purposes = [
        Purpose::Log,
        Purpose::Receipt,
        Purpose::ShowAuthority,
        Purpose::Status,
        Purpose::Token,
        Purpose::Trust,
    ];
    let mut infos = keys.list();
    infos.retain(|info| purposes.contains(&info.purpose) && info.not_before < end(info));
    infos.sort_by_key(|info| std::cmp::Reverse((info.not_before, info.version)));
    let own = |info: KeyInfo| {
        let (purpose, not_before, not_after) = (info.purpose, info.not_before, end(&info));
        Some(OwnKey { purpose, key: info.public?, not_before, not_after })
    };
    infos.into_iter().filter_map(own).collect()
}

/// When a key stops signing, or stopped.
fn end(info: &KeyInfo) -> UnixTime {
    info.retired.map_or(info.not_after, |retired| retired.min(info.not_after))
}

/// Departments' keys for credentials, the newest of each first. One that never signed is left out: it
/// has no x509, because making it was cut short, or was replaced before it began.
fn issuers(config: &Config, keys: &KeyStore, now: UnixTime) -> Result<Vec<IssuerKey>, Failure> {
    let mut infos: Vec<KeyInfo> = keys
        .list()
        .into_iter()
        .filter(|info| info.purpose == Purpose::Issuer && info.algorithm() == Some(Algorithm::Ed25519))
        .collect();
    infos.sort_by_key(|info| std::cmp::Reverse((info.not_before, info.version)));
    let mut issuers = Vec::with_capacity(infos.len());
    for info in infos {
        let chain = config.x509.join(hierarchy::chain_file(&info.kid));
        if info.not_before >= end(&info) || !chain.exists() {
            tracing::warn!(key.kid = info.kid, "an issuing key has no x509 or no time to sign in: left out");
            continue;
        }
        let wrong = |what: &str| Failure::refused(format!("the key `{}` {what}", info.kid));
        let owner = info.owner.as_deref().ok_or_else(|| wrong("belongs to no department"))?;
        let uscc: Uscc = owner.parse().map_err(|_| wrong("belongs to no social credit code"))?;
        let department = config.departments.iter().find(|department| department.uscc == owner);
        let public = info.public.clone().ok_or_else(|| wrong("has no public key"))?;
        let (signer, state): (Arc<dyn Signer>, _) = if info.signs_at(now) {
            (keys.signer(&info.kid)?, IssuerKeyState::Active)
        } else {
            (Arc::new(VerifyOnly(public)), IssuerKeyState::Retired)
        };
        issuers.push(IssuerKey {
            uscc,
            name_zh: department.map_or(owner, |department| &department.zh).to_owned(),
            name_en: department.map_or(owner, |department| &department.en).to_owned(),
            signer,
            chain: ders(&hierarchy::read_pem(&chain)?),
            not_before: info.not_before.seconds(),
            not_after: end(&info).seconds(),
            state,
            kid: info.kid,
        });
    }
    Ok(issuers)
}

fn ders(x509: &[X509]) -> Vec<Vec<u8>> {
    x509.iter().map(|x509| x509.der().to_vec()).collect()
}

/// A key that signs no more.
struct VerifyOnly(PublicKey);

impl Signer for VerifyOnly {
    fn public_key(&self) -> &PublicKey {
        &self.0
    }

    fn sign(&self, _: &[u8]) -> Result<Signature, SignError> {
        Err(SignError)
    }
}
