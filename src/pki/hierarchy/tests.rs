//! A founded installation is believed by others too.

use std::path::Path;
use std::process::Command;

use super::*;
use crate::keys::development::{self, Development};
use crate::keys::random::SystemRandom;
use crate::keys::soft::{KeyStore, Passphrase, SoftSigner};
use crate::pki::chain;
use crate::pki::leaf_use::LeafUse;
use crate::pki::x509::Standing;

/// An installation with one department. Also used by the tests of chains and of the trust bundle.
pub(in crate::pki) struct World {
    pub(in crate::pki) random: SystemRandom,
    pub(in crate::pki) root: [SoftSigner; 2],
    pub(in crate::pki) authority: [SoftSigner; 2],
    pub(in crate::pki) department: [SoftSigner; 2],
    pub(in crate::pki) trust: SoftSigner,
    pub(in crate::pki) hierarchy: Hierarchy,
    pub(in crate::pki) leaves: [X509; 2],
}

pub(in crate::pki) const USCC: &str = "91350100M000100Y43";

const INSTALLATION: Installation<'_> =
    Installation { public_url: "https://kabao.example", operator: "重庆市大数据应用发展管理局" };

pub(in crate::pki) fn now() -> UnixTime {
    UnixTime::clamped(1_800_000_000)
}

impl World {
    pub(in crate::pki) fn new() -> Self {
        let random = SystemRandom::new();
        let pair =
            || [Algorithm::Ed25519, Algorithm::P256].map(|a| SoftSigner::generate(a, &random).unwrap().0);
        let [root, authority, department] = [pair(), pair(), pair()];
        let [trust, _] = pair();
        let chain =
            |index: usize| ChainKeys { root: &root[index], root_x509: None, authority: &authority[index] };
        let founding = Founding {
            installation: INSTALLATION,
            ed25519: chain(0),
            p256: chain(1),
            trust: trust.public_key(),
        };
        let hierarchy = found(&founding, &random, now()).unwrap();
        let leaf = |index: usize, chain: &Chain| {
            let issuer = Issuer { x509: &chain.authority, signer: &authority[index] };
            let named = Department { uscc: USCC, name: "重庆市公安局" };
            super::department(&INSTALLATION, issuer, &named, department[index].public_key(), &random, now())
        };
        let leaves = [leaf(0, &hierarchy.ed25519).unwrap(), leaf(1, &hierarchy.p256).unwrap()];
        Self { random, root, authority, department, trust, hierarchy, leaves }
    }

    pub(in crate::pki) fn anchors(&self) -> Vec<X509> {
        vec![self.hierarchy.ed25519.root.clone(), self.hierarchy.p256.root.clone()]
    }

    /// Leaf first, without the root.
    pub(in crate::pki) fn chain(&self, index: usize) -> Vec<X509> {
        let authority = [&self.hierarchy.ed25519.authority, &self.hierarchy.p256.authority][index];
        vec![self.leaves[index].clone(), authority.clone()]
    }
}

#[test]
fn both_chains_lead_from_the_department_to_their_own_root() {
    let world = World::new();
    for index in 0..2 {
        let verified =
            chain::validate(&world.chain(index), &world.anchors(), LeafUse::DocumentSigning, now()).unwrap();
        assert_eq!(verified.uscc(), Some(USCC));
        assert_eq!(verified.leaf().public_key(), world.department[index].public_key());
        assert_eq!(verified.anchor().public_key(), world.root[index].public_key());
        assert!(!verified.is_for_development());
    }
    assert_eq!(world.hierarchy.ed25519.root.standing(), Standing::Authority { path_length: 1 });
}

#[test]
fn a_leaf_never_outlives_its_authority() {
    let world = World::new();
    let authority = &world.hierarchy.ed25519.authority;
    let late = authority.not_after().minus(86_400);
    let issuer = Issuer { x509: authority, signer: &world.authority[0] };
    let named = Department { uscc: USCC, name: "重庆市公安局" };
    let key = SoftSigner::ed25519(&[1; 32]).public_key().clone();
    let leaf = department(&INSTALLATION, issuer, &named, &key, &world.random, late).unwrap();
    assert_eq!(leaf.not_after(), authority.not_after());
}

#[test]
fn an_existing_root_founds_a_second_installation() {
    let world = World::new();
    let chain = |index: usize, root| ChainKeys {
        root: &world.root[index],
        root_x509: Some(root),
        authority: &world.authority[index],
    };
    let founding = Founding {
        installation: INSTALLATION,
        ed25519: chain(0, &world.hierarchy.ed25519.root),
        p256: chain(1, &world.hierarchy.p256.root),
        trust: world.trust.public_key(),
    };
    let again = found(&founding, &world.random, now()).unwrap();
    assert_eq!(again.ed25519.root, world.hierarchy.ed25519.root);
    assert_ne!(again.ed25519.authority.serial(), world.hierarchy.ed25519.authority.serial());
}

/// Another implementation agrees. Says so and stops where OpenSSL is not installed.
#[test]
fn openssl_verifies_both_chains() {
    let openssl = |arguments: &[&str], directory: &Path| {
        Command::new("openssl").args(arguments).current_dir(directory).output()
    };
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    if openssl(&["version"], directory.path()).is_err() {
        return;
    }
    let keep = |name: &str, x509: &X509| std::fs::write(directory.path().join(name), x509.pem()).unwrap();
    let at = now().seconds().to_string();
    for (index, chain) in [&world.hierarchy.ed25519, &world.hierarchy.p256].into_iter().enumerate() {
        keep("root.pem", &chain.root);
        keep("authority.pem", &chain.authority);
        keep("leaf.pem", &world.leaves[index]);
        let arguments = ["verify", "-x509_strict", "-attime", &at, "-CAfile", "root.pem", "-untrusted"];
        let output = openssl(&[&arguments[..], &["authority.pem", "leaf.pem"]].concat(), directory.path());
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let show = ["x509", "-in", "leaf.pem", "-noout", "-text", "-nameopt", "utf8,sep_comma_plus"];
    let text = String::from_utf8(openssl(&show, directory.path()).unwrap().stdout).unwrap();
    for expected in [
        "CN=重庆市公安局",
        "USCC:91350100M000100Y43",
        "URI:https://kabao.example/pki/crl/",
        "OCSP - URI:https://kabao.example/pki/ocsp",
        "Digital Signature, Non Repudiation",
        "1.3.6.1.5.5.7.3.36",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
}

#[test]
fn the_published_development_roots_found_an_installation_that_is_known_as_such() {
    let random = SystemRandom::new();
    let passphrase = Passphrase::new(development::PASSPHRASE.into());
    let directory = tempfile::tempdir().unwrap();
    let store = KeyStore::create(directory.path(), &passphrase, Development::Yes, &random, now()).unwrap();
    let adopt = |index: usize| {
        let root = development::ROOTS[index];
        let info = store.adopt(root.key_file, &passphrase, &random).unwrap();
        let x509 = X509::from_pem(root.x509_pem).unwrap();
        assert_eq!(info.public.as_ref(), Some(x509.public_key()));
        assert!(x509.is_self_issued() && x509.is_signed_with(x509.public_key()));
        assert_eq!(x509.subject().organisation.as_deref(), Some(DEVELOPMENT_OPERATOR));
        (store.signer(&info.kid).unwrap(), x509)
    };
    let roots = [adopt(0), adopt(1)];
    let world = World::new();
    let chain = |index: usize| ChainKeys {
        root: &*roots[index].0,
        root_x509: Some(&roots[index].1),
        authority: &world.authority[index],
    };
    let founding = Founding {
        installation: INSTALLATION,
        ed25519: chain(0),
        p256: chain(1),
        trust: world.trust.public_key(),
    };
    let hierarchy = found(&founding, &random, now()).unwrap();
    let trust = std::slice::from_ref(&hierarchy.trust);
    let verified = chain::validate(trust, &[roots[0].1.clone()], LeafUse::TrustList, now()).unwrap();
    assert!(verified.is_for_development());
}
