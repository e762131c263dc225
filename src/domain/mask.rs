//! Masking: what a view shows of a value to who may not see it whole.
//!
//! Every rule states the most it reveals. A text too short for that is hidden whole, and
//! so is a text that is not of the kind the rule is for. The stars of [`MaskRule::Name`]
//! and of numbers stand for one character each; the others tell no length.
//!
//! # Not here
//!
//! Who may see what, and which field has which rule.

use std::collections::BTreeMap;

use crate::domain::claims::Value;
use crate::domain::time::Date;

/// How a value is masked.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MaskRule {
    /// Not at all.
    None,
    /// A person's name: the last character, `**明`.
    Name,
    /// A resident identity number: the first three and the last two.
    ResidentNumber,
    /// A telephone number: the first three and the last four.
    Phone,
    /// An e-mail address: the first character and the domain.
    Email,
    /// An address: down to the district, at most 30 characters.
    Address,
    /// A bank account: the last four.
    BankAccount,
    /// A number plate: the first two and the last one.
    Plate,
    /// The number of another document: the first two and the last two.
    Document,
    /// An amount: nothing.
    Amount,
    /// A date or a month: the year.
    Date,
    /// Anything: nothing.
    Hidden,
}

impl MaskRule {
    /// Every rule.
    pub const ALL: [Self; 12] = [
        Self::None,
        Self::Name,
        Self::ResidentNumber,
        Self::Phone,
        Self::Email,
        Self::Address,
        Self::BankAccount,
        Self::Plate,
        Self::Document,
        Self::Amount,
        Self::Date,
        Self::Hidden,
    ];

    /// The rule with this name, such as `resident_number`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == text)
    }

    /// The name in type files.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Name => "name",
            Self::ResidentNumber => "resident_number",
            Self::Phone => "phone",
            Self::Email => "email",
            Self::Address => "address",
            Self::BankAccount => "bank_account",
            Self::Plate => "plate",
            Self::Document => "document",
            Self::Amount => "amount",
            Self::Date => "date",
            Self::Hidden => "hidden",
        }
    }
}

/// The text as the rule shows it. An empty text stays empty, unless it is hidden.
pub fn mask(rule: MaskRule, text: &str) -> String {
    match rule {
        MaskRule::None => text.into(),
        MaskRule::Amount | MaskRule::Hidden => HIDDEN.into(),
        _ if text.is_empty() => String::new(),
        MaskRule::Name => ends(text, 0, 1, 1),
        MaskRule::ResidentNumber => ends(text, 3, 2, 5),
        MaskRule::Phone => ends(text, 3, 4, 4),
        MaskRule::Email => email(text),
        MaskRule::Address => format!("{}****", district(text)),
        MaskRule::BankAccount => ends(text, 0, 4, 8),
        MaskRule::Plate => ends(text, 2, 1, 4),
        MaskRule::Document => ends(text, 2, 2, 4),
        MaskRule::Date => date(text),
    }
}

/// The value as the rule shows it; lists and rows element by element. What is not a text
/// has no part that could be shown, so any rule but [`MaskRule::None`] hides it.
pub fn mask_value(rule: MaskRule, value: &Value) -> Value {
    match value {
        _ if rule == MaskRule::None => value.clone(),
        Value::Text(text) => Value::Text(mask(rule, text)),
        Value::Integer(_) | Value::Boolean(_) => Value::Text(HIDDEN.into()),
        Value::List(items) => Value::List(items.iter().map(|item| mask(rule, item)).collect()),
        Value::Rows(rows) => {
            let row = |cells: &BTreeMap<String, Value>| {
                cells.iter().map(|(column, cell)| (column.clone(), mask_value(rule, cell))).collect()
            };
            Value::Rows(rows.iter().map(row).collect())
        }
    }
}

/// The first and last characters and a star for each between them. Stars only, where
/// fewer than `hidden` would be left between them.
fn ends(text: &str, first: usize, last: usize, hidden: usize) -> String {
    let length = text.chars().count();
    if length < first + last + hidden {
        return "*".repeat(length);
    }
    let shown = |index| index < first || index >= length - last;
    text.chars().enumerate().map(|(index, character)| if shown(index) { character } else { '*' }).collect()
}

fn email(text: &str) -> String {
    let is_domain = |domain: &str| {
        !domain.is_empty()
            && domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
    };
    match text.rsplit_once('@') {
        Some((local, domain)) if is_domain(domain) => {
            let mut characters = local.chars();
            let first = characters.next().filter(|_| characters.next().is_some());
            format!("{}****@{domain}", first.map(String::from).unwrap_or_default())
        }
        _ => HIDDEN.into(),
    }
}

fn date(text: &str) -> String {
    if let Ok(date) = text.parse::<Date>() {
        return format!("{}-**-**", date.parts().0);
    }
    match format!("{text}-01").parse::<Date>() {
        Ok(month) => format!("{}-**", month.parts().0),
        Err(_) => HIDDEN.into(),
    }
}

/// The beginning of an address that names province, city and district.
fn district(text: &str) -> &str {
    let characters: Vec<(usize, char)> = text.char_indices().take(ADDRESS_MAX).collect();
    let mut shown = 0;
    for _ in 0..AREA_LEVELS {
        let Some((length, level)) = area(&characters[shown..]) else { break };
        shown += length;
        if level == Level::District {
            break;
        }
    }
    text.char_indices().nth(shown).map_or(text, |(end, _)| &text[..end])
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Level {
    /// A province or a city: a district may follow.
    Above,
    District,
}

/// How many characters the name of the area takes that the address goes on with.
fn area(characters: &[(usize, char)]) -> Option<(usize, Level)> {
    let at = |index: usize| characters.get(index).map_or(' ', |&(_, character)| character);
    // From the second: districts are called 市中区, 道里区, 路桥区, 镇海区.
    for index in 1..characters.len().min(AREA_NAME_MAX) {
        let (before, character, after) = (at(index - 1), at(index), at(index + 1));
        let level = match character {
            '省' | '盟' => Level::Above,
            '市' if !"超夜菜城".contains(before) => Level::Above,
            '州' if before == '治' => Level::Above,
            '区' if "治地".contains(before) => Level::Above,
            '区' if !"小社园校街库".contains(before) => Level::District,
            '县' | '旗' => Level::District,
            '路' | '街' | '道' | '巷' | '弄' | '村' | '号' => return None,
            // But 景德镇市, 新乡市, 东乡族自治县.
            '镇' | '乡' if !"市县区族".contains(after) => return None,
            _ if character.is_ascii() || character.is_numeric() => return None,
            _ => continue,
        };
        return Some((index + 1, level));
    }
    None
}

/// What stands for a value of which nothing is shown.
const HIDDEN: &str = "***";

/// Province, city, district.
const AREA_LEVELS: usize = 3;

/// 双江拉祜族佤族布朗族傣族自治县, and one for a 市 left over.
const AREA_NAME_MAX: usize = 16;

/// The most characters of an address that are looked at, and so shown.
const ADDRESS_MAX: usize = 30;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_rule_is_found_by_its_name() {
        for rule in MaskRule::ALL {
            assert_eq!(MaskRule::parse(rule.name()), Some(rule));
        }
        assert_eq!(MaskRule::parse("Name"), None);
    }

    #[test]
    fn masks_look_as_people_know_them() {
        for (rule, text, masked) in [
            (MaskRule::None, "渝小明", "渝小明"),
            (MaskRule::Name, "渝小明", "**明"),
            (MaskRule::Name, "渝明", "*明"),
            (MaskRule::Name, "明", "*"),
            (MaskRule::Name, "", ""),
            (MaskRule::Name, "阿依古丽·买买提", "*******提"),
            (MaskRule::Name, "Ada Li", "*****i"),
            (MaskRule::ResidentNumber, "500199199003071231", "500*************31"),
            (MaskRule::ResidentNumber, "50019919850615101X", "500*************1X"),
            (MaskRule::ResidentNumber, "500199199", "*********"),
            (MaskRule::Phone, "13800001234", "138****1234"),
            (MaskRule::Phone, "023-00001234", "023*****1234"),
            (MaskRule::Phone, "00001234", "********"),
            (MaskRule::Email, "xiaoming@example.com", "x****@example.com"),
            (MaskRule::Email, "x@example.com", "****@example.com"),
            (MaskRule::Email, "no address", "***"),
            (MaskRule::Email, "a@渝小明", "***"),
            (MaskRule::BankAccount, "6200000000000001234", "***************1234"),
            (MaskRule::BankAccount, "12345678", "********"),
            (MaskRule::Plate, "渝A00015", "渝A****5"),
            (MaskRule::Plate, "渝AD00015", "渝A*****5"),
            (MaskRule::Plate, "渝A1", "***"),
            (MaskRule::Document, "E12345678", "E1*****78"),
            (MaskRule::Document, "E12345", "******"),
            (MaskRule::Amount, "1000000.00", "***"),
            (MaskRule::Amount, "", "***"),
            (MaskRule::Date, "1990-03-07", "1990-**-**"),
            (MaskRule::Date, "1990-03", "1990-**"),
            (MaskRule::Date, "长期", "***"),
            (MaskRule::Hidden, "渝小明", "***"),
            (MaskRule::Hidden, "", "***"),
        ] {
            assert_eq!(mask(rule, text), masked, "{rule:?} of {text:?}");
        }
    }

    #[test]
    fn an_address_is_shown_down_to_the_district() {
        for (text, shown) in [
            ("重庆市渝北区星光大道1号", "重庆市渝北区"),
            ("重庆市彭水苗族土家族自治县汉葭街道1号", "重庆市彭水苗族土家族自治县"),
            ("四川省乐山市市中区嘉州大道1号", "四川省乐山市市中区"),
            ("广东省广州市天河区天河路1号", "广东省广州市天河区"),
            ("江苏省苏州市昆山市玉山镇1号", "江苏省苏州市昆山市"),
            ("江西省景德镇市珠山区1号", "江西省景德镇市珠山区"),
            ("黑龙江省哈尔滨市道里区1号", "黑龙江省哈尔滨市道里区"),
            ("广西壮族自治区柳州市城中区1号", "广西壮族自治区柳州市城中区"),
            (
                "新疆维吾尔自治区伊犁哈萨克自治州察布查尔锡伯自治县1号",
                "新疆维吾尔自治区伊犁哈萨克自治州察布查尔锡伯自治县",
            ),
            ("云南省临沧市双江拉祜族佤族布朗族傣族自治县1号", "云南省临沧市双江拉祜族佤族布朗族傣族自治县"),
            (
                "甘肃省临夏回族自治州积石山保安族东乡族撒拉族自治县1号",
                "甘肃省临夏回族自治州积石山保安族东乡族撒拉族自治县",
            ),
            ("内蒙古自治区锡林郭勒盟苏尼特左旗1号", "内蒙古自治区锡林郭勒盟苏尼特左旗"),
            ("渝北区星光大道1号", "渝北区"),
            ("重庆市星光小区1号", "重庆市"),
            ("重庆市星光大道超市旁", "重庆市"),
            ("重庆市星光镇星光县1号", "重庆市"),
            ("重庆市渝北区", "重庆市渝北区"),
            ("星光大道1号", ""),
            ("1 Star Road", ""),
        ] {
            assert_eq!(mask(MaskRule::Address, text), format!("{shown}****"));
        }
    }

    #[test]
    fn lists_and_rows_are_masked_element_by_element() {
        let text = |text: &str| Value::Text(text.into());
        let rows = Value::Rows(vec![BTreeMap::from([
            ("age".to_string(), Value::Integer(35)),
            ("married".to_string(), Value::Boolean(true)),
            ("name".to_string(), text("渝小明")),
        ])]);
        let masked = Value::Rows(vec![BTreeMap::from([
            ("age".to_string(), text("***")),
            ("married".to_string(), text("***")),
            ("name".to_string(), text("**明")),
        ])]);
        assert!(mask_value(MaskRule::Name, &rows) == masked);
        assert!(mask_value(MaskRule::None, &rows) == rows);
        let list = Value::List(vec!["渝小明".into(), "渝明".into()]);
        assert!(mask_value(MaskRule::Name, &list) == Value::List(vec!["**明".into(), "*明".into()]));
    }

    /// The most characters that a rule reveals, as its documentation says.
    fn most(rule: MaskRule, text: &str) -> usize {
        match rule {
            MaskRule::None => usize::MAX,
            MaskRule::Amount | MaskRule::Hidden => 0,
            MaskRule::Name => 1,
            MaskRule::Plate => 3,
            MaskRule::BankAccount | MaskRule::Document => 4,
            // With its hyphens.
            MaskRule::Date => 6,
            MaskRule::ResidentNumber => 5,
            MaskRule::Phone => 7,
            MaskRule::Address => 30,
            // With the at sign.
            MaskRule::Email => 2 + text.rsplit('@').next().map_or(0, |domain| domain.chars().count()),
        }
    }

    proptest! {
        #[test]
        fn a_masked_value_reveals_at_most_the_stated_number_of_characters(
            text in prop_oneof![
                "[^*]{0,40}",
                "[0-9A-Z-]{0,40}",
                "[a-z.]{0,20}@[a-z.@]{0,20}",
                "[1-2][0-9]{3}-[01][0-9]-[0-3][0-9]",
                "[渝北星光省市区县州盟旗治地小路街号镇乡1]{0,60}",
            ],
        ) {
            for rule in MaskRule::ALL.into_iter().filter(|&rule| rule != MaskRule::None) {
                let masked = mask(rule, &text);
                let shown = masked.chars().filter(|&character| character != '*').count();
                prop_assert!(shown <= most(rule, &text), "{rule:?} of {text:?} is {masked:?}");
                prop_assert!(text.is_empty() || masked != text, "{rule:?} of {text:?} is {masked:?}");
            }
        }
    }
}
