//! Certificates: ordered, issued, changed, seen.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Bilingual, FieldError};
use crate::domain::lifecycle::{ChangeKind, ReasonCode};
use crate::domain::time::{Date, UnixTime};
use crate::http::problem::{Problem, field_errors};
use crate::vault::VaultError;
use crate::vault::issue::{IssueOrder, Issued, OrderHolder};
use crate::vault::lifecycle::ChangeOrder;
use crate::vault::view::{CertificateView, ChangeView, FieldView, Masked};
use crate::vault::wallet::Paged;

/// A certificate to issue.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct IssueBody {
    /// Slug, code or Chinese name of the type.
    #[serde(rename = "type")]
    certificate_type: String,
    /// Who shall hold it, in printed order.
    holders: Vec<HolderBody>,
    /// The printed number.
    number: String,
    /// Day of issue; today when absent.
    issue_date: Option<String>,
    /// First day of validity; the day of issue when absent.
    valid_from: Option<String>,
    /// Last day of validity; absent is 长期 or does not apply.
    valid_until: Option<String>,
    /// The type's own fields, by key.
    #[serde(default)]
    fields: Map<String, Value>,
}

/// One row of a batch: a certificate to issue.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct IssueRow {
    /// The row's own key: sent again in any batch, it answers as before.
    request: Option<String>,
    /// Slug, code or Chinese name of the type.
    #[serde(rename = "type")]
    certificate_type: String,
    /// Who shall hold it, in printed order.
    holders: Vec<HolderBody>,
    /// The printed number.
    number: String,
    /// Day of issue; today when absent.
    issue_date: Option<String>,
    /// First day of validity; the day of issue when absent.
    valid_from: Option<String>,
    /// Last day of validity; absent is 长期 or does not apply.
    valid_until: Option<String>,
    /// The type's own fields, by key.
    #[serde(default)]
    fields: Map<String, Value>,
}

/// One holder.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct HolderBody {
    /// Code type of GB/T 36903 Annex A, such as `111` or `001`.
    code_type: String,
    /// The code, such as the resident number.
    code: String,
    /// The name as printed.
    name: String,
}

impl IssueBody {
    /// The order it stands for.
    pub(in crate::http) fn order(self, request: String) -> Result<IssueOrder, Problem> {
        let mut faults = Vec::new();
        let issue_date = date("issue_date", self.issue_date, &mut faults);
        let valid_from = date("valid_from", self.valid_from, &mut faults);
        let valid_until = date("valid_until", self.valid_until, &mut faults);
        if !faults.is_empty() {
            return Err(Problem::invalid(faults));
        }
        let holder = |holder: HolderBody| OrderHolder {
            code_type: holder.code_type,
            code: holder.code,
            name: holder.name,
        };
        Ok(IssueOrder {
            certificate_type: self.certificate_type,
            holders: self.holders.into_iter().map(holder).collect(),
            number: self.number,
            issue_date,
            valid_from,
            valid_until,
            fields: self.fields,
            request: Some(request),
        })
    }
}

impl IssueRow {
    /// The order it stands for; `request` is its key when it has none of its own.
    pub(in crate::http) fn order(self, request: String) -> Result<IssueOrder, Problem> {
        let request = match self.request {
            None => request,
            Some(own) => row_key(&own)?,
        };
        let body = IssueBody {
            certificate_type: self.certificate_type,
            holders: self.holders,
            number: self.number,
            issue_date: self.issue_date,
            valid_from: self.valid_from,
            valid_until: self.valid_until,
            fields: self.fields,
        };
        body.order(request)
    }
}

/// A row's own key, told apart from the keys of single requests and of batches.
pub(super) fn row_key(own: &str) -> Result<String, Problem> {
    if own.is_empty() || own.len() > ROW_KEY_BYTES_MAX || own.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err(Problem::invalid_field("request", "must be 1 to 128 printable ASCII characters"));
    }
    Ok(format!("row:{own}"))
}

fn date(field: &str, text: Option<String>, faults: &mut Vec<FieldError>) -> Option<Date> {
    let text = text.filter(|text| !text.is_empty())?;
    match text.parse() {
        Ok(date) => Some(date),
        Err(error) => {
            let error: crate::domain::time::TimeError = error;
            faults.push(FieldError::new(field, error.code(), &format!("is {error}")));
            None
        }
    }
}

/// A certificate that was issued.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct IssuedView {
    /// 电子证照标识.
    pub(in crate::http) identifier: String,
}

/// What became of one row: an identifier, or what is wrong.
#[derive(Default, Serialize, ToSchema)]
pub(in crate::http) struct IssueResult {
    /// The row's number, from 1.
    row: u64,
    /// 电子证照标识, when it was issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    identifier: Option<String>,
    /// Stable name of what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// The first field that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// What is wrong, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Every field that is wrong, when there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

impl IssueResult {
    /// The result of an order that reached the vault.
    pub(in crate::http) fn new(row: u64, outcome: &Result<Issued, VaultError>) -> Self {
        match outcome {
            Ok(issued) => Self { row, identifier: Some(issued.identifier.to_string()), ..Self::default() },
            Err(error) => Self::wrong(row, error.code(), &error.to_string(), field_errors(error)),
        }
    }

    /// The result of a row that did not.
    pub(in crate::http) fn refused(row: u64, problem: &Problem) -> Self {
        Self::wrong(row, problem.code(), problem.text(), problem.errors().to_vec())
    }

    fn wrong(row: u64, code: &str, text: &str, mut errors: Vec<FieldError>) -> Self {
        let first = errors.first().cloned();
        if errors.len() < 2 {
            errors.clear();
        }
        Self {
            row,
            identifier: None,
            code: Some(code.to_string()),
            reason: Some(first.as_ref().map_or_else(|| text.to_string(), |first| first.reason.clone())),
            field: first.map(|first| first.field),
            errors,
        }
    }
}

/// A change of a certificate's state.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ChangeBody {
    /// Code of the reason, such as `sanction` or `holder-request`.
    reason: String,
    /// The rule it rests on, such as 行政许可法 第七十条.
    legal_basis: String,
    /// When it takes effect (RFC 3339); now when absent. Only a withdrawal may lie in the past.
    effective_at: Option<String>,
}

impl ChangeBody {
    /// The order it stands for.
    pub(in crate::http) fn order(
        self,
        kind: ChangeKind,
        request: Option<String>,
    ) -> Result<ChangeOrder, Problem> {
        let mut faults = Vec::new();
        let reason = ReasonCode::parse(&self.reason);
        if reason.is_none() {
            let known: Vec<&str> = ReasonCode::ALL.iter().map(|reason| reason.code()).collect();
            let text = format!("must be one of {}", known.join(", "));
            faults.push(FieldError::new("reason", "request/invalid", &text));
        }
        let effective_at = self.effective_at.map(|text| text.parse::<UnixTime>());
        if let Some(Err(error)) = &effective_at {
            faults.push(FieldError::new("effective_at", error.code(), &format!("is {error}")));
        }
        match (reason, effective_at.transpose()) {
            (Some(reason), Ok(effective_at)) => {
                Ok(ChangeOrder { kind, reason, legal_basis: self.legal_basis, effective_at, request })
            }
            _ => Err(Problem::invalid(faults)),
        }
    }
}

/// What people see of a certificate.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct CertificateBody {
    /// 电子证照标识.
    identifier: String,
    /// Slug of the type.
    #[serde(rename = "type")]
    certificate_type: String,
    /// 证照类型代码.
    type_code: String,
    /// Version of the type's description.
    type_version: u16,
    /// Name of the type.
    type_name: Bilingual,
    /// Social credit code of the issuing department.
    issuer: String,
    /// Its name.
    issuer_name: Bilingual,
    /// The holders' names, masked unless revealed.
    holder_names: Vec<String>,
    /// The printed number, masked unless revealed.
    number: String,
    /// Day of issue.
    #[serde(skip_serializing_if = "Option::is_none")]
    issue_date: Option<String>,
    /// First day of validity.
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_from: Option<String>,
    /// Last day of validity; absent is 长期 or does not apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_until: Option<String>,
    /// `active`, `suspended`, `expired`, `superseded`, `cancelled`, `withdrawn`, `revoked` or `transferred`.
    state: &'static str,
    /// The state in Chinese.
    state_name: &'static str,
    /// The ministry's own code for the state, and its name.
    state_code: StateCode,
    /// The fields, in printed order.
    fields: Vec<FieldBody>,
    /// The version, from 1.
    version: u16,
    /// The version before.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
    /// The version that took its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// What was done to it, oldest first.
    changes: Vec<ChangeRecord>,
    /// When it was issued here.
    issued_at: String,
}

/// The ministry's own code for a state.
#[derive(Serialize, ToSchema)]
struct StateCode {
    code: String,
    name: String,
}

/// One field of a certificate.
#[derive(Serialize, ToSchema)]
struct FieldBody {
    /// Its key.
    key: String,
    /// What is printed before it.
    label: Bilingual,
    /// Its value.
    #[schema(value_type = Value)]
    value: Value,
    /// Its value as printed.
    text: String,
    /// Whether part of it is hidden.
    masked: bool,
}

/// What was done to a certificate.
#[derive(Serialize, ToSchema)]
struct ChangeRecord {
    /// What.
    kind: &'static str,
    /// The same in Chinese.
    kind_name: &'static str,
    /// Code of the reason.
    reason: String,
    /// The reason in Chinese.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_name: Option<&'static str>,
    /// The rule it rests on.
    legal_basis: String,
    /// The registration that did it.
    officer: String,
    /// When it takes effect.
    effective_at: String,
    /// When it was recorded.
    recorded_at: String,
}

impl From<&CertificateView> for CertificateBody {
    fn from(view: &CertificateView) -> Self {
        let (code, name) = view.state_code.clone();
        Self {
            identifier: view.identifier.to_string(),
            certificate_type: view.type_slug.clone(),
            type_code: view.type_code.clone(),
            type_version: view.type_version,
            type_name: (&view.type_name).into(),
            issuer: view.issuer.clone(),
            issuer_name: (&view.issuer_name).into(),
            holder_names: view.holder_names.clone(),
            number: view.number.clone(),
            issue_date: view.issue_date.map(|date| date.to_string()),
            valid_from: view.valid_from.map(|date| date.to_string()),
            valid_until: view.valid_until.map(|date| date.to_string()),
            state: view.state.name(),
            state_name: view.state.zh(),
            state_code: StateCode { code, name },
            fields: view.fields.iter().map(FieldBody::from).collect(),
            version: view.version,
            previous: view.previous.as_ref().map(ToString::to_string),
            next: view.next.as_ref().map(ToString::to_string),
            changes: view.changes.iter().map(ChangeRecord::from).collect(),
            issued_at: view.issued_at.to_string(),
        }
    }
}

impl From<&FieldView> for FieldBody {
    fn from(field: &FieldView) -> Self {
        Self {
            key: field.key.clone(),
            label: (&field.label).into(),
            value: field.value.clone(),
            text: field.text.clone(),
            masked: field.masked == Masked::Yes,
        }
    }
}

impl From<&ChangeView> for ChangeRecord {
    fn from(change: &ChangeView) -> Self {
        Self {
            kind: change.kind.name(),
            kind_name: change.kind.zh(),
            reason: change.reason.clone(),
            reason_name: ReasonCode::parse(&change.reason).map(ReasonCode::zh),
            legal_basis: change.legal_basis.clone(),
            officer: change.officer.clone(),
            effective_at: change.effective_at.to_string(),
            recorded_at: change.recorded_at.to_string(),
        }
    }
}

/// Every version of a certificate.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct CertificateHistory {
    /// Newest first.
    versions: Vec<CertificateBody>,
}

impl From<&[CertificateView]> for CertificateHistory {
    fn from(views: &[CertificateView]) -> Self {
        Self { versions: views.iter().map(CertificateBody::from).collect() }
    }
}

/// A page of certificates.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct CertificatePage {
    /// Newest first.
    items: Vec<CertificateBody>,
    /// Send it as `cursor` for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl From<&Paged<CertificateView>> for CertificatePage {
    fn from(page: &Paged<CertificateView>) -> Self {
        Self { items: page.items.iter().map(CertificateBody::from).collect(), next: page.next.clone() }
    }
}

/// As the `Idempotency-Key` itself.
const ROW_KEY_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_its_first_fault_by_row_field_and_reason() {
        let fault = |field: &str| crate::catalog::certificate_type::FieldFault {
            field: field.into(),
            code: "field/missing",
            reason: "is required".into(),
        };
        let one = IssueResult::new(7, &Err(VaultError::Invalid(vec![fault("class")])));
        assert_eq!(
            serde_json::to_string(&one).unwrap(),
            r#"{"row":7,"code":"certificate/invalid","field":"class","reason":"is required"}"#
        );
        let two = IssueResult::new(7, &Err(VaultError::Invalid(vec![fault("class"), fault("photo")])));
        assert!(serde_json::to_string(&two).unwrap().contains(r#""errors":[{"#));
    }

    #[test]
    fn a_rows_own_key_holds_across_batches() {
        let row = r#"{"request":"r-1","type":"x","holders":[],"number":"1"}"#;
        let row: IssueRow = serde_json::from_str(row).unwrap();
        assert_eq!(row.order("batch:b:5".into()).unwrap().request.as_deref(), Some("row:r-1"));
        assert!(row_key("").is_err());
        assert!(row_key("a b").is_err());
    }

    #[test]
    fn days_that_are_none_are_told_by_field() {
        let body = r#"{"type":"x","holders":[],"number":"1","issue_date":"2026-02-30","valid_until":"soon"}"#;
        let body: IssueBody = serde_json::from_str(body).unwrap();
        let problem = body.order("k".into()).err().unwrap();
        let fields: Vec<&str> = problem.errors().iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["issue_date", "valid_until"]);
    }
}
