//! Verifications: what is presented, and the verdict.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::certificate::row_key;
use super::{Bilingual, FieldError};
use crate::domain::verdict::{Check, Verdict};
use crate::http::problem::{Problem, field_errors};
use crate::vault::VaultError;
use crate::vault::verify::{Answer, Case, Presented, ShownField, Verification, VerifiedItem, VerifyOrder};

/// What is presented, and for which case. Exactly one of `code`, `credential`, `offline`, `image`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct VerificationBody {
    /// The QR's text, its code, or the typed code.
    code: Option<String>,
    /// An SD-JWT credential.
    credential: Option<String>,
    /// An offline code: `KB1:` and base45.
    offline: Option<String>,
    /// A photo of a QR: PNG or JPEG, in base64.
    image: Option<String>,
    /// The scenario, by slug.
    scenario: String,
    /// The agency's business number.
    business_number: String,
    /// Values to compare, by field key, where the scenario asks for `match`.
    #[serde(default)]
    supplied: BTreeMap<String, String>,
}

/// One row of a batch. Photos go one by one, as `image` of `POST /v1/verifications`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct VerificationRow {
    /// The row's own key: sent again in any batch, it answers as before.
    request: Option<String>,
    /// The QR's text, its code, or the typed code.
    code: Option<String>,
    /// An SD-JWT credential.
    credential: Option<String>,
    /// An offline code: `KB1:` and base45.
    offline: Option<String>,
    /// The scenario, by slug.
    scenario: String,
    /// The agency's business number.
    business_number: String,
    /// Values to compare, by field key, where the scenario asks for `match`.
    #[serde(default)]
    supplied: BTreeMap<String, String>,
}

impl VerificationBody {
    /// The order it stands for.
    pub(in crate::http) fn order(self, request: String) -> Result<VerifyOrder, Problem> {
        let image = self.image.map(|text| {
            let reason = "is not base64";
            STANDARD.decode(text).map_err(|_| Problem::invalid_field("image", reason))
        });
        let presented = [
            self.code.map(Presented::Code),
            self.credential.map(Presented::Credential),
            self.offline.map(Presented::Offline),
            image.transpose()?.map(Presented::Image),
        ];
        let mut presented = presented.into_iter().flatten();
        let (Some(presented), None) = (presented.next(), presented.next()) else {
            let reason = "exactly one of `code`, `credential`, `offline` and `image` is needed";
            return Err(Problem::invalid_field("code", reason));
        };
        Ok(VerifyOrder {
            presented,
            case: Case { scenario: self.scenario, business_number: self.business_number },
            supplied: self.supplied,
            request: Some(request),
        })
    }
}

impl VerificationRow {
    /// The order it stands for; `request` is its key when it has none of its own.
    pub(in crate::http) fn order(self, request: String) -> Result<VerifyOrder, Problem> {
        let request = match self.request {
            None => request,
            Some(own) => row_key(&own)?,
        };
        let body = VerificationBody {
            code: self.code,
            credential: self.credential,
            offline: self.offline,
            image: None,
            scenario: self.scenario,
            business_number: self.business_number,
            supplied: self.supplied,
        };
        body.order(request)
    }
}

/// What a verification found.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct VerificationView {
    /// One for each certificate shown.
    items: Vec<VerifiedBody>,
    /// A signed receipt (compact JWS) for the agency's file: who, when, case, checks; no values.
    receipt: String,
    /// When.
    at: String,
}

/// What was found of one certificate.
#[derive(Serialize, ToSchema)]
struct VerifiedBody {
    /// 电子证照标识, where it was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    identifier: Option<String>,
    /// Slug of the type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    certificate_type: Option<String>,
    /// Name of the type.
    #[serde(skip_serializing_if = "Option::is_none")]
    type_name: Option<Bilingual>,
    /// Social credit code of the issuing department.
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer_name: Option<Bilingual>,
    /// The fields that were granted.
    fields: Vec<VerifiedField>,
    /// The yes-or-no questions of the scenario.
    answers: Vec<VerifiedAnswer>,
    /// The verdict.
    verdict: VerdictBody,
}

/// A field that was granted.
#[derive(Serialize, ToSchema)]
struct VerifiedField {
    key: String,
    label: Bilingual,
    #[schema(value_type = Value)]
    value: Value,
}

/// A question that was answered.
#[derive(Serialize, ToSchema)]
struct VerifiedAnswer {
    key: String,
    label: Bilingual,
    answer: bool,
}

/// The verdict: a decision, and each check with its reason.
#[derive(Serialize, ToSchema)]
struct VerdictBody {
    /// `accepted`, `refused` or `undecided`.
    decision: &'static str,
    /// The reason that decided, for people.
    because: Bilingual,
    /// Every check.
    checks: Vec<CheckBody>,
}

/// One check.
#[derive(Serialize, ToSchema)]
struct CheckBody {
    /// `signature`, `chain`, `key_validity`, `status`, `time`, `binding` or `asking`.
    check: &'static str,
    /// `passed`, `failed`, `unknown` or `not-applicable`.
    outcome: &'static str,
    /// Stable name of the reason.
    reason: &'static str,
    /// The reason for people, with the day and the department where there are such.
    text: Bilingual,
}

impl From<&Verification> for VerificationView {
    fn from(verification: &Verification) -> Self {
        Self {
            items: verification.items.iter().map(VerifiedBody::from).collect(),
            receipt: verification.receipt.clone(),
            at: verification.at.to_string(),
        }
    }
}

impl From<&VerifiedItem> for VerifiedBody {
    fn from(item: &VerifiedItem) -> Self {
        let field = |field: &ShownField| VerifiedField {
            key: field.key.clone(),
            label: (&field.label).into(),
            value: field.value.clone(),
        };
        let answer = |answer: &Answer| VerifiedAnswer {
            key: answer.key.clone(),
            label: (&answer.label).into(),
            answer: answer.holds,
        };
        Self {
            identifier: item.identifier.clone(),
            certificate_type: item.type_slug.clone(),
            type_name: item.type_name.as_ref().map(Bilingual::from),
            issuer: item.issuer.clone(),
            issuer_name: item.issuer_name.as_ref().map(Bilingual::from),
            fields: item.fields.iter().map(field).collect(),
            answers: item.answers.iter().map(answer).collect(),
            verdict: (&item.verdict).into(),
        }
    }
}

impl From<&Verdict> for VerdictBody {
    fn from(verdict: &Verdict) -> Self {
        let words = |check: &Check| Bilingual::new(check.zh(), check.en());
        let body = |(name, check): (&'static str, &Check)| CheckBody {
            check: name,
            outcome: check.outcome().name(),
            reason: check.reason.code(),
            text: words(check),
        };
        Self {
            decision: verdict.decision().name(),
            because: words(verdict.deciding()),
            checks: verdict.checks().into_iter().map(body).collect(),
        }
    }
}

/// What became of one row: a verification, or what is wrong.
#[derive(Default, Serialize, ToSchema)]
pub(in crate::http) struct VerificationResult {
    /// The row's number, from 1.
    row: u64,
    /// What was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    verification: Option<VerificationView>,
    /// Stable name of what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// What is wrong, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Every field that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

impl VerificationResult {
    /// The result of an order that reached the vault.
    pub(in crate::http) fn new(row: u64, outcome: &Result<Verification, VaultError>) -> Self {
        match outcome {
            Ok(verification) => Self { row, verification: Some(verification.into()), ..Self::default() },
            Err(error) => Self {
                row,
                code: Some(error.code().to_string()),
                reason: Some(error.to_string()),
                errors: field_errors(error),
                ..Self::default()
            },
        }
    }

    /// The result of a row that did not.
    pub(in crate::http) fn refused(row: u64, problem: &Problem) -> Self {
        Self {
            row,
            code: Some(problem.code().to_string()),
            reason: Some(problem.text().to_string()),
            errors: problem.errors().to_vec(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(members: &str, accepted: bool) {
        let text = format!(r#"{{{members},"scenario":"s","business_number":"1"}}"#);
        let body: VerificationBody = serde_json::from_str(&text).unwrap();
        assert_eq!(body.order("k".into()).is_ok(), accepted, "{members}");
    }

    #[test]
    fn exactly_one_thing_is_presented() {
        check(r#""code":"ABCD""#, true);
        check(r#""image":"AAAA""#, true);
        check(r#""image":"?""#, false);
        check(r#""code":"ABCD","offline":"KB1:""#, false);
        check(r#""supplied":{}"#, false);
    }
}
