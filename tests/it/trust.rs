//! Whom verifiers believe: the trust bundle, and keys that took another's place.

use std::sync::Arc;

use kabao::keys::random::SeededRandom;
use kabao::keys::soft::SoftSigner;
use kabao::keys::{Algorithm, Purpose, Signer};
use kabao::pki::trust::{Anchoring, TrustBundle, Types, UnverifiedBundle};
use kabao::pki::x509::X509;
use kabao::vault::Vault;
use kabao::vault::guard::{Caller, Role};
use kabao::vault::keyring::OwnKey;
use kabao::vault::registry::Allowed;
use kabao::vault::token::{self, Subject, TokenError};

use crate::world::{self, DEPARTMENT, World};

fn bundle(vault: &Vault) -> TrustBundle {
    let anchors = [X509::from_der(&vault.keyring().anchors[0]).unwrap()];
    let unverified = UnverifiedBundle::parse(&vault.trust_bundle().unwrap()).unwrap();
    unverified.verify(&Anchoring::Anchors(&anchors), vault.now()).unwrap().content().clone()
}

fn administrator() -> Caller {
    Caller { id: "admin".into(), role: Role::SecurityAdministrator, organisation: None, holder: None }
}

fn types(bundle: &TrustBundle) -> Types {
    bundle.issuers.iter().find(|issuer| issuer.uscc == DEPARTMENT).unwrap().keys[0].types.clone()
}

/// A key of before, known in the keyring until `seconds` after now.
fn rotated(world: &mut World, purpose: Purpose, seconds: i64) -> SoftSigner {
    let now = kabao::vault::clock::Clock::now(world.clock.as_ref());
    let (old, _) = SoftSigner::generate(Algorithm::Ed25519, &SeededRandom::danger_seeded(99)).unwrap();
    let keyring = Arc::get_mut(&mut world.keyring).unwrap();
    keyring.history.push(OwnKey {
        purpose,
        key: old.public_key().clone(),
        not_before: now.minus(3600),
        not_after: now.plus(seconds),
    });
    old
}

#[test]
fn the_bundle_stays_the_same_until_registrations_change_or_an_hour_has_passed() {
    let world = World::default();
    let vault = world.open();
    let first = bundle(&vault);
    world.clock.advance(60);
    assert_eq!(bundle(&vault).version, first.version);
    assert_eq!(bundle(&vault).issued_at, first.issued_at);
    // Two changes in one second are two versions.
    let registration = vault.registration(&world::officer().id).unwrap().unwrap();
    vault.register(&administrator(), registration.clone()).unwrap();
    let second = bundle(&vault);
    vault.register(&administrator(), registration).unwrap();
    let third = bundle(&vault);
    assert!(first.version < second.version && second.version < third.version);
    world.clock.advance(3600);
    assert!(bundle(&vault).version > third.version);
}

#[test]
fn only_officers_of_a_department_give_its_key_types_and_one_withdrawn_takes_none_away() {
    let world = World::default();
    let vault = world.open();
    let before = types(&bundle(&vault));
    let officer = vault.registration(&world::officer().id).unwrap().unwrap();
    // An agency's clerk in the same organisation, for whom types mean nothing.
    let mut clerk = officer.clone();
    (clerk.id, clerk.role, clerk.types) = ("clerk-of-the-office".into(), Role::Clerk, Allowed::All);
    let mut narrow = officer.clone();
    narrow.types = Allowed::Only(vec!["driving_licence".into()]);
    vault.register(&administrator(), clerk).unwrap();
    vault.register(&administrator(), narrow.clone()).unwrap();
    let Types::Only(codes) = types(&bundle(&vault)) else { panic!("a clerk gave the key all types") };
    assert_eq!(codes.len(), 1);
    vault.withdraw_registration(&administrator(), &narrow.id).unwrap();
    assert_eq!(types(&bundle(&vault)), Types::Only(codes));
    vault.register(&administrator(), officer).unwrap();
    assert_eq!(types(&bundle(&vault)), before);
}

#[test]
fn a_key_that_was_replaced_stands_in_the_bundle_with_its_time() {
    let mut world = World::default();
    let old = rotated(&mut world, Purpose::Status, 0);
    let vault = world.open();
    let bundle = bundle(&vault);
    assert_eq!(bundle.status_keys.len(), 2);
    assert_eq!(bundle.status_keys[0].key, *vault.keyring().status.public_key());
    assert_eq!(bundle.status_keys[1].key, *old.public_key());
    assert_eq!(bundle.status_keys[1].not_after, vault.now());
    assert_eq!(bundle.receipt_keys.len(), 1);
}

#[test]
fn a_token_outlives_its_key_by_its_own_life_and_no_more() {
    let mut world = World::default();
    let old = rotated(&mut world, Purpose::Token, 1);
    let vault = world.open();
    let subject = Subject::Registration(world::officer().id);
    let url = &world::settings().url;
    let mint = || {
        let index = &vault.keyring().index[0];
        token::mint(&old, index, url, &subject, vault.now(), 900).unwrap().token
    };
    let before = mint();
    assert!(vault.admit_token(&before).is_ok());
    world.clock.advance(2);
    assert!(vault.admit_token(&before).is_ok());
    // What the old key signs after its end is nothing.
    assert_eq!(vault.admit_token(&mint()).err(), Some(TokenError::Refused));
    world.clock.advance(900);
    assert_eq!(vault.admit_token(&before).err(), Some(TokenError::Refused));
}

#[test]
fn an_offline_code_certified_under_the_authority_of_before_is_good_for_its_time() {
    let mut world = World::default();
    let old = rotated(&mut world, Purpose::ShowAuthority, 0);
    let vault = world.open();
    let bundle = bundle(&vault);
    let former = bundle.show_authority_keys.iter().find(|key| key.key == *old.public_key()).unwrap();
    // A show key begins a minute before it is made, and was made up to this moment.
    assert_eq!(former.not_before, vault.now().minus(3660));
    assert!(vault.now().plus(300) <= former.not_after);
}
