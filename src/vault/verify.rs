//! Verifying: one verifier for codes, credentials, offline texts and photos of any of them.
//!
//! # Order of work
//!
//! 1. find      what was presented; a code leads to its showing
//! 2. judge     every question of the verdict, with its reason
//! 3. choose    the fields that the holder granted and the scenario allows, and no others
//! 4. sign      the receipt
//! 5. keep      one plan: the showing is gone, the access records stand, the answer is kept
//! 6. answer
//!
//! Two agencies may race for one code: both come to step 4, one wins step 5, the other
//! is refused and its receipt is never seen. A crash before 5 leaves the code good;
//! after 5 the same agency with the same request key gets the same answer again.
//!
//! Over 600 lines, because one question leads to the next and all rest on the same finding.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::guard::{self, Caller, Verb};
use super::records::{self, Record};
use super::registry::{Allowed, Registration, RegistrationState};
use super::unseal::OpenRecord;
use super::verify_answer::{read_answer, write_answer};
use super::verify_questions::questions;
use super::wallet::AccessForm;
use super::writer::{Condition, Done, NewAccess, Plan, Refused};
use super::{Vault, VaultError};
use crate::catalog::certificate_type::{VALID_FROM, VALID_UNTIL};
use crate::catalog::field::Disclosable;
use crate::catalog::scenario::Scenario;
use crate::catalog::{Bilingual, CertificateType};
use crate::credential::offline::UnverifiedOfflineCode;
use crate::credential::qr;
use crate::domain::claims::Value;
use crate::domain::digest::Digest;
use crate::domain::lifecycle::{ChangeKind, State};
use crate::domain::time::UnixTime;
use crate::domain::uscc::Uscc;
use crate::domain::verdict::{Check, Checks, Reason, Verdict};
use crate::keys::jws;
use crate::store::{RowId, Tag};

/// The matter for which an agency asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Case {
    /// Slug of the scenario.
    pub scenario: String,
    /// The agency's own number of the matter.
    pub business_number: String,
}

/// What was presented.
#[derive(Clone)]
pub enum Presented {
    /// The text of a QR, the bare code, or a typed code.
    Code(String),
    /// An SD-JWT credential or a presentation of one.
    Credential(String),
    /// Photo or scan of a QR: PNG or JPEG.
    Image(Vec<u8>),
    /// `KB1:…`.
    Offline(String),
}

/// What an agency asks.
#[derive(Clone)]
pub struct VerifyOrder {
    /// What was presented.
    pub presented: Presented,
    /// For which matter.
    pub case: Case,
    /// Values to be compared by `match` questions, by the question's key.
    pub supplied: BTreeMap<String, String>,
    /// Makes a repetition recognisable.
    pub request: Option<String>,
}

/// The answer to an agency.
#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    /// One per certificate presented.
    pub items: Vec<VerifiedItem>,
    /// The signed receipt: compact JWS, no values.
    pub receipt: String,
    /// When.
    pub at: UnixTime,
}

/// The answer about one certificate.
#[derive(Clone, PartialEq)]
pub struct VerifiedItem {
    /// 电子证照标识, when the field was granted or the code is online.
    pub identifier: Option<String>,
    /// Slug of the type.
    pub type_slug: Option<String>,
    /// 证照类型名称.
    pub type_name: Option<Bilingual>,
    /// Social credit code of the department.
    pub issuer: Option<String>,
    /// Its name.
    pub issuer_name: Option<Bilingual>,
    /// Fields granted and allowed.
    pub fields: Vec<ShownField>,
    /// Answers to the scenario's questions.
    pub answers: Vec<Answer>,
    /// The verdict.
    pub verdict: Verdict,
}

/// Holds values: prints nothing of them.
impl std::fmt::Debug for VerifiedItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VerifiedItem({})", self.verdict)
    }
}

/// A field shown to an agency.
#[derive(Clone, PartialEq)]
pub struct ShownField {
    /// Its key.
    pub key: String,
    /// Its label.
    pub label: Bilingual,
    /// Its value.
    pub value: Json,
}

/// The answer to a question of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The question's key.
    pub key: String,
    /// What was asked.
    pub label: Bilingual,
    /// Yes or no.
    pub holds: bool,
}

/// Which of a scenario's questions are answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Questions {
    /// All about fields that may be disclosed.
    All,
    /// Those about fields that were granted.
    Granted,
}

/// A verification that was judged.
enum Judged {
    /// The same request was answered before.
    Before(Verification),
    /// It is to be kept first.
    Now(Verification, Box<Plan>),
}

/// What was found of one certificate, before the scenario's sieve.
pub(super) struct Found<'a> {
    /// The vault's own record, if it is one of ours.
    pub(super) open: Option<OpenRecord>,
    /// Its type, if we know it.
    pub(super) kind: Option<&'a CertificateType>,
    /// Values that may be shown if the scenario allows, by key.
    pub(super) granted: BTreeMap<String, Value>,
    /// Whether the holder left the choice to the scenario: then its questions are answered too.
    /// Otherwise only those about fields that were granted.
    pub(super) questions: Questions,
    /// The answers found so far; `asking` is filled in by the sieve.
    pub(super) checks: Checks,
}

impl Vault {
    /// Verifies what was presented.
    ///
    /// # Errors
    /// [`VaultError::CodeRefused`] is the one answer to any code that is not good for this
    /// agency now. A certificate that is not in force is no error: the verdict says so.
    pub fn verify(&self, caller: &Caller, order: VerifyOrder) -> Result<Verification, VaultError> {
        self.verify_many(caller, vec![order]).pop().unwrap_or(Err(VaultError::CodeRefused))
    }

    /// Verifies several, each on its own; they share their writes. Outcomes stand in the order of the orders.
    pub fn verify_many(
        &self,
        caller: &Caller,
        orders: Vec<VerifyOrder>,
    ) -> Vec<Result<Verification, VaultError>> {
        let mut outcomes = Vec::with_capacity(orders.len());
        let (mut plans, mut waiting) = (Vec::new(), Vec::new());
        for order in &orders {
            match self.judge_or_repeat(caller, order) {
                Ok(Judged::Before(verification)) => outcomes.push(Some(Ok(verification))),
                Ok(Judged::Now(verification, plan)) => {
                    waiting.push((outcomes.len(), verification, plan.request.map(|request| request.tag)));
                    plans.push(*plan);
                    outcomes.push(None);
                }
                Err(error) => outcomes.push(Some(Err(error))),
            }
        }
        for ((place, verification, tag), done) in waiting.into_iter().zip(self.writer.commit_all(plans)) {
            outcomes[place] = Some(self.answer(verification, tag, done));
        }
        outcomes.into_iter().map(|outcome| outcome.unwrap_or(Err(VaultError::Overloaded))).collect()
    }

    /// Step 6.
    fn answer(
        &self,
        verification: Verification,
        tag: Option<Tag>,
        done: Result<Done, Refused>,
    ) -> Result<Verification, VaultError> {
        match done {
            Ok(Done::Kept) => Ok(verification),
            Ok(Done::Repeated(answer)) => {
                let tag = tag.ok_or(VaultError::Unreadable)?;
                read_answer(&self.open_own("answer", &tag.0, &answer)?)
            }
            Err(Refused::Moved(_)) => Err(VaultError::CodeRefused),
            Err(refused) => Err(refused.into()),
        }
    }

    /// As [`Vault::judge`]; a code that was redeemed by this very request meanwhile is no refusal.
    fn judge_or_repeat(&self, caller: &Caller, order: &VerifyOrder) -> Result<Judged, VaultError> {
        match self.judge(caller, order) {
            Err(VaultError::CodeRefused) if order.request.is_some() => {
                let request = self.request_of(caller, "verify", order.request.as_deref(), order.digest());
                let before = request.map(|request| self.answered(&request)).transpose()?.flatten();
                before
                    .map_or(Err(VaultError::CodeRefused), |answer| Ok(Judged::Before(read_answer(&answer)?)))
            }
            judged => judged,
        }
    }

    /// Steps 1 to 4, and the plan for step 5.
    fn judge(&self, caller: &Caller, order: &VerifyOrder) -> Result<Judged, VaultError> {
        guard::admit(caller, Verb::Verify)?;
        let agency = guard::organisation(caller)?;
        let registration = self.registration(&caller.id)?.ok_or(VaultError::Forbidden)?;
        let scenario = self.scenario_for(&registration, &order.case)?;
        let request = self.request_of(caller, "verify", order.request.as_deref(), order.digest());
        if let Some(request) = &request
            && let Some(answer) = self.answered(request)?
        {
            return Ok(Judged::Before(read_answer(&answer)?));
        }
        let now = self.now();
        let mut plan = Plan { request, ..Plan::default() };
        let found = self.find(caller, agency, scenario, &order.presented, now, &mut plan)?;
        let items: Vec<VerifiedItem> =
            found.iter().map(|found| self.sieve(found, scenario, &order.supplied, now)).collect();
        for (found, item) in found.iter().zip(&items) {
            self.plan_access(found, item, &registration, agency, &order.case, now, &mut plan)?;
        }
        let receipt = self.receipt(agency, &order.case, &items, now)?;
        let verification = Verification { items, receipt, at: now };
        if let Some(request) = &plan.request {
            plan.answer = self.seal_own("answer", &request.tag.0, &write_answer(&verification)?)?;
        }
        Ok(Judged::Now(verification, Box::new(plan)))
    }

    /// The scenario, if this agency is registered for it.
    fn scenario_for(&self, registration: &Registration, case: &Case) -> Result<&Scenario, VaultError> {
        let wrong = |field: &str, reason: &str| {
            let (field, reason) = (field.to_string(), reason.to_string());
            let fault = crate::catalog::certificate_type::FieldFault { field, code: "field/invalid", reason };
            VaultError::Invalid(vec![fault])
        };
        let number = case.business_number.chars().count();
        if number == 0 || number > BUSINESS_NUMBER_MAX || case.business_number.chars().any(char::is_control) {
            return Err(wrong("case.business_number", "must have 1 to 64 characters"));
        }
        if registration.state != RegistrationState::Active {
            return Err(VaultError::Forbidden);
        }
        let scenario = self.catalog.scenario(&case.scenario);
        let scenario = scenario.ok_or_else(|| wrong("case.scenario", "is no scenario"))?;
        match &registration.scenarios {
            Allowed::Only(slugs) if !slugs.contains(&case.scenario) => Err(VaultError::Forbidden),
            _ => Ok(scenario),
        }
    }

    /// Steps 1 and 2.
    fn find(
        &self,
        caller: &Caller,
        agency: Uscc,
        scenario: &Scenario,
        presented: &Presented,
        now: UnixTime,
        plan: &mut Plan,
    ) -> Result<Vec<Found<'_>>, VaultError> {
        match presented {
            Presented::Code(text) => self.find_showing(caller, agency, scenario, text, now, plan),
            Presented::Credential(text) => Ok(vec![self.find_credential(text, now)?]),
            Presented::Offline(text) => Ok(vec![self.find_offline(text, now)?]),
            Presented::Image(bytes) => {
                let texts = qr::read(bytes).map_err(|_| VaultError::CodeRefused)?;
                // A photo with several codes does not say which is meant.
                let [text] = &texts[..] else { return Err(VaultError::CodeRefused) };
                let presented = if UnverifiedOfflineCode::is_meant_by(text) {
                    Presented::Offline(text.clone())
                } else if text.contains('~') {
                    Presented::Credential(text.clone())
                } else {
                    Presented::Code(text.clone())
                };
                self.find(caller, agency, scenario, &presented, now, plan)
            }
        }
    }

    fn find_showing(
        &self,
        caller: &Caller,
        agency: Uscc,
        scenario: &Scenario,
        text: &str,
        now: UnixTime,
        plan: &mut Plan,
    ) -> Result<Vec<Found<'_>>, VaultError> {
        let (code, form) = self.showing_behind(text, caller, agency, now)?;
        if form.scenario.as_deref().is_some_and(|named| named != scenario.slug()) {
            return Err(VaultError::CodeRefused);
        }
        plan.conditions.push(Condition::NotAfter(code.expires));
        plan.conditions.push(Condition::ShowingOpen(code.id));
        plan.rows.push(RowId::Showing(code.id).into());
        plan.rows.push(RowId::ShowCode(code.tag).into());
        let mut found = Vec::with_capacity(form.items.len());
        for item in &form.items {
            let open = self.open_record(item.row_key()?)?;
            let kind = self.type_of(&open.record)?;
            let granted = match &item.fields {
                Some(keys) => keys.clone(),
                // The holder left the choice to the scenario: its least.
                None => scenario.fields_of(kind.slug()).map(str::to_string).collect(),
            };
            let granted = granted_values(kind, &open.record, &granted);
            let checks = self.judge_record(&open.record, Check::new(Reason::BindingOnce), now);
            let questions = if item.by_scenario { Questions::All } else { Questions::Granted };
            found.push(Found { open: Some(open), kind: Some(kind), granted, questions, checks });
        }
        Ok(found)
    }

    /// Every question about a record of our own.
    pub(super) fn judge_record(&self, record: &Record, binding: Check, now: UnixTime) -> Checks {
        let signed = record.credentials.first();
        let key = self.keyring.issuers.iter().find(|key| signed.is_some_and(|signed| signed.kid == key.kid));
        let issuer = record.identifier.issuer().to_string();
        let by = self.keyring.issuer_name(&issuer).map(|(zh, _)| zh.to_string());
        let valid_that_day = key.is_some_and(|key| {
            let at = signed.map_or(0, |signed| signed.signed_at.seconds());
            (key.not_before..key.not_after).contains(&at)
        });
        let chain = if key.is_some() { Reason::ChainTrusted } else { Reason::ChainUntrusted };
        Checks {
            signature: Check::new(Reason::SignatureVault),
            chain: Check::new(chain),
            key_validity: Check::new(if valid_that_day { Reason::KeyValid } else { Reason::KeyNotValid }),
            status: status_of(record, by),
            time: time_of(record, now),
            binding,
            asking: Check::new(Reason::AskingNone),
        }
    }

    /// Step 3: the fields that were granted and the scenario allows, and the scenario's questions.
    fn sieve(
        &self,
        found: &Found<'_>,
        scenario: &Scenario,
        supplied: &BTreeMap<String, String>,
        now: UnixTime,
    ) -> VerifiedItem {
        let slug = found.kind.map(CertificateType::slug);
        let takes = slug.is_some_and(|slug| scenario.takes(slug));
        let asking = if takes { Reason::AskingWithin } else { Reason::AskingForeign };
        let checks = Checks { asking: Check::new(asking), ..found.checks.clone() };
        let verdict = Verdict::new(checks);
        let mut fields = vec![];
        let mut answers = vec![];
        if let (true, Some(kind)) = (takes, found.kind) {
            for field in kind.all_fields().filter(|field| scenario.allows(kind.slug(), &field.key)) {
                if let Some(value) = found.granted.get(&field.key) {
                    let (key, label) = (field.key.clone(), field.label.clone());
                    fields.push(ShownField { key, label, value: value.to_json() });
                }
            }
            answers = questions(kind, scenario, found, supplied, &verdict, now);
        }
        let record = found.open.as_ref().map(|open| &open.record);
        let issuer = record.map(|record| record.identifier.issuer().to_string());
        let issuer_name = issuer.as_deref().and_then(|issuer| self.keyring.issuer_name(issuer));
        let issuer_name = issuer_name.map(|(zh, en)| Bilingual { zh: zh.into(), en: en.into() });
        VerifiedItem {
            identifier: record.filter(|_| takes).map(|record| record.identifier.to_string()),
            type_slug: slug.map(str::to_string),
            type_name: found.kind.map(|kind| kind.name().clone()),
            issuer,
            issuer_name,
            fields,
            answers,
            verdict,
        }
    }

    /// Access records for every holder of the certificate: field names, never values.
    #[expect(clippy::too_many_arguments, reason = "one call; each part comes from another place")]
    fn plan_access(
        &self,
        found: &Found<'_>,
        item: &VerifiedItem,
        registration: &Registration,
        agency: Uscc,
        case: &Case,
        now: UnixTime,
        plan: &mut Plan,
    ) -> Result<(), VaultError> {
        let Some(open) = &found.open else { return Ok(()) };
        let mut keys: Vec<String> = item.fields.iter().map(|field| field.key.clone()).collect();
        keys.extend(item.answers.iter().map(|answer| format!("{}?", answer.key)));
        let form = AccessForm {
            at: now.seconds(),
            agency: agency.to_string(),
            agency_name: registration.name.clone(),
            scenario: case.scenario.clone(),
            case: case.business_number.clone(),
            identifier: open.record.identifier.to_string(),
            fields: keys,
            decision: item.verdict.decision().name().to_string(),
        };
        let json = serde_json::to_vec(&form).map_err(|_| VaultError::Unreadable)?;
        for holder in &open.record.holders {
            let Ok(key) = self.holder_key(holder.id) else { continue };
            let sealed = records::seal_row("access", &holder.id.0, &key, &json, self.random.as_ref())?;
            plan.accesses.push(NewAccess { holder: holder.id, sealed });
        }
        Ok(())
    }

    /// Step 4: who, when, case, checks, digests of what was shown, log head; no values.
    fn receipt(
        &self,
        agency: Uscc,
        case: &Case,
        items: &[VerifiedItem],
        now: UnixTime,
    ) -> Result<String, VaultError> {
        let (size, root) = self.log_head();
        let items: Vec<Json> = items
            .iter()
            .map(|item| {
                let checks: BTreeMap<&str, &str> = item
                    .verdict
                    .checks()
                    .into_iter()
                    .map(|(name, check)| (name, check.reason.code()))
                    .collect();
                json!({
                    "decision": item.verdict.decision().name(),
                    "checks": checks,
                    "fields": item.fields.iter().map(|field| field.key.as_str()).collect::<Vec<_>>(),
                    "answers": item.answers.iter().map(|answer| answer.key.as_str()).collect::<Vec<_>>(),
                    "shown": self.shown_digest(item),
                    "type": item.type_slug,
                })
            })
            .collect();
        let claims = json!({
            "iss": self.settings.url, "iat": now.seconds(), "agency": agency.as_str(),
            "case": { "scenario": case.scenario, "business_number": case.business_number },
            "items": items,
            "log": { "origin": self.settings.origin(), "size": size, "root": root.to_string() },
        });
        jws::sign(self.keyring.receipt.as_ref(), RECEIPT_TYP, &[], claims.to_string().as_bytes())
            .map_err(|_| VaultError::Unreadable)
    }

    /// Keyed digest of the values shown: the agency can prove what it saw, and a guess proves nothing.
    fn shown_digest(&self, item: &VerifiedItem) -> String {
        let fields: Vec<Json> = item.fields.iter().map(|field| json!([field.key, field.value])).collect();
        let answers: Vec<Json> =
            item.answers.iter().map(|answer| json!([answer.key, answer.holds])).collect();
        let whole = json!([item.identifier, fields, answers]).to_string();
        Digest::from_bytes(self.tags("shown", &[whole.as_bytes()])[0].0).to_string()
    }
}

impl VerifyOrder {
    fn digest(&self) -> Digest {
        let presented = match &self.presented {
            Presented::Code(text) => ("code", Digest::of(&[text.as_bytes()])),
            Presented::Credential(text) => ("credential", Digest::of(&[text.as_bytes()])),
            Presented::Image(bytes) => ("image", Digest::of(&[bytes])),
            Presented::Offline(text) => ("offline", Digest::of(&[text.as_bytes()])),
        };
        let whole = json!([
            presented.0,
            presented.1.to_string(),
            self.case.scenario,
            self.case.business_number,
            self.supplied
        ]);
        Digest::of(&[b"kabao/verify/1\0", whole.to_string().as_bytes()])
    }
}

/// The values of the fields granted, as far as the certificate has them and may disclose them.
fn granted_values(kind: &CertificateType, record: &Record, keys: &[String]) -> BTreeMap<String, Value> {
    let mut granted = BTreeMap::new();
    for field in kind.all_fields().filter(|field| field.disclosable == Disclosable::Yes) {
        if let (true, Some(value)) = (keys.contains(&field.key), record.claims.value(&field.key)) {
            granted.insert(field.key.clone(), value.clone());
        }
    }
    granted
}

/// What the department says of it: with day and department where it has ended.
pub(super) fn status_of(record: &Record, by: Option<String>) -> Check {
    let reason = match record.state {
        State::Active => return Check::new(Reason::StatusActive),
        State::Suspended => Reason::StatusSuspended,
        State::Superseded => Reason::StatusSuperseded,
        State::Transferred => Reason::StatusTransferred,
        State::Cancelled => Reason::StatusCancelled,
        State::Withdrawn => Reason::StatusWithdrawn,
        State::Revoked => Reason::StatusRevoked,
    };
    let last = record.changes.iter().rev().find(|change| change.kind != ChangeKind::Resume);
    Check { reason, when: last.map(|change| change.effective_at.date()), by }
}

/// Whether we are within its dates.
pub(super) fn time_of(record: &Record, now: UnixTime) -> Check {
    let first = record.date(VALID_FROM);
    let last = record.date(VALID_UNTIL);
    if first.is_some_and(|first| now < first.starts_at()) {
        Check { when: first, ..Check::new(Reason::TimeNotYet) }
    } else if last.is_some_and(|last| now >= last.ends_at()) {
        Check { when: last, ..Check::new(Reason::TimeExpired) }
    } else {
        Check::new(Reason::TimeWithin)
    }
}

/// `typ` of receipts.
pub const RECEIPT_TYP: &str = "kabao-receipt+jwt";

/// Longest business number.
const BUSINESS_NUMBER_MAX: usize = 64;
