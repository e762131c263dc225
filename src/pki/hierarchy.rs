//! The whole hierarchy of an installation, in the order it is founded.
//!
//! Two chains, one of Ed25519 and one of P-256, each up to its own root, and one
//! trust leaf under the Ed25519 root. Every x509 but the roots carries its CRL and
//! OCSP address from the first day.
//!
//! `kabao init` makes the keys, calls [`found`], keeps what it returns, and then
//! takes the root keys away. Later departments come by [`department`], a new
//! authority by [`authority()`], a new trust leaf by [`trust()`].

use crate::domain::time::UnixTime;
use crate::keys::public::PublicKey;
use crate::keys::random::Random;
use crate::keys::{Algorithm, Signer};
use crate::pki::authority::{self, AuthorityError};
use crate::pki::lint;
use crate::pki::profile::{Addresses, Plan, Profile, Serial};
use crate::pki::x509::{Subject, X509};

/// What all x509 of an installation have in common.
#[derive(Clone, Copy, Debug)]
pub struct Installation<'a> {
    /// Where the public reaches the vault: `https://…`.
    pub public_url: &'a str,
    /// The operator's name, as it shall stand in roots, authorities and the trust leaf.
    pub operator: &'a str,
}

/// An x509 that signs others, with its key.
#[derive(Clone, Copy)]
pub struct Issuer<'a> {
    /// What it says of itself.
    pub x509: &'a X509,
    /// Signs with its key.
    pub signer: &'a dyn Signer,
}

/// A department, as its x509 shall name it.
#[derive(Clone, Copy, Debug)]
pub struct Department<'a> {
    /// Its unified social credit code.
    pub uscc: &'a str,
    /// Its name in Chinese, at most 64 characters.
    pub name: &'a str,
}

/// The keys of one chain to be founded.
#[derive(Clone, Copy)]
pub struct ChainKeys<'a> {
    /// Signs as the root.
    pub root: &'a dyn Signer,
    /// The root's x509 if there is one already (a root made offline, or a development root).
    pub root_x509: Option<&'a X509>,
    /// The authority's key.
    pub authority: &'a dyn Signer,
}

/// One founded chain.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The anchor.
    pub root: X509,
    /// Signs departments.
    pub authority: X509,
}

/// What is needed to found an installation.
#[derive(Clone, Copy)]
pub struct Founding<'a> {
    /// What all x509 have in common.
    pub installation: Installation<'a>,
    /// The Ed25519 keys.
    pub ed25519: ChainKeys<'a>,
    /// The P-256 keys.
    pub p256: ChainKeys<'a>,
    /// The key that shall sign the trust bundle; Ed25519.
    pub trust: &'a PublicKey,
}

/// A founded installation.
#[derive(Clone, Debug)]
pub struct Hierarchy {
    /// For credentials, the log, status and receipts.
    pub ed25519: Chain,
    /// For documents and external wallets.
    pub p256: Chain,
    /// Signs the trust bundle; under the Ed25519 root.
    pub trust: X509,
}

/// Found an installation: both chains and the trust leaf.
///
/// # Errors
/// [`AuthorityError`]; nothing has been issued that anybody knows of, so it may simply be called again.
pub fn found(
    founding: &Founding<'_>,
    random: &dyn Random,
    now: UnixTime,
) -> Result<Hierarchy, AuthorityError> {
    let installation = &founding.installation;
    let ed25519 = chain(installation, &founding.ed25519, random, now)?;
    let p256 = chain(installation, &founding.p256, random, now)?;
    let root = Issuer { x509: &ed25519.root, signer: founding.ed25519.root };
    let trust = trust(installation, root, founding.trust, random, now)?;
    Ok(Hierarchy { ed25519, p256, trust })
}

/// A root of the signer's algorithm. It names the operator.
///
/// # Errors
/// [`AuthorityError`]; nothing was issued.
pub fn root(
    operator: &str,
    signer: &dyn Signer,
    random: &dyn Random,
    now: UnixTime,
) -> Result<X509, AuthorityError> {
    let key = signer.public_key();
    let subject = subject(operator, format!("电子证照根 {}", algorithm_name(key)));
    let plan = Plan::new(Profile::Root, subject, key, None, Serial::generate(random)?, now);
    authority::sign(lint::lint(plan, None)?, signer)
}

/// An issuing authority under a root of the same algorithm.
///
/// # Errors
/// [`AuthorityError`]; nothing was issued.
pub fn authority(
    installation: &Installation<'_>,
    root: Issuer<'_>,
    key: &PublicKey,
    random: &dyn Random,
    now: UnixTime,
) -> Result<X509, AuthorityError> {
    let name = format!("电子证照签发机构 {}", algorithm_name(key));
    let subject = subject(installation.operator, name);
    issue(installation, Profile::Authority, subject, root, key, random, now)
}

/// The leaf that signs the trust bundle, under a root of the same algorithm.
///
/// # Errors
/// [`AuthorityError`]; nothing was issued.
pub fn trust(
    installation: &Installation<'_>,
    root: Issuer<'_>,
    key: &PublicKey,
    random: &dyn Random,
    now: UnixTime,
) -> Result<X509, AuthorityError> {
    let subject = subject(installation.operator, "电子证照信任清单".to_owned());
    issue(installation, Profile::Trust, subject, root, key, random, now)
}

/// A department's leaf under an authority of the same algorithm: for credentials if its key is Ed25519,
/// for documents and external wallets if it is P-256.
///
/// # Errors
/// [`AuthorityError`]; nothing was issued.
pub fn department(
    installation: &Installation<'_>,
    authority: Issuer<'_>,
    department: &Department<'_>,
    key: &PublicKey,
    random: &dyn Random,
    now: UnixTime,
) -> Result<X509, AuthorityError> {
    let profile = match key.algorithm() {
        Algorithm::Ed25519 => Profile::Issuer,
        Algorithm::P256 => Profile::Documents,
    };
    let subject = Subject {
        common_name: department.name.to_owned(),
        organisation: Some(department.name.to_owned()),
        uscc: Some(department.uscc.to_owned()),
    };
    issue(installation, profile, subject, authority, key, random, now)
}

/// The two roots of the repository's `keys/` folder. Their name says what they are.
///
/// # Errors
/// [`AuthorityError`]; nothing was issued.
pub fn development_roots(
    ed25519: &dyn Signer,
    p256: &dyn Signer,
    random: &dyn Random,
    now: UnixTime,
) -> Result<[X509; 2], AuthorityError> {
    let make = |signer| root(DEVELOPMENT_OPERATOR, signer, random, now);
    Ok([make(ed25519)?, make(p256)?])
}

fn chain(
    installation: &Installation<'_>,
    keys: &ChainKeys<'_>,
    random: &dyn Random,
    now: UnixTime,
) -> Result<Chain, AuthorityError> {
    let root = match keys.root_x509 {
        Some(root) => root.clone(),
        None => root(installation.operator, keys.root, random, now)?,
    };
    let issuer = Issuer { x509: &root, signer: keys.root };
    let authority = authority(installation, issuer, keys.authority.public_key(), random, now)?;
    Ok(Chain { root, authority })
}

fn issue(
    installation: &Installation<'_>,
    profile: Profile,
    subject: Subject,
    issuer: Issuer<'_>,
    key: &PublicKey,
    random: &dyn Random,
    now: UnixTime,
) -> Result<X509, AuthorityError> {
    let addresses = Addresses::under(installation.public_url, issuer.x509.public_key());
    let serial = Serial::generate(random)?;
    let plan = Plan::new(profile, subject, key, Some((issuer.x509, addresses)), serial, now);
    authority::sign(lint::lint(plan, Some(issuer.x509))?, issuer.signer)
}

fn subject(organisation: &str, common_name: String) -> Subject {
    Subject { common_name, organisation: Some(organisation.to_owned()), uscc: None }
}

fn algorithm_name(key: &PublicKey) -> &'static str {
    match key.algorithm() {
        Algorithm::Ed25519 => "Ed25519",
        Algorithm::P256 => "P-256",
    }
}

/// The organisation of the development roots.
pub const DEVELOPMENT_OPERATOR: &str = "卡包开发环境 (not for production)";

#[cfg(test)]
pub(super) mod tests;
