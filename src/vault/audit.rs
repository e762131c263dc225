//! For auditors: every change of a certificate's state, newest last, with its log entry.
//!
//! Auditors see what was changed, by which department, why and when, and never a
//! name or number.

use super::guard::{self, Caller, Verb};
use super::records::Record;
use super::wallet::{PAGE_MAX, Paged, read_cursor, write_cursor};
use super::{Vault, VaultError};
use crate::domain::lifecycle::ChangeKind;
use crate::domain::time::UnixTime;
use crate::store::{Change, PageRequest, Span};

/// One change of a certificate's state.
#[derive(Clone, Debug, PartialEq)]
pub struct RevocationView {
    /// When it was recorded.
    pub at: UnixTime,
    /// When it takes effect.
    pub effective_at: UnixTime,
    /// Social credit code of the department.
    pub issuer: String,
    /// Its name in Chinese.
    pub issuer_name: String,
    /// What was done.
    pub kind: ChangeKind,
    /// Code of the reason.
    pub reason: String,
    /// The rule it rests on.
    pub legal_basis: String,
    /// Index of the log entry.
    pub entry: u64,
    /// Slug of the type.
    pub type_slug: String,
    /// Status list and slot, while the record can be opened.
    pub slot: Option<(u32, u32)>,
}

impl Vault {
    /// Changes recorded from `from` up to before `until`, oldest first.
    ///
    /// # Errors
    /// [`VaultError::Invalid`] for a cursor that is not ours.
    pub fn revocations(
        &self,
        caller: &Caller,
        from: UnixTime,
        until: UnixTime,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Paged<RevocationView>, VaultError> {
        guard::admit(caller, Verb::Audit)?;
        let limit = limit.clamp(1, PAGE_MAX);
        let page = match cursor {
            None => PageRequest::first(limit),
            Some(cursor) => PageRequest::after(read_cursor(cursor)?, limit),
        };
        let page = self.store.changes(Span { from, until }, &page)?;
        let mut items = Vec::with_capacity(page.items.len());
        for row in &page.items {
            let kind = ChangeKind::numbered(row.kind).ok_or(VaultError::Unreadable)?;
            // A record that cannot be opened (its holders deleted, or it was tampered with) is still listed:
            // its row and its entry stand.
            items.push(match self.open_record(row.key) {
                Ok(open) => self.revocation(&open.record, kind, row)?,
                Err(_) => RevocationView::bare(kind, row),
            });
        }
        Ok(Paged { items, next: page.next.as_ref().map(write_cursor) })
    }

    fn revocation(
        &self,
        record: &Record,
        kind: ChangeKind,
        row: &Change,
    ) -> Result<RevocationView, VaultError> {
        let done =
            record.changes.iter().rev().find(|change| change.kind == kind && change.recorded_at <= row.at);
        let issuer = record.identifier.issuer().to_string();
        let issuer_name = self.keyring.issuer_name(&issuer).map_or("", |(zh, _)| zh).to_string();
        Ok(RevocationView {
            effective_at: done.map_or(row.at, |change| change.effective_at),
            issuer,
            issuer_name,
            reason: done.map(|change| change.reason.clone()).unwrap_or_default(),
            legal_basis: done.map(|change| change.legal_basis.clone()).unwrap_or_default(),
            type_slug: self.type_of(record)?.slug().to_string(),
            slot: record.credentials.first().map(|credential| (credential.list, credential.index)),
            ..RevocationView::bare(kind, row)
        })
    }
}

impl RevocationView {
    /// What the row alone says.
    fn bare(kind: ChangeKind, row: &Change) -> Self {
        Self {
            at: row.at,
            effective_at: row.at,
            issuer: String::new(),
            issuer_name: String::new(),
            kind,
            reason: String::new(),
            legal_basis: String::new(),
            entry: row.entry,
            type_slug: String::new(),
            slot: None,
        }
    }
}
