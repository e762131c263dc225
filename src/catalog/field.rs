//! One field of a certificate type: what it is called, what it may hold, who may see it.
//!
//! [`Field::check`] is the one place where a submitted value becomes a
//! [`Value`]: canonical, within its declared size, and of its declared kind.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Bilingual;
use crate::domain::claims::Value;
use crate::domain::mask::MaskRule;
use crate::domain::resident_id::ResidentId;
use crate::domain::time::Date;
use crate::domain::uscc::Uscc;

/// One field of a certificate type.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its number, never reused: the label in the offline code. 1 to 9 belong to the header.
    pub number: u16,
    /// Its name in API, files and credentials.
    pub key: String,
    /// The label as printed.
    pub label: Bilingual,
    /// What it may hold.
    pub kind: Kind,
    /// Whether a certificate must have it.
    pub required: Required,
    /// Whether it may leave the vault but to holder and issuer.
    pub disclosable: Disclosable,
    /// How it is masked in views.
    pub mask: MaskRule,
    /// How delicate it is.
    pub sensitivity: Sensitivity,
    /// Whether the offline code carries it by default.
    pub offline: Offline,
}

/// Whether a certificate must have a field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Required {
    /// It may be absent.
    No,
    /// Issuing without it is refused.
    Yes,
}

/// Whether a field may be disclosed to an agency.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Disclosable {
    /// Only holder and issuer see it.
    No,
    /// The holder may disclose it.
    Yes,
}

/// Whether the offline code carries a field by default.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Offline {
    /// Only when the holder picks it.
    No,
    /// Unless the holder leaves it out.
    Yes,
}

/// How delicate a field is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sensitivity {
    /// On public registers.
    Public,
    /// About a person.
    Personal,
    /// Health, biometrics, record, means, minors (个人信息保护法 Art. 28).
    Sensitive,
}

impl Sensitivity {
    /// Its name in files and API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Personal => "personal",
            Self::Sensitive => "sensitive",
        }
    }
}

/// What a field may hold. `max` counts characters, `items` items or rows.
#[expect(
    missing_docs,
    reason = "the members are those of the type file, explained above and by each variant"
)]
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// An address in China.
    Address { max: usize },
    /// Printable ASCII.
    Ascii { max: usize },
    /// 8 to 34 digits and letters.
    BankAccount,
    /// Yes or no.
    Boolean,
    /// One of a closed list.
    Choice { choices: Vec<String> },
    /// A day, `2026-03-03`.
    Date,
    /// A decimal number, kept as text: at most `digits` digits, `scale` of them after the point.
    Decimal { digits: usize, scale: usize, unit: Option<String> },
    /// An e-mail address.
    Email,
    /// The name of an organisation.
    EntityName { max: usize },
    /// A whole number between `min` and `max`.
    Integer { min: i64, max: i64 },
    /// Several texts.
    List { items: usize, max: usize },
    /// A month, `2026-03`.
    Month,
    /// The number of a passport or travel document.
    PassportNumber { max: usize },
    /// The name of a person.
    PersonName { max: usize },
    /// A telephone number.
    Phone,
    /// A picture, kept beside the record; the value is its SHA-256 in hexadecimal.
    Photo,
    /// A vehicle's plate (号牌号码).
    Plate { max: usize },
    /// A resident number (公民身份号码).
    ResidentNumber,
    /// A table.
    Rows { items: usize, columns: Vec<Column> },
    /// Any text on one line.
    Text { max: usize },
    /// A unified social credit code.
    Uscc,
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name in API, files and credentials.
    pub key: String,
    /// Its label as printed.
    pub label: Bilingual,
    /// What it may hold; never a list, a table or a picture.
    pub kind: Kind,
    /// Whether every row must have it.
    pub required: Required,
    /// How it is masked in views.
    pub mask: MaskRule,
}

impl Field {
    /// The value in canonical form, or what is wrong with it.
    ///
    /// # Errors
    /// A reason for the person who filled the field in; it never repeats the value.
    pub fn check(&self, json: &Json) -> Result<Value, String> {
        self.kind.check(json)
    }

    /// The most bytes its value takes in an offline code (UTF-8, without its label).
    pub fn bytes_max(&self) -> usize {
        self.kind.bytes_max()
    }

    /// The longest value the kind allows: for tests of budgets and for previews. No real data.
    pub fn longest(&self) -> Value {
        self.kind.longest()
    }
}

impl Kind {
    /// Its name in type files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Address { .. } => "address",
            Self::Ascii { .. } => "ascii",
            Self::BankAccount => "bank_account",
            Self::Boolean => "boolean",
            Self::Choice { .. } => "choice",
            Self::Date => "date",
            Self::Decimal { .. } => "decimal",
            Self::Email => "email",
            Self::EntityName { .. } => "entity_name",
            Self::Integer { .. } => "integer",
            Self::List { .. } => "list",
            Self::Month => "month",
            Self::PassportNumber { .. } => "passport_number",
            Self::PersonName { .. } => "person_name",
            Self::Phone => "phone",
            Self::Photo => "photo",
            Self::Plate { .. } => "plate",
            Self::ResidentNumber => "resident_number",
            Self::Rows { .. } => "rows",
            Self::Text { .. } => "text",
            Self::Uscc => "uscc",
        }
    }

    /// How its values are masked unless the file says otherwise.
    pub fn mask_by_default(&self) -> MaskRule {
        match self {
            Self::Address { .. } => MaskRule::Address,
            Self::BankAccount => MaskRule::BankAccount,
            Self::Email => MaskRule::Email,
            Self::PassportNumber { .. } => MaskRule::Document,
            Self::PersonName { .. } => MaskRule::Name,
            Self::Phone => MaskRule::Phone,
            Self::Plate { .. } => MaskRule::Plate,
            Self::ResidentNumber => MaskRule::ResidentNumber,
            Self::Photo => MaskRule::Hidden,
            _ => MaskRule::None,
        }
    }

    fn check(&self, json: &Json) -> Result<Value, String> {
        match self {
            Self::Boolean => match json {
                Json::Bool(value) => Ok(Value::Boolean(*value)),
                Json::String(text) if text == "是" || text == "true" => Ok(Value::Boolean(true)),
                Json::String(text) if text == "否" || text == "false" => Ok(Value::Boolean(false)),
                _ => Err("must be true or false (是 or 否)".into()),
            },
            Self::Integer { min, max } => {
                let number = match json {
                    Json::Number(number) => number.as_i64(),
                    Json::String(text) => text.parse().ok(),
                    _ => None,
                };
                match number {
                    Some(number) if (*min..=*max).contains(&number) => Ok(Value::Integer(number)),
                    _ => Err(format!("must be a whole number from {min} to {max}")),
                }
            }
            Self::List { items, max } => check_list(json, *items, *max),
            Self::Rows { items, columns } => check_rows(json, *items, columns),
            _ => {
                let Json::String(text) = json else {
                    return Err(format!("must be a text ({})", self.name()));
                };
                self.check_text(text).map(Value::Text)
            }
        }
    }

    fn check_text(&self, text: &str) -> Result<String, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("must not be empty".into());
        }
        match self {
            Self::Address { max } | Self::EntityName { max } | Self::Text { max } | Self::Plate { max } => {
                check_line(text, *max)
            }
            Self::PersonName { max } => check_line(text, *max),
            Self::Ascii { max } | Self::PassportNumber { max } => {
                if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
                    check_line(text, *max)
                } else {
                    Err("must be printable ASCII".into())
                }
            }
            Self::BankAccount => {
                let digits: String = text.chars().filter(|character| *character != ' ').collect();
                let shaped = (8..=34).contains(&digits.len())
                    && digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
                if shaped { Ok(digits) } else { Err("must be 8 to 34 digits or letters".into()) }
            }
            Self::Choice { choices } => match choices.iter().find(|choice| *choice == text) {
                Some(choice) => Ok(choice.clone()),
                None => Err(format!("must be one of {}", choices.join(" / "))),
            },
            Self::Date => match text.parse::<Date>() {
                Ok(date) => Ok(date.to_string()),
                Err(error) => Err(error.to_string()),
            },
            Self::Decimal { digits, scale, .. } => check_decimal(text, *digits, *scale),
            Self::Email => {
                let shaped = text.len() <= EMAIL_MAX
                    && text
                        .split_once('@')
                        .is_some_and(|(user, host)| !user.is_empty() && host.contains('.'))
                    && text.bytes().all(|byte| byte.is_ascii_graphic());
                if shaped { Ok(text.to_string()) } else { Err("must be an e-mail address".into()) }
            }
            Self::Month => match format!("{text}-01").parse::<Date>() {
                Ok(_) if text.len() == 7 => Ok(text.to_string()),
                _ => Err("must be a month like `2026-03`".into()),
            },
            Self::Phone => {
                let shaped = (5..=PHONE_MAX).contains(&text.len())
                    && text.bytes().all(|byte| byte.is_ascii_digit() || b"+- ".contains(&byte));
                if shaped { Ok(text.to_string()) } else { Err("must be a telephone number".into()) }
            }
            Self::Photo => {
                let shaped = text.len() == 64
                    && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
                if shaped {
                    Ok(text.to_string())
                } else {
                    Err("must be the SHA-256 of the picture in hexadecimal".into())
                }
            }
            Self::ResidentNumber => match text.parse::<ResidentId>() {
                Ok(number) => Ok(number.expose().to_string()),
                Err(error) => Err(error.to_string()),
            },
            Self::Uscc => match text.parse::<Uscc>() {
                Ok(code) => Ok(code.to_string()),
                Err(error) => Err(error.to_string()),
            },
            Self::Boolean | Self::Integer { .. } | Self::List { .. } | Self::Rows { .. } => {
                unreachable!("not kinds of text")
            }
        }
    }

    /// The most bytes a value takes in an offline code.
    pub fn bytes_max(&self) -> usize {
        match self {
            Self::Address { max }
            | Self::EntityName { max }
            | Self::PersonName { max }
            | Self::Plate { max }
            | Self::Text { max } => max * UTF8_MAX,
            Self::Ascii { max } | Self::PassportNumber { max } => *max,
            Self::BankAccount => 34,
            Self::Boolean => 1,
            Self::Choice { choices } => choices.iter().map(String::len).max().unwrap_or(0),
            Self::Date => 10,
            Self::Decimal { digits, .. } => digits + 2,
            Self::Email => EMAIL_MAX,
            Self::Integer { .. } => 9,
            Self::List { items, max } => items * (max * UTF8_MAX + 2),
            Self::Month => 7,
            Self::Phone => PHONE_MAX,
            Self::Photo => 64,
            Self::ResidentNumber | Self::Uscc => 18,
            Self::Rows { items, columns } => {
                items * columns.iter().map(|column| column.kind.bytes_max() + 4).sum::<usize>()
            }
        }
    }

    fn longest(&self) -> Value {
        match self {
            Self::Boolean => Value::Boolean(true),
            Self::Integer { min, max } => {
                Value::Integer(if min.unsigned_abs() > max.unsigned_abs() { *min } else { *max })
            }
            Self::List { items, max } => Value::List(vec!["文".repeat(*max); *items]),
            Self::Rows { items, columns } => {
                let row: BTreeMap<String, Value> =
                    columns.iter().map(|column| (column.key.clone(), column.kind.longest())).collect();
                Value::Rows(vec![row; *items])
            }
            _ => Value::Text(self.longest_text()),
        }
    }

    fn longest_text(&self) -> String {
        match self {
            Self::Ascii { max } | Self::PassportNumber { max } => "W".repeat(*max),
            Self::BankAccount => "6".repeat(34),
            Self::Choice { choices } => {
                choices.iter().max_by_key(|choice| choice.len()).cloned().unwrap_or_default()
            }
            Self::Date => "2099-12-31".into(),
            Self::Decimal { digits, scale: 0, .. } => "9".repeat(*digits),
            Self::Decimal { digits, scale, .. } => {
                format!("{}.{}", "9".repeat(digits - scale), "9".repeat(*scale))
            }
            Self::Email => format!("{}@example.com", "m".repeat(EMAIL_MAX - 12)),
            Self::Month => "2099-12".into(),
            Self::Phone => "0".repeat(PHONE_MAX),
            Self::Photo => "0".repeat(64),
            Self::ResidentNumber => "500199199003071231".into(),
            Self::Uscc => "11500199XT0TEXT11P".into(),
            _ => "文".repeat(self.bytes_max() / UTF8_MAX),
        }
    }
}

fn check_line(text: &str, max: usize) -> Result<String, String> {
    if text.chars().count() > max {
        return Err(format!("must have at most {max} characters"));
    }
    if text.chars().any(is_unprintable) {
        return Err("must not hold control or direction characters".into());
    }
    Ok(text.to_string())
}

/// Control characters, and those that turn or hide text (T37): they could make a face lie.
fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn check_decimal(text: &str, digits: usize, scale: usize) -> Result<String, String> {
    let wrong = || Err(format!("must be a number of at most {digits} digits, {scale} after the point"));
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let negative = whole.starts_with('-');
    let whole = whole.strip_prefix('-').unwrap_or(whole);
    if whole.is_empty() || !all_digits(whole) || !all_digits(part) || part.len() > scale {
        return wrong();
    }
    if text.ends_with('.') || (whole.len() > 1 && whole.starts_with('0')) || whole.len() + scale > digits {
        return wrong();
    }
    let sign = if negative { "-" } else { "" };
    Ok(if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") })
}

fn check_list(json: &Json, items: usize, max: usize) -> Result<Value, String> {
    let texts: Vec<&str> = match json {
        Json::Array(values) => values
            .iter()
            .map(|value| value.as_str().ok_or("must be a list of texts"))
            .collect::<Result<_, _>>()?,
        // A cell of a CSV holds a list with its items parted as people part them.
        Json::String(text) => text.split(['、', ';', '；']).collect(),
        _ => return Err("must be a list of texts".into()),
    };
    if texts.is_empty() || texts.len() > items {
        return Err(format!("must have 1 to {items} items"));
    }
    texts.into_iter().map(|text| check_line(text.trim(), max)).collect::<Result<_, _>>().map(Value::List)
}

fn check_rows(json: &Json, items: usize, columns: &[Column]) -> Result<Value, String> {
    let parsed;
    let json = match json {
        // A cell of a CSV holds a table as JSON.
        Json::String(text) => {
            parsed =
                serde_json::from_str::<Json>(text).map_err(|_| "must be a JSON list of rows".to_string())?;
            &parsed
        }
        json => json,
    };
    let Json::Array(rows) = json else {
        return Err("must be a list of rows".into());
    };
    if rows.is_empty() || rows.len() > items {
        return Err(format!("must have 1 to {items} rows"));
    }
    let mut checked = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        let place = index + 1;
        let Json::Object(cells) = row else {
            return Err(format!("row {place} must be an object"));
        };
        if let Some(unknown) = cells.keys().find(|key| !columns.iter().any(|column| column.key == **key)) {
            return Err(format!("row {place} has `{unknown}`, which is no column"));
        }
        let mut values = BTreeMap::new();
        for column in columns {
            match cells.get(&column.key) {
                None | Some(Json::Null) if column.required == Required::Yes => {
                    return Err(format!("row {place} has no `{}`", column.key));
                }
                None | Some(Json::Null) => {}
                Some(cell) => {
                    let value = column
                        .kind
                        .check(cell)
                        .map_err(|why| format!("row {place} `{}` {why}", column.key))?;
                    values.insert(column.key.clone(), value);
                }
            }
        }
        checked.push(values);
    }
    Ok(Value::Rows(checked))
}

/// Bytes of one Chinese character in UTF-8. Rarer ones take four: such names are few and the budget is checked again when a code is made.
const UTF8_MAX: usize = 3;

/// Our own choice; RFC 5321 allows 254.
const EMAIL_MAX: usize = 64;

/// Longest telephone number with country code, extension and signs. Our own choice.
const PHONE_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: &Kind, json: Json, expected: Result<Value, &str>) {
        assert_eq!(kind.check(&json), expected.map_err(str::to_string), "{json}");
    }

    #[test]
    fn values_become_canonical_or_say_why_not() {
        let decimal = Kind::Decimal { digits: 6, scale: 2, unit: None };
        check(&decimal, "1234.50".into(), Ok(Value::Text("1234.50".into())));
        check(&decimal, "12345".into(), Err("must be a number of at most 6 digits, 2 after the point"));
        check(&decimal, "01".into(), Err("must be a number of at most 6 digits, 2 after the point"));
        check(&Kind::Date, "20260303".into(), Ok(Value::Text("2026-03-03".into())));
        check(&Kind::Boolean, "是".into(), Ok(Value::Boolean(true)));
        check(&Kind::Integer { min: 0, max: 12 }, 13.into(), Err("must be a whole number from 0 to 12"));
        check(&Kind::Text { max: 3 }, "一二三四".into(), Err("must have at most 3 characters"));
        check(
            &Kind::Text { max: 9 },
            "a\u{202e}b".into(),
            Err("must not hold control or direction characters"),
        );
        check(
            &Kind::List { items: 2, max: 4 },
            "甲、乙".into(),
            Ok(Value::List(vec!["甲".into(), "乙".into()])),
        );
        check(&Kind::Month, "2026-13".into(), Err("must be a month like `2026-03`"));
    }
}
