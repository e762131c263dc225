//! Sample certificates: valid orders for any type of the catalogue, for demos, tours and tests of size.
//!
//! Nobody real is in them: resident numbers and social credit codes carry the area 500199,
//! which is not assigned (STANDARDS 2.1), telephone numbers begin with 023-0000.
//! The same type and counter give the same order again.

use serde_json::{Map, Value as Json, json};

use crate::catalog::CertificateType;
use crate::catalog::Field;
use crate::catalog::Kind;
use crate::catalog::certificate_type::{HolderKind, NumberKind, ValidityRule};
use crate::domain::digest::Digest;
use crate::domain::time::Date;
use crate::vault::issue::{IssueOrder, OrderHolder};

/// A valid order for a certificate of this type: number `n` of that type, issued on this day,
/// for a holder of its own.
pub fn order(kind: &CertificateType, n: u64, today: Date) -> IssueOrder {
    let entity = match (kind.holder().kind, kind.number().kind) {
        (HolderKind::Person, _) | (HolderKind::Both, NumberKind::ResidentNumber) => false,
        (HolderKind::Entity, _) | (HolderKind::Both, NumberKind::Uscc) => true,
        (HolderKind::Both, _) => n % 2 == 1,
    };
    let alone = matches!(kind.number().kind, NumberKind::ResidentNumber | NumberKind::Uscc);
    let pair = kind.holder().subjects_max == 2 && !alone;
    let holders = match (entity, pair) {
        (true, _) => vec![company(n)],
        (false, false) => vec![person(n)],
        (false, true) => vec![person(n), person(n + PARTNERS)],
    };
    order_for(kind, n, today, holders)
}

/// A valid order for these holders, whom the type must take.
pub fn order_for(kind: &CertificateType, n: u64, today: Date, mut holders: Vec<OrderHolder>) -> IssueOrder {
    for holder in &mut holders {
        holder.name = cut(&holder.name, kind.holder().max);
    }
    let first = holders.first().map(|holder| holder.code.clone()).unwrap_or_default();
    let number = match kind.number().kind {
        NumberKind::ResidentNumber | NumberKind::Uscc => first,
        NumberKind::Ascii => ascii(n, kind.number().max),
        NumberKind::Text => {
            let text = format!("渝（2026）第{n:07}号");
            if text.chars().count() <= kind.number().max { text } else { ascii(n, kind.number().max) }
        }
    };
    let valid_until = match kind.validity().rule {
        ValidityRule::Until { months_max } => today.plus_months(months_max.min(YEARS_5)),
        ValidityRule::Either { months_max } if n.is_multiple_of(2) => {
            today.plus_months(months_max.min(YEARS_5))
        }
        ValidityRule::Either { .. } | ValidityRule::Long | ValidityRule::None => None,
    };
    let fields = kind.fields().iter().map(|field| (field.key.clone(), value(field, n))).collect();
    IssueOrder {
        certificate_type: kind.slug().to_string(),
        holders,
        number,
        issue_date: Some(today),
        valid_from: Some(today),
        valid_until,
        fields,
        request: None,
    }
}

/// A person who does not exist.
pub fn person(n: u64) -> OrderHolder {
    OrderHolder { code_type: "111".into(), code: resident_number(n), name: person_name(n) }
}

/// A company that does not exist.
pub fn company(n: u64) -> OrderHolder {
    OrderHolder { code_type: "001".into(), code: uscc("91", n), name: company_name(n) }
}

/// A social credit code of the unassigned area 500199: both check characters are right.
///
/// `kind` is the registering department and category, such as `11` for a government body.
pub fn uscc(kind: &str, n: u64) -> String {
    const ALPHABET: &[u8] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";
    const ORGANISATION: [usize; 8] = [3, 7, 9, 10, 5, 8, 4, 2];
    const WHOLE: [usize; 17] = [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28];
    let organisation = format!("{:08}", n % 100_000_000);
    let sum: usize = organisation
        .bytes()
        .zip(ORGANISATION)
        .map(|(digit, weight)| usize::from(digit - b'0') * weight)
        .sum();
    let check = match 11 - sum % 11 {
        10 => 'X',
        11 => '0',
        digit => char::from(ALPHABET[digit]),
    };
    let body = format!("{kind}500199{organisation}{check}");
    let place = |byte| ALPHABET.iter().position(|known| *known == byte).unwrap_or(0);
    let sum: usize = body.bytes().zip(WHOLE).map(|(byte, weight)| place(byte) * weight).sum();
    let check = char::from(ALPHABET[(31 - sum % 31) % 31]);
    format!("{body}{check}")
}

/// A resident number of the unassigned area 500199, by counter.
pub fn resident_number(n: u64) -> String {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let days = n / 1000;
    let (year, month, day) = (1950 + days / 336 % 56, 1 + days / 28 % 12, 1 + days % 28);
    let body = format!("500199{year:04}{month:02}{day:02}{:03}", n % 1000);
    let sum: u32 = body.bytes().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    let check = ["1", "0", "X", "9", "8", "7", "6", "5", "4", "3", "2"][place(u64::from(sum), 11)];
    format!("{body}{check}")
}

/// The row of a sample in the form that the command line and HTTP take.
pub fn to_json(order: &IssueOrder) -> Json {
    let holders: Vec<Json> = order
        .holders
        .iter()
        .map(|holder| json!({ "code_type": holder.code_type, "code": holder.code, "name": holder.name }))
        .collect();
    let mut row = Map::new();
    row.insert("type".into(), order.certificate_type.clone().into());
    row.insert("holders".into(), holders.into());
    row.insert("number".into(), order.number.clone().into());
    for (key, date) in [
        ("issue_date", order.issue_date),
        ("valid_from", order.valid_from),
        ("valid_until", order.valid_until),
    ] {
        if let Some(date) = date {
            row.insert(key.into(), date.to_string().into());
        }
    }
    row.insert("fields".into(), order.fields.clone().into());
    if let Some(request) = &order.request {
        row.insert("request".into(), request.clone().into());
    }
    Json::Object(row)
}

fn value(field: &Field, n: u64) -> Json {
    if let (Kind::Ascii { max }, "vehicle_classes") = (&field.kind, field.key.as_str()) {
        return cut("C1", *max).into();
    }
    kind_value(&field.kind, &field.label.zh, n)
}

fn kind_value(kind: &Kind, label: &str, n: u64) -> Json {
    match kind {
        Kind::Address { max } => cut(&format!("重庆市示范区和平路{}号", 1 + n % 999), *max).into(),
        Kind::Ascii { max } => ascii(n, *max).into(),
        Kind::BankAccount => format!("622200{:013}", n % 10_000_000_000_000).into(),
        Kind::Boolean => n.is_multiple_of(2).into(),
        Kind::Choice { choices } => {
            // The first is the usual one; of two, such as the sexes, either is.
            let place = if choices.len() == 2 || n % 8 == 7 { place(n, choices.len()) } else { 0 };
            choices.get(place).cloned().unwrap_or_default().into()
        }
        Kind::Date => day(n).into(),
        Kind::Decimal { digits, scale, .. } => decimal(n, *digits, *scale).into(),
        Kind::Email => format!("user{n}@example.com").into(),
        Kind::EntityName { max } => cut(&company_name(n), *max).into(),
        Kind::Integer { min, max } => {
            let step = i64::try_from(n % 100).unwrap_or(0);
            min.saturating_add(step).min(*max).into()
        }
        Kind::List { items, max } => {
            let all = ["一", "二", "三"];
            let texts: Vec<String> = all
                .iter()
                .take((*items).min(2))
                .map(|ordinal| cut(&format!("示例{ordinal}"), *max))
                .collect();
            texts.into()
        }
        Kind::Month => format!("{}-{:02}", 2016 + n % 9, 1 + n % 12).into(),
        Kind::PassportNumber { max } => cut(&format!("E{:08}", n % 100_000_000), *max).into(),
        Kind::PersonName { max } => cut(&person_name(n + PARTNERS), *max).into(),
        Kind::Phone => format!("023-0000{:04}", n % 10_000).into(),
        Kind::Photo => Digest::of(&[b"kabao/sample/photo", &n.to_be_bytes()]).to_string().into(),
        Kind::Plate { max } => cut(&format!("渝A{:05}", n % 100_000), *max).into(),
        Kind::ResidentNumber => resident_number(n + PARTNERS).into(),
        Kind::Rows { columns, .. } => {
            let mut row = Map::new();
            for column in columns {
                row.insert(column.key.clone(), kind_value(&column.kind, &column.label.zh, n));
            }
            Json::Array(vec![Json::Object(row)])
        }
        Kind::Text { max } => cut(&format!("{label}示例"), *max).into(),
        Kind::Uscc => uscc("91", n).into(),
    }
}

fn decimal(n: u64, digits: usize, scale: usize) -> String {
    let whole = digits.saturating_sub(scale).min(4);
    let whole = if whole == 0 { 0 } else { n % 10_u64.pow(u32::try_from(whole).unwrap_or(1)) };
    if scale == 0 { whole.to_string() } else { format!("{whole}.{}", "5".repeat(scale.min(2))) }
}

fn day(n: u64) -> String {
    format!("{}-{:02}-{:02}", 2016 + n % 9, 1 + n % 12, 1 + n % 28)
}

fn ascii(n: u64, max: usize) -> String {
    let digits = format!("{n:012}");
    // The last digits: those that differ from sample to sample.
    digits[digits.len() - max.min(12)..].to_string()
}

fn person_name(n: u64) -> String {
    const FAMILY: [&str; 16] =
        ["李", "王", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴", "徐", "孙", "胡", "朱", "高", "欧阳"];
    const FIRST: [&str; 8] = ["小", "文", "建", "国", "志", "雨", "思", "嘉"];
    const SECOND: [&str; 8] = ["明", "华", "芳", "伟", "静", "涵", "远", "宁"];
    let pick = |list: &'static [&str], n: u64| list[place(n, list.len())];
    format!("{}{}{}", pick(&FAMILY, n), pick(&FIRST, n / 16), pick(&SECOND, n / 128))
}

fn company_name(n: u64) -> String {
    format!("重庆示范第{n}号科技有限公司")
}

/// The remainder as a place in a list of that length.
fn place(n: u64, length: usize) -> usize {
    usize::try_from(n).unwrap_or(0).checked_rem(length).unwrap_or(0)
}

fn cut(text: &str, max: usize) -> String {
    text.chars().take(max).collect()
}

/// So far apart are the two holders of one certificate.
const PARTNERS: u64 = 9_000_000;

/// Samples are valid for five years at most.
const YEARS_5: u32 = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::catalog::certificate_type::Submission;
    use crate::domain::resident_id::ResidentId;
    use crate::domain::uscc::Uscc;

    #[test]
    fn every_type_of_the_catalogue_takes_its_samples() {
        let catalog = Catalog::embedded().unwrap();
        let today: Date = "2026-03-03".parse().unwrap();
        for kind in catalog.types() {
            for n in [0, 1, 2, 7, 4711] {
                let order = order(kind, n, today);
                let names: Vec<String> = order.holders.iter().map(|holder| holder.name.clone()).collect();
                let submission = Submission {
                    holder_names: &names,
                    number: &order.number,
                    issue_date: today,
                    valid_from: today,
                    valid_until: order.valid_until,
                    fields: &order.fields,
                };
                if let Err(faults) = kind.check(&submission) {
                    panic!("{} {n}: {faults:?}", kind.slug());
                }
            }
        }
    }

    #[test]
    fn numbers_carry_their_check_characters() {
        for n in [0, 1, 999, 1000, 123_456, 17_000_000] {
            assert!(resident_number(n).parse::<ResidentId>().is_ok(), "{n}");
            assert!(uscc("91", n).parse::<Uscc>().is_ok(), "{n}");
            assert!(uscc("11", n).parse::<Uscc>().is_ok(), "{n}");
        }
    }
}
