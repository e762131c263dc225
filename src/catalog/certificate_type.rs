//! One kind of certificate: its fields, its holder, its validity, its face.
//!
//! [`CertificateType::check`] turns a submission into a [`Checked`] one: every
//! required field there, nothing unknown, every value canonical, the period within
//! the rule. It reports all faults of a row at once, each with its field and reason.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Bilingual;
use super::field::{Disclosable, Field, Kind, Offline, Required, Sensitivity};
use crate::domain::claims::{Claims, Value};
use crate::domain::lifecycle::State;
use crate::domain::mask::MaskRule;
use crate::domain::resident_id::ResidentId;
use crate::domain::time::Date;
use crate::domain::type_code::TypeCode;
use crate::domain::uscc::Uscc;

/// One kind of certificate.
#[derive(Clone, Debug)]
pub struct CertificateType {
    pub(super) slug: String,
    pub(super) code: TypeCode,
    pub(super) code_origin: CodeOrigin,
    pub(super) version: u16,
    pub(super) row: u16,
    pub(super) name: Bilingual,
    pub(super) category: Category,
    pub(super) department: String,
    pub(super) publicity: Publicity,
    pub(super) states: StateCodes,
    pub(super) sources: Vec<String>,
    pub(super) holder: HolderRule,
    pub(super) number: NumberRule,
    pub(super) validity: Validity,
    pub(super) face: Face,
    pub(super) header: Vec<Field>,
    pub(super) fields: Vec<Field>,
}

/// Where a type's code comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CodeOrigin {
    /// Seen in use with the number of its own ministry, not read in a standard.
    Inferred,
    /// Minted by us under a synthetic definer; no national code.
    Local,
    /// Published.
    National,
}

/// The classes of licence of the provincial platforms.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Category {
    /// 批文批复.
    Approval,
    /// 证照执照.
    Licence,
    /// 证明文件.
    Proof,
    /// 鉴定报告.
    Report,
    /// 办事结果.
    Result,
}

impl Category {
    /// Its name in files, API and, for sensitive types, in the public log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Approval => "approval",
            Self::Licence => "licence",
            Self::Proof => "proof",
            Self::Report => "report",
            Self::Result => "result",
        }
    }
}

/// What the public log may say of a certificate's type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Publicity {
    /// Holding it is delicate: only its category is logged.
    Category,
    /// The type's code is logged.
    Code,
}

/// The ministry's own codes for our states.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StateCodes {
    /// Name of the set in `states.toml`.
    pub name: String,
    /// Where the set comes from.
    pub source: String,
    /// Our state's name → (code, text).
    pub codes: BTreeMap<String, (String, String)>,
}

/// Who holds certificates of a type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HolderRule {
    /// Persons, entities or both.
    pub kind: HolderKind,
    /// The label printed before the name.
    pub label: Bilingual,
    /// Longest name in characters.
    pub max: usize,
    /// Most holders of one certificate.
    pub subjects_max: usize,
}

/// Persons, entities or both.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HolderKind {
    /// Either.
    Both,
    /// Legal entities and other organisations.
    Entity,
    /// Natural persons.
    Person,
}

impl HolderKind {
    /// Its name in files and API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Entity => "entity",
            Self::Person => "person",
        }
    }
}

/// The printed number.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NumberRule {
    /// The label printed before it.
    pub label: Bilingual,
    /// What it is made of.
    pub kind: NumberKind,
    /// Longest number in characters.
    pub max: usize,
}

/// What a printed number is made of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NumberKind {
    /// Printable ASCII.
    Ascii,
    /// The holder's resident number.
    ResidentNumber,
    /// Any text, such as 渝（2026）第0001号.
    Text,
    /// A unified social credit code.
    Uscc,
}

/// How long certificates of a type are valid.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Validity {
    /// The rule we check.
    pub rule: ValidityRule,
    /// Its wording.
    pub label: Bilingual,
}

/// The rule for the end of validity.
#[expect(missing_docs, reason = "each variant says what its months are")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ValidityRule {
    /// A last day within so many months, or none (长期).
    Either { months_max: u32 },
    /// No last day.
    Long,
    /// No last day: it reflects the day of issue.
    None,
    /// A last day within so many months.
    Until { months_max: u32 },
}

/// How the face is drawn.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Face {
    /// Its shape.
    pub template: Template,
    /// `#rrggbb`.
    pub accent: String,
}

/// The shapes of faces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Template {
    /// A page of a booklet.
    Booklet,
    /// A card.
    Card,
    /// An upright sheet to hang on a wall.
    Certificate,
    /// A letter.
    Proof,
    /// A report with tables.
    Report,
}

/// What an issuer submits about one certificate, before it was looked at.
#[derive(Clone, Copy)]
pub struct Submission<'a> {
    /// Names of the holders, in printed order.
    pub holder_names: &'a [String],
    /// The printed number.
    pub number: &'a str,
    /// The day of issue.
    pub issue_date: Date,
    /// The first day of validity.
    pub valid_from: Date,
    /// The last day of validity; `None` is 长期 or does not apply.
    pub valid_until: Option<Date>,
    /// The type's own fields by key.
    pub fields: &'a serde_json::Map<String, Json>,
}

/// What is wrong with one field of a submission. Never repeats a value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FieldFault {
    /// Its key.
    pub field: String,
    /// Stable name for machines: `field/missing`, `field/unknown`, `field/invalid`, `field/period`.
    pub code: &'static str,
    /// The reason, for the person who filled it in.
    pub reason: String,
}

impl FieldFault {
    fn new(field: &str, code: &'static str, reason: impl Into<String>) -> Self {
        Self { field: field.to_string(), code, reason: reason.into() }
    }
}

impl CertificateType {
    /// Name of its file without the ending.
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// 证照类型代码.
    pub fn code(&self) -> TypeCode {
        self.code
    }

    /// Where the code comes from.
    pub fn code_origin(&self) -> CodeOrigin {
        self.code_origin
    }

    /// Version of the field set: frozen at the first issue.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// Its row in the catalogue of types.
    pub fn row(&self) -> u16 {
        self.row
    }

    /// 证照类型名称.
    pub fn name(&self) -> &Bilingual {
        &self.name
    }

    /// Its class.
    pub fn category(&self) -> Category {
        self.category
    }

    /// The kind of department that issues it.
    pub fn department(&self) -> &str {
        &self.department
    }

    /// What the public log may say.
    pub fn publicity(&self) -> Publicity {
        self.publicity
    }

    /// Where its field list comes from.
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// Who holds it.
    pub fn holder(&self) -> &HolderRule {
        &self.holder
    }

    /// Its printed number.
    pub fn number(&self) -> &NumberRule {
        &self.number
    }

    /// How long it is valid.
    pub fn validity(&self) -> &Validity {
        &self.validity
    }

    /// How its face is drawn.
    pub fn face(&self) -> &Face {
        &self.face
    }

    /// Its own fields, in printed order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The header's fields and its own, in the order of their numbers.
    pub fn all_fields(&self) -> impl Iterator<Item = &Field> {
        self.header.iter().chain(&self.fields)
    }

    /// The field with this key, of the header or its own.
    pub fn field(&self, key: &str) -> Option<&Field> {
        self.all_fields().find(|field| field.key == key)
    }

    /// The field with this number, of the header or its own.
    pub fn field_numbered(&self, number: u16) -> Option<&Field> {
        self.all_fields().find(|field| field.number == number)
    }

    /// The ministry's code and text for a state, or for `expired`.
    pub fn state_code(&self, state: &str) -> (&str, &str) {
        self.states.codes.get(state).map_or(("", ""), |(code, text)| (code, text))
    }

    /// The set of state codes.
    pub fn states(&self) -> &StateCodes {
        &self.states
    }

    /// What the log says of an issue: the code, or the class of a sensitive type.
    pub fn logged_as(&self) -> String {
        match self.publicity {
            Publicity::Category => self.category.name().to_string(),
            Publicity::Code => self.code.to_string(),
        }
    }

    /// `/types/{code}/{version}`: the credential's `vct`, below the service's URL.
    pub fn path(&self) -> String {
        format!("/types/{}/{}", self.code, self.version)
    }

    /// The most bytes the default fields take in an offline code, each with its label.
    pub fn offline_bytes_max(&self) -> usize {
        self.all_fields()
            .filter(|field| field.offline == Offline::Yes)
            .map(|field| field.bytes_max() + OFFLINE_LABEL_BYTES)
            .sum()
    }

    /// All values of a submission, header included, canonical and within the rules.
    ///
    /// # Errors
    /// Every fault, in the order of the fields.
    pub fn check(&self, submission: &Submission<'_>) -> Result<Claims, Vec<FieldFault>> {
        let mut faults = Vec::new();
        let mut claims = Claims::default();
        self.check_holders(submission, &mut claims, &mut faults);
        self.check_number(submission, &mut claims, &mut faults);
        self.check_period(submission, &mut claims, &mut faults);
        for field in &self.fields {
            match submission.fields.get(&field.key) {
                None | Some(Json::Null) => {
                    if field.required == Required::Yes {
                        faults.push(FieldFault::new(&field.key, "field/missing", "is required"));
                    }
                }
                Some(Json::String(text)) if text.trim().is_empty() => {
                    if field.required == Required::Yes {
                        faults.push(FieldFault::new(&field.key, "field/missing", "is required"));
                    }
                }
                Some(json) => match field.check(json) {
                    Ok(value) => {
                        claims.insert(&field.key, value);
                    }
                    Err(reason) => faults.push(FieldFault::new(&field.key, "field/invalid", reason)),
                },
            }
        }
        for key in submission.fields.keys() {
            if !self.fields.iter().any(|field| field.key == *key) {
                faults.push(FieldFault::new(key, "field/unknown", "is no field of this certificate type"));
            }
        }
        if faults.is_empty() { Ok(claims) } else { Err(faults) }
    }

    fn check_holders(&self, submission: &Submission<'_>, claims: &mut Claims, faults: &mut Vec<FieldFault>) {
        let names = submission.holder_names;
        if names.is_empty() || names.len() > self.holder.subjects_max {
            let reason = format!("must name 1 to {} holders", self.holder.subjects_max);
            faults.push(FieldFault::new(HOLDER_NAME, "field/invalid", reason));
            return;
        }
        let kind = Kind::PersonName { max: self.holder.max };
        let field = Field { kind, ..self.header[0].clone() };
        let mut checked = Vec::with_capacity(names.len());
        for name in names {
            match field.check(&Json::String(name.clone())) {
                Ok(Value::Text(text)) => checked.push(text),
                Ok(_) => {}
                Err(reason) => faults.push(FieldFault::new(HOLDER_NAME, "field/invalid", reason)),
            }
        }
        let value = match checked.len() {
            1 => Value::Text(checked.remove(0)),
            _ => Value::List(checked),
        };
        claims.insert(HOLDER_NAME, value);
    }

    fn check_number(&self, submission: &Submission<'_>, claims: &mut Claims, faults: &mut Vec<FieldFault>) {
        match self.header[1].check(&Json::String(submission.number.to_string())) {
            Ok(value) => {
                claims.insert(NUMBER, value);
            }
            Err(reason) => faults.push(FieldFault::new(NUMBER, "field/invalid", reason)),
        }
    }

    fn check_period(&self, submission: &Submission<'_>, claims: &mut Claims, faults: &mut Vec<FieldFault>) {
        claims.insert(ISSUE_DATE, Value::Text(submission.issue_date.to_string()));
        claims.insert(VALID_FROM, Value::Text(submission.valid_from.to_string()));
        let months_max = match (self.validity.rule, submission.valid_until) {
            (ValidityRule::Until { .. }, None) => {
                return faults.push(FieldFault::new(
                    VALID_UNTIL,
                    "field/missing",
                    "is required for this type",
                ));
            }
            (ValidityRule::Long | ValidityRule::None, Some(_)) => {
                let reason = "must be absent: certificates of this type have no last day";
                return faults.push(FieldFault::new(VALID_UNTIL, "field/period", reason));
            }
            (_, None) => return,
            (ValidityRule::Until { months_max } | ValidityRule::Either { months_max }, Some(_)) => months_max,
        };
        let Some(until) = submission.valid_until else { return };
        if until < submission.valid_from {
            return faults.push(FieldFault::new(VALID_UNTIL, "field/period", "lies before the first day"));
        }
        if submission.valid_from.plus_months(months_max).is_none_or(|latest| until > latest) {
            let reason = format!("lies more than {months_max} months after the first day");
            return faults.push(FieldFault::new(VALID_UNTIL, "field/period", reason));
        }
        claims.insert(VALID_UNTIL, Value::Text(until.to_string()));
    }
}

/// The header that every certificate has: fields 1 to 9.
pub(super) fn header(holder: &HolderRule, number: &NumberRule) -> Vec<Field> {
    let field = |number, key: &str, zh: &str, en: &str, kind, mask, offline| Field {
        number,
        key: key.to_string(),
        label: Bilingual { zh: zh.to_string(), en: en.to_string() },
        kind,
        required: Required::Yes,
        disclosable: Disclosable::Yes,
        mask,
        sensitivity: Sensitivity::Personal,
        offline,
    };
    let number_kind = match number.kind {
        NumberKind::Ascii => Kind::Ascii { max: number.max },
        NumberKind::ResidentNumber => Kind::ResidentNumber,
        NumberKind::Text => Kind::Text { max: number.max },
        NumberKind::Uscc => Kind::Uscc,
    };
    let (name_mask, number_mask) = match (holder.kind, number.kind) {
        (HolderKind::Entity, _) => (MaskRule::None, MaskRule::None),
        (_, NumberKind::ResidentNumber) => (MaskRule::Name, MaskRule::ResidentNumber),
        _ => (MaskRule::Name, MaskRule::Document),
    };
    let name_kind = match holder.kind {
        HolderKind::Person => Kind::PersonName { max: holder.max },
        HolderKind::Both | HolderKind::Entity => Kind::EntityName { max: holder.max },
    };
    let (holder_label, number_label) = (&holder.label, &number.label);
    vec![
        field(1, HOLDER_NAME, &holder_label.zh, &holder_label.en, name_kind, name_mask, Offline::Yes),
        field(2, NUMBER, &number_label.zh, &number_label.en, number_kind, number_mask, Offline::Yes),
        field(3, ISSUE_DATE, "颁发日期", "Date of issue", Kind::Date, MaskRule::None, Offline::No),
        field(4, VALID_FROM, "有效期起始日期", "Valid from", Kind::Date, MaskRule::None, Offline::No),
        Field {
            required: Required::No,
            ..field(5, VALID_UNTIL, "有效期截止日期", "Valid until", Kind::Date, MaskRule::None, Offline::No)
        },
        Field {
            required: Required::No,
            ..field(
                6,
                HOLDER_CODE,
                "持证主体代码",
                "Holder's code",
                Kind::Ascii { max: 40 },
                MaskRule::ResidentNumber,
                Offline::No,
            )
        },
    ]
}

/// Every name a state has in `states.toml`.
pub(super) fn state_names() -> Vec<String> {
    let mut names: Vec<String> = State::ALL.iter().map(|state| state.name().to_string()).collect();
    names.push("expired".to_string());
    names
}

/// Key of the holder's name. Header field 1.
pub const HOLDER_NAME: &str = "holder_name";
/// Key of the printed number. Header field 2.
pub const NUMBER: &str = "number";
/// Key of the day of issue. Header field 3.
pub const ISSUE_DATE: &str = "issue_date";
/// Key of the first day of validity. Header field 4.
pub const VALID_FROM: &str = "valid_from";
/// Key of the last day of validity. Header field 5.
pub const VALID_UNTIL: &str = "valid_until";
/// Key of the holder's code (持证主体代码), such as the resident number. Header field 6.
pub const HOLDER_CODE: &str = "holder_code";

/// CBOR label and length of one field in an offline code.
const OFFLINE_LABEL_BYTES: usize = 4;

/// Checks that a resident number printed as the certificate's number is the holder's.
pub fn number_is_holders(number: &str, holder: &ResidentId) -> Result<(), FieldFault> {
    if number == holder.expose() {
        Ok(())
    } else {
        Err(FieldFault::new(NUMBER, "field/invalid", "must be the holder's own resident number"))
    }
}

/// Checks that a social credit code printed as the certificate's number is the holder's.
pub fn number_is_entitys(number: &str, holder: Uscc) -> Result<(), FieldFault> {
    if number == holder.as_str() {
        Ok(())
    } else {
        Err(FieldFault::new(NUMBER, "field/invalid", "must be the holder's own social credit code"))
    }
}
