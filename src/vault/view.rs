//! What people see of a certificate.
//!
//! Every view is masked by its type's rules unless a verb asked for
//! [`Reveal::Full`], which only the holder and the issuing department may.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Vault;
use super::records::{Changed, Record};
use crate::catalog::certificate_type::{
    HOLDER_CODE, HOLDER_NAME, ISSUE_DATE, NUMBER, Template, VALID_FROM, VALID_UNTIL,
};
use crate::catalog::field::{Field, Kind};
use crate::catalog::{Bilingual, CertificateType};
use crate::domain::claims::Value;
use crate::domain::lifecycle::{self, StateView};
use crate::domain::mask::{self, MaskRule};
use crate::domain::number::CertificateIdentifier;
use crate::domain::time::{Date, UnixTime};

/// Whether values are shown whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reveal {
    /// As they are: for the holder and the issuing department.
    Full,
    /// By the masking rules of the type.
    Masked,
}

/// Whether a value shown is masked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Masked {
    /// It is whole.
    No,
    /// Part of it is hidden.
    Yes,
}

/// What people see of a certificate.
#[derive(Clone, PartialEq)]
pub struct CertificateView {
    /// 电子证照标识.
    pub identifier: CertificateIdentifier,
    /// Slug of the type.
    pub type_slug: String,
    /// 证照类型代码.
    pub type_code: String,
    /// Version of the type's field set.
    pub type_version: u16,
    /// 证照类型名称.
    pub type_name: Bilingual,
    /// Social credit code of the department.
    pub issuer: String,
    /// Its name.
    pub issuer_name: Bilingual,
    /// Names of the holders.
    pub holder_names: Vec<String>,
    /// The printed number.
    pub number: String,
    /// Day of issue.
    pub issue_date: Option<Date>,
    /// First day of validity.
    pub valid_from: Option<Date>,
    /// Last day of validity.
    pub valid_until: Option<Date>,
    /// Where it stands, seen on this day.
    pub state: StateView,
    /// The ministry's own code and word for that.
    pub state_code: (String, String),
    /// The type's own fields, in printed order.
    pub fields: Vec<FieldView>,
    /// 1 for the first.
    pub version: u16,
    /// The version before.
    pub previous: Option<CertificateIdentifier>,
    /// The version after.
    pub next: Option<CertificateIdentifier>,
    /// Every change, oldest first.
    pub changes: Vec<ChangeView>,
    /// When it was issued.
    pub issued_at: UnixTime,
    /// Colour of its face.
    pub accent: String,
    /// Shape of its face.
    pub template: Template,
}

/// One field of a view.
#[derive(Clone, PartialEq)]
pub struct FieldView {
    /// Its key.
    pub key: String,
    /// Its label.
    pub label: Bilingual,
    /// Its value.
    pub value: Json,
    /// Its value as printed.
    pub text: String,
    /// Whether part of it is hidden.
    pub masked: Masked,
}

/// One change of a view.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeView {
    /// What was done.
    pub kind: lifecycle::ChangeKind,
    /// Code of the reason.
    pub reason: String,
    /// The rule it rests on.
    pub legal_basis: String,
    /// Registration of the officer or system.
    pub officer: String,
    /// When it takes effect.
    pub effective_at: UnixTime,
    /// When it was written down.
    pub recorded_at: UnixTime,
}

impl From<&Changed> for ChangeView {
    fn from(changed: &Changed) -> Self {
        Self {
            kind: changed.kind,
            reason: changed.reason.clone(),
            legal_basis: changed.legal_basis.clone(),
            officer: changed.officer.clone(),
            effective_at: changed.effective_at,
            recorded_at: changed.recorded_at,
        }
    }
}

impl Vault {
    /// The view of a record on this day.
    pub(super) fn view(&self, kind: &CertificateType, record: &Record, reveal: Reveal) -> CertificateView {
        let issuer = record.identifier.issuer().to_string();
        let (zh, en) = self.keyring.issuer_name(&issuer).unwrap_or((&issuer, &issuer));
        let issuer_name = Bilingual { zh: zh.to_string(), en: en.to_string() };
        let state = lifecycle::view(record.state, record.valid_until(), self.now());
        let (code, text) = kind.state_code(state.name());
        let shown = |key: &str| kind.field(key).and_then(|field| field_view(field, record, reveal));
        let names = shown(HOLDER_NAME).map(|field| texts(&field.value)).unwrap_or_default();
        let number = shown(NUMBER).map(|field| field.text).unwrap_or_default();
        let mut fields: Vec<FieldView> = shown(HOLDER_CODE).into_iter().collect();
        fields.extend(kind.fields().iter().filter_map(|field| field_view(field, record, reveal)));
        CertificateView {
            identifier: record.identifier.clone(),
            type_slug: kind.slug().to_string(),
            type_code: kind.code().to_string(),
            type_version: record.type_version,
            type_name: kind.name().clone(),
            issuer,
            issuer_name,
            holder_names: names,
            number,
            issue_date: record.date(ISSUE_DATE),
            valid_from: record.date(VALID_FROM),
            valid_until: record.date(VALID_UNTIL),
            state,
            state_code: (code.to_string(), text.to_string()),
            fields,
            version: record.identifier.version().number(),
            previous: record.previous.clone(),
            next: record.next.clone(),
            changes: record.changes.iter().map(ChangeView::from).collect(),
            issued_at: record.issued_at,
            accent: kind.face().accent.clone(),
            template: kind.face().template,
        }
    }
}

/// One field of a record, masked or whole; `None` when the record has none.
pub(super) fn field_view(field: &Field, record: &Record, reveal: Reveal) -> Option<FieldView> {
    let value = record.claims.value(&field.key)?;
    let shown = match reveal {
        Reveal::Full => value.clone(),
        Reveal::Masked => masked_value(field, value),
    };
    let masked = if shown == *value { Masked::No } else { Masked::Yes };
    Some(FieldView {
        key: field.key.clone(),
        label: field.label.clone(),
        value: shown.to_json(),
        text: shown.display(),
        masked,
    })
}

/// The value under the field's mask; a table without one under the masks of its columns.
fn masked_value(field: &Field, value: &Value) -> Value {
    let (Kind::Rows { columns, .. }, Value::Rows(rows), MaskRule::None) = (&field.kind, value, field.mask)
    else {
        return mask::mask_value(field.mask, value);
    };
    let masked_row = |row: &BTreeMap<String, Value>| {
        let cells = row.iter().map(|(key, cell)| {
            // A cell of no column we know is hidden: we cannot say that it may be seen.
            let column = columns.iter().find(|column| column.key == *key);
            let rule = column.map_or(MaskRule::Hidden, |column| column.mask);
            (key.clone(), mask::mask_value(rule, cell))
        });
        cells.collect()
    };
    Value::Rows(rows.iter().map(masked_row).collect())
}

fn texts(value: &Json) -> Vec<String> {
    match value {
        Json::String(text) => vec![text.clone()],
        Json::Array(items) => items.iter().filter_map(Json::as_str).map(str::to_string).collect(),
        _ => vec![],
    }
}
