//! Unified social credit codes (统一社会信用代码), GB 32100-2015.
//!
//! Eighteen characters: registering department, category, six digits of area, nine of
//! the organisation's code (GB 11714) with its own check character, and a check character
//! over everything. Both are checked. The code of an organisation is public.
//!
//! # Not here
//!
//! Whether such an organisation exists, and whether the area still does.

use std::fmt;
use std::str::FromStr;

/// A unified social credit code whose two check characters are right.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Uscc([u8; LENGTH]);

impl Uscc {
    /// The eighteen characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only ASCII is let in")
    }
}

/// Takes the eighteen upper-case characters; nothing else.
impl FromStr for Uscc {
    type Err = UsccError;

    fn from_str(text: &str) -> Result<Self, UsccError> {
        if let Some(index) = text.chars().position(|character| value(character).is_none()) {
            return Err(UsccError::Character { index });
        }
        let code: [u8; LENGTH] = text.as_bytes().try_into().map_err(|_| UsccError::Length)?;
        if !code[2..8].iter().all(u8::is_ascii_digit) {
            return Err(UsccError::Area);
        }
        if organisation_check(&code) != code[16] {
            return Err(UsccError::OrganisationCheck);
        }
        if check(&code) != code[17] {
            return Err(UsccError::Check);
        }
        Ok(Self(code))
    }
}

impl fmt::Display for Uscc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Uscc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text is not a unified social credit code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum UsccError {
    /// Not eighteen characters.
    Length,
    /// A character outside the alphabet, which has no I, O, S, V or Z.
    Character {
        /// Which one, counted from 0.
        index: usize,
    },
    /// The area, characters 3 to 8, is not six digits.
    Area,
    /// The check character of the organisation's code, the 17th, is wrong.
    OrganisationCheck,
    /// The last check character is wrong.
    Check,
}

impl UsccError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Length => "uscc/length",
            Self::Character { .. } => "uscc/character",
            Self::Area => "uscc/area",
            Self::OrganisationCheck => "uscc/organisation-check",
            Self::Check => "uscc/check",
        }
    }
}

impl fmt::Display for UsccError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("a unified social credit code has 18 characters"),
            Self::Character { index } => write!(
                f,
                "character {} cannot be in a unified social credit code: digits and capitals without I, O, S, V, Z",
                index + 1
            ),
            Self::Area => f.write_str("characters 3 to 8 of a unified social credit code are digits"),
            Self::OrganisationCheck => {
                f.write_str("the 17th character of the unified social credit code, a check, is wrong")
            }
            Self::Check => {
                f.write_str("the last character of the unified social credit code, a check, is wrong")
            }
        }
    }
}

impl std::error::Error for UsccError {}

const LENGTH: usize = 18;

/// The characters of the code, each at its value.
const ALPHABET: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";

/// Powers of 3 modulo 31.
const WEIGHTS: [usize; 17] = [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28];

/// GB 11714.
const ORGANISATION_WEIGHTS: [usize; 8] = [3, 7, 9, 10, 5, 8, 4, 2];

fn value(character: char) -> Option<usize> {
    ALPHABET.iter().position(|&letter| char::from(letter) == character)
}

/// C18. The first seventeen characters must be of the alphabet.
fn check(code: &[u8; LENGTH]) -> u8 {
    let values = code.iter().map(|&byte| value(char::from(byte)).expect("of the alphabet"));
    let sum: usize = values.zip(WEIGHTS).map(|(value, weight)| value * weight).sum();
    ALPHABET[(31 - sum % 31) % 31]
}

/// C9 of GB 11714, whose letters count from A = 10 without gaps.
fn organisation_check(code: &[u8; LENGTH]) -> u8 {
    let values = code[8..16].iter().map(|&byte| match byte {
        b'A'..=b'Z' => usize::from(byte - b'A') + 10,
        _ => usize::from(byte - b'0'),
    });
    let sum: usize = values.zip(ORGANISATION_WEIGHTS).map(|(value, weight)| value * weight).sum();
    b"0X987654321"[sum % 11]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors() -> serde_json::Value {
        serde_json::from_str(include_str!("../../tests/vectors/identifiers_checkdigits.json")).unwrap()
    }

    fn valid() -> Vec<String> {
        let vectors = &vectors()["uscc_gb32100"];
        ["valid", "valid_synthetic"]
            .into_iter()
            .flat_map(|list| vectors[list].as_array().unwrap().clone())
            .chain(vectors["valid_who"].as_object().unwrap().keys().map(|code| code.as_str().into()))
            .map(|code| code.as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn public_codes_are_taken() {
        assert!(valid().len() >= 21);
        for text in valid() {
            let code: Uscc = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(code.to_string(), text);
        }
    }

    #[test]
    fn public_mistakes_are_refused() {
        for (text, _) in vectors()["uscc_gb32100"]["invalid"].as_object().unwrap() {
            assert!(text.parse::<Uscc>().is_err(), "{text}");
        }
        assert_eq!("9150010807MGZHI002".parse::<Uscc>(), Err(UsccError::Character { index: 12 }));
    }

    #[test]
    fn what_only_looks_alike_is_refused() {
        for text in
            ["", "11100000000013338w", " 11100000000013338W", "11100000000013338W ", "1110000000001333８W"]
        {
            assert!(text.parse::<Uscc>().is_err(), "{text:?}");
        }
        assert_eq!("11100000000013338".parse::<Uscc>(), Err(UsccError::Length));
        assert_eq!("11100000000013338WW".parse::<Uscc>(), Err(UsccError::Length));
    }

    /// Weights that are units of a prime modulus catch every single substitution.
    #[test]
    fn every_single_character_change_is_caught() {
        for text in valid() {
            for index in 0..text.len() {
                for letter in (' '..='~').filter(|&letter| !text[index..].starts_with(letter)) {
                    let mut changed = text.clone();
                    changed.replace_range(index..=index, letter.encode_utf8(&mut [0; 4]));
                    assert!(changed.parse::<Uscc>().is_err(), "{text} as {changed}");
                }
            }
        }
    }

    #[test]
    fn every_exchange_of_neighbours_is_caught() {
        for text in valid() {
            for index in 0..text.len() - 1 {
                let mut bytes = text.clone().into_bytes();
                bytes.swap(index, index + 1);
                let changed = String::from_utf8(bytes).unwrap();
                assert!(changed == text || changed.parse::<Uscc>().is_err(), "{text} as {changed}");
            }
        }
    }
}
