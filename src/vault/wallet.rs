//! The wallet (卡包): what a holder has, and who looked at it.
//!
//! A holder is known by the keyed hash in their token. Certificates of others, and
//! those that do not exist, get one answer.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::guard::{self, Caller, Verb};
use super::issue::credential_row_key;
use super::records;
use super::unseal::OpenRecord;
use super::view::{CertificateView, Reveal};
use super::{Vault, VaultError};
use crate::catalog::certificate_type::FieldFault;
use crate::domain::number::CertificateIdentifier;
use crate::domain::time::UnixTime;
use crate::store::{Cursor, HolderId, PageRequest, Tag};

/// Which certificates of a wallet are wanted.
#[derive(Clone, Debug, Default)]
pub struct WalletQuery {
    /// Only this type, by slug.
    pub certificate_type: Option<String>,
    /// Only this state, such as `active` or `expired`.
    pub state: Option<String>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Most certificates in the page.
    pub limit: usize,
}

/// One page, and where the next begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Paged<T> {
    /// What was found.
    pub items: Vec<T>,
    /// The cursor of the next page; absent at the end.
    pub next: Option<String>,
}

/// One time that somebody looked.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessView {
    /// When.
    pub at: UnixTime,
    /// The agency's social credit code.
    pub agency: String,
    /// Its name.
    pub agency_name: String,
    /// In which scenario.
    pub scenario: String,
    /// The agency's business number.
    pub case: String,
    /// Which certificate.
    pub identifier: String,
    /// Which fields, by key; never their values.
    pub fields: Vec<String>,
    /// How the verification came out.
    pub decision: String,
}

impl Vault {
    /// The caller's certificates, newest first, masked.
    ///
    /// # Errors
    /// [`VaultError::Invalid`] for a cursor that is not ours.
    pub fn wallet(&self, caller: &Caller, query: &WalletQuery) -> Result<Paged<CertificateView>, VaultError> {
        guard::admit(caller, Verb::Wallet)?;
        let Some(holder) = self.holder_of(caller)? else { return Ok(Paged { items: vec![], next: None }) };
        let limit = query.limit.clamp(1, PAGE_MAX);
        let mut items = Vec::new();
        let mut cursor = query.cursor.as_deref().map(read_cursor).transpose()?;
        // A filter may pass over many rows; a page looks at so many at most and then says where to go on.
        for _ in 0..LOOKED_AT_MAX {
            // One at a time, so that the cursor stands right behind the last one shown.
            let page = match cursor.take() {
                None => self.store.wallet(holder, &PageRequest::first(1))?,
                Some(at) => self.store.wallet(holder, &PageRequest::after(at, 1))?,
            };
            for row in &page.items {
                // One row that cannot be opened raised its alert; the rest of the wallet is still there.
                let Ok(open) = self.open_record(row.key) else { continue };
                let kind = self.type_of(&open.record)?;
                let view = self.view(kind, &open.record, Reveal::Masked);
                let wanted = query.certificate_type.as_deref().is_none_or(|slug| slug == kind.slug())
                    && query.state.as_deref().is_none_or(|state| state == view.state.name());
                if wanted {
                    items.push(view);
                }
            }
            let Some(next) = page.next else { return Ok(Paged { items, next: None }) };
            if items.len() == limit {
                return Ok(Paged { items, next: Some(write_cursor(&next)) });
            }
            cursor = Some(next);
        }
        let next = cursor.as_ref().map(write_cursor);
        Ok(Paged { items, next })
    }

    /// One of the caller's certificates.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] also for those of others.
    pub fn wallet_certificate(
        &self,
        caller: &Caller,
        identifier: &CertificateIdentifier,
        reveal: Reveal,
    ) -> Result<CertificateView, VaultError> {
        guard::admit(caller, Verb::Wallet)?;
        let (_, open) = self.held(caller, identifier)?;
        Ok(self.view(self.type_of(&open.record)?, &open.record, reveal))
    }

    /// The credential of one of the caller's certificates, with all its disclosures.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] also for those of others.
    pub fn credential(
        &self,
        caller: &Caller,
        identifier: &CertificateIdentifier,
    ) -> Result<String, VaultError> {
        guard::admit(caller, Verb::Wallet)?;
        let (_, open) = self.held(caller, identifier)?;
        let seq = open.record.credentials.first().ok_or(VaultError::NotFound)?.seq;
        let row = self.store.credential(open.key, seq)?.ok_or(VaultError::NotFound)?;
        let key = credential_row_key(open.key, seq);
        let text = records::open_row("credential", &key, &open.dek, row.sealed.as_bytes())?;
        String::from_utf8(text.to_vec()).map_err(|_| VaultError::Unreadable)
    }

    /// Who looked at the caller's certificates, newest first.
    ///
    /// # Errors
    /// [`VaultError::Invalid`] for a cursor that is not ours.
    pub fn accesses(
        &self,
        caller: &Caller,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Paged<AccessView>, VaultError> {
        guard::admit(caller, Verb::Wallet)?;
        let Some(holder) = self.holder_of(caller)? else { return Ok(Paged { items: vec![], next: None }) };
        let key = self.holder_key(holder)?;
        let limit = limit.clamp(1, PAGE_MAX);
        let page = match cursor {
            None => PageRequest::first(limit),
            Some(cursor) => PageRequest::after(read_cursor(cursor)?, limit),
        };
        let page = self.store.accesses(holder, &page)?;
        let mut items = Vec::with_capacity(page.items.len());
        for row in &page.items {
            let json = records::open_row("access", &holder.0, &key, row.sealed.as_bytes())?;
            let form: AccessForm = serde_json::from_slice(&json).map_err(|_| VaultError::Unreadable)?;
            items.push(form.into());
        }
        Ok(Paged { items, next: page.next.as_ref().map(write_cursor) })
    }

    /// The holder behind a caller; `None` while they hold nothing.
    pub(super) fn holder_of(&self, caller: &Caller) -> Result<Option<HolderId>, VaultError> {
        let tag = caller.holder.ok_or(VaultError::Forbidden)?;
        self.holder_id(Tag(tag))
    }

    /// A certificate that the caller holds.
    pub(super) fn held(
        &self,
        caller: &Caller,
        identifier: &CertificateIdentifier,
    ) -> Result<(HolderId, OpenRecord), VaultError> {
        let holder = self.holder_of(caller)?.ok_or(VaultError::NotFound)?;
        let open = self.record_of(identifier)?;
        if open.record.holders.iter().any(|candidate| candidate.id == holder) {
            Ok((holder, open))
        } else {
            Err(VaultError::NotFound)
        }
    }
}

/// The stored shape of an access record.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccessForm {
    pub(super) at: i64,
    pub(super) agency: String,
    pub(super) agency_name: String,
    pub(super) scenario: String,
    pub(super) case: String,
    pub(super) identifier: String,
    pub(super) fields: Vec<String>,
    pub(super) decision: String,
}

impl From<AccessForm> for AccessView {
    fn from(form: AccessForm) -> Self {
        Self {
            at: UnixTime::clamped(form.at),
            agency: form.agency,
            agency_name: form.agency_name,
            scenario: form.scenario,
            case: form.case,
            identifier: form.identifier,
            fields: form.fields,
            decision: form.decision,
        }
    }
}

pub(super) fn write_cursor(cursor: &Cursor) -> String {
    URL_SAFE_NO_PAD.encode(cursor.as_bytes())
}

pub(super) fn read_cursor(text: &str) -> Result<Cursor, VaultError> {
    let bytes = if text.len() > CURSOR_MAX { Err(()) } else { URL_SAFE_NO_PAD.decode(text).map_err(|_| ()) };
    bytes.map(Cursor::from_bytes).map_err(|()| {
        let reason = "is not one that we gave".to_string();
        VaultError::Invalid(vec![FieldFault { field: "cursor".into(), code: "field/invalid", reason }])
    })
}

/// Most items of a page.
pub(super) const PAGE_MAX: usize = 100;

/// Certificates one page looks at when a filter passes over them.
const LOOKED_AT_MAX: usize = 500;

/// Longest cursor in characters: the longest row key, base64url.
const CURSOR_MAX: usize = 256;
