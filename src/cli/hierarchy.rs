//! The keys and x509 of a vault: made once by `kabao init`, extended by `kabao keys`.
//!
//! # Order of writes
//!
//! Keys first, then the x509 that speak of them. A crash between leaves keys without
//! x509, which no vault uses; `init` is then begun again in an empty directory.

use std::fs;
use std::path::Path;

use super::config::{Config, Organisation, write_whole};
use super::report::Failure;
use crate::domain::time::UnixTime;
use crate::keys::development::{self, Development};
use crate::keys::soft::{KeyInfo, KeyStore, NewKey, Passphrase};
use crate::keys::{Algorithm, Purpose, Random};
use crate::pki::hierarchy::{self, ChainKeys, Department, Founding, Installation, Issuer};
use crate::pki::x509::X509;

/// Makes every key and x509 of a new vault.
pub(super) fn found(
    store: &KeyStore,
    config: &Config,
    random: &dyn Random,
    now: UnixTime,
) -> Result<(), Failure> {
    fs::create_dir_all(&config.x509).map_err(|error| Failure::file(&config.x509, &error))?;
    let mut roots = Vec::new();
    for algorithm in ALGORITHMS {
        roots.push(match store.development() {
            Development::Yes => Some(adopt_root(store, algorithm, random)?),
            Development::No => {
                store.generate(&NewKey::usual(Purpose::Root, algorithm, None, now), random, now)?;
                None
            }
        });
        store.generate(&NewKey::usual(Purpose::Authority, algorithm, None, now), random, now)?;
    }
    for purpose in OWN {
        store.generate(&NewKey::usual(purpose, Algorithm::Ed25519, None, now), random, now)?;
    }
    for purpose in SECRETS {
        store.generate_secret(purpose, random, now)?;
    }
    let signer = |purpose, algorithm| store.current(purpose, None, algorithm, now);
    let root = |algorithm| -> Result<_, Failure> {
        let root = store
            .list()
            .into_iter()
            .find(|info| info.purpose == Purpose::Root && info.algorithm() == Some(algorithm));
        let root = root.ok_or_else(|| Failure::refused("the key store has no root"))?;
        Ok(store.signer(&root.kid)?)
    };
    let (ed_root, p256_root) = (root(Algorithm::Ed25519)?, root(Algorithm::P256)?);
    let (ed, p256) =
        (signer(Purpose::Authority, Algorithm::Ed25519)?, signer(Purpose::Authority, Algorithm::P256)?);
    let trust = signer(Purpose::Trust, Algorithm::Ed25519)?;
    let founded = hierarchy::found(
        &Founding {
            installation: installation(config),
            ed25519: ChainKeys {
                root: ed_root.as_ref(),
                root_x509: roots[0].as_ref(),
                authority: ed.signer.as_ref(),
            },
            p256: ChainKeys {
                root: p256_root.as_ref(),
                root_x509: roots[1].as_ref(),
                authority: p256.signer.as_ref(),
            },
            trust: trust.signer.public_key(),
        },
        random,
        now,
    )?;
    let x509 = &config.x509;
    write_pem(&x509.join(root_file(Algorithm::Ed25519)), &[&founded.ed25519.root])?;
    write_pem(&x509.join(root_file(Algorithm::P256)), &[&founded.p256.root])?;
    write_pem(&x509.join(authority_file(Algorithm::Ed25519)), &[&founded.ed25519.authority])?;
    write_pem(&x509.join(authority_file(Algorithm::P256)), &[&founded.p256.authority])?;
    write_pem(&x509.join(chain_file(&trust.info.kid)), &[&founded.trust])?;
    for department in &config.departments {
        add_department(store, config, department, random, now)?;
    }
    Ok(())
}

/// Makes a department's issuing keys with their x509: Ed25519 for credentials, P-256 for documents.
pub(super) fn add_department(
    store: &KeyStore,
    config: &Config,
    department: &Organisation,
    random: &dyn Random,
    now: UnixTime,
) -> Result<(), Failure> {
    for algorithm in ALGORITHMS {
        let wanted = NewKey::usual(Purpose::Issuer, algorithm, Some(&department.uscc), now);
        let info = store.generate(&wanted, random, now)?;
        certify(store, config, &department.zh, &info, random, now)?;
    }
    Ok(())
}

/// Makes the x509 of a department's key and keeps its chain.
pub(super) fn certify(
    store: &KeyStore,
    config: &Config,
    name: &str,
    info: &KeyInfo,
    random: &dyn Random,
    now: UnixTime,
) -> Result<(), Failure> {
    let (Some(key), Some(uscc)) = (&info.public, &info.owner) else {
        return Err(Failure::refused("only a department's signing key has an x509"));
    };
    let algorithm = key.algorithm();
    let authority = store.current(Purpose::Authority, None, algorithm, now)?;
    let x509 = read_pem(&config.x509.join(authority_file(algorithm)))?;
    let authority_x509 = x509.first().ok_or_else(|| Failure::refused("the authority has no x509"))?;
    let issuer = Issuer { x509: authority_x509, signer: authority.signer.as_ref() };
    let department = Department { uscc, name };
    let leaf = hierarchy::department(&installation(config), issuer, &department, key, random, now)?;
    write_pem(&config.x509.join(chain_file(&info.kid)), &[&leaf, authority_x509])
}

/// Makes the x509 of a new trust key, under the Ed25519 root.
pub(super) fn certify_trust(
    store: &KeyStore,
    config: &Config,
    info: &KeyInfo,
    random: &dyn Random,
    now: UnixTime,
) -> Result<(), Failure> {
    let Some(key) = &info.public else { return Err(Failure::refused("a secret has no x509")) };
    let root = store.current(Purpose::Root, None, Algorithm::Ed25519, now).map_err(|error| {
        Failure::from(error).hint("put the root's key file back into the key store for as long as this takes")
    })?;
    let x509 = read_pem(&config.x509.join(root_file(Algorithm::Ed25519)))?;
    let root_x509 = x509.first().ok_or_else(|| Failure::refused("the root has no x509"))?;
    let issuer = Issuer { x509: root_x509, signer: root.signer.as_ref() };
    let leaf = hierarchy::trust(&installation(config), issuer, key, random, now)?;
    write_pem(&config.x509.join(chain_file(&info.kid)), &[&leaf])
}

/// The x509 of a PEM file, in their order.
pub(super) fn read_pem(path: &Path) -> Result<Vec<X509>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    let parts = text.split_inclusive(PEM_END).filter(|part| part.contains(PEM_BEGIN));
    let x509: Result<Vec<X509>, _> = parts.take(CHAIN_MAX).map(X509::from_pem).collect();
    let x509 = x509.map_err(|error| Failure::refused(format!("`{}`: {error}", path.display())))?;
    if x509.is_empty() {
        return Err(Failure::refused(format!("`{}` holds no x509 in PEM", path.display())));
    }
    Ok(x509)
}

/// Name of the file of a key's chain.
pub(super) fn chain_file(kid: &str) -> String {
    format!("{kid}.pem")
}

/// Name of the file of a root.
pub(super) fn root_file(algorithm: Algorithm) -> String {
    format!("root-{}.pem", algorithm.name())
}

/// Name of the file of an authority.
pub(super) fn authority_file(algorithm: Algorithm) -> String {
    format!("authority-{}.pem", algorithm.name())
}

fn installation(config: &Config) -> Installation<'_> {
    Installation { public_url: &config.url, operator: &config.operator }
}

fn adopt_root(store: &KeyStore, algorithm: Algorithm, random: &dyn Random) -> Result<X509, Failure> {
    let root = development::ROOTS.iter().find(|root| root.algorithm == algorithm);
    let root = root.ok_or_else(|| Failure::refused("there is no development root of this algorithm"))?;
    store.adopt(root.key_file, &Passphrase::new(development::PASSPHRASE.into()), random)?;
    Ok(X509::from_pem(root.x509_pem)?)
}

fn write_pem(path: &Path, x509: &[&X509]) -> Result<(), Failure> {
    let text: String = x509.iter().map(|x509| x509.pem()).collect();
    write_whole(path, text.as_bytes())
}

/// Both chains.
const ALGORITHMS: [Algorithm; 2] = [Algorithm::Ed25519, Algorithm::P256];

/// The vault's own signing keys.
const OWN: [Purpose; 6] =
    [Purpose::Trust, Purpose::Log, Purpose::Status, Purpose::ShowAuthority, Purpose::Receipt, Purpose::Token];

/// The vault's secrets.
const SECRETS: [Purpose; 3] = [Purpose::KeyEncryption, Purpose::Index, Purpose::SlotPermutation];

const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const PEM_END: &str = "-----END CERTIFICATE-----";

/// x509 read from one file. Our own choice; chains have two or three.
const CHAIN_MAX: usize = 16;
