//! A chain is believed only whole, in time, and for its use.

use super::*;
use crate::keys::soft::SoftSigner;
use crate::pki::hierarchy::tests::{World, now};
use crate::pki::hierarchy::{self, Installation, Issuer};

#[track_caller]
fn check(chain: &[X509], anchors: &[X509], usage: LeafUse, at: UnixTime, expected: Result<(), ChainError>) {
    assert_eq!(validate(chain, anchors, usage, at).map(|_| ()), expected);
}

#[test]
fn a_chain_is_believed_in_its_time_only() {
    let world = World::new();
    let (chain, anchors) = (world.chain(0), world.anchors());
    let usage = LeafUse::DocumentSigning;
    let end = chain[0].not_after();
    check(&chain, &anchors, usage, now(), Ok(()));
    check(&chain, &anchors, usage, end, Ok(()));
    check(&chain, &anchors, usage, end.plus(1), Err(ChainError::Expired));
    check(&chain, &anchors, usage, now().minus(1), Err(ChainError::NotYet));
    check(&chain, &anchors, usage, world.anchors()[0].not_after().plus(1), Err(ChainError::Expired));
}

#[test]
fn a_chain_is_believed_for_its_use_only() {
    let world = World::new();
    let anchors = world.anchors();
    let trust = [world.hierarchy.trust.clone()];
    check(&trust, &anchors, LeafUse::TrustList, now(), Ok(()));
    check(&trust, &anchors, LeafUse::DocumentSigning, now(), Err(ChainError::Use));
    check(&world.chain(0), &anchors, LeafUse::TrustList, now(), Err(ChainError::Use));
    let authority = [world.hierarchy.ed25519.authority.clone()];
    check(&authority, &anchors, LeafUse::DocumentSigning, now(), Err(ChainError::Use));
}

#[test]
fn a_chain_is_believed_whole_and_under_its_own_root_only() {
    let world = World::new();
    let (chain, anchors) = (world.chain(0), world.anchors());
    let usage = LeafUse::DocumentSigning;
    check(&[], &anchors, usage, now(), Err(ChainError::Empty));
    check(&chain[..1], &anchors, usage, now(), Err(ChainError::Untrusted));
    check(&chain, &anchors[1..], usage, now(), Err(ChainError::Untrusted));
    check(&chain, &[], usage, now(), Err(ChainError::Untrusted));
    check(&chain, &World::new().anchors(), usage, now(), Err(ChainError::Signature));
    // The root may come along, and order does not matter.
    let long =
        [chain[0].clone(), anchors[0].clone(), world.hierarchy.p256.authority.clone(), chain[1].clone()];
    check(&long, &anchors, usage, now(), Ok(()));
}

#[test]
fn a_leaf_cannot_sign_another() {
    let world = World::new();
    let installation = Installation { public_url: "https://kabao.example", operator: "机构" };
    let issuer = Issuer { x509: &world.leaves[0], signer: &world.department[0] };
    let named = hierarchy::Department { uscc: "91350100M000100Y43", name: "冒名" };
    let key = SoftSigner::ed25519(&[9; 32]);
    let made = hierarchy::department(
        &installation,
        issuer,
        &named,
        crate::keys::Signer::public_key(&key),
        &world.random,
        now(),
    );
    assert_eq!(made.unwrap_err().code(), "lint/issuer");
}

#[test]
fn a_changed_leaf_is_not_believed() {
    let world = World::new();
    let chain = world.chain(0);
    let name = "重庆市公安局".as_bytes();
    let mut der = chain[0].der().to_vec();
    let place = der.windows(name.len()).position(|window| window == name).unwrap();
    der[place..place + name.len()].copy_from_slice("重庆市公民局".as_bytes());
    let changed = [X509::from_der(&der).unwrap(), chain[1].clone()];
    check(&changed, &world.anchors(), LeafUse::DocumentSigning, now(), Err(ChainError::Signature));
}

#[test]
fn length_has_limits() {
    let world = World::new();
    let (chain, anchors) = (world.chain(0), world.anchors());
    let long = [&chain[..1], &vec![chain[1].clone(); INTERMEDIATES_MAX + 1]].concat();
    check(&long, &anchors, LeafUse::DocumentSigning, now(), Err(ChainError::TooLong));
    let many = vec![anchors[0].clone(); ANCHORS_MAX + 1];
    check(&chain, &many, LeafUse::DocumentSigning, now(), Err(ChainError::TooLong));
}
