//! Type files and scenario files, as they are written.
//!
//! The shapes are strict: an unknown member, a wrong type or a rule broken is
//! refused with the line it stands on. The serde derives here are of the files'
//! shapes, which are ours; they are used nowhere else.
//!
//! Over 600 lines, because a shape and the rules that turn it into ours are read together.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::Spanned;

use super::certificate_type::{
    Category, CertificateType, CodeOrigin, Face, HolderKind, HolderRule, NumberKind, NumberRule, Publicity,
    StateCodes, Template, Validity, ValidityRule, header, state_names,
};
use super::field::{Column, Disclosable, Field, Kind, Offline, Required, Sensitivity};
use super::scenario::{Need, Predicate, Question, Scenario};
use super::{Bilingual, Catalog, Fault};
use crate::domain::mask::MaskRule;

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct BilingualFile {
    zh: String,
    en: String,
}

impl From<BilingualFile> for Bilingual {
    fn from(file: BilingualFile) -> Self {
        Self { zh: file.zh, en: file.en }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypeFile {
    schema: Spanned<u16>,
    code: Spanned<String>,
    code_origin: Spanned<String>,
    version: Spanned<u16>,
    row: u16,
    name: BilingualFile,
    category: Spanned<String>,
    department: String,
    sensitive: bool,
    states: Spanned<String>,
    sources: Vec<String>,
    holder: Spanned<HolderFile>,
    number: Spanned<NumberFile>,
    validity: Spanned<ValidityFile>,
    face: Spanned<FaceFile>,
    fields: Vec<Spanned<FieldFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HolderFile {
    kind: String,
    zh: String,
    en: String,
    max: usize,
    subjects_max: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NumberFile {
    zh: String,
    en: String,
    kind: String,
    max: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ValidityFile {
    rule: String,
    months_max: Option<u32>,
    zh: String,
    en: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaceFile {
    template: String,
    accent: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FieldFile {
    number: u16,
    key: String,
    zh: String,
    en: String,
    kind: String,
    max: Option<i64>,
    min: Option<i64>,
    digits: Option<usize>,
    scale: Option<usize>,
    unit: Option<String>,
    choices: Option<Vec<String>>,
    items: Option<usize>,
    columns: Option<Vec<FieldFile>>,
    required: bool,
    disclosable: Option<bool>,
    mask: Option<String>,
    sensitivity: Option<String>,
    offline: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScenarioFile {
    schema: u16,
    row: u16,
    name: BilingualFile,
    needs: Vec<Spanned<NeedFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NeedFile {
    name: String,
    types: Vec<String>,
    #[serde(default)]
    fields: Vec<String>,
    #[serde(default)]
    predicates: Vec<PredicateFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PredicateFile {
    key: String,
    zh: String,
    en: String,
    op: String,
    field: Option<String>,
    value: Option<toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatesFile {
    source: String,
    codes: BTreeMap<String, (String, String)>,
}

/// Turns places in one file into faults with line numbers.
struct Place<'a> {
    name: &'a str,
    text: &'a str,
}

impl Place<'_> {
    fn fault(&self, offset: usize, reason: &str) -> Fault {
        let line = self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
        Fault::new(self.name, line, reason)
    }

    fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, Fault> {
        toml::from_str(self.text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            self.fault(offset, error.message())
        })
    }
}

/// The sets of state codes in `states.toml`.
pub(super) fn states(files: &[(String, String)], faults: &mut Vec<Fault>) -> BTreeMap<String, StateCodes> {
    let Some((name, text)) = files.iter().find(|(name, _)| name == "states.toml") else {
        faults.push(Fault::new("states.toml", 0, "is missing"));
        return BTreeMap::new();
    };
    let place = Place { name, text };
    let sets: BTreeMap<String, Spanned<StatesFile>> = match place.parse() {
        Ok(sets) => sets,
        Err(fault) => {
            faults.push(fault);
            return BTreeMap::new();
        }
    };
    let mut found = BTreeMap::new();
    for (name, set) in sets {
        let offset = set.span().start;
        let set = set.into_inner();
        let have: Vec<&String> = set.codes.keys().collect();
        let mut want = state_names();
        want.sort();
        if have.len() != want.len() || have.iter().zip(&want).any(|(have, want)| *have != want) {
            faults.push(
                place.fault(offset, &format!("`{name}` must give a code for each of {}", want.join(", "))),
            );
        }
        found.insert(name.clone(), StateCodes { name, source: set.source, codes: set.codes });
    }
    found
}

/// `aliases.toml`: a name used in scenarios → slugs of types.
pub(super) fn aliases(files: &[(String, String)], faults: &mut Vec<Fault>) -> BTreeMap<String, Vec<String>> {
    let Some((name, text)) = files.iter().find(|(name, _)| name == "aliases.toml") else {
        return BTreeMap::new();
    };
    Place { name, text }.parse().unwrap_or_else(|fault| {
        faults.push(fault);
        BTreeMap::new()
    })
}

/// One type file.
pub(super) fn certificate_type(
    slug: &str,
    name: &str,
    text: &str,
    states: &BTreeMap<String, StateCodes>,
) -> Result<CertificateType, Fault> {
    let place = Place { name, text };
    let file: TypeFile = place.parse()?;
    let wrong = |offset: usize, reason: String| Err(place.fault(offset, &reason));
    if *file.schema.get_ref() != SCHEMA {
        return wrong(file.schema.span().start, format!("`schema` must be {SCHEMA}"));
    }
    if !is_key(slug) {
        return Err(Fault::new(name, 0, "the file's name must be lower-case letters, digits and `_`"));
    }
    let Ok(code) = file.code.get_ref().parse() else {
        return wrong(file.code.span().start, "`code` is not a type code of 21 characters".into());
    };
    if *file.version.get_ref() == 0 {
        return wrong(file.version.span().start, "`version` starts at 1".into());
    }
    let Some(state_set) = states.get(file.states.get_ref()) else {
        return wrong(file.states.span().start, "`states` names no set of `states.toml`".into());
    };
    let holder = holder_rule(&place, &file.holder)?;
    let number = number_rule(&place, &file.number)?;
    let made = CertificateType {
        slug: slug.to_string(),
        code,
        code_origin: word(&place, &file.code_origin, "code_origin", CODE_ORIGINS)?,
        version: *file.version.get_ref(),
        row: file.row,
        category: word(&place, &file.category, "category", CATEGORIES)?,
        name: file.name.into(),
        department: file.department,
        publicity: if file.sensitive { Publicity::Category } else { Publicity::Code },
        states: state_set.clone(),
        sources: file.sources,
        validity: validity(&place, &file.validity)?,
        face: face(&place, &file.face)?,
        header: header(&holder, &number),
        fields: fields(&place, &file.fields)?,
        holder,
        number,
    };
    if made.offline_bytes_max() > OFFLINE_BYTES_MAX {
        let reason = format!(
            "the offline fields take up to {} bytes; {OFFLINE_BYTES_MAX} fit into the code",
            made.offline_bytes_max()
        );
        return Err(Fault::new(name, 0, &reason));
    }
    Ok(made)
}

fn word<T: Copy>(
    place: &Place<'_>,
    text: &Spanned<String>,
    member: &str,
    words: &[(&str, T)],
) -> Result<T, Fault> {
    word_at(place, text.span().start, text.get_ref(), member, words)
}

fn word_at<T: Copy>(
    place: &Place<'_>,
    offset: usize,
    text: &str,
    member: &str,
    words: &[(&str, T)],
) -> Result<T, Fault> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        place.fault(offset, &format!("`{member}` must be one of {}", known.join(", ")))
    })
}

fn holder_rule(place: &Place<'_>, file: &Spanned<HolderFile>) -> Result<HolderRule, Fault> {
    let offset = file.span().start;
    let file = file.get_ref();
    if file.subjects_max == 0 || file.subjects_max > SUBJECTS_MAX || file.max == 0 {
        return Err(
            place.fault(offset, &format!("`subjects_max` must be 1 to {SUBJECTS_MAX} and `max` above 0"))
        );
    }
    Ok(HolderRule {
        kind: word_at(place, offset, &file.kind, "kind", HOLDER_KINDS)?,
        label: Bilingual { zh: file.zh.clone(), en: file.en.clone() },
        max: file.max,
        subjects_max: file.subjects_max,
    })
}

fn number_rule(place: &Place<'_>, file: &Spanned<NumberFile>) -> Result<NumberRule, Fault> {
    let offset = file.span().start;
    let file = file.get_ref();
    Ok(NumberRule {
        kind: word_at(place, offset, &file.kind, "kind", NUMBER_KINDS)?,
        label: Bilingual { zh: file.zh.clone(), en: file.en.clone() },
        max: file.max,
    })
}

fn validity(place: &Place<'_>, file: &Spanned<ValidityFile>) -> Result<Validity, Fault> {
    let offset = file.span().start;
    let file = file.get_ref();
    let rule = match (file.rule.as_str(), file.months_max) {
        ("until", Some(months_max)) => ValidityRule::Until { months_max },
        ("either", Some(months_max)) => ValidityRule::Either { months_max },
        ("long", None) => ValidityRule::Long,
        ("none", None) => ValidityRule::None,
        ("until" | "either", None) => return Err(place.fault(offset, "`months_max` is missing")),
        ("long" | "none", Some(_)) => {
            return Err(place.fault(offset, "`months_max` has no use with this rule"));
        }
        _ => return Err(place.fault(offset, "`rule` must be one of until, either, long, none")),
    };
    Ok(Validity { rule, label: Bilingual { zh: file.zh.clone(), en: file.en.clone() } })
}

fn face(place: &Place<'_>, file: &Spanned<FaceFile>) -> Result<Face, Fault> {
    let offset = file.span().start;
    let file = file.get_ref();
    let hex = file.accent.strip_prefix('#').unwrap_or("");
    if hex.len() != 6 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(place.fault(offset, "`accent` must be a colour like #1f4e8c"));
    }
    Ok(Face {
        template: word_at(place, offset, &file.template, "template", TEMPLATES)?,
        accent: file.accent.clone(),
    })
}

fn fields(place: &Place<'_>, files: &[Spanned<FieldFile>]) -> Result<Vec<Field>, Fault> {
    let mut last = HEADER_NUMBER_MAX;
    let mut keys = BTreeSet::new();
    let mut made = Vec::with_capacity(files.len());
    for file in files {
        let offset = file.span().start;
        let file = file.get_ref();
        if file.number <= last {
            return Err(place.fault(offset, "`number` must rise from field to field, from 10"));
        }
        last = file.number;
        if !keys.insert(file.key.clone()) {
            return Err(place.fault(offset, &format!("the key `{}` is used twice", file.key)));
        }
        made.push(field(place, offset, file)?);
    }
    Ok(made)
}

fn field(place: &Place<'_>, offset: usize, file: &FieldFile) -> Result<Field, Fault> {
    let wrong = |reason: &str| Err(place.fault(offset, &format!("field `{}`: {reason}", file.key)));
    if !is_key(&file.key) || RESERVED_KEYS.contains(&file.key.as_str()) {
        return wrong(
            "`key` must be lower-case letters, digits and `_`, and none of the header's or of JWT's",
        );
    }
    if file.zh.is_empty() || file.en.is_empty() {
        return wrong("`zh` and `en` must say what it is");
    }
    let kind = kind(place, offset, file)?;
    if file.offline && matches!(kind, Kind::Photo | Kind::Rows { .. } | Kind::List { .. }) {
        return wrong("pictures, lists and tables do not fit an offline code");
    }
    let sensitivity = file.sensitivity.as_deref().unwrap_or("personal");
    Ok(Field {
        number: file.number,
        key: file.key.clone(),
        label: Bilingual { zh: file.zh.clone(), en: file.en.clone() },
        mask: mask_rule(place, offset, file, &kind)?,
        kind,
        required: if file.required { Required::Yes } else { Required::No },
        disclosable: if file.disclosable == Some(false) { Disclosable::No } else { Disclosable::Yes },
        sensitivity: word_at(place, offset, sensitivity, "sensitivity", SENSITIVITIES)?,
        offline: if file.offline { Offline::Yes } else { Offline::No },
    })
}

fn mask_rule(place: &Place<'_>, offset: usize, file: &FieldFile, kind: &Kind) -> Result<MaskRule, Fault> {
    match &file.mask {
        None => Ok(kind.mask_by_default()),
        Some(text) => MaskRule::parse(text).ok_or_else(|| {
            place.fault(offset, &format!("field `{}`: `mask` names no masking rule", file.key))
        }),
    }
}

fn kind(place: &Place<'_>, offset: usize, file: &FieldFile) -> Result<Kind, Fault> {
    let wrong = |reason: &str| place.fault(offset, &format!("field `{}`: {reason}", file.key));
    let max = || {
        let max =
            file.max.and_then(|max| usize::try_from(max).ok()).filter(|max| (1..=TEXT_MAX).contains(max));
        max.ok_or_else(|| wrong(&format!("`max` must be 1 to {TEXT_MAX} characters")))
    };
    let items = || {
        let items = file.items.filter(|items| (1..=ITEMS_MAX).contains(items));
        items.ok_or_else(|| wrong(&format!("`items` must be 1 to {ITEMS_MAX}")))
    };
    Ok(match file.kind.as_str() {
        "address" => Kind::Address { max: max()? },
        "ascii" => Kind::Ascii { max: max()? },
        "bank_account" => Kind::BankAccount,
        "boolean" => Kind::Boolean,
        "choice" => match &file.choices {
            Some(choices)
                if !choices.is_empty() && choices.iter().all(|choice| !choice.trim().is_empty()) =>
            {
                Kind::Choice { choices: choices.clone() }
            }
            _ => return Err(wrong("`choices` must list what may stand there")),
        },
        "date" => Kind::Date,
        "decimal" => match (file.digits, file.scale) {
            (Some(digits), Some(scale)) if digits <= DIGITS_MAX && scale < digits => {
                Kind::Decimal { digits, scale, unit: file.unit.clone() }
            }
            _ => return Err(wrong(&format!("`digits` (to {DIGITS_MAX}) and a smaller `scale` are needed"))),
        },
        "email" => Kind::Email,
        "entity_name" => Kind::EntityName { max: max()? },
        "integer" => match (file.min, file.max) {
            (Some(min), Some(max)) if min < max => Kind::Integer { min, max },
            _ => return Err(wrong("`min` and a greater `max` are needed")),
        },
        "list" => Kind::List { items: items()?, max: max()? },
        "month" => Kind::Month,
        "passport_number" => Kind::PassportNumber { max: max()? },
        "person_name" => Kind::PersonName { max: max()? },
        "phone" => Kind::Phone,
        "photo" => Kind::Photo,
        "plate" => Kind::Plate { max: max()? },
        "resident_number" => Kind::ResidentNumber,
        "rows" => Kind::Rows { items: items()?, columns: columns(place, offset, file)? },
        "text" => Kind::Text { max: max()? },
        "uscc" => Kind::Uscc,
        _ => return Err(wrong("`kind` is none we know")),
    })
}

fn columns(place: &Place<'_>, offset: usize, file: &FieldFile) -> Result<Vec<Column>, Fault> {
    let wrong = |reason: &str| Err(place.fault(offset, &format!("field `{}`: {reason}", file.key)));
    let mut keys = BTreeSet::new();
    let mut made = Vec::new();
    for column in file.columns.iter().flatten() {
        if !is_key(&column.key) || !keys.insert(&column.key) || column.zh.is_empty() || column.en.is_empty() {
            return wrong("every column needs a `key` of its own, `zh` and `en`");
        }
        let kind = kind(place, offset, column)?;
        if matches!(kind, Kind::List { .. } | Kind::Rows { .. } | Kind::Photo) {
            return wrong("a column holds no list, table or picture");
        }
        made.push(Column {
            key: column.key.clone(),
            label: Bilingual { zh: column.zh.clone(), en: column.en.clone() },
            mask: mask_rule(place, offset, column, &kind)?,
            kind,
            required: if column.required { Required::Yes } else { Required::No },
        });
    }
    if made.is_empty() { wrong("`columns` are missing") } else { Ok(made) }
}

/// One scenario file; its types and fields must exist in the catalogue.
pub(super) fn scenario(slug: &str, name: &str, text: &str, catalog: &Catalog) -> Result<Scenario, Fault> {
    let place = Place { name, text };
    let file: ScenarioFile = place.parse()?;
    if file.schema != SCHEMA {
        return Err(Fault::new(name, 1, &format!("`schema` must be {SCHEMA}")));
    }
    let mut needs = Vec::with_capacity(file.needs.len());
    for need in file.needs {
        let offset = need.span().start;
        let need = need.into_inner();
        let wrong = |reason: String| Err(place.fault(offset, &format!("`{}`: {reason}", need.name)));
        if need.types.is_empty() || (need.fields.is_empty() && need.predicates.is_empty()) {
            return wrong("needs `types`, and `fields` or `predicates`".into());
        }
        let mut types = Vec::with_capacity(need.types.len());
        for wanted in &need.types {
            let Some(certificate_type) = catalog.by_slug(wanted) else {
                return wrong(format!("`{wanted}` is no certificate type"));
            };
            types.push(certificate_type);
        }
        let asked = need.predicates.iter().filter_map(|predicate| predicate.field.as_ref());
        for field in need.fields.iter().chain(asked) {
            let Some(found) = types.iter().find_map(|certificate_type| certificate_type.field(field)) else {
                return wrong(format!("none of its types has a field `{field}`"));
            };
            if found.disclosable == Disclosable::No && need.fields.contains(field) {
                return wrong(format!("`{field}` may not be disclosed"));
            }
        }
        let predicates = need.predicates.into_iter().map(|file| predicate(&place, offset, file));
        let predicates = predicates.collect::<Result<_, _>>()?;
        needs.push(Need { name: need.name, types: need.types, fields: need.fields, predicates });
    }
    if needs.is_empty() {
        return Err(Fault::new(name, 0, "needs no certificate at all"));
    }
    Ok(Scenario { slug: slug.to_string(), row: file.row, name: file.name.into(), needs })
}

fn predicate(place: &Place<'_>, offset: usize, file: PredicateFile) -> Result<Predicate, Fault> {
    let question = match (file.op.as_str(), file.field, file.value) {
        ("at_least", Some(field), Some(toml::Value::Integer(value))) => Question::AtLeast { field, value },
        ("count", None, None) => Question::Count,
        ("equals", Some(field), Some(toml::Value::String(value))) => Question::Equals { field, value },
        ("match", Some(field), None) => Question::Match { field },
        ("valid", None, None) => Question::Valid,
        _ => {
            let reason = "a predicate is at_least (field, number), count, equals (field, text), match (field) or valid";
            return Err(place.fault(offset, &format!("`{}`: {reason}", file.key)));
        }
    };
    Ok(Predicate { key: file.key, label: Bilingual { zh: file.zh, en: file.en }, question })
}

fn is_key(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.len() <= KEY_MAX
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Version of the files' shape.
const SCHEMA: u16 = 1;

/// Numbers up to here belong to the header.
const HEADER_NUMBER_MAX: u16 = 9;

/// Bytes of fields that fit an offline code of QR version 20, level M (DESIGN, "Showing and verifying").
const OFFLINE_BYTES_MAX: usize = 250;

/// Longest text of one field, in characters: the scope of a business licence is the longest we know.
const TEXT_MAX: usize = 4000;

/// Most items or rows of one field. Our own choice.
const ITEMS_MAX: usize = 1000;

/// Most digits of a decimal. Our own choice: a state's budget in fen has 17.
const DIGITS_MAX: usize = 20;

/// Most holders of one certificate. Our own choice: jointly owned land.
const SUBJECTS_MAX: usize = 50;

/// Longest key. Our own choice.
const KEY_MAX: usize = 60;

/// Keys that a field may not have: those of the header and of JWT, SD-JWT and SD-JWT VC.
const RESERVED_KEYS: &[&str] = &[
    "_sd",
    "_sd_alg",
    "aud",
    "cnf",
    "exp",
    "holder_code",
    "holder_name",
    "iat",
    "identifier",
    "iss",
    "issue_date",
    "jti",
    "nbf",
    "number",
    "status",
    "sub",
    "valid_from",
    "valid_until",
    "vct",
];

const CODE_ORIGINS: &[(&str, CodeOrigin)] =
    &[("inferred", CodeOrigin::Inferred), ("local", CodeOrigin::Local), ("national", CodeOrigin::National)];

const CATEGORIES: &[(&str, Category)] = &[
    ("approval", Category::Approval),
    ("licence", Category::Licence),
    ("proof", Category::Proof),
    ("report", Category::Report),
    ("result", Category::Result),
];

const HOLDER_KINDS: &[(&str, HolderKind)] =
    &[("both", HolderKind::Both), ("entity", HolderKind::Entity), ("person", HolderKind::Person)];

const NUMBER_KINDS: &[(&str, NumberKind)] = &[
    ("ascii", NumberKind::Ascii),
    ("resident_number", NumberKind::ResidentNumber),
    ("text", NumberKind::Text),
    ("uscc", NumberKind::Uscc),
];

const TEMPLATES: &[(&str, Template)] = &[
    ("booklet", Template::Booklet),
    ("card", Template::Card),
    ("certificate", Template::Certificate),
    ("proof", Template::Proof),
    ("report", Template::Report),
];

const SENSITIVITIES: &[(&str, Sensitivity)] = &[
    ("personal", Sensitivity::Personal),
    ("public", Sensitivity::Public),
    ("sensitive", Sensitivity::Sensitive),
];
