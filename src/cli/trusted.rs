//! What a verifier without a network holds: a verified trust bundle and status lists.
//!
//! A [`Trusted`] answers whose keys are believed and what the lists say. A bundle for
//! development is refused unless it is asked for.

use std::collections::BTreeMap;
use std::path::Path;

use super::hierarchy;
use super::report::Failure;
use crate::credential::show_key::{ShortKid, ShowAuthorities, ShowAuthority, short_kid};
use crate::credential::verify::{DevelopmentKeys, IssuerTrust, StatusAnswer, StatusSource, TrustedIssuerKey};
use crate::domain::time::UnixTime;
use crate::keys::PublicKey;
use crate::keys::development;
use crate::keys::jws::UnverifiedJws;
use crate::pki::trust::{Anchoring, TrustedKey, UnverifiedBundle, VerifiedBundle};
use crate::pki::x509::X509;
use crate::status::list::SlotIndex;
use crate::status::token::{TokenError, UnverifiedStatusToken, VerifiedStatusList};

/// Whom to believe.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Anchors {
    /// Root x509 (PEM) that the trust bundle must hang on; give it again for more
    #[arg(long, value_name = "FILE")]
    anchor: Vec<std::path::PathBuf>,
    /// Thumbprint of the trust key itself, instead of a root
    #[arg(long, value_name = "KID", conflicts_with = "anchor")]
    pin: Option<String>,
    /// Accept development keys, which everybody has
    #[arg(long)]
    pub(super) development: bool,
}

impl Anchors {
    /// The development roots.
    pub(super) fn for_development() -> Self {
        Self { anchor: vec![], pin: None, development: true }
    }

    /// Believes a bundle, or not.
    pub(super) fn verify(&self, text: &str, at: UnixTime) -> Result<VerifiedBundle, Failure> {
        let bundle = UnverifiedBundle::parse(text)?;
        let anchors = self.roots()?;
        let verified = match (&self.pin, anchors.is_empty()) {
            (Some(kid), _) => bundle.verify(&Anchoring::Key(kid), at)?,
            (None, false) => bundle.verify(&Anchoring::Anchors(&anchors), at)?,
            (None, true) => {
                return Err(Failure::misuse("no anchor to believe the trust bundle by").hint(
                    "give the operator's root with `--anchor root.pem`, or `--pin KID`; `--development` for a demo",
                ));
            }
        };
        if verified.is_for_development() && !self.development {
            return Err(for_development());
        }
        Ok(verified)
    }

    /// Whether anything was said about whom to believe.
    pub(super) fn are_given(&self) -> bool {
        self.pin.is_some() || self.development || !self.anchor.is_empty()
    }

    /// Whether keys for development are believed.
    pub(super) fn keys(&self) -> DevelopmentKeys {
        if self.development { DevelopmentKeys::DangerAccept } else { DevelopmentKeys::Refuse }
    }

    fn roots(&self) -> Result<Vec<X509>, Failure> {
        let mut anchors = Vec::new();
        for path in &self.anchor {
            anchors.extend(hierarchy::read_pem(path)?);
        }
        if self.development && anchors.is_empty() {
            for root in development::ROOTS {
                anchors.push(X509::from_pem(root.x509_pem)?);
            }
        }
        Ok(anchors)
    }
}

/// The refusal of a bundle for development.
pub(super) fn for_development() -> Failure {
    Failure::refused("the trust bundle is for development: everybody has its keys")
        .hint("`--development` accepts it, for trials")
}

/// The thumbprint of the key that signed a bundle, for whoever pins it at first sight.
pub(super) fn signer_of(text: &str) -> Result<String, Failure> {
    let unreadable = || Failure::refused("the trust bundle cannot be read");
    let jws = UnverifiedJws::parse(text.trim_ascii(), BUNDLE_BYTES_MAX).map_err(|_| unreadable())?;
    let chain = jws.x5c().map_err(|_| unreadable())?;
    let leaf = X509::from_der(chain.first().ok_or_else(unreadable)?)?;
    Ok(leaf.public_key().kid())
}

/// A bundle that is believed at sight of its signer's thumbprint.
pub(super) fn pinned(text: &str, kid: &str, at: UnixTime) -> Result<VerifiedBundle, Failure> {
    Ok(UnverifiedBundle::parse(text)?.verify(&Anchoring::Key(kid), at)?)
}

/// A bundle, and the lists that its status keys signed.
pub(super) struct Trusted {
    bundle: VerifiedBundle,
    lists: BTreeMap<String, Held>,
    /// How old a list may be, in seconds.
    age_max: i64,
    at: UnixTime,
}

struct Held {
    list: VerifiedStatusList,
    expired: bool,
}

impl Trusted {
    /// With no lists yet.
    pub(super) fn new(bundle: VerifiedBundle, age_max: i64, at: UnixTime) -> Self {
        Self { bundle, lists: BTreeMap::new(), age_max, at }
    }

    /// The bundle.
    pub(super) fn bundle(&self) -> &VerifiedBundle {
        &self.bundle
    }

    /// The address of a list, by its number.
    pub(super) fn list_uri(&self, list: u32) -> String {
        format!("{}/{list}", self.bundle.content().status_base)
    }

    /// Takes a status list that one of the bundle's keys signed; of two for one address the newer
    /// stays. One that is out of date is kept as such: what it says is then stale, not unknown.
    pub(super) fn take_list(&mut self, token: &str) -> Result<(), Failure> {
        let (uri, held) = self.read_list(token)?;
        if self.lists.get(&uri).is_none_or(|before| !before.is_newer_than(&held)) {
            self.lists.insert(uri, held);
        }
        Ok(())
    }

    /// The same, but an older list than the one at hand is refused: nobody needs to serve one.
    pub(super) fn take_newer_list(&mut self, token: &str) -> Result<(), Failure> {
        let (uri, held) = self.read_list(token)?;
        if self.lists.get(&uri).is_some_and(|before| before.is_newer_than(&held)) {
            return Err(Failure::refused(format!(
                "an older status list than the one at hand was given: `{uri}`"
            ))
            .hint("somebody may be serving you an old one; ask the operator"));
        }
        self.lists.insert(uri, held);
        Ok(())
    }

    fn read_list(&self, token: &str) -> Result<(String, Held), Failure> {
        let (uri, issued_at) = unread(token).ok_or_else(|| Failure::refused("not a status list token"))?;
        let keys = status_keys(&self.bundle, token);
        let verify = |at| UnverifiedStatusToken::parse(token)?.verify(&keys, &uri, at);
        let (list, expired) = match verify(self.at) {
            Err(TokenError::Expired) => (verify(issued_at)?, true),
            other => (other?, false),
        };
        if !uri.starts_with(&self.bundle.content().status_base) {
            return Err(Failure::refused("a status list of another vault"));
        }
        Ok((uri, Held { list, expired }))
    }

    /// Every status list in a folder: the files that are tokens; others are left alone.
    pub(super) fn take_folder(&mut self, folder: &Path) -> Result<(), Failure> {
        let entries = std::fs::read_dir(folder).map_err(|error| Failure::file(folder, &error))?;
        for entry in entries.flatten() {
            let path = entry.path();
            let named = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| {
                name.starts_with("status") || name.bytes().all(|byte| byte.is_ascii_digit())
            });
            if path.is_dir() && path.file_name().is_some_and(|name| name == "status") {
                self.take_folder(&path)?;
            } else if path.is_file() && named {
                let text = std::fs::read_to_string(&path).map_err(|error| Failure::file(&path, &error))?;
                self.take_list(text.trim())?;
            }
        }
        Ok(())
    }
}

impl Held {
    /// Made from more of the same log; where that says nothing, signed later.
    fn is_newer_than(&self, other: &Self) -> bool {
        let (own, its) = (self.list.log(), other.list.log());
        if own.origin() == its.origin() && own.size() != its.size() {
            return own.size() > its.size();
        }
        self.list.issued_at() > other.list.issued_at()
    }
}

/// Keys that could sign status lists when this token says it was signed.
pub(super) fn status_keys(bundle: &VerifiedBundle, token: &str) -> Vec<PublicKey> {
    let Some((_, at)) = unread(token) else { return vec![] };
    let signed = |trusted: &&TrustedKey| trusted.not_before <= at && at < trusted.not_after;
    bundle.content().status_keys.iter().filter(signed).map(|trusted| trusted.key.clone()).collect()
}

impl IssuerTrust for Trusted {
    fn issuer_key(&self, iss: &str, kid: &str, vct: &str) -> Option<TrustedIssuerKey> {
        let content = self.bundle.content();
        let uscc = iss.strip_prefix(&content.origin)?.strip_prefix("/issuers/")?;
        let (code, _) = vct.strip_prefix(&content.origin)?.strip_prefix("/types/")?.split_once('/')?;
        let issuer = self.bundle.issuer(uscc)?;
        let key = self.bundle.issuer_key(uscc, kid).filter(|key| key.may_sign(code))?;
        Some(TrustedIssuerKey {
            key: key.key.clone(),
            not_before: key.not_before,
            not_after: key.retired_at.map_or(key.not_after, |retired| retired.min(key.not_after)),
            compromised_since: key.compromised_since,
            issuer_name: format!("{} {}", issuer.name_zh, issuer.name_en),
            development: self.bundle.is_for_development(),
        })
    }
}

impl StatusSource for Trusted {
    fn status(&self, uri: &str, index: u32) -> StatusAnswer {
        let (Some(held), Some(index)) = (self.lists.get(uri), SlotIndex::new(index)) else {
            return StatusAnswer::Unknown;
        };
        let as_of = held.list.issued_at();
        if held.expired || as_of.plus(self.age_max) < self.at {
            return StatusAnswer::Stale { as_of };
        }
        StatusAnswer::Value { value: held.list.value(index).bits(), as_of }
    }
}

impl ShowAuthorities for Trusted {
    fn authority(&self, kid: &ShortKid) -> Option<ShowAuthority> {
        let keys: &[TrustedKey] = &self.bundle.content().show_authority_keys;
        let trusted = keys.iter().find(|trusted| short_kid(&trusted.key) == *kid)?;
        Some(ShowAuthority {
            key: trusted.key.clone(),
            not_before: trusted.not_before,
            not_after: trusted.not_after,
            development: self.bundle.is_for_development(),
            name: self.bundle.content().origin.clone(),
        })
    }
}

/// `sub` and `iat` of a token that nobody has checked: they choose what to check it against.
fn unread(token: &str) -> Option<(String, UnixTime)> {
    use base64::Engine;
    let payload = token.split('.').nth(1)?;
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    Some((claims["sub"].as_str()?.to_owned(), UnixTime::new(claims["iat"].as_i64()?)?))
}

/// As the bundle's own reader allows.
const BUNDLE_BYTES_MAX: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::Digest;
    use crate::keys::Algorithm;
    use crate::keys::Signer;
    use crate::keys::random::SeededRandom;
    use crate::keys::soft::SoftSigner;
    use crate::log::checkpoint::Checkpoint;
    use crate::status::list::StatusList;
    use crate::status::token::TokenPlan;

    fn held(origin: &str, size: u64, signed_at: i64) -> Held {
        let (signer, _) = SoftSigner::generate(Algorithm::Ed25519, &SeededRandom::danger_seeded(1)).unwrap();
        let log = Checkpoint::new(origin.parse().unwrap(), size, Digest::of(&[])).unwrap();
        let at = UnixTime::clamped(1_700_000_000 + signed_at);
        let uri = "https://e/status/0";
        let token = TokenPlan {
            uri,
            issued_at: at,
            expires_at: at.plus(60),
            ttl_s: 1,
            aggregation_uri: None,
            list: &StatusList::new(),
            log: &log,
        };
        let token = token.sign(&signer).unwrap();
        let keys = [signer.public_key().clone()];
        let list = UnverifiedStatusToken::parse(&token).unwrap().verify(&keys, uri, at).unwrap();
        Held { list, expired: false }
    }

    #[test]
    fn of_two_lists_the_one_of_the_larger_log_is_newer_whenever_it_was_signed() {
        assert!(held("e/log/0", 0, 0).is_newer_than(&held("e/log/0", 0, -1)));
        assert!(!held("e/log/0", 0, 0).is_newer_than(&held("e/log/0", 0, 0)));
        assert!(held("e/log/0", 2, 0).is_newer_than(&held("e/log/0", 1, 9)));
        assert!(!held("e/log/0", 1, 9).is_newer_than(&held("e/log/0", 2, 0)));
        // After a loss another log goes on, and begins small.
        assert!(held("e/log/1", 1, 9).is_newer_than(&held("e/log/0", 2, 0)));
    }
}
