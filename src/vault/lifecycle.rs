//! Changing: suspend, resume, replace, cancel, withdraw, revoke, transfer.
//!
//! One plan keeps the changed record, the status bits of all its credentials and
//! their log entries, so an online answer sees the change at once and the published
//! list within its interval. The legal moves are the one table of
//! [`crate::domain::lifecycle`].
//!
//! The same change again answers as the first did. When another change came
//! between reading and keeping, the record is read again and the table asked again.

use serde_json::json;

use super::guard::{self, Caller, Verb};
use super::issue::{IssueOrder, Issued, Prepared, Repetition, Succession, issued_before};
use super::records::{Changed, Record};
use super::unseal::OpenRecord;
use super::view::{CertificateView, Reveal};
use super::writer::{Condition, Done, NewChange, Plan, Refused};
use super::{Vault, VaultError};
use crate::catalog::CertificateType;
use crate::catalog::certificate_type::FieldFault;
use crate::domain::digest::Digest;
use crate::domain::lifecycle::{ChangeKind, ReasonCode};
use crate::domain::number::CertificateIdentifier;
use crate::domain::time::UnixTime;
use crate::log::event::{Event, SlotValue};
use crate::status::list::SlotIndex;
use crate::store::{Certificate, Tag};

/// What an officer orders.
#[derive(Clone)]
pub struct ChangeOrder {
    /// What is done.
    pub kind: ChangeKind,
    /// Why.
    pub reason: ReasonCode,
    /// The rule it rests on, such as 行政许可法 第七十条.
    pub legal_basis: String,
    /// When it takes effect; now when absent. Only a withdrawal may lie in the past.
    pub effective_at: Option<UnixTime>,
    /// Makes a repetition recognisable.
    pub request: Option<String>,
}

impl Vault {
    /// Changes a certificate's state.
    ///
    /// # Errors
    /// [`VaultError::IllegalMove`] when the table has no such move; nothing changed then.
    pub fn change(
        &self,
        caller: &Caller,
        identifier: &CertificateIdentifier,
        order: ChangeOrder,
    ) -> Result<CertificateView, VaultError> {
        guard::admit(caller, Verb::Change)?;
        self.check_order(&order)?;
        let digest = order.digest(identifier);
        let request = self.request_of(caller, "change", order.request.as_deref(), digest);
        for _ in 0..ATTEMPTS_MAX {
            // The request first: one that was kept between two looks must show in the record.
            let done = request.as_ref().map(|request| self.answered(request)).transpose()?.flatten();
            let open = self.own_record(caller, identifier)?;
            let kind = self.type_of(&open.record)?;
            if done.is_some() {
                return Ok(self.view(kind, &open.record, Reveal::Masked));
            }
            if already(&open.record, &order) {
                return Ok(self.view(kind, &open.record, Reveal::Masked));
            }
            let mut plan = Plan { request, ..Plan::default() };
            if let Some(request) = &request {
                plan.answer = self.seal_own("answer", &request.tag.0, b"changed")?;
            }
            let changed = self.changed(caller, &open.record, &order)?;
            self.plan_change(&open, &changed, order.kind, &mut plan)?;
            match self.writer.commit(plan) {
                Ok(Done::Kept | Done::Repeated(_)) => return Ok(self.view(kind, &changed, Reveal::Masked)),
                Err(Refused::Moved(_)) => {}
                Err(refused) => return Err(refused.into()),
            }
        }
        Err(VaultError::Overloaded)
    }

    /// Issues the next version of a certificate (换发); the version before ends as superseded, in the same commit.
    ///
    /// # Errors
    /// As [`Vault::issue`], and [`VaultError::IllegalMove`] when the version before has ended otherwise.
    pub fn replace(
        &self,
        caller: &Caller,
        identifier: &CertificateIdentifier,
        order: IssueOrder,
    ) -> Result<Issued, VaultError> {
        guard::admit(caller, Verb::Change)?;
        for _ in 0..ATTEMPTS_MAX {
            let open = self.own_record(caller, identifier)?;
            let kind = self.type_of(&open.record)?;
            let request = self.issue_request(caller, &order, Some(identifier));
            if let Some(request) = &request
                && let Some(answer) = self.answered(request)?
            {
                return issued_before(&answer);
            }
            if self.catalog.find(&order.certificate_type).map(CertificateType::slug) != Some(kind.slug()) {
                let reason = "must be the type of the certificate it replaces".to_string();
                let fault = FieldFault { field: "certificate_type".into(), code: "field/invalid", reason };
                return Err(VaultError::Invalid(vec![fault]));
            }
            let version = identifier.version().next().ok_or(VaultError::TooLong)?;
            let succession =
                Succession { serial: identifier.serial().clone(), version, previous: identifier.clone() };
            let change = ChangeOrder {
                kind: ChangeKind::Replace,
                reason: ReasonCode::Renewal,
                legal_basis: "换发".into(),
                effective_at: None,
                request: None,
            };
            let mut old = self.changed(caller, &open.record, &change)?;
            let signed = match self.prepare(caller, &order, Some(succession))? {
                Prepared::Before(issued) => return Ok(issued),
                Prepared::Signed(signed) => signed,
            };
            old.next = Some(signed.record.identifier.clone());
            let mut plan = self.seal_plan(&signed)?;
            let number_moves = self.same_number(&open.record, &signed.record);
            plan.conditions
                .retain(|condition| !(number_moves && matches!(condition, Condition::NumberFree(_))));
            self.plan_change(&open, &old, ChangeKind::Replace, &mut plan)?;
            match self.writer.commit(plan) {
                Ok(Done::Kept) => {
                    let identifier = signed.record.identifier.clone();
                    return Ok(Issued { identifier, repetition: Repetition::First });
                }
                Ok(Done::Repeated(answer)) => {
                    let tag = request.map_or(Tag([0; 32]), |request| request.tag);
                    return issued_before(&self.open_own("answer", &tag.0, &answer)?);
                }
                Err(Refused::Moved(_)) => {}
                Err(refused) => return Err(refused.into()),
            }
        }
        Err(VaultError::Overloaded)
    }

    /// A certificate of the caller's department.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] also for those of other departments.
    pub fn issued(
        &self,
        caller: &Caller,
        identifier: &CertificateIdentifier,
        reveal: Reveal,
    ) -> Result<CertificateView, VaultError> {
        guard::admit(caller, Verb::ReadIssued)?;
        let open = self.own_record(caller, identifier)?;
        Ok(self.view(self.type_of(&open.record)?, &open.record, reveal))
    }

    /// Every version of a certificate, newest first.
    ///
    /// # Errors
    /// As [`Vault::issued`].
    pub fn history(
        &self,
        caller: &Caller,
        identifier: &CertificateIdentifier,
    ) -> Result<Vec<CertificateView>, VaultError> {
        guard::admit(caller, Verb::ReadIssued)?;
        let mut newest = self.own_record(caller, identifier)?;
        for _ in 0..VERSIONS_MAX {
            let Some(next) = newest.record.next.clone() else { break };
            newest = self.own_record(caller, &next)?;
        }
        let mut views = Vec::new();
        let mut at = Some(newest);
        while let Some(open) = at.take() {
            views.push(self.view(self.type_of(&open.record)?, &open.record, Reveal::Masked));
            if views.len() >= VERSIONS_MAX {
                break;
            }
            if let Some(previous) = &open.record.previous {
                at = Some(self.own_record(caller, previous)?);
            }
        }
        Ok(views)
    }

    /// A record of the caller's own department and types; others answer as if they were absent.
    pub(super) fn own_record(
        &self,
        caller: &Caller,
        identifier: &CertificateIdentifier,
    ) -> Result<OpenRecord, VaultError> {
        let department = guard::organisation(caller)?;
        let registration = self.registration(&caller.id)?.ok_or(VaultError::NotFound)?;
        let kind = self.catalog.by_code(identifier.type_code()).ok_or(VaultError::NotFound)?;
        if identifier.issuer().to_string() != department.as_str() || !registration.types.contains(kind.slug())
        {
            return Err(VaultError::NotFound);
        }
        self.record_of(identifier)
    }

    pub(super) fn type_of(&self, record: &Record) -> Result<&CertificateType, VaultError> {
        self.catalog.by_code(record.type_code()).ok_or(VaultError::UnknownType)
    }

    fn same_number(&self, old: &Record, new: &Record) -> bool {
        let number = crate::catalog::certificate_type::NUMBER;
        old.claims.text(number) == new.claims.text(number)
    }

    fn check_order(&self, order: &ChangeOrder) -> Result<(), VaultError> {
        let wrong = |field: &str, reason: &str| {
            let fault = FieldFault { field: field.into(), code: "field/invalid", reason: reason.into() };
            Err(VaultError::Invalid(vec![fault]))
        };
        let basis = order.legal_basis.chars().count();
        if basis == 0 || basis > BASIS_MAX || order.legal_basis.chars().any(char::is_control) {
            return wrong("legal_basis", "must name the rule in 1 to 200 characters");
        }
        if order.effective_at.is_some_and(|at| at > self.now()) {
            return wrong("effective_at", "lies in the future");
        }
        if order.effective_at.is_some() && order.kind != ChangeKind::Withdraw {
            return wrong("effective_at", "only a withdrawal (撤销) may be retroactive");
        }
        if order.kind == ChangeKind::Replace {
            return wrong("kind", "a replacement needs the new certificate");
        }
        Ok(())
    }

    /// The record after the change.
    fn changed(&self, caller: &Caller, record: &Record, order: &ChangeOrder) -> Result<Record, VaultError> {
        let state = record.state.after(order.kind);
        let state = state.map_err(|_| VaultError::IllegalMove { state: record.state, kind: order.kind })?;
        let now = self.now();
        let mut changed = record.clone();
        changed.state = state;
        changed.changes.push(Changed {
            kind: order.kind,
            reason: order.reason.code().to_string(),
            legal_basis: order.legal_basis.clone(),
            officer: caller.id.clone(),
            effective_at: order.effective_at.unwrap_or(now),
            recorded_at: now,
        });
        Ok(changed)
    }

    /// Adds the changed record, its bits and their log entries to a plan.
    fn plan_change(
        &self,
        open: &OpenRecord,
        changed: &Record,
        kind: ChangeKind,
        plan: &mut Plan,
    ) -> Result<(), VaultError> {
        let sealed = self.seal_again(open, changed)?;
        plan.conditions.push(Condition::RecordIs { key: open.key, digest: open.digest });
        plan.rows.push(Certificate { key: open.key, sealed: sealed.into() }.into());
        let issuer = changed.issuer().ok_or(VaultError::Unreadable)?;
        let value = SlotValue::try_from(changed.state.status_bits()).map_err(|_| VaultError::Unreadable)?;
        for credential in &changed.credentials {
            // A graver end over a milder one leaves the bits as they are; the entry is still made.
            let event = plan.events.len();
            plan.events.push((
                Some(issuer.to_string()),
                Event::Status {
                    list: credential.list,
                    index: credential.index,
                    value,
                    class: changed.state.coarse_class(),
                },
            ));
            let index = SlotIndex::new(credential.index).ok_or(VaultError::Unreadable)?;
            plan.bits.push((credential.list, index, value));
            let issuer = self.issuer_tag(issuer);
            plan.changes.push(NewChange { issuer, key: open.key, kind: kind.number(), event });
        }
        Ok(())
    }
}

impl ChangeOrder {
    fn digest(&self, identifier: &CertificateIdentifier) -> Digest {
        let effective = self.effective_at.map(UnixTime::seconds);
        let whole = json!([
            identifier.to_string(),
            self.kind.name(),
            self.reason.code(),
            self.legal_basis,
            effective
        ]);
        Digest::of(&[b"kabao/change/1\0", whole.to_string().as_bytes()])
    }
}

/// Whether the last change was this one: same move, reason and rule.
fn already(record: &Record, order: &ChangeOrder) -> bool {
    record.last_change().is_some_and(|last| {
        last.kind == order.kind && last.reason == order.reason.code() && last.legal_basis == order.legal_basis
    })
}

/// How often a change is tried when another comes between reading and keeping.
const ATTEMPTS_MAX: usize = 8;

/// Versions of one certificate that a history shows. The identifier has three digits.
const VERSIONS_MAX: usize = 999;

/// Longest wording of a legal basis. Our own choice, as the provincial service's reasons (STANDARDS 1.6).
const BASIS_MAX: usize = 200;
