//! Resident identity numbers (公民身份号码), GB 11643-1999.
//!
//! Seventeen digits (area, birth date, sequence) and a check character, ISO 7064 MOD 11-2.
//! A number is personal: it is not printed, not even while debugging, and its memory is
//! wiped when it is dropped.
//!
//! # Not here
//!
//! Whether the area still exists: people keep numbers of areas long withdrawn.

use std::fmt;
use std::str::FromStr;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::domain::time::Date;

/// A resident identity number with an existing birth date and the right check character.
#[derive(Clone, Eq, Hash, PartialEq, Zeroize, ZeroizeOnDrop)]
pub struct ResidentId([u8; LENGTH]);

impl ResidentId {
    /// The eighteen characters, the last possibly a capital X. Think before logging them.
    pub fn expose(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only ASCII is let in")
    }

    /// The birth date in the number.
    pub fn birth_date(&self) -> Date {
        birth_date(self.expose()).expect("checked when parsed")
    }
}

/// Takes eighteen characters, and a small x for the X at the end.
impl FromStr for ResidentId {
    type Err = ResidentIdError;

    fn from_str(text: &str) -> Result<Self, ResidentIdError> {
        // Filled in place, so that a refused number is wiped as well.
        let mut number = Self([0; LENGTH]);
        if text.chars().count() != LENGTH {
            return Err(ResidentIdError::Length);
        }
        if text.len() != LENGTH {
            return Err(ResidentIdError::Character);
        }
        number.0.copy_from_slice(text.as_bytes());
        number.0[17].make_ascii_uppercase();
        if !number.0[..17].iter().all(u8::is_ascii_digit) || !matches!(number.0[17], b'0'..=b'9' | b'X') {
            return Err(ResidentIdError::Character);
        }
        if birth_date(number.expose()).is_none() {
            return Err(ResidentIdError::BirthDate);
        }
        if check(&number.0) != number.0[17] {
            return Err(ResidentIdError::Check);
        }
        Ok(number)
    }
}

impl fmt::Debug for ResidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResidentId(..)")
    }
}

/// Why a text is not a resident identity number. Never says which text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ResidentIdError {
    /// Not eighteen characters. The fifteen of the first generation ended in 2013.
    Length,
    /// Something other than seventeen digits and a digit or X.
    Character,
    /// The birth date does not exist.
    BirthDate,
    /// The check character is wrong.
    Check,
}

impl ResidentIdError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Length => "resident-id/length",
            Self::Character => "resident-id/character",
            Self::BirthDate => "resident-id/birth-date",
            Self::Check => "resident-id/check",
        }
    }
}

impl fmt::Display for ResidentIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "a resident identity number has 18 characters",
            Self::Character => "a resident identity number is 17 digits and a digit or X",
            Self::BirthDate => "the birth date in the resident identity number does not exist",
            Self::Check => "the last character of the resident identity number, a check, is wrong",
        })
    }
}

impl std::error::Error for ResidentIdError {}

const LENGTH: usize = 18;

/// The powers of 2 modulo 11, falling.
const WEIGHTS: [usize; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];

/// The standard prints a number of 1880, and `Date` begins in 1900: nobody of the century
/// before holds a certificate, so such a number is refused as one without a birth date.
fn birth_date(number: &str) -> Option<Date> {
    number[6..14].parse().ok()
}

fn check(number: &[u8; LENGTH]) -> u8 {
    let sum: usize =
        number.iter().zip(WEIGHTS).map(|(digit, weight)| weight * usize::from(digit - b'0')).sum();
    b"10X98765432"[sum % 11]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors(list: &str) -> Vec<String> {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/vectors/identifiers_checkdigits.json")).unwrap();
        let list = vectors["resident_id_gb11643"][list].as_array().unwrap();
        list.iter().map(|number| number.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_examples_of_the_standard_are_right() {
        for text in vectors("valid_spec_examples") {
            let bytes: &[u8; LENGTH] = text.as_bytes().try_into().unwrap();
            assert_eq!(check(bytes), bytes[17], "{text}");
        }
        assert!("11010519491231002X".parse::<ResidentId>().is_ok());
        assert_eq!(
            "440524188001010014".parse::<ResidentId>(),
            Err(ResidentIdError::BirthDate),
            "born in 1880"
        );
    }

    #[test]
    fn synthetic_numbers_are_taken() {
        for text in vectors("valid_synthetic_unassigned_area_500199") {
            let number: ResidentId = text.parse().unwrap();
            assert_eq!(number.expose(), text);
            assert_eq!(number.birth_date(), text[6..14].parse().unwrap());
        }
    }

    #[test]
    fn wrong_numbers_are_refused() {
        for text in vectors("invalid") {
            assert!(text.parse::<ResidentId>().is_err(), "{text}");
        }
        assert_eq!("500199199002301231".parse::<ResidentId>(), Err(ResidentIdError::BirthDate));
        assert_eq!("500199900307123".parse::<ResidentId>(), Err(ResidentIdError::Length));
        for text in ["５00199199003071231", "500199 99003071231", "x00199199003071231", "50019919900307123é"]
        {
            assert_eq!(text.parse::<ResidentId>(), Err(ResidentIdError::Character), "{text}");
        }
    }

    #[test]
    fn a_small_x_is_a_capital_one() {
        let small: ResidentId = "50019919850615101x".parse().unwrap();
        assert_eq!(small.expose(), "50019919850615101X");
    }

    #[test]
    fn debugging_shows_nothing() {
        let number: ResidentId = "50019919850615101X".parse().unwrap();
        assert_eq!(format!("{number:?}"), "ResidentId(..)");
    }

    #[test]
    fn every_single_character_change_is_caught() {
        for text in vectors("valid_synthetic_unassigned_area_500199") {
            for index in 0..text.len() {
                for letter in
                    (' '..='~').filter(|letter| *letter != 'x' && !text[index..].starts_with(*letter))
                {
                    let mut changed = text.clone();
                    changed.replace_range(index..=index, letter.encode_utf8(&mut [0; 4]));
                    assert!(changed.parse::<ResidentId>().is_err(), "{text} as {changed}");
                }
            }
        }
    }
}
