//! Codes of certificate types (证照类型代码), GB/T 36904.
//!
//! Twenty-one characters: the unified social credit code of the body that *defines* the
//! type, usually a ministry, and three characters that the body counts with. Who defines
//! a type is rarely who issues its certificates.

use std::fmt;
use std::str::FromStr;

use crate::domain::uscc::{Uscc, UsccError};

/// The code of a certificate type, such as `11100000000013338W011`.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TypeCode([u8; LENGTH]);

impl TypeCode {
    /// The body that defines the type.
    pub fn definer(&self) -> Uscc {
        self.as_str()[..18].parse().expect("checked when parsed")
    }

    /// The twenty-one characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only ASCII is let in")
    }
}

/// Takes the twenty-one upper-case characters; nothing else.
impl FromStr for TypeCode {
    type Err = TypeCodeError;

    fn from_str(text: &str) -> Result<Self, TypeCodeError> {
        if text.chars().count() != LENGTH {
            return Err(TypeCodeError::Length);
        }
        let code: [u8; LENGTH] = text.as_bytes().try_into().map_err(|_| TypeCodeError::Character)?;
        if !code.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()) {
            return Err(TypeCodeError::Character);
        }
        text[..18].parse::<Uscc>().map_err(TypeCodeError::Definer)?;
        Ok(Self(code))
    }
}

impl fmt::Display for TypeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TypeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text is not the code of a certificate type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TypeCodeError {
    /// Not twenty-one characters.
    Length,
    /// The first eighteen are not a unified social credit code.
    Definer(UsccError),
    /// A character other than digits and capital letters.
    Character,
}

impl TypeCodeError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Length => "type-code/length",
            Self::Definer(_) => "type-code/definer",
            Self::Character => "type-code/character",
        }
    }
}

impl fmt::Display for TypeCodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("a type code has 21 characters"),
            Self::Definer(error) => write!(f, "the definer in the type code: {error}"),
            Self::Character => f.write_str("a type code has digits and capital letters only"),
        }
    }
}

impl std::error::Error for TypeCodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Definer(error) => Some(error),
            Self::Length | Self::Character => None,
        }
    }
}

const LENGTH: usize = 21;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_code_names_its_definer() {
        let code: TypeCode = "11100000000013338W011".parse().unwrap();
        assert_eq!(code.to_string(), "11100000000013338W011");
        assert_eq!(code.definer().to_string(), "11100000000013338W");
    }

    #[test]
    fn order_is_the_order_of_the_text() {
        let mut codes = ["11100000MB03271699022", "11100000000013338W0A1", "11100000000013338W011"]
            .map(|text| text.parse::<TypeCode>().unwrap());
        codes.sort_unstable();
        let texts = codes.map(|code| code.to_string());
        assert!(texts.is_sorted());
    }

    #[test]
    fn what_is_no_type_code_is_refused() {
        for (text, error) in [
            ("", TypeCodeError::Length),
            ("11100000000013338W01", TypeCodeError::Length),
            ("11100000000013338W0111", TypeCodeError::Length),
            ("11100000000013338W01a", TypeCodeError::Character),
            ("11100000000013338W01号", TypeCodeError::Character),
            ("11100000000013338X011", TypeCodeError::Definer(UsccError::Check)),
        ] {
            assert_eq!(text.parse::<TypeCode>(), Err(error), "{text:?}");
        }
        assert!("住房城乡建设部住房城乡建设部住房城乡建设部".parse::<TypeCode>().is_err());
    }
}
