//! The kept form of an answer to an agency, so that a repetition gets the very same.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::VaultError;
use super::verify::{Answer, ShownField, Verification, VerifiedItem};
use crate::catalog::Bilingual;
use crate::domain::time::UnixTime;
use crate::domain::verdict::{Check, Checks, Reason, Verdict};

#[derive(Deserialize, Serialize)]
struct VerificationForm {
    items: Vec<ItemForm>,
    receipt: String,
    at: i64,
}

#[derive(Deserialize, Serialize)]
struct ItemForm {
    identifier: Option<String>,
    type_slug: Option<String>,
    type_name: Option<(String, String)>,
    issuer: Option<String>,
    issuer_name: Option<(String, String)>,
    fields: Vec<(String, (String, String), Json)>,
    answers: Vec<(String, (String, String), bool)>,
    checks: Vec<CheckForm>,
}

#[derive(Deserialize, Serialize)]
struct CheckForm {
    reason: String,
    when: Option<String>,
    by: Option<String>,
}

/// The bytes to be sealed and kept.
pub(super) fn write_answer(verification: &Verification) -> Result<Vec<u8>, VaultError> {
    let pair = |text: &Bilingual| (text.zh.clone(), text.en.clone());
    let items = verification.items.iter().map(|item| ItemForm {
        identifier: item.identifier.clone(),
        type_slug: item.type_slug.clone(),
        type_name: item.type_name.as_ref().map(pair),
        issuer: item.issuer.clone(),
        issuer_name: item.issuer_name.as_ref().map(pair),
        fields: item.fields.iter().map(|f| (f.key.clone(), pair(&f.label), f.value.clone())).collect(),
        answers: item.answers.iter().map(|a| (a.key.clone(), pair(&a.label), a.holds)).collect(),
        checks: item.verdict.checks().into_iter().map(|(_, check)| check.into()).collect(),
    });
    let form = VerificationForm {
        items: items.collect(),
        receipt: verification.receipt.clone(),
        at: verification.at.seconds(),
    };
    serde_json::to_vec(&form).map_err(|_| VaultError::Unreadable)
}

/// What [`write_answer`] wrote.
pub(super) fn read_answer(bytes: &[u8]) -> Result<Verification, VaultError> {
    let form: VerificationForm = serde_json::from_slice(bytes).map_err(|_| VaultError::Unreadable)?;
    let text = |(zh, en): (String, String)| Bilingual { zh, en };
    let mut items = Vec::with_capacity(form.items.len());
    for item in form.items {
        items.push(VerifiedItem {
            identifier: item.identifier,
            type_slug: item.type_slug,
            type_name: item.type_name.map(text),
            issuer: item.issuer,
            issuer_name: item.issuer_name.map(text),
            fields: item
                .fields
                .into_iter()
                .map(|(key, label, value)| ShownField { key, label: text(label), value })
                .collect(),
            answers: item
                .answers
                .into_iter()
                .map(|(key, label, holds)| Answer { key, label: text(label), holds })
                .collect(),
            verdict: read_verdict(item.checks).ok_or(VaultError::Unreadable)?,
        });
    }
    Ok(Verification { items, receipt: form.receipt, at: UnixTime::clamped(form.at) })
}

impl From<&Check> for CheckForm {
    fn from(check: &Check) -> Self {
        Self {
            reason: check.reason.code().to_string(),
            when: check.when.map(|when| when.to_string()),
            by: check.by.clone(),
        }
    }
}

fn read_verdict(forms: Vec<CheckForm>) -> Option<Verdict> {
    let mut checks = forms.into_iter().map(|form| {
        let reason = Reason::ALL.iter().copied().find(|reason| reason.code() == form.reason)?;
        Some(Check { reason, when: form.when.and_then(|when| when.parse().ok()), by: form.by })
    });
    let mut next = || checks.next().flatten();
    Some(Verdict::new(Checks {
        signature: next()?,
        chain: next()?,
        key_validity: next()?,
        status: next()?,
        time: next()?,
        binding: next()?,
        asking: next()?,
    }))
}
