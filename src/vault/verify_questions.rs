//! The questions of a scenario, answered yes or no instead of showing a field.
//!
//! An agency could try values against a certificate with them. So anything but "is it
//! in force" is answered only of a certificate that is, and only about what its holder
//! agreed to.

use std::collections::BTreeMap;

use super::verify::{Answer, Found, Questions};
use super::view::{Reveal, field_view};
use crate::catalog::CertificateType;
use crate::catalog::field::Disclosable;
use crate::catalog::scenario::{Question, Scenario};
use crate::domain::claims::Value;
use crate::domain::time::{Date, UnixTime};
use crate::domain::verdict::{Decision, Verdict};

/// The scenario's questions about this certificate.
pub(super) fn questions(
    kind: &CertificateType,
    scenario: &Scenario,
    found: &Found<'_>,
    supplied: &BTreeMap<String, String>,
    verdict: &Verdict,
    now: UnixTime,
) -> Vec<Answer> {
    let Some(record) = found.open.as_ref().map(|open| &open.record) else { return vec![] };
    let mut answers = vec![];
    let needs = scenario.needs().iter().filter(|need| need.types.iter().any(|slug| slug == kind.slug()));
    for predicate in needs.flat_map(|need| &need.predicates) {
        let in_force = verdict.decision() == Decision::Accepted;
        if !may_answer(kind, found, &predicate.question, in_force) {
            continue;
        }
        let text = |key: &str| {
            let field = kind.field(key)?;
            field_view(field, record, Reveal::Full).map(|view| view.text)
        };
        let holds = match &predicate.question {
            Question::AtLeast { field, value } => {
                text(field).is_some_and(|text| at_least(&text, *value, now))
            }
            Question::Equals { field, value } => text(field).as_deref() == Some(value),
            // Nothing supplied is nothing matched, and is answered so: no. Of several holders, one will do.
            Question::Match { field } => {
                supplied.get(&predicate.key).is_some_and(|supplied| match record.claims.value(field) {
                    Some(Value::List(items)) => items.iter().any(|item| item == supplied.trim()),
                    _ => text(field).as_deref() == Some(supplied.trim()),
                })
            }
            // One certificate was shown: the count of those in force is one or none.
            Question::Count | Question::Valid => in_force,
        };
        answers.push(Answer { key: predicate.key.clone(), label: predicate.label.clone(), holds });
    }
    answers
}

/// Whether a question is answered: anything but "is it in force" only of a certificate that is,
/// and only about what the holder agreed to. Else an agency could try values against a certificate.
fn may_answer(kind: &CertificateType, found: &Found<'_>, question: &Question, in_force: bool) -> bool {
    let field = match question {
        Question::AtLeast { field, .. } | Question::Equals { field, .. } | Question::Match { field } => field,
        Question::Count | Question::Valid => return true,
    };
    let disclosable = kind.field(field).is_some_and(|field| field.disclosable == Disclosable::Yes);
    let agreed = found.questions == Questions::All || found.granted.contains_key(field);
    in_force && disclosable && agreed
}

/// Whether a number, or the full years since a date, is at least so much.
fn at_least(text: &str, value: i64, now: UnixTime) -> bool {
    if let Ok(date) = text.parse::<Date>() {
        let Ok(months) = u32::try_from(value.saturating_mul(12)) else { return false };
        return date.plus_months(months).is_some_and(|reached| reached <= now.date());
    }
    let whole = text.split('.').next().unwrap_or_default();
    whole.parse::<i64>().is_ok_and(|number| number >= value)
}
