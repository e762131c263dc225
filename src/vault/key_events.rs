//! Keys in the log: what a vault works with now, against what it worked with before.
//!
//! Keys are generated, rotated and retired beside the database, by `kabao keys`. At
//! every opening the vault compares the keys it was given with those it wrote down
//! last and logs the difference, so no key signs for a department before the log has
//! named it.

use std::collections::BTreeMap;

use super::Vault;
use super::VaultError;
use super::keyring::IssuerKeyState;
use super::writer::Plan;
use crate::keys::Signer;
use crate::log::event::{Event, KeyAction};
use crate::store::{Meta, MetaName};

/// What the vault writes down of one key.
#[derive(Clone, Debug, Eq, PartialEq)]
struct KnownKey {
    purpose: String,
    /// Social credit code of the department, for issuing keys.
    owner: Option<String>,
    state: &'static str,
}

/// What is logged of a key: what became of it, its kid, and what else is known.
type KeyChange = (KeyAction, String, KnownKey);

impl Vault {
    /// Logs keys that are new and keys that were retired since the vault was last open.
    pub(super) fn log_key_changes(&self) -> Result<(), VaultError> {
        let before = read(&self.store.meta(MetaName::KeyVersions)?.unwrap_or_default())?;
        let now = self.keys_at_work();
        let (all, changes) = compare(before, now);
        let mut plan = Plan::default();
        for (action, kid, key) in changes {
            let event = Event::Key { action, purpose: key.purpose, kid, x509_serial: None };
            plan.events.push((key.owner, event));
        }
        if plan.events.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = all
            .iter()
            .map(|(kid, key)| {
                format!("{kid} {} {} {}", key.purpose, key.state, key.owner.as_deref().unwrap_or("-"))
            })
            .collect();
        plan.rows.push(Meta { name: MetaName::KeyVersions, bytes: lines.join("\n").into_bytes() }.into());
        self.writer.commit(plan)?;
        Ok(())
    }

    fn keys_at_work(&self) -> BTreeMap<String, KnownKey> {
        let mut keys = BTreeMap::new();
        for issuer in &self.keyring.issuers {
            let state = if issuer.state == IssuerKeyState::Active { ACTIVE } else { RETIRED };
            let owner = Some(issuer.uscc.to_string());
            keys.insert(issuer.kid.clone(), KnownKey { purpose: "issuer".into(), owner, state });
        }
        let own: [(&str, &dyn Signer); 6] = [
            ("log", self.keyring.log.as_ref()),
            ("receipt", self.keyring.receipt.as_ref()),
            ("show-authority", self.keyring.show_authority.as_ref()),
            ("status", self.keyring.status.as_ref()),
            ("token", self.keyring.token.as_ref()),
            ("trust", self.keyring.trust.as_ref()),
        ];
        for (purpose, signer) in own {
            let known = KnownKey { purpose: purpose.into(), owner: None, state: ACTIVE };
            keys.insert(signer.public_key().kid(), known);
        }
        keys
    }
}

/// What is to be written down, and what is to be logged. A key that is gone stays written down.
fn compare(
    before: BTreeMap<String, KnownKey>,
    now: BTreeMap<String, KnownKey>,
) -> (BTreeMap<String, KnownKey>, Vec<KeyChange>) {
    let mut changes = Vec::new();
    for (kid, key) in &now {
        let was = before.get(kid).map(|key| key.state);
        if key.state == ACTIVE && was != Some(ACTIVE) {
            changes.push((KeyAction::Generated, kid.clone(), key.clone()));
        }
    }
    let mut all = before;
    for (kid, key) in &mut all {
        let works = now.get(kid).is_some_and(|key| key.state == ACTIVE);
        if key.state == ACTIVE && !works {
            key.state = RETIRED;
            changes.push((KeyAction::Retired, kid.clone(), key.clone()));
        }
    }
    all.extend(now);
    (all, changes)
}

fn read(bytes: &[u8]) -> Result<BTreeMap<String, KnownKey>, VaultError> {
    let text = std::str::from_utf8(bytes).map_err(|_| VaultError::Unreadable)?;
    let lines = text.lines().map(|line| {
        let mut words = line.split(' ');
        let (kid, purpose, state, owner) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let state = if state == ACTIVE { ACTIVE } else { RETIRED };
        let owner = (owner != "-").then(|| owner.to_string());
        Some((kid.to_string(), KnownKey { purpose: purpose.to_string(), owner, state }))
    });
    lines.collect::<Option<_>>().ok_or(VaultError::Unreadable)
}

const ACTIVE: &str = "active";
const RETIRED: &str = "retired";

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(states: &[(&str, &'static str)]) -> BTreeMap<String, KnownKey> {
        let known = |state| KnownKey { purpose: "status".into(), owner: None, state };
        states.iter().map(|(kid, state)| ((*kid).to_string(), known(*state))).collect()
    }

    #[track_caller]
    fn check(before: &[(&str, &'static str)], now: &[(&str, &'static str)], expected: &[(KeyAction, &str)]) {
        let (all, changes) = compare(keys(before), keys(now));
        let changes: Vec<(KeyAction, &str)> =
            changes.iter().map(|(action, kid, _)| (*action, kid.as_str())).collect();
        assert_eq!(changes, expected);
        // Nothing is logged twice.
        assert!(compare(all, keys(now)).1.is_empty());
    }

    #[test]
    fn a_key_that_signs_no_more_is_logged_as_retired() {
        check(&[("a", ACTIVE)], &[("a", ACTIVE)], &[]);
        check(&[], &[("a", ACTIVE)], &[(KeyAction::Generated, "a")]);
        check(&[("a", ACTIVE)], &[("a", RETIRED)], &[(KeyAction::Retired, "a")]);
        let (generated, retired) = ((KeyAction::Generated, "b"), (KeyAction::Retired, "a"));
        check(&[("a", ACTIVE)], &[("b", ACTIVE)], &[generated, retired]);
        check(&[("a", RETIRED)], &[], &[]);
    }
}
