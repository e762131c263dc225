//! Holders of certificates and the codes that name them, GB/T 36903 Annex A.
//!
//! A [`HolderCode`] was normalised once, so the same document written in two ways is one
//! holder. The number is personal: it is not printed, not even while debugging, and its
//! memory is wiped when it is dropped.
//!
//! # Not here
//!
//! Names: they are claims, and name nobody by themselves.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::domain::resident_id::{ResidentId, ResidentIdError};
use crate::domain::uscc::{Uscc, UsccError};

/// The kind of document that a holder's code is from.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum HolderCodeType {
    /// 001: unified social credit code.
    Uscc,
    /// 099: another document of a legal entity or organisation.
    OtherEntity,
    /// 111: resident identity number.
    ResidentId,
    /// 114: officer's card of the PLA.
    ArmyOfficer,
    /// 115: officer's card of the armed police.
    PoliceOfficer,
    /// 118: soldier's card of the PLA.
    ArmySoldier,
    /// 119: soldier's card of the armed police.
    PoliceSoldier,
    /// 120: civilian staff card of the PLA.
    ArmyCivilian,
    /// 122: civilian staff card of the armed police.
    PoliceCivilian,
    /// 411: diplomatic passport.
    DiplomaticPassport,
    /// 412: service passport.
    ServicePassport,
    /// 413: passport for public affairs.
    PublicAffairsPassport,
    /// 414: ordinary passport.
    Passport,
    /// 511: mainland travel permit for residents of Taiwan.
    TaiwanPermit,
    /// 516: mainland travel permit for residents of Hong Kong and Macao.
    HongKongMacaoPermit,
    /// 999: another document of a natural person.
    OtherPerson,
}

impl HolderCodeType {
    /// Every kind, in the order of the codes.
    pub const ALL: [Self; 16] = [
        Self::Uscc,
        Self::OtherEntity,
        Self::ResidentId,
        Self::ArmyOfficer,
        Self::PoliceOfficer,
        Self::ArmySoldier,
        Self::PoliceSoldier,
        Self::ArmyCivilian,
        Self::PoliceCivilian,
        Self::DiplomaticPassport,
        Self::ServicePassport,
        Self::PublicAffairsPassport,
        Self::Passport,
        Self::TaiwanPermit,
        Self::HongKongMacaoPermit,
        Self::OtherPerson,
    ];

    /// The kind with this code, such as `111`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == text)
    }

    /// The three digits of GB/T 36903.
    pub fn code(self) -> &'static str {
        self.row().0
    }

    /// The Chinese name in GB/T 36903.
    pub fn zh(self) -> &'static str {
        self.row().1
    }

    /// Whether the holder is a natural person.
    pub fn is_person(self) -> bool {
        !matches!(self, Self::Uscc | Self::OtherEntity)
    }

    fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::Uscc => ("001", "统一社会信用代码"),
            Self::OtherEntity => ("099", "其他法人或其他组织有效证件代码"),
            Self::ResidentId => ("111", "公民身份号码"),
            Self::ArmyOfficer => ("114", "解放军军官证"),
            Self::PoliceOfficer => ("115", "武警警官证"),
            Self::ArmySoldier => ("118", "解放军士兵证"),
            Self::PoliceSoldier => ("119", "武警士兵证"),
            Self::ArmyCivilian => ("120", "解放军文职人员证"),
            Self::PoliceCivilian => ("122", "武警文职人员证"),
            Self::DiplomaticPassport => ("411", "外交护照"),
            Self::ServicePassport => ("412", "公务护照"),
            Self::PublicAffairsPassport => ("413", "公务普通护照"),
            Self::Passport => ("414", "普通护照"),
            Self::TaiwanPermit => ("511", "台湾居民来往大陆通行证"),
            Self::HongKongMacaoPermit => ("516", "港澳居民来往内地通行证"),
            Self::OtherPerson => ("999", "其他自然人有效证件代码"),
        }
    }
}

/// The code of one holder, normalised: what tells holders apart.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct HolderCode {
    code_type: HolderCodeType,
    number: Number,
}

impl HolderCode {
    /// Takes a code as people write it: full-width or small letters and spaces do not matter.
    pub fn parse(code_type: HolderCodeType, text: &str) -> Result<Self, HolderCodeError> {
        // Before it grows: a buffer that moves leaves a copy behind.
        if text.len() > INPUT_LIMIT {
            return Err(HolderCodeError::Length);
        }
        let number = Number(normalised(text));
        match code_type {
            HolderCodeType::ResidentId => {
                number.0.parse::<ResidentId>().map_err(HolderCodeError::ResidentId)?;
            }
            HolderCodeType::Uscc => {
                number.0.parse::<Uscc>().map_err(HolderCodeError::Uscc)?;
            }
            _ => plain(&number.0)?,
        }
        Ok(Self { code_type, number })
    }

    /// The kind of document.
    pub fn code_type(&self) -> HolderCodeType {
        self.code_type
    }

    /// The number, normalised. Think before logging it.
    pub fn expose(&self) -> &str {
        &self.number.0
    }
}

/// The kind of document only.
impl fmt::Debug for HolderCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HolderCode({}, ..)", self.code_type.code())
    }
}

/// Why a text is not a holder's code. Never says which text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum HolderCodeError {
    /// Empty or longer than forty characters.
    Length,
    /// A character other than digits, letters and the hyphen.
    Character,
    /// Not a resident identity number.
    ResidentId(ResidentIdError),
    /// Not a unified social credit code.
    Uscc(UsccError),
}

impl HolderCodeError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Length => "holder-code/length",
            Self::Character => "holder-code/character",
            Self::ResidentId(error) => error.code(),
            Self::Uscc(error) => error.code(),
        }
    }
}

impl fmt::Display for HolderCodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("a holder's code has 1 to 40 characters"),
            Self::Character => f.write_str("a holder's code has digits, letters and hyphens only"),
            Self::ResidentId(error) => error.fmt(f),
            Self::Uscc(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for HolderCodeError {}

#[derive(Clone, Eq, Hash, PartialEq, Zeroize, ZeroizeOnDrop)]
struct Number(String);

/// Full-width ASCII to ASCII, capitals, no white space.
fn normalised(text: &str) -> String {
    let mut number = String::with_capacity(text.len());
    number.extend(
        text.chars()
            .filter(|character| !character.is_whitespace())
            .map(|character| ascii(character).to_ascii_uppercase()),
    );
    number
}

/// U+FF01 to U+FF5E are ASCII's `!` to `~`, wider.
fn ascii(character: char) -> char {
    match character {
        '！'..='～' => char::from_u32(u32::from(character) - FULL_WIDTH).expect("within ASCII"),
        _ => character,
    }
}

fn plain(number: &str) -> Result<(), HolderCodeError> {
    if !number.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase() || byte == b'-') {
        return Err(HolderCodeError::Character);
    }
    if !(1..=LENGTH_MAX).contains(&number.len()) {
        return Err(HolderCodeError::Length);
    }
    Ok(())
}

const FULL_WIDTH: u32 = 0xFEE0;

/// Our own: the longest in use are 32.
const LENGTH_MAX: usize = 40;

/// Bytes of a code as written: forty full-width characters and as many spaces.
const INPUT_LIMIT: usize = 240;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_sixteen_kinds_and_each_is_found_by_its_code() {
        for kind in HolderCodeType::ALL {
            assert_eq!(HolderCodeType::parse(kind.code()), Some(kind));
        }
        assert!(HolderCodeType::ALL.map(HolderCodeType::code).is_sorted_by(|left, right| left < right));
        assert_eq!(HolderCodeType::parse("112"), None);
        let entities: Vec<_> = HolderCodeType::ALL.into_iter().filter(|kind| !kind.is_person()).collect();
        assert_eq!(entities, [HolderCodeType::Uscc, HolderCodeType::OtherEntity]);
    }

    #[test]
    fn one_document_written_in_several_ways_is_one_holder() {
        let code = HolderCode::parse(HolderCodeType::ResidentId, "50019919850615101X").unwrap();
        for text in [
            "50019919850615101x",
            " 500199 19850615 101X\n",
            "５００１９９１９８５０６１５１０１ｘ",
            "　50019919850615101X　",
        ] {
            assert_eq!(HolderCode::parse(HolderCodeType::ResidentId, text), Ok(code.clone()), "{text:?}");
        }
        assert_eq!(code.expose(), "50019919850615101X");
        let uscc = HolderCode::parse(HolderCodeType::Uscc, "91500199ma5text11j").unwrap();
        assert_eq!(uscc.expose(), "91500199MA5TEXT11J");
        let passport = HolderCode::parse(HolderCodeType::Passport, "Ｅ－1234 5678").unwrap();
        assert_eq!(passport.expose(), "E-12345678");
    }

    #[test]
    fn the_same_number_on_another_document_is_another_holder() {
        let of = |kind| HolderCode::parse(kind, "H1234567").unwrap();
        assert_ne!(of(HolderCodeType::TaiwanPermit), of(HolderCodeType::HongKongMacaoPermit));
    }

    #[test]
    fn resident_numbers_and_credit_codes_are_checked() {
        assert_eq!(
            HolderCode::parse(HolderCodeType::ResidentId, "500199198506151011"),
            Err(HolderCodeError::ResidentId(ResidentIdError::Check))
        );
        assert_eq!(
            HolderCode::parse(HolderCodeType::Uscc, "91500106MA2CE71F65").map(drop),
            Err(HolderCodeError::Uscc(UsccError::Check))
        );
    }

    #[test]
    fn other_codes_have_one_to_forty_plain_characters() {
        let parse = |text: &str| HolderCode::parse(HolderCodeType::OtherPerson, text).map(drop);
        assert_eq!(parse(&"A".repeat(40)), Ok(()));
        assert_eq!(parse(&"A".repeat(41)), Err(HolderCodeError::Length));
        assert_eq!(parse(&"A".repeat(1_000_000)), Err(HolderCodeError::Length));
        assert_eq!(parse(" 　"), Err(HolderCodeError::Length));
        for text in ["军字第123号", "A_1", "A\0", "é", "~"] {
            assert_eq!(parse(text), Err(HolderCodeError::Character), "{text:?}");
        }
    }

    #[test]
    fn debugging_shows_the_kind_only() {
        let code = HolderCode::parse(HolderCodeType::Passport, "E12345678").unwrap();
        assert_eq!(format!("{code:?}"), "HolderCode(414, ..)");
    }
}
