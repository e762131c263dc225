//! What is published: log, status lists, trust bundle, types. All of it is as of the released head.
//!
//! A status list is signed again when it has changed or is about to expire, off the
//! request path, by [`Vault::maintain`]; a token carries the log's origin, size and
//! root, and equals the log folded to that size. What was signed is served until then.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value as Json, json};

use super::guard::Role;
use super::keyring::{IssuerKeyState, OwnKey};
use super::registry::{Allowed, Registration};
use super::tree::StoredTree;
use super::{Vault, VaultError};
use crate::catalog::field::{Disclosable, Kind};
use crate::domain::digest::Digest;
use crate::domain::time::UnixTime;
use crate::domain::uscc::Uscc;
use crate::keys::Purpose;
use crate::log::checkpoint::Checkpoint;
use crate::log::merkle;
use crate::log::note::VerifierKey;
use crate::log::tile::{EntryBundle, Tile, TileKind, TilePath, Tiled};
use crate::pki::trust::{self, TrustBundle, TrustedIssuer, TrustedKey, TrustedLog};
use crate::pki::x509::X509;
use crate::status::list::StatusList;
use crate::status::token::TokenPlan;
use crate::store::{Head, MetaName};

/// A signed status list, ready to be served.
#[derive(Debug)]
pub struct SignedList {
    /// The token.
    pub jwt: String,
    /// Its digest, for `ETag`.
    pub digest: Digest,
    /// When it was signed.
    pub signed_at: UnixTime,
    /// The list's count of changes when it was signed.
    changes: u64,
}

/// The lists as they were last signed.
#[derive(Default)]
pub struct StatusTokens(Mutex<BTreeMap<u32, Arc<SignedList>>>);

/// The trust bundle as it was last signed.
#[derive(Default)]
pub struct SignedTrust(Mutex<Option<SignedBundle>>);

struct SignedBundle {
    jws: String,
    version: u64,
    signed_at: UnixTime,
    /// The registrations' count of changes before it was made.
    changes: Option<Vec<u8>>,
}

impl SignedBundle {
    fn is_fresh(&self, changes: &Option<Vec<u8>>, now: UnixTime) -> bool {
        self.changes == *changes && self.signed_at <= now && now < self.signed_at.plus(BUNDLE_SECONDS)
    }
}

impl Vault {
    /// The signed checkpoint of a log: the released one, or the last of a log that has closed.
    /// `None` of a log that is not here.
    ///
    /// # Errors
    /// The store's.
    pub fn checkpoint(&self, log: u16) -> Result<Option<Vec<u8>>, VaultError> {
        Ok(self.head_of(log)?.map(|head| head.note))
    }

    fn head_of(&self, log: u16) -> Result<Option<Head>, VaultError> {
        let released = self.published().head().clone();
        if log == released.log { Ok(Some(released)) } else { Ok(self.store.closed_head(log)?) }
    }

    /// The released size and root of the log.
    pub fn log_head(&self) -> (u64, Digest) {
        let published = self.published();
        (published.head().size, published.head().root)
    }

    /// The key of the log, as verifiers write it.
    ///
    /// # Errors
    /// [`VaultError::Unreadable`] when the origin is not a name.
    pub fn log_verifier(&self) -> Result<VerifierKey, VaultError> {
        let name = self.settings.origin().parse().map_err(|_| VaultError::Unreadable)?;
        let key = self.keyring.log.public_key().clone();
        VerifierKey::new(name, crate::log::note::KeyKind::Note, key).map_err(|_| VaultError::Unreadable)
    }

    /// A tile or an entry bundle of a log; `None` when it is not in that log as far as it was released.
    ///
    /// # Errors
    /// The store's.
    pub fn tile(&self, log: u16, path: &TilePath) -> Result<Option<Vec<u8>>, VaultError> {
        let Some(head) = self.head_of(log)? else { return Ok(None) };
        if !path.belongs_to(head.size) {
            return Ok(None);
        }
        let Some(first) = path.first() else { return Ok(None) };
        let width = usize::from(path.width());
        let bytes = match path.kind() {
            TileKind::Entries => self.bundle(log, first, width)?.encode(),
            TileKind::Hashes(0) => {
                let bundle = self.bundle(log, first, width)?;
                Tile::of_entries(bundle.entries()).map_err(|_| VaultError::Unreadable)?.encode()
            }
            TileKind::Hashes(level) => {
                let hashes = self.store.tile_hashes(log, level, first, width)?;
                Tile::new(hashes).map_err(|_| VaultError::Unreadable)?.encode()
            }
        };
        Ok(Some(bytes))
    }

    /// The entry at an index, with its proof of inclusion in the released tree.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] beyond the released size.
    pub fn inclusion(&self, index: u64) -> Result<(Vec<u8>, Vec<Digest>), VaultError> {
        let Head { log, size, .. } = self.published().head().clone();
        if index >= size {
            return Err(VaultError::NotFound);
        }
        let entry = self.store.entries(log, index, 1)?.pop().ok_or(VaultError::Unreadable)?;
        let tree = StoredTree { store: self.store.as_ref(), log };
        let proof =
            merkle::inclusion_proof(index, size, &Tiled(&tree)).map_err(|_| VaultError::Unreadable)?;
        Ok((entry.bytes, proof))
    }

    fn bundle(&self, log: u16, first: u64, width: usize) -> Result<EntryBundle, VaultError> {
        let entries = self.store.entries(log, first, width)?;
        let bytes = entries.into_iter().map(|entry| entry.bytes).collect();
        EntryBundle::new(bytes).map_err(|_| VaultError::Unreadable)
    }

    /// Addresses of all status lists (the aggregation of the Token Status List).
    pub fn status_uris(&self) -> Vec<String> {
        self.published().lists().map(|list| self.settings.status_url(list)).collect()
    }

    /// A status list as it was last signed; signed now if it never was.
    ///
    /// # Errors
    /// [`VaultError::Unreadable`] when the status key cannot be reached.
    pub fn status_token(&self, list: u32) -> Result<Option<Arc<SignedList>>, VaultError> {
        let held = self.status_tokens.0.lock().unwrap_or_else(PoisonError::into_inner).get(&list).cloned();
        match held {
            Some(signed) => Ok(Some(signed)),
            None => self.sign_list(list),
        }
    }

    /// Signs every list again that has changed or grown old. Called every few seconds; costs
    /// nothing for lists that have not changed.
    ///
    /// # Errors
    /// [`VaultError::Unreadable`] when the status key cannot be reached.
    pub fn sign_changed_lists(&self) -> Result<(), VaultError> {
        let now = self.now();
        let states: Vec<(u32, u64)> = {
            let published = self.published();
            published.lists().map(|list| (list, published.changes(list))).collect()
        };
        for (list, changes) in states {
            let held =
                self.status_tokens.0.lock().unwrap_or_else(PoisonError::into_inner).get(&list).cloned();
            let fresh =
                held.is_some_and(|held| held.changes == changes && now < held.signed_at.plus(RENEW_SECONDS));
            if !fresh {
                self.sign_list(list)?;
            }
        }
        Ok(())
    }

    fn sign_list(&self, list: u32) -> Result<Option<Arc<SignedList>>, VaultError> {
        let (copy, head, changes): (StatusList, Checkpoint, u64) = {
            let published = self.published();
            let Some(status) = published.list(list) else { return Ok(None) };
            let head = published.head();
            let origin = head.origin.parse().map_err(|_| VaultError::Unreadable)?;
            let head = Checkpoint::new(origin, head.size, head.root).map_err(|_| VaultError::Unreadable)?;
            (status.clone(), head, published.changes(list))
        };
        let now = self.now();
        let uri = self.settings.status_url(list);
        let aggregation = format!("{}/status", self.settings.url);
        let plan = TokenPlan {
            uri: &uri,
            issued_at: now,
            expires_at: now.plus(LIST_SECONDS),
            ttl_s: TTL_SECONDS,
            aggregation_uri: Some(&aggregation),
            list: &copy,
            log: &head,
        };
        let jwt = plan.sign(self.keyring.status.as_ref()).map_err(|_| VaultError::Unreadable)?;
        let digest = Digest::of(&[jwt.as_bytes()]);
        let signed = Arc::new(SignedList { jwt, digest, signed_at: now, changes });
        let mut held = self.status_tokens.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Two hands may have signed at once: a list that knows more changes is never replaced by one that knows fewer.
        if held.get(&list).is_none_or(|before| before.changes <= changes) {
            held.insert(list, Arc::clone(&signed));
        }
        Ok(Some(signed))
    }

    /// What the vault does from time to time: drops what has expired and signs what has changed.
    ///
    /// # Errors
    /// The store's, or the status key's.
    pub fn maintain(&self) -> Result<(), VaultError> {
        self.sign_changed_lists()?;
        self.writer.sweep();
        Ok(())
    }

    /// The trust bundle for offline verifiers, signed by the trust key. It stays the same until who
    /// may do what changes, for at most an hour.
    ///
    /// # Errors
    /// [`VaultError::Unreadable`] when the trust key cannot be reached.
    pub fn trust_bundle(&self) -> Result<String, VaultError> {
        let mut held = self.signed_trust.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Read before the registrations are: one that comes between makes the next bundle.
        let changes = self.store.meta(MetaName::Trust)?;
        let now = self.now();
        if let Some(held) = held.as_ref().filter(|held| held.is_fresh(&changes, now)) {
            return Ok(held.jws.clone());
        }
        // Seconds rise from start to start, and need no counter that a restored copy could set back.
        let seconds = u64::try_from(now.seconds()).unwrap_or_default();
        let version = held.as_ref().map_or(seconds, |held| seconds.max(held.version + 1));
        let chain = x509s(&self.keyring.trust_chain)?;
        let content = self.trust_content(version, now)?;
        let jws = content.sign(self.keyring.trust.as_ref(), &chain).map_err(|error| {
            tracing::error!(error.code = error.code(), "the trust bundle could not be signed");
            VaultError::Unreadable
        })?;
        *held = Some(SignedBundle { jws: jws.clone(), version, signed_at: now, changes });
        Ok(jws)
    }

    fn trust_content(&self, version: u64, now: UnixTime) -> Result<TrustBundle, VaultError> {
        let registrations = self.all_registrations()?;
        let mut issuers: Vec<TrustedIssuer> = vec![];
        for issuer in &self.keyring.issuers {
            let uscc = issuer.uscc.to_string();
            let key = trust::IssuerKey {
                key: issuer.signer.public_key().clone(),
                x509: x509s(&issuer.chain)?,
                types: self.types_of(issuer.uscc, &registrations),
                not_before: UnixTime::clamped(issuer.not_before),
                not_after: UnixTime::clamped(issuer.not_after),
                retired_at: (issuer.state == IssuerKeyState::Retired)
                    .then_some(UnixTime::clamped(issuer.not_after)),
                compromised_since: None,
            };
            match issuers.iter_mut().find(|known| known.uscc == uscc) {
                Some(known) => known.keys.push(key),
                None => {
                    let (name_zh, name_en) = (issuer.name_zh.clone(), issuer.name_en.clone());
                    issuers.push(TrustedIssuer { uscc, name_zh, name_en, keys: vec![key] });
                }
            }
        }
        let one = |own: OwnKey| {
            let OwnKey { key, not_before, not_after, .. } = own;
            TrustedKey { key, not_before, not_after }
        };
        let trusted = |keys: Vec<OwnKey>| keys.into_iter().map(one).collect();
        let versions = self.catalog.types().iter();
        Ok(TrustBundle {
            version,
            issued_at: now,
            origin: self.settings.url.clone(),
            development: self.keyring.development,
            anchors: x509s(&self.keyring.anchors)?,
            issuers,
            log: TrustedLog { origin: self.settings.origin(), vkey: self.log_verifier()?.to_string() },
            status_keys: trusted(self.keyring.own_keys(Purpose::Status)),
            receipt_keys: trusted(self.keyring.own_keys(Purpose::Receipt)),
            show_authority_keys: trusted(self.keyring.show_authorities()),
            status_base: format!("{}/status", self.settings.url),
            type_versions: versions
                .map(|kind| (kind.code().to_string(), u32::from(kind.version())))
                .collect(),
        })
    }

    /// The types that the registrations of a department's officers list, all of them together. One that
    /// was withdrawn counts: what was issued under it stays good.
    fn types_of(&self, uscc: Uscc, registrations: &[Registration]) -> trust::Types {
        let mut codes = std::collections::BTreeSet::new();
        let officer = |found: &&Registration| found.role == Role::Officer && found.organisation == Some(uscc);
        for registration in registrations.iter().filter(officer) {
            match &registration.types {
                Allowed::All => return trust::Types::All,
                Allowed::Only(slugs) => {
                    let kinds = slugs.iter().filter_map(|slug| self.catalog.by_slug(slug));
                    codes.extend(kinds.map(|kind| kind.code().to_string()));
                }
            }
        }
        trust::Types::Only(codes)
    }

    /// Type metadata (SD-JWT VC) of one version of a type, with our own field list.
    pub fn type_metadata(&self, code: &str, version: u16) -> Option<Json> {
        let kind = self.catalog.by_code(code.parse().ok()?)?;
        if kind.version() != version {
            return None;
        }
        let mut claims = vec![];
        let mut fields = vec![];
        for field in kind.all_fields() {
            let display = json!([
                { "lang": "zh-CN", "label": field.label.zh }, { "lang": "en", "label": field.label.en }
            ]);
            if field.disclosable == Disclosable::Yes && !matches!(field.kind, Kind::Photo) {
                claims.push(json!({ "path": [field.key], "display": display, "sd": "always" }));
            }
            fields.push(json!({
                "number": field.number, "key": field.key, "label": { "zh": field.label.zh, "en": field.label.en },
                "kind": field.kind.name(), "required": field.required == crate::catalog::field::Required::Yes,
                "sensitivity": field.sensitivity.name(),
            }));
        }
        Some(json!({
            "vct": format!("{}{}", self.settings.url, kind.path()),
            "name": kind.name().zh, "description": kind.name().en,
            "display": [ { "lang": "zh-CN", "name": kind.name().zh }, { "lang": "en", "name": kind.name().en } ],
            "claims": claims,
            "kabao": {
                "code": kind.code().to_string(), "slug": kind.slug(), "version": kind.version(),
                "category": kind.category().name(), "holder": kind.holder().kind.name(), "fields": fields,
            },
        }))
    }

    /// The keys of a department, as SD-JWT VC issuer metadata.
    pub fn issuer_metadata(&self, uscc: &str) -> Option<Json> {
        let mut keys = vec![];
        for issuer in self.keyring.issuers.iter().filter(|issuer| issuer.uscc.as_str() == uscc) {
            let mut jwk: Json = serde_json::from_str(&issuer.signer.public_key().jwk()).ok()?;
            jwk["kid"] = issuer.kid.clone().into();
            jwk["use"] = "sig".into();
            jwk["alg"] = issuer.signer.public_key().algorithm().jose().into();
            keys.push(jwk);
        }
        if keys.is_empty() {
            return None;
        }
        Some(json!({ "issuer": self.settings.issuer_url(uscc), "jwks": { "keys": keys } }))
    }
}

fn x509s(ders: &[Vec<u8>]) -> Result<Vec<X509>, VaultError> {
    ders.iter().map(|der| X509::from_der(der)).collect::<Result<_, _>>().map_err(|_| VaultError::Unreadable)
}

/// Life of a signed list (LOG_AND_STATUS 2.5).
const LIST_SECONDS: i64 = 24 * 3600;

/// A list that has not changed is signed again at half its life.
const RENEW_SECONDS: i64 = LIST_SECONDS / 2;

/// A trust bundle that has not changed is signed again after an hour. Our own choice.
const BUNDLE_SECONDS: i64 = 3600;

/// After which verifiers should fetch a list again.
const TTL_SECONDS: u32 = 300;
