//! What is signed is what was planned, and what is not is thrown away.

use super::*;
use crate::keys::random::SeededRandom;
use crate::keys::soft::SoftSigner;
use crate::keys::{SignError, Signature};
use crate::pki::lint::lint;
use crate::pki::profile::{Profile, Serial};

fn now() -> UnixTime {
    UnixTime::clamped(1_800_000_000)
}

fn root_plan(key: &PublicKey) -> Plan {
    let subject =
        Subject { common_name: "根".to_owned(), organisation: Some("机构".to_owned()), uscc: None };
    let serial = Serial::generate(&SeededRandom::danger_seeded(1)).unwrap();
    Plan::new(Profile::Root, subject, key, None, serial, now())
}

fn signers() -> [SoftSigner; 2] {
    let (p256, _) = SoftSigner::generate(Algorithm::P256, &SeededRandom::danger_seeded(1)).unwrap();
    [SoftSigner::ed25519(&[1; 32]), p256]
}

#[test]
fn what_is_made_says_what_was_planned() {
    for signer in signers() {
        let plan = root_plan(signer.public_key());
        let made = sign(lint(plan.clone(), None).unwrap(), &signer).unwrap();
        assert_eq!(made.serial(), plan.serial.as_bytes());
        assert_eq!(*made.subject(), plan.subject);
        assert_eq!(made.public_key(), signer.public_key());
        assert_eq!((made.not_before(), made.not_after()), (plan.not_before, plan.not_after));
        assert!(made.is_signed_with(signer.public_key()));
    }
}

#[test]
fn a_difference_anywhere_from_the_plan_is_noticed() {
    let signer = SoftSigner::ed25519(&[1; 32]);
    let plan = root_plan(signer.public_key());
    let made = sign(lint(plan.clone(), None).unwrap(), &signer).unwrap();
    let check = |spoil: &dyn Fn(&mut Plan), part| {
        let mut plan = plan.clone();
        spoil(&mut plan);
        let actual = read_back(made.der(), &plan, None).err();
        assert_eq!(actual, Some(AuthorityError::NotAsPlanned { part }));
    };
    assert!(read_back(made.der(), &plan, None).is_ok());
    check(&|plan| plan.serial = Serial::from_bytes([0x41; 20]), "serial");
    check(&|plan| plan.subject.common_name.push('x'), "subject");
    check(&|plan| plan.subject.organisation = None, "subject");
    check(&|plan| plan.not_before = plan.not_before.minus(1), "not before");
    check(&|plan| plan.not_after = plan.not_after.plus(1), "not after");
    check(&|plan| plan.public_key = SoftSigner::ed25519(&[2; 32]).public_key().clone(), "key");
    check(&|plan| plan.standing = Standing::Authority { path_length: 0 }, "standing");
    check(&|plan| plan.key_usage.push(KeyUsage::DigitalSignature), "extensions");
    check(&|plan| plan.leaf_use = Some(crate::pki::leaf_use::LeafUse::TrustList), "extensions");
    let addresses = Addresses::under("https://kabao.example", signer.public_key());
    check(&|plan| plan.addresses = Some(addresses.clone()), "extensions");
    let other = read_back(made.der(), &plan, Some(&made)).err();
    assert_eq!(
        other,
        Some(AuthorityError::NotAsPlanned { part: "extensions" }),
        "no authority key identifier"
    );
}

/// Signs something else than it is asked to.
struct Liar(SoftSigner);

impl Signer for Liar {
    fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }

    fn sign(&self, _: &[u8]) -> Result<Signature, SignError> {
        self.0.sign(b"something else")
    }
}

/// Cannot be reached.
struct Absent(SoftSigner);

impl Signer for Absent {
    fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }

    fn sign(&self, _: &[u8]) -> Result<Signature, SignError> {
        Err(SignError)
    }
}

#[test]
fn a_bad_signature_does_not_leave() {
    for signer in signers() {
        let linted = lint(root_plan(signer.public_key()), None).unwrap();
        let error = sign(linted, &Liar(signer)).unwrap_err();
        assert_eq!(error, AuthorityError::NotAsPlanned { part: "signature" });
    }
}

#[test]
fn a_signer_that_is_absent_or_another_is_named() {
    let [signer, other] = signers();
    let linted = || lint(root_plan(signer.public_key()), None).unwrap();
    assert_eq!(sign(linted(), &other).unwrap_err(), AuthorityError::Signer);
    let absent = Absent(SoftSigner::ed25519(&[1; 32]));
    assert_eq!(sign(linted(), &absent).unwrap_err(), AuthorityError::Signing);
}
