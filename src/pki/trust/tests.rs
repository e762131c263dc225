//! A bundle is believed from its signer, for its keys, and never backwards.

use super::*;
use crate::keys::soft::SoftSigner;
use crate::pki::hierarchy::tests::{USCC, World, now};

fn bundle(world: &World) -> TrustBundle {
    let key = |index: usize| IssuerKey {
        key: world.department[index].public_key().clone(),
        x509: world.chain(index),
        types: if index == 0 { Types::All } else { Types::Only(BTreeSet::from(["1".to_owned()])) },
        not_before: now(),
        not_after: now().plus(1000),
        retired_at: None,
        compromised_since: None,
    };
    let own =
        TrustedKey { key: world.trust.public_key().clone(), not_before: now(), not_after: now().plus(1000) };
    TrustBundle {
        version: 7,
        issued_at: now(),
        origin: "https://kabao.example".to_owned(),
        development: Development::No,
        anchors: world.anchors(),
        issuers: vec![TrustedIssuer {
            uscc: USCC.to_owned(),
            name_zh: "重庆市公安局".to_owned(),
            name_en: "Chongqing Public Security Bureau".to_owned(),
            keys: vec![key(0), key(1)],
        }],
        log: TrustedLog { origin: "kabao.example/log/0".to_owned(), vkey: "…".to_owned() },
        status_keys: vec![own.clone()],
        receipt_keys: vec![own],
        show_authority_keys: vec![],
        status_base: "https://kabao.example/status/".to_owned(),
        type_versions: BTreeMap::from([("1".to_owned(), 3)]),
    }
}

fn signed(world: &World, bundle: &TrustBundle) -> Result<String, TrustError> {
    bundle.sign(&world.trust, std::slice::from_ref(&world.hierarchy.trust))
}

#[test]
fn a_signed_bundle_says_what_was_signed() {
    let world = World::new();
    let text = signed(&world, &bundle(&world)).unwrap();
    let verified =
        UnverifiedBundle::parse(&text).unwrap().verify(&Anchoring::Anchors(&world.anchors()), now()).unwrap();
    assert_eq!(*verified.content(), bundle(&world));
    assert_eq!(verified.signer(), world.trust.public_key());
    assert!(!verified.is_for_development());
    let kid = world.department[0].public_key().kid();
    assert!(verified.issuer_key(USCC, &kid).is_some());
    assert!(verified.issuer_key("91350100M000100Y44", &kid).is_none());
    assert!(verified.issuer_key(USCC, "x").is_none());
}

#[test]
fn a_bundle_is_believed_only_from_its_anchors_or_its_pinned_key() {
    let world = World::new();
    let text = signed(&world, &bundle(&world)).unwrap();
    let verify = |anchoring: &Anchoring<'_>, at| {
        UnverifiedBundle::parse(&text).unwrap().verify(anchoring, at).map(|_| ())
    };
    let other = World::new();
    let kid = world.trust.public_key().kid();
    assert_eq!(verify(&Anchoring::Key(&kid), now()), Ok(()));
    assert_eq!(verify(&Anchoring::Key(&other.trust.public_key().kid()), now()), Err(TrustError::Pin));
    let error = verify(&Anchoring::Anchors(&other.anchors()), now());
    assert_eq!(error, Err(TrustError::Signer(ChainError::Signature)));
    assert_eq!(verify(&Anchoring::Key(&kid), now().minus(301)), Err(TrustError::FromTheFuture));
}

#[test]
fn a_department_cannot_sign_a_bundle() {
    let world = World::new();
    let error = bundle(&world).sign(&world.department[0], &world.chain(0)).unwrap_err();
    assert_eq!(error, TrustError::Signer(ChainError::Use));
    let error = bundle(&world).sign(&world.department[0], std::slice::from_ref(&world.hierarchy.trust));
    assert_eq!(error.unwrap_err(), TrustError::Jws(JwsError::Key));
}

#[test]
fn no_bundle_goes_out_whose_keys_nobody_could_believe() {
    let world = World::new();
    let check = |spoil: &dyn Fn(&mut TrustBundle), expected| {
        let mut bundle = bundle(&world);
        spoil(&mut bundle);
        assert_eq!(signed(&world, &bundle).unwrap_err(), expected);
    };
    check(&|bundle| bundle.issuers.push(bundle.issuers[0].clone()), TrustError::Duplicate);
    check(
        &|bundle| {
            let mut again = bundle.issuers[0].clone();
            again.uscc = "91350100M000100Y44".to_owned();
            bundle.issuers.push(again);
        },
        TrustError::Duplicate,
    );
    check(&|bundle| bundle.issuers[0].uscc.push('x'), TrustError::IssuerMismatch);
    check(&|bundle| bundle.issuers[0].keys[0].not_after = now().plus(1 << 30), TrustError::IssuerMismatch);
    let other = SoftSigner::ed25519(&[5; 32]);
    check(&|bundle| bundle.issuers[0].keys[0].key = other.public_key().clone(), TrustError::IssuerMismatch);
    check(&|bundle| bundle.issuers[0].keys[0].x509.truncate(1), TrustError::Issuer(ChainError::Untrusted));
    check(&|bundle| bundle.issuers[0].keys[0].x509.clear(), TrustError::Issuer(ChainError::Empty));
}

#[test]
fn a_bundle_never_goes_back() {
    let world = World::new();
    let text = signed(&world, &bundle(&world)).unwrap();
    let verified =
        UnverifiedBundle::parse(&text).unwrap().verify(&Anchoring::Anchors(&world.anchors()), now()).unwrap();
    assert!(verified.clone().at_least(7).is_ok());
    assert_eq!(verified.at_least(8).unwrap_err(), TrustError::Older { seen: 8 });
}

#[test]
fn a_key_counts_on_the_days_it_signed_and_not_once_it_was_lost() {
    let world = World::new();
    let mut key = bundle(&world).issuers[0].keys[0].clone();
    let on = |key: &IssuerKey, seconds| key.on(now().plus(seconds));
    assert_eq!(key.on(now().minus(1)), KeyDay::NotYet);
    assert_eq!((on(&key, 0), on(&key, 999), on(&key, 1000)), (KeyDay::Good, KeyDay::Good, KeyDay::Over));
    key.retired_at = Some(now().plus(500));
    assert_eq!((on(&key, 499), on(&key, 500)), (KeyDay::Good, KeyDay::Over));
    key.compromised_since = Some(now().plus(300));
    assert_eq!(
        (on(&key, 299), on(&key, 300), on(&key, 2000)),
        (KeyDay::Good, KeyDay::Compromised, KeyDay::Compromised)
    );
    let documents = &bundle(&world).issuers[0].keys[1];
    assert!(documents.may_sign("1") && !documents.may_sign("2") && key.may_sign("2"));
}

#[test]
fn a_key_of_the_installation_is_found_in_its_time_only() {
    let world = World::new();
    let keys = bundle(&world).status_keys;
    let kid = keys[0].key.kid();
    assert!(TrustedKey::find(&keys, &kid, now()).is_some());
    assert!(TrustedKey::find(&keys, &kid, now().plus(1000)).is_none());
    assert!(TrustedKey::find(&keys, "x", now()).is_none());
}
