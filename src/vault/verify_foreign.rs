//! Credentials and offline codes that come from outside: the signature first, then our own record.
//!
//! When the signature is good and the certificate is one of ours, the record answers
//! for status and dates, with day and department; otherwise the credential speaks for
//! itself.

use std::collections::BTreeMap;

use super::verify::{Found, Questions, status_of, time_of};
use super::{Vault, VaultError};
use crate::credential::offline::UnverifiedOfflineCode;
use crate::credential::show_key::{ShortKid, ShowAuthorities, ShowAuthority, short_kid};
use crate::credential::verify::{
    DevelopmentKeys, IssuerTrust, Parts, Policy, StatusAnswer, StatusSource, TrustedIssuerKey,
    UnverifiedCredential,
};
use crate::domain::claims::Value;
use crate::domain::time::UnixTime;
use crate::domain::verdict::{Check, Checks, Outcome, Reason};
use crate::store::RowKey;

impl Vault {
    pub(super) fn find_credential(&self, text: &str, now: UnixTime) -> Result<Found<'_>, VaultError> {
        let Ok(unverified) = UnverifiedCredential::parse(text.trim()) else {
            return Ok(malformed());
        };
        let policy = Policy { development: DevelopmentKeys::DangerAccept, ..Policy::default() };
        let (parts, verified) = unverified.verify(self, self, &policy, now);
        let kind = self.catalog.types().iter().find(|kind| self.vct(kind.path()) == unverified.vct());
        let (uri, index) = unverified.status_reference();
        let row = match self.list_of(uri) {
            Some(list) if genuine(&parts) => self.store.slot_owner(list, index)?,
            _ => None,
        };
        let mut granted = BTreeMap::new();
        if let Some(verified) = &verified {
            for (key, json) in verified.expose() {
                if let Some(value) = Value::from_json(json) {
                    granted.insert(key.clone(), value);
                }
            }
        }
        self.found(parts, kind, granted, row, now)
    }

    pub(super) fn find_offline(&self, text: &str, now: UnixTime) -> Result<Found<'_>, VaultError> {
        let Ok(unverified) = UnverifiedOfflineCode::parse(text.trim()) else {
            return Ok(malformed());
        };
        let (parts, verified) =
            unverified.verify(self, &self.known_show_keys, DevelopmentKeys::DangerAccept, now);
        let Some(verified) = verified else {
            return self.found(parts, None, BTreeMap::new(), None, now);
        };
        let kind = self.catalog.by_code(verified.certificate_type());
        let mut granted = BTreeMap::new();
        for (number, value) in verified.expose() {
            if let Some(field) = kind.and_then(|kind| kind.field_numbered(*number)) {
                granted.insert(field.key.clone(), value.clone());
            }
        }
        let (list, index) = verified.status_reference();
        let row = self.store.slot_owner(list, index)?;
        self.found(parts, kind, granted, row, now)
    }

    fn found<'a>(
        &'a self,
        parts: Parts,
        kind: Option<&'a crate::catalog::CertificateType>,
        granted: BTreeMap<String, Value>,
        row: Option<RowKey>,
        now: UnixTime,
    ) -> Result<Found<'a>, VaultError> {
        let open = row.map(|row| self.open_record(row)).transpose()?;
        let Parts { signature, chain, key_validity, mut status, mut time, binding } = parts;
        if let Some(open) = &open {
            let issuer = open.record.identifier.issuer().to_string();
            let by = self.keyring.issuer_name(&issuer).map(|(zh, _)| zh.to_string());
            status = status_of(&open.record, by);
            // The code's own time still stands: a good certificate does not save an old code.
            if time.outcome() == Outcome::Passed {
                time = time_of(&open.record, now);
            }
        }
        let asking = Check::new(Reason::AskingNone);
        let checks = Checks { signature, chain, key_validity, status, time, binding, asking };
        // What is shown must be worth showing: nothing of a certificate that failed.
        Ok(Found { open, kind, granted, questions: Questions::Granted, checks })
    }

    fn vct(&self, path: String) -> String {
        format!("{}{path}", self.settings.url)
    }

    fn list_of(&self, uri: &str) -> Option<u32> {
        let number = uri.strip_prefix(&self.settings.url)?.strip_prefix("/status/")?;
        number.parse().ok().filter(|list: &u32| list.to_string() == number)
    }
}

/// Whether the department signed these very bytes.
fn genuine(parts: &Parts) -> bool {
    parts.signature.outcome() == Outcome::Passed && parts.chain.outcome() == Outcome::Passed
}

fn malformed<'a>() -> Found<'a> {
    let checks = Checks {
        signature: Check::new(Reason::SignatureMalformed),
        chain: Check::new(Reason::ChainNotReached),
        key_validity: Check::new(Reason::KeyNotReached),
        status: Check::new(Reason::StatusNotReached),
        time: Check::new(Reason::TimeNotReached),
        binding: Check::new(Reason::BindingNone),
        asking: Check::new(Reason::AskingNone),
    };
    Found { open: None, kind: None, granted: BTreeMap::new(), questions: Questions::Granted, checks }
}

/// A key is believed for its own department and for types we know.
impl IssuerTrust for Vault {
    fn issuer_key(&self, iss: &str, kid: &str, vct: &str) -> Option<TrustedIssuerKey> {
        let known = self.catalog.types().iter().any(|kind| self.vct(kind.path()) == vct);
        let issuer = self.keyring.issuers.iter().find(|issuer| issuer.kid == kid)?;
        if !known || self.settings.issuer_url(issuer.uscc.as_str()) != iss {
            return None;
        }
        Some(TrustedIssuerKey {
            key: issuer.signer.public_key().clone(),
            not_before: UnixTime::clamped(issuer.not_before),
            not_after: UnixTime::clamped(issuer.not_after),
            compromised_since: None,
            issuer_name: issuer.name_zh.clone(),
            development: false,
        })
    }
}

impl StatusSource for Vault {
    fn status(&self, uri: &str, index: u32) -> StatusAnswer {
        let value = self.list_of(uri).and_then(|list| self.published().value(list, index));
        match value {
            Some(value) => StatusAnswer::Value { value, as_of: self.now() },
            None => StatusAnswer::Unknown,
        }
    }
}

impl ShowAuthorities for Vault {
    fn authority(&self, kid: &ShortKid) -> Option<ShowAuthority> {
        let mut keys = self.keyring.show_authorities().into_iter();
        let own = keys.find(|own| short_kid(&own.key) == *kid)?;
        Some(ShowAuthority {
            key: own.key,
            not_before: own.not_before,
            not_after: own.not_after,
            development: false,
            name: self.settings.url.clone(),
        })
    }
}
