//! The keys a running vault works with, each behind its trait.
//!
//! Nothing here shows a private key. Who issues for which department is decided by
//! the owner of the key (its social credit code), never by what a request says.

use std::sync::Arc;

use super::showing::{OFFLINE_SECONDS, SHOW_KEY_BEFORE_SECONDS, SHOW_KEY_SECONDS};
use crate::domain::time::UnixTime;
use crate::domain::uscc::Uscc;
use crate::keys::PublicKey;
use crate::keys::Purpose;
use crate::keys::Signer;
use crate::keys::development::Development;
use crate::keys::envelope::SecretKey;
use crate::keys::index::IndexKey;
use crate::store::IssuerTag;

/// The keys a running vault works with.
pub struct Keyring {
    /// Whether these are keys for development.
    pub development: Development,
    /// Departments' issuing keys: the current one of each first.
    pub issuers: Vec<IssuerKey>,
    /// Signs the log's head.
    pub log: Arc<dyn Signer>,
    /// Signs status lists.
    pub status: Arc<dyn Signer>,
    /// Signs receipts.
    pub receipt: Arc<dyn Signer>,
    /// Certifies the show keys of hours.
    pub show_authority: Arc<dyn Signer>,
    /// Signs the trust bundle.
    pub trust: Arc<dyn Signer>,
    /// Signs bearer tokens.
    pub token: Arc<dyn Signer>,
    /// Key-encryption keys by version, newest first.
    pub key_encryption: Vec<(u32, SecretKey)>,
    /// Index keys, newest first: look-ups try the current, then the previous.
    pub index: Vec<IndexKey>,
    /// Permutes the slots of the status lists.
    pub slots: SecretKey,
    /// The anchors, as x509 DER.
    pub anchors: Vec<Vec<u8>>,
    /// Chain of the trust key, leaf first, without the anchor.
    pub trust_chain: Vec<Vec<u8>>,
    /// Every key the vault ever signed with for itself, the newest of each purpose first: what one
    /// signed in its time stays good after another took its place.
    pub history: Vec<OwnKey>,
}

/// A key of the vault itself, and when it signs or signed.
#[derive(Clone, Debug)]
pub struct OwnKey {
    /// What it signs.
    pub purpose: Purpose,
    /// The key.
    pub key: PublicKey,
    /// It signs from here.
    pub not_before: UnixTime,
    /// It signs until here, this instant excluded.
    pub not_after: UnixTime,
}

/// A department's issuing key.
#[derive(Clone)]
pub struct IssuerKey {
    /// The department.
    pub uscc: Uscc,
    /// Its name in Chinese.
    pub name_zh: String,
    /// Its name in English.
    pub name_en: String,
    /// Signs its credentials.
    pub signer: Arc<dyn Signer>,
    /// Thumbprint of the key.
    pub kid: String,
    /// Its x509 chain, leaf first, without the anchor, as DER.
    pub chain: Vec<Vec<u8>>,
    /// From when it may sign, in seconds since 1970.
    pub not_before: i64,
    /// Until when it may sign.
    pub not_after: i64,
    /// Whether it still signs or only verifies.
    pub state: IssuerKeyState,
}

/// Whether an issuing key still signs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IssuerKeyState {
    /// It signs.
    Active,
    /// It verifies what it signed before.
    Retired,
}

impl Keyring {
    /// The key that signs for a department now.
    pub fn issuer(&self, uscc: Uscc, now: UnixTime) -> Option<&IssuerKey> {
        self.issuers.iter().find(|issuer| {
            issuer.uscc == uscc
                && issuer.state == IssuerKeyState::Active
                && (issuer.not_before..issuer.not_after).contains(&now.seconds())
        })
    }

    /// The keys of one purpose, the one that signs now first. A key of unknown age is taken to have
    /// signed always.
    pub fn own_keys(&self, purpose: Purpose) -> Vec<OwnKey> {
        let known = self.history.iter().filter(|own| own.purpose == purpose);
        let Some(signer) = self.signer(purpose) else { return known.cloned().collect() };
        let current = signer.public_key();
        let (mut first, others): (Vec<OwnKey>, Vec<OwnKey>) =
            known.cloned().partition(|own| own.key == *current);
        if first.is_empty() {
            let (not_before, not_after) = (UnixTime::clamped(0), UnixTime::clamped(i64::MAX));
            first.push(OwnKey { purpose, key: current.clone(), not_before, not_after });
        }
        first.extend(others);
        first
    }

    /// The show authorities, each with the time in which what it certified may be good: a show key
    /// begins a little before it is made, and outlives the authority that made it just before its end.
    pub fn show_authorities(&self) -> Vec<OwnKey> {
        let widened = |own: OwnKey| OwnKey {
            not_before: own.not_before.minus(SHOW_KEY_BEFORE_SECONDS),
            not_after: own.not_after.plus(SHOW_KEY_SECONDS + OFFLINE_SECONDS),
            ..own
        };
        self.own_keys(Purpose::ShowAuthority).into_iter().map(widened).collect()
    }

    fn signer(&self, purpose: Purpose) -> Option<&dyn Signer> {
        let signer = match purpose {
            Purpose::Log => &self.log,
            Purpose::Receipt => &self.receipt,
            Purpose::ShowAuthority => &self.show_authority,
            Purpose::Status => &self.status,
            Purpose::Token => &self.token,
            Purpose::Trust => &self.trust,
            _ => return None,
        };
        Some(signer.as_ref())
    }

    /// The keyed hash under which a department's certificates are listed.
    pub fn issuer_tag(&self, issuer: Uscc) -> IssuerTag {
        let tag = self.index[0].tag("issuer", &[issuer.as_str().as_bytes()]);
        IssuerTag(*tag.first_chunk().expect("8 of 32 bytes"))
    }

    /// The name of a department.
    pub fn issuer_name(&self, uscc: &str) -> Option<(&str, &str)> {
        let issuer = self.issuers.iter().find(|issuer| issuer.uscc.as_str() == uscc)?;
        Some((&issuer.name_zh, &issuer.name_en))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Algorithm;
    use crate::keys::random::SeededRandom;
    use crate::keys::soft::SoftSigner;

    fn keyring() -> Keyring {
        let random = SeededRandom::danger_seeded(1);
        let signer =
            || -> Arc<dyn Signer> { Arc::new(SoftSigner::generate(Algorithm::Ed25519, &random).unwrap().0) };
        let issuer = signer();
        Keyring {
            development: Development::Yes,
            issuers: vec![IssuerKey {
                uscc: "11500199XT0TEXT11P".parse().unwrap(),
                name_zh: "局".into(),
                name_en: "Office".into(),
                kid: issuer.public_key().kid(),
                signer: issuer,
                chain: vec![],
                not_before: 10,
                not_after: 20,
                state: IssuerKeyState::Active,
            }],
            log: signer(),
            status: signer(),
            receipt: signer(),
            show_authority: signer(),
            trust: signer(),
            token: signer(),
            key_encryption: vec![],
            index: vec![],
            slots: SecretKey::generate(&random).unwrap(),
            anchors: vec![],
            trust_chain: vec![],
            history: vec![],
        }
    }

    #[test]
    fn a_department_signs_within_its_keys_time_only() {
        let keyring = keyring();
        let uscc = keyring.issuers[0].uscc;
        let signs = |at| keyring.issuer(uscc, UnixTime::clamped(at)).is_some();
        assert_eq!([9, 10, 19, 20].map(signs), [false, true, true, false]);
    }

    #[test]
    fn a_key_that_was_replaced_is_still_known_with_its_time() {
        let mut keyring = keyring();
        let own = |key: &Arc<dyn Signer>, from, until| OwnKey {
            purpose: Purpose::Status,
            key: key.public_key().clone(),
            not_before: UnixTime::clamped(from),
            not_after: UnixTime::clamped(until),
        };
        // Of unknown age: it signed always.
        let times = |keyring: &Keyring| -> Vec<(i64, i64)> {
            let keys = keyring.own_keys(Purpose::Status).into_iter();
            keys.map(|own| (own.not_before.seconds(), own.not_after.seconds())).collect()
        };
        assert_eq!(times(&keyring).len(), 1);
        assert_eq!(times(&keyring)[0].0, 0);
        keyring.history = vec![own(&keyring.receipt, 10, 20), own(&keyring.status, 20, 30)];
        assert_eq!(times(&keyring), [(20, 30), (10, 20)]);
        assert!(keyring.own_keys(Purpose::Receipt).len() == 1);
    }
}
