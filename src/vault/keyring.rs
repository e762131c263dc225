//! The keys a running vault works with, each behind its trait.
//!
//! Nothing here shows a private key. Who issues for which department is decided by
//! the owner of the key (its social credit code), never by what a request says.

use std::sync::Arc;

use crate::domain::uscc::Uscc;
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
    pub fn issuer(&self, uscc: Uscc) -> Option<&IssuerKey> {
        self.issuers.iter().find(|issuer| issuer.uscc == uscc && issuer.state == IssuerKeyState::Active)
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
