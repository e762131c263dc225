//! Each rule refuses what breaks it, and only that.

use super::*;
use crate::keys::Signer;
use crate::keys::random::SeededRandom;
use crate::keys::soft::SoftSigner;
use crate::pki::hierarchy::{self, Installation, Issuer};
use crate::pki::profile::Serial;

/// A root, an authority under it, and good plans to be spoiled.
struct World {
    root: X509,
    authority: X509,
}

const SERIAL: Serial = Serial::from_bytes(*b"@abcdefghijklmnopqrs");

fn now() -> UnixTime {
    UnixTime::clamped(1_800_000_000)
}

impl World {
    fn new() -> Self {
        let random = SeededRandom::danger_seeded(1);
        let signer = SoftSigner::ed25519(&[1; 32]);
        let root = hierarchy::root("测试机构", &signer, &random, now()).unwrap();
        let installation = Installation { public_url: "https://kabao.example", operator: "测试机构" };
        let issuer = Issuer { x509: &root, signer: &signer };
        let key = SoftSigner::ed25519(&[2; 32]).public_key().clone();
        let authority = hierarchy::authority(&installation, issuer, &key, &random, now()).unwrap();
        Self { root, authority }
    }

    fn issuer_of(&self, profile: Profile) -> Option<&X509> {
        match profile {
            Profile::Root => None,
            Profile::Authority | Profile::Trust => Some(&self.root),
            Profile::Issuer | Profile::Documents => Some(&self.authority),
        }
    }

    fn plan(&self, profile: Profile) -> Plan {
        let issuer = self.issuer_of(profile);
        let issuer = issuer.map(|x509| (x509, Addresses::under("https://kabao.example/", x509.public_key())));
        let subject = Subject {
            common_name: "名称".to_owned(),
            organisation: Some("机构".to_owned()),
            uscc: (profile == Profile::Issuer).then(|| "91350100M000100Y43".to_owned()),
        };
        let key = SoftSigner::ed25519(&[3; 32]).public_key().clone();
        Plan::new(profile, subject, &key, issuer, SERIAL, now())
    }

    #[track_caller]
    fn check(&self, profile: Profile, spoil: impl FnOnce(&mut Plan), expected: Result<(), LintError>) {
        let mut plan = self.plan(profile);
        spoil(&mut plan);
        let actual = lint(plan.clone(), self.issuer_of(profile)).map(|_| ());
        assert_eq!(actual, expected, "{plan:?}");
    }
}

#[test]
fn what_a_profile_plans_is_good() {
    let world = World::new();
    for profile in [Profile::Root, Profile::Authority, Profile::Issuer, Profile::Trust] {
        world.check(profile, |_| {}, Ok(()));
    }
}

#[test]
fn a_serial_number_is_20_random_octets_and_positive() {
    let world = World::new();
    for bad in [[0; 20], [0x41; 20], *b"\x80abcdefghijklmnopqrs", *b"\x3fabcdefghijklmnopqrs"] {
        let spoil = |plan: &mut Plan| plan.serial = Serial::from_bytes(bad);
        world.check(Profile::Issuer, spoil, Err(LintError::Serial));
    }
}

#[test]
fn a_subject_is_named_and_only_departments_have_a_code() {
    let world = World::new();
    for bad in ["", " x", "x\n", "x\0y", &"长".repeat(65)] {
        let spoil = |plan: &mut Plan| plan.subject.common_name = bad.to_owned();
        world.check(Profile::Issuer, spoil, Err(LintError::Subject));
    }
    let spoil = |plan: &mut Plan| plan.subject.common_name = "长".repeat(64);
    world.check(Profile::Issuer, spoil, Ok(()));
    for bad in [None, Some("91350100m000100y43"), Some("9135"), Some("统一社会信用代")] {
        let spoil = |plan: &mut Plan| plan.subject.uscc = bad.map(str::to_owned);
        world.check(Profile::Issuer, spoil, Err(LintError::Subject));
    }
    let spoil = |plan: &mut Plan| plan.subject.uscc = Some("91350100M000100Y43".to_owned());
    world.check(Profile::Trust, spoil, Err(LintError::Subject));
    world.check(Profile::Root, |plan| plan.subject.organisation = None, Err(LintError::Subject));
}

#[test]
fn usage_flag_and_path_length_fit_the_profile() {
    let world = World::new();
    let wrong = Err(LintError::KeyUsage);
    world.check(Profile::Issuer, |plan| plan.standing = Standing::Authority { path_length: 0 }, wrong);
    world.check(Profile::Issuer, |plan| plan.key_usage.push(KeyUsage::KeyCertSign), wrong);
    world.check(Profile::Issuer, |plan| plan.key_usage.clear(), wrong);
    world.check(Profile::Issuer, |plan| plan.leaf_use = None, wrong);
    world.check(Profile::Issuer, |plan| plan.leaf_use = Some(LeafUse::TrustList), wrong);
    world.check(Profile::Trust, |plan| plan.leaf_use = Some(LeafUse::DocumentSigning), wrong);
    world.check(Profile::Authority, |plan| plan.standing = Standing::Leaf, wrong);
    world.check(Profile::Authority, |plan| plan.standing = Standing::Authority { path_length: 1 }, wrong);
    world.check(Profile::Authority, |plan| plan.leaf_use = Some(LeafUse::DocumentSigning), wrong);
    world.check(Profile::Authority, |plan| plan.key_usage.push(KeyUsage::DigitalSignature), wrong);
}

#[test]
fn validity_lies_within_the_issuer_s_and_is_not_endless() {
    let world = World::new();
    let wrong = Err(LintError::Validity);
    world.check(Profile::Issuer, |plan| plan.not_after = plan.not_before, wrong);
    world.check(Profile::Issuer, |plan| plan.not_before = now().minus(1), wrong);
    world.check(Profile::Issuer, |plan| plan.not_after = world.authority.not_after().plus(1), wrong);
    world.check(Profile::Issuer, |plan| plan.not_after = now().plus(6 * YEAR), Err(LintError::Lifetime));
    world.check(Profile::Root, |plan| plan.not_after = now().plus(31 * YEAR), Err(LintError::Lifetime));
}

#[test]
fn all_but_roots_say_where_their_revocation_is_told() {
    let world = World::new();
    world.check(Profile::Issuer, |plan| plan.addresses = None, Err(LintError::Addresses));
    let addresses = world.plan(Profile::Issuer).addresses;
    world.check(Profile::Root, |plan| plan.addresses = addresses, Err(LintError::Addresses));
    for bad in ["", "/pki/ocsp", "ftp://x/", "https://", "https:///x", "https://x y/", "https://例/ocsp"] {
        let spoil = |plan: &mut Plan| {
            if let Some(addresses) = &mut plan.addresses {
                addresses.ocsp = bad.to_owned();
            }
        };
        world.check(Profile::Issuer, spoil, Err(LintError::Addresses));
    }
}

#[test]
fn only_the_right_issuer_may_sign_and_never_for_its_own_key() {
    let world = World::new();
    for (profile, issuer) in [
        (Profile::Issuer, Some(&world.root)),
        (Profile::Authority, Some(&world.authority)),
        (Profile::Trust, Some(&world.authority)),
        (Profile::Root, Some(&world.root)),
        (Profile::Issuer, None),
    ] {
        let actual = lint(world.plan(profile), issuer).err();
        assert_eq!(actual, Some(LintError::Issuer), "{profile:?}");
    }
    let key = world.authority.public_key().clone();
    world.check(Profile::Issuer, |plan| plan.public_key = key, Err(LintError::SameKey));
}

#[test]
fn a_chain_keeps_to_one_algorithm() {
    let world = World::new();
    let (p256, _) = SoftSigner::generate(Algorithm::P256, &SeededRandom::danger_seeded(1)).unwrap();
    let key = p256.public_key().clone();
    world.check(Profile::Issuer, |plan| plan.public_key = key, Err(LintError::Algorithm));
    let mut plan = world.plan(Profile::Issuer);
    plan.profile = Profile::Documents;
    plan.key_usage.push(KeyUsage::ContentCommitment);
    assert_eq!(lint(plan, Some(&world.authority)).err(), Some(LintError::Algorithm));
}
