//! Issuing: one certificate or a million.
//!
//! # Order of work
//!
//! 1. check      every field against the type; nothing was written yet
//! 2. sign       with a reserved status slot; the signature is verified by us
//! 3. seal       record and credential under a key of their own, wrapped for each holder
//! 4. keep       one plan: record, credential, indexes, slot, log entry, answer
//! 5. answer
//!
//! A crash after 2 leaves an unused slot and a signature that nobody saw. When step 4
//! finds that a holder was made meanwhile by somebody else, only step 3 is repeated:
//! we sign once.
//!
//! A request key makes a repetition harmless: it answers what the first one did.

use serde_json::{Map, Value as Json, json};
use zeroize::Zeroizing;

use super::guard::{self, Caller, Verb};
use super::records::{self, CredentialRef, Record, RecordError, RecordHolder};
use super::unseal::OpenHolder;
use super::writer::{Condition, Done, Plan, Refused, Request};
use super::{Vault, VaultError};
use crate::catalog::CertificateType;
use crate::catalog::certificate_type::{
    FieldFault, HOLDER_CODE, HolderKind, NumberKind, Submission, number_is_entitys, number_is_holders,
};
use crate::catalog::field::Disclosable;
use crate::credential::sd_jwt;
use crate::domain::claims::{Claims, Value};
use crate::domain::digest::Digest;
use crate::domain::lifecycle::State;
use crate::domain::number::{CertificateIdentifier, Serial, Version};
use crate::domain::party::{HolderCode, HolderCodeType};
use crate::domain::time::{Date, UnixTime};
use crate::domain::uscc::Uscc;
use crate::keys::random;
use crate::log::entry::commitment;
use crate::log::event::Event;
use crate::status::slot::Slot;
use crate::store::{self, Certificate, CertificateTag, IssuerTag, KeyTag, NumberTag, RowKey, SignedBy, Tag};

/// What an officer orders: one certificate.
#[derive(Clone)]
pub struct IssueOrder {
    /// Slug, code or Chinese name of the type.
    pub certificate_type: String,
    /// Who shall hold it, in printed order.
    pub holders: Vec<OrderHolder>,
    /// The printed number.
    pub number: String,
    /// Day of issue; today when absent.
    pub issue_date: Option<Date>,
    /// First day of validity; the day of issue when absent.
    pub valid_from: Option<Date>,
    /// Last day of validity; absent is 长期 or does not apply.
    pub valid_until: Option<Date>,
    /// The type's own fields.
    pub fields: Map<String, Json>,
    /// Makes a repetition recognisable.
    pub request: Option<String>,
}

/// One holder in an order.
#[derive(Clone)]
pub struct OrderHolder {
    /// Code type of GB/T 36903 Annex A, such as `111`.
    pub code_type: String,
    /// The code, such as the resident number.
    pub code: String,
    /// The name as printed.
    pub name: String,
}

/// A certificate that was issued.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Issued {
    /// 电子证照标识.
    pub identifier: CertificateIdentifier,
    /// Whether it was issued now or before, by the same request.
    pub repetition: Repetition,
}

/// Whether a request did its work now or before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Repetition {
    /// It was done now.
    First,
    /// The same request had done it before.
    Repeated,
}

/// An order that was checked and signed, and not yet sealed.
pub(super) struct Signed {
    pub(super) record: Record,
    pub(super) codes: Vec<HolderCode>,
    pub(super) logged_as: String,
    pub(super) issuer: Uscc,
    pub(super) row_key: RowKey,
    pub(super) credential: Zeroizing<String>,
    pub(super) number_tag: Tag,
    pub(super) request: Option<Request>,
}

/// What a new version takes over from the one before.
pub(super) struct Succession {
    pub(super) serial: Serial,
    pub(super) version: Version,
    pub(super) previous: CertificateIdentifier,
}

impl Vault {
    /// Issues one certificate.
    ///
    /// # Errors
    /// [`VaultError`]; nothing exists of the certificate then.
    pub fn issue(&self, caller: &Caller, order: IssueOrder) -> Result<Issued, VaultError> {
        self.issue_many(caller, vec![order]).pop().unwrap_or(Err(VaultError::NotFound))
    }

    /// Issues several certificates, each on its own: a wrong one does not hold up the others.
    /// Outcomes stand in the order of the orders.
    pub fn issue_many(&self, caller: &Caller, orders: Vec<IssueOrder>) -> Vec<Result<Issued, VaultError>> {
        let hands = std::thread::available_parallelism().map_or(1, usize::from);
        if orders.len() < hands * 2 {
            return self.issue_group(caller, &orders);
        }
        let share = orders.len().div_ceil(hands);
        std::thread::scope(|scope| {
            let threads: Vec<_> = orders
                .chunks(share)
                .map(|group| scope.spawn(move || self.issue_group(caller, group)))
                .collect();
            threads
                .into_iter()
                .zip(orders.chunks(share))
                .flat_map(|(thread, group)| {
                    thread
                        .join()
                        .unwrap_or_else(|_| group.iter().map(|_| Err(VaultError::Unreadable)).collect())
                })
                .collect()
        })
    }

    fn issue_group(&self, caller: &Caller, orders: &[IssueOrder]) -> Vec<Result<Issued, VaultError>> {
        let mut outcomes: Vec<Option<Result<Issued, VaultError>>> = Vec::with_capacity(orders.len());
        let mut waiting = Vec::new();
        for (place, order) in orders.iter().enumerate() {
            match self.prepare(caller, order, None) {
                Ok(Prepared::Before(issued)) => outcomes.push(Some(Ok(issued))),
                Ok(Prepared::Signed(signed)) => {
                    outcomes.push(None);
                    waiting.push((place, signed));
                }
                Err(error) => outcomes.push(Some(Err(error))),
            }
        }
        for _ in 0..ATTEMPTS_MAX {
            if waiting.is_empty() {
                break;
            }
            let (mut plans, mut places) = (Vec::new(), Vec::new());
            for (place, signed) in waiting {
                match self.seal_plan(&signed) {
                    Ok(plan) => {
                        plans.push(plan);
                        places.push((place, signed));
                    }
                    Err(error) => outcomes[place] = Some(Err(error)),
                }
            }
            waiting = Vec::new();
            for ((place, signed), outcome) in places.into_iter().zip(self.writer.commit_all(plans)) {
                match outcome {
                    // A holder was made meanwhile by another order: seal again, do not sign again.
                    Err(Refused::Moved(Condition::HolderIs { .. })) => waiting.push((place, signed)),
                    outcome => outcomes[place] = Some(self.outcome(&signed, outcome)),
                }
            }
        }
        outcomes.into_iter().map(|outcome| outcome.unwrap_or(Err(VaultError::Overloaded))).collect()
    }

    fn outcome(&self, signed: &Signed, outcome: Result<Done, Refused>) -> Result<Issued, VaultError> {
        match outcome? {
            Done::Kept => {
                Ok(Issued { identifier: signed.record.identifier.clone(), repetition: Repetition::First })
            }
            Done::Repeated(answer) => {
                let tag = signed.request.as_ref().map_or(Tag([0; 32]), |request| request.tag);
                issued_before(&self.open_own("answer", &tag.0, &answer)?)
            }
        }
    }

    /// Steps 1 and 2.
    pub(super) fn prepare(
        &self,
        caller: &Caller,
        order: &IssueOrder,
        succession: Option<Succession>,
    ) -> Result<Prepared, VaultError> {
        guard::admit(caller, Verb::Issue)?;
        let issuer = guard::organisation(caller)?;
        let request = self.issue_request(caller, order, succession.as_ref().map(|it| &it.previous));
        if let Some(request) = &request
            && let Some(answer) = self.answered(request)?
        {
            return Ok(Prepared::Before(issued_before(&answer)?));
        }
        let kind = self.catalog.find(&order.certificate_type).ok_or(VaultError::UnknownType)?;
        self.may_issue(caller, kind)?;
        let now = self.now();
        let (claims, codes) = check(kind, order, now)?;
        let number = claims.text(crate::catalog::certificate_type::NUMBER).unwrap_or_default();
        let number_tag = self.number_tag(issuer, kind, number);
        // Seen early so that nothing is signed for a number that is taken; the writer decides.
        if succession.is_none() && self.store.number_owner(number_tag)?.is_some() {
            // Taken by this very request, perhaps, since we looked.
            let before = request.as_ref().map(|request| self.answered(request)).transpose()?.flatten();
            return before.map_or(Err(VaultError::NumberTaken), |answer| {
                Ok(Prepared::Before(issued_before(&answer)?))
            });
        }
        self.freeze(kind)?;
        let signed = self.sign(caller, kind, issuer, claims, codes, succession, now)?;
        Ok(Prepared::Signed(Box::new(Signed { number_tag, request, ..signed })))
    }

    fn number_tag(&self, issuer: Uscc, kind: &CertificateType, number: &str) -> Tag {
        let code = kind.code().to_string();
        self.tags("number", &[issuer.as_str().as_bytes(), code.as_bytes(), number.as_bytes()])[0]
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one call, all of it needed, none of it belongs together elsewhere"
    )]
    fn sign(
        &self,
        caller: &Caller,
        kind: &CertificateType,
        issuer: Uscc,
        claims: Claims,
        codes: Vec<HolderCode>,
        succession: Option<Succession>,
        now: UnixTime,
    ) -> Result<Signed, VaultError> {
        let serial_bytes: [u8; 32] =
            random::bytes(self.random.as_ref()).map_err(|_| RecordError::NoRandom)?;
        let (serial, version, previous) = match succession {
            Some(Succession { serial, version, previous }) => (serial, version, Some(previous)),
            None => (Serial::from_random(&serial_bytes), Version::FIRST, None),
        };
        let identifier = CertificateIdentifier::new(kind.code(), issuer, serial, version);
        let slot = self.slots.take(1, &self.writer)?[0];
        let sd_jwt = self.sign_credential(kind, issuer, &identifier, &claims, slot, now)?;
        let key = self.keyring.issuer(issuer, now).ok_or(VaultError::NotYourType)?;
        let credential = CredentialRef {
            seq: 0,
            list: slot.list,
            index: slot.index.number(),
            kid: key.kid.clone(),
            commitment: commitment(sd_jwt.issuer_jwt()),
            signed_at: now,
        };
        let row_key = RowKey(random::bytes(self.random.as_ref()).map_err(|_| RecordError::NoRandom)?);
        let record = Record {
            identifier,
            type_version: kind.version(),
            holders: vec![],
            claims,
            issued_at: now,
            officer: caller.id.clone(),
            state: State::Active,
            previous,
            next: None,
            changes: vec![],
            credentials: vec![credential],
        };
        Ok(Signed {
            record,
            codes,
            logged_as: kind.logged_as(),
            issuer,
            row_key,
            credential: Zeroizing::new(sd_jwt.as_str().to_string()),
            number_tag: Tag([0; 32]),
            request: None,
        })
    }

    /// The credential: every disclosable field a disclosure of its own, signed once, verified by us.
    pub(super) fn sign_credential(
        &self,
        kind: &CertificateType,
        issuer: Uscc,
        identifier: &CertificateIdentifier,
        claims: &Claims,
        slot: Slot,
        now: UnixTime,
    ) -> Result<sd_jwt::SdJwt, VaultError> {
        let key = self.keyring.issuer(issuer, now).ok_or(VaultError::NotYourType)?;
        let mut disclosed = vec![("identifier".to_string(), Json::String(identifier.to_string()))];
        for field in kind.all_fields().filter(|field| field.disclosable == Disclosable::Yes) {
            if let Some(value) = claims.value(&field.key) {
                disclosed.push((field.key.clone(), value.to_json()));
            }
        }
        let date = |key: &str| claims.text(key).and_then(|text| text.parse::<Date>().ok());
        let plan = sd_jwt::Plan {
            issuer: self.settings.issuer_url(issuer.as_str()),
            vct: format!("{}{}", self.settings.url, kind.path()),
            issued_at: now,
            not_before: date(crate::catalog::certificate_type::VALID_FROM).map(Date::starts_at),
            expires_at: date(crate::catalog::certificate_type::VALID_UNTIL).map(Date::ends_at),
            status: sd_jwt::StatusClaim {
                index: slot.index.number(),
                uri: self.settings.status_url(slot.list),
            },
            claims: disclosed,
            confirmation: None,
        };
        plan.sign(key.signer.as_ref(), &key.chain, self.random.as_ref()).map_err(|error| {
            tracing::error!(error.code = error.code(), "a credential could not be signed");
            VaultError::Unreadable
        })
    }

    /// Step 3, and the plan for step 4.
    pub(super) fn seal_plan(&self, signed: &Signed) -> Result<Plan, VaultError> {
        let mut plan = Plan { request: signed.request, ..Plan::default() };
        let mut record = signed.record.clone();
        let names = names_of(&record.claims);
        let mut holders: Vec<OpenHolder> = Vec::with_capacity(signed.codes.len());
        for (code, name) in signed.codes.iter().zip(names) {
            let holder = self.holder_for(code)?;
            let (code_type, code) = (code.code_type().code().to_string(), code.expose().to_string());
            record.holders.push(RecordHolder { id: holder.id, code_type, code, name });
            holders.push(holder);
        }
        let keys: Vec<_> = holders.iter().map(|holder| (holder.id, &holder.key)).collect();
        let (sealed, dek) = records::seal(&record, signed.row_key, &keys, self.random.as_ref())?;
        let key = signed.row_key;
        let credential_key = credential_row_key(key, 0);
        let credential = records::seal_row(
            "credential",
            &credential_key,
            &dek,
            signed.credential.as_bytes(),
            self.random.as_ref(),
        )?;
        plan.conditions.push(Condition::NumberFree(signed.number_tag));
        for holder in holders {
            plan.conditions.push(Condition::HolderIs { tag: holder.tag, holder: holder.known });
            plan.rows.extend(holder.rows);
            let wallet =
                store::Wallet { holder: holder.id, issued: record.issued_at, key, sealed: vec![].into() };
            plan.rows.push(wallet.into());
        }
        plan.rows.push(Certificate { key, sealed: sealed.into() }.into());
        plan.rows.push(CertificateTag { tag: self.identifier_tag(&record.identifier), key }.into());
        plan.rows.push(NumberTag { tag: signed.number_tag, key }.into());
        plan.rows.push(store::Credential { key, seq: 0, sealed: credential.into() }.into());
        let reference = &record.credentials[0];
        plan.rows.push(store::Slot { list: reference.list, index: reference.index, key }.into());
        let issuer = self.issuer_tag(signed.issuer);
        plan.rows.push(store::Issued { issuer, issued: record.issued_at, key }.into());
        plan.rows.push(SignedBy { signer: key_tag(&reference.kid), at: reference.signed_at, key }.into());
        let event =
            Event::Issued { type_or_class: signed.logged_as.clone(), commitment: reference.commitment };
        plan.events.push((Some(signed.issuer.to_string()), event));
        if let Some(request) = &signed.request {
            let answer = json!({ "identifier": record.identifier.to_string() }).to_string();
            plan.answer = self.seal_own("answer", &request.tag.0, answer.as_bytes())?;
        }
        Ok(plan)
    }

    /// The request of an issue, or of the replacement of a certificate: these are never the same.
    pub(super) fn issue_request(
        &self,
        caller: &Caller,
        order: &IssueOrder,
        replaced: Option<&CertificateIdentifier>,
    ) -> Option<Request> {
        let key = order.request.as_deref();
        match replaced {
            None => self.request_of(caller, "issue", key, order.digest()),
            Some(replaced) => {
                let whole = [replaced.to_string().as_bytes(), order.digest().as_bytes()].concat();
                self.request_of(caller, "replace", key, Digest::of(&[b"kabao/replace/1\0", &whole]))
            }
        }
    }

    /// The answer that the same request was given before.
    ///
    /// # Errors
    /// [`VaultError::RequestReused`] when its key was used for something else.
    pub(super) fn answered(&self, request: &Request) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        let now = self.now();
        match self.store.request(request.tag)?.filter(|before| before.expires > now) {
            None => Ok(None),
            Some(before) if before.digest != request.digest => Err(VaultError::RequestReused),
            Some(before) => self.open_own("answer", &request.tag.0, before.sealed.as_bytes()).map(Some),
        }
    }

    /// The keyed name of a request: a caller's keys are their own.
    pub(super) fn request_of(
        &self,
        caller: &Caller,
        verb: &str,
        key: Option<&str>,
        digest: Digest,
    ) -> Option<Request> {
        let tag = self.tags("request", &[caller.id.as_bytes(), verb.as_bytes(), key?.as_bytes()])[0];
        Some(Request { tag, digest, expires: self.now().plus(REQUEST_SECONDS) })
    }

    pub(super) fn issuer_tag(&self, issuer: Uscc) -> IssuerTag {
        self.keyring.issuer_tag(issuer)
    }
}

/// What was issued, from a kept answer.
pub(super) fn issued_before(answer: &[u8]) -> Result<Issued, VaultError> {
    let json: Json = serde_json::from_slice(answer).map_err(|_| VaultError::Unreadable)?;
    let identifier = json.get("identifier").and_then(Json::as_str).unwrap_or_default();
    let identifier = CertificateIdentifier::parse_foreign(identifier).map_err(|_| VaultError::Unreadable)?;
    Ok(Issued { identifier, repetition: Repetition::Repeated })
}

/// An order that was looked at.
pub(super) enum Prepared {
    /// The same request was kept before.
    Before(Issued),
    /// Checked and signed.
    Signed(Box<Signed>),
}

impl IssueOrder {
    /// Digest of everything ordered: a request key used again must order the same.
    pub(super) fn digest(&self) -> Digest {
        let mut holders = Vec::new();
        for holder in &self.holders {
            holders.push(json!([holder.code_type, holder.code, holder.name]));
        }
        let date = |date: Option<Date>| date.map(|date| date.to_string());
        let whole = json!([
            self.certificate_type,
            holders,
            self.number,
            date(self.issue_date),
            date(self.valid_from),
            date(self.valid_until),
            self.fields
        ]);
        Digest::of(&[b"kabao/issue/1\0", whole.to_string().as_bytes()])
    }
}

/// Step 1: every fault of the order at once.
fn check(
    kind: &CertificateType,
    order: &IssueOrder,
    now: UnixTime,
) -> Result<(Claims, Vec<HolderCode>), VaultError> {
    let issue_date = order.issue_date.unwrap_or_else(|| now.date());
    let names: Vec<String> = order.holders.iter().map(|holder| holder.name.clone()).collect();
    let submission = Submission {
        holder_names: &names,
        number: &order.number,
        issue_date,
        valid_from: order.valid_from.unwrap_or(issue_date),
        valid_until: order.valid_until,
        fields: &order.fields,
    };
    let checked = kind.check(&submission);
    let mut faults = Vec::new();
    let codes = holder_codes(kind, order, &mut faults);
    if issue_date > now.date() {
        let reason = "lies in the future".to_string();
        faults.push(FieldFault { field: "issue_date".into(), code: "field/period", reason });
    }
    match checked {
        Ok(mut claims) if faults.is_empty() => {
            let mut expose: Vec<String> = codes.iter().map(|code| code.expose().to_string()).collect();
            let value = if expose.len() == 1 { Value::Text(expose.remove(0)) } else { Value::List(expose) };
            claims.insert(HOLDER_CODE, value);
            Ok((claims, codes))
        }
        Ok(_) => Err(VaultError::Invalid(faults)),
        Err(mut all) => {
            all.append(&mut faults);
            Err(VaultError::Invalid(all))
        }
    }
}

fn holder_codes(kind: &CertificateType, order: &IssueOrder, faults: &mut Vec<FieldFault>) -> Vec<HolderCode> {
    let mut codes = Vec::with_capacity(order.holders.len());
    let mut fault = |reason: String| {
        faults.push(FieldFault { field: HOLDER_CODE.into(), code: "field/invalid", reason });
    };
    for holder in &order.holders {
        let Some(code_type) = HolderCodeType::parse(&holder.code_type) else {
            fault("has a code type that GB/T 36903 does not list".into());
            continue;
        };
        match (kind.holder().kind, code_type.is_person()) {
            (HolderKind::Person, false) => fault("must be a person's code".into()),
            (HolderKind::Entity, true) => fault("must be an organisation's code".into()),
            _ => {}
        }
        match HolderCode::parse(code_type, &holder.code) {
            Ok(code) => codes.push(code),
            Err(error) => fault(error.to_string()),
        }
    }
    let expose: std::collections::BTreeSet<_> = codes.iter().map(|code| code.expose()).collect();
    if expose.len() < codes.len() {
        fault("is the same for two holders".into());
    }
    drop(expose);
    if let [code] = &codes[..] {
        let own = match kind.number().kind {
            NumberKind::ResidentNumber => code
                .expose()
                .parse()
                .map_or(Ok(()), |resident| number_is_holders(order.number.trim(), &resident)),
            NumberKind::Uscc => {
                code.expose().parse().map_or(Ok(()), |uscc| number_is_entitys(order.number.trim(), uscc))
            }
            NumberKind::Ascii | NumberKind::Text => Ok(()),
        };
        if let Err(own) = own {
            faults.push(own);
        }
    }
    codes
}

fn names_of(claims: &Claims) -> Vec<String> {
    match claims.value(crate::catalog::certificate_type::HOLDER_NAME) {
        Some(Value::Text(name)) => vec![name.clone()],
        Some(Value::List(names)) => names.clone(),
        _ => vec![],
    }
}

/// The row key of a credential, as bound into its seal.
pub(super) fn credential_row_key(key: RowKey, seq: u32) -> Vec<u8> {
    [&key.0[..], &seq.to_be_bytes()].concat()
}

/// The short form of a key's thumbprint in the index of what it signed.
pub(super) fn key_tag(kid: &str) -> KeyTag {
    let digest = Digest::of(&[kid.as_bytes()]);
    KeyTag(digest.as_bytes()[..16].try_into().expect("16 of 32 bytes"))
}

/// How long a repetition finds its answer: a week, so that a batch stopped over a holiday goes on.
const REQUEST_SECONDS: i64 = 7 * 24 * 3600;

/// How often an order is sealed again because its holder was made meanwhile.
const ATTEMPTS_MAX: usize = 8;
