//! Certificate identifiers (电子证照标识), GB/T 36904.
//!
//! ```text
//! 1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.002.S
//! root           type                  issuer             serial   version check
//! ```
//!
//! The check character, ISO 7064 MOD 37,36, covers type, issuer, serial and version
//! without the dots. An identifier is printed on the face: it is no secret, and knowing
//! one gives no right to anything.

use std::fmt;
use std::str::FromStr;

use crate::domain::type_code::{TypeCode, TypeCodeError};
use crate::domain::uscc::{Uscc, UsccError};

/// The identifier of one version of one certificate, its check character right.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CertificateIdentifier {
    type_code: TypeCode,
    issuer: Issuer,
    serial: Serial,
    version: Version,
}

impl CertificateIdentifier {
    /// The identifier of a certificate that an organisation issues.
    pub fn new(type_code: TypeCode, issuer: Uscc, serial: Serial, version: Version) -> Self {
        Self { type_code, issuer: Issuer(IssuerKind::Organisation(issuer)), serial, version }
    }

    /// Takes as well what others have written: an area of six digits in the issuer's place.
    pub fn parse_foreign(text: &str) -> Result<Self, IdentifierError> {
        let rest = text.strip_prefix(ROOT).ok_or(IdentifierError::Root)?;
        let mut parts = rest.split('.');
        let mut part = || parts.next().ok_or(IdentifierError::Parts);
        let (type_code, issuer, serial, version, check) = (part()?, part()?, part()?, part()?, part()?);
        if parts.next().is_some() {
            return Err(IdentifierError::Parts);
        }
        let identifier = Self {
            type_code: type_code.parse().map_err(IdentifierError::Type)?,
            issuer: Issuer::parse(issuer)?,
            serial: serial.parse()?,
            version: version.parse()?,
        };
        if !check.chars().eq([identifier.check_char()]) {
            return Err(IdentifierError::Check);
        }
        Ok(identifier)
    }

    /// The kind of certificate.
    pub fn type_code(&self) -> TypeCode {
        self.type_code
    }

    /// Who issued it.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The organisation that issued it; `None` where a foreign identifier names an area.
    pub fn issuer_uscc(&self) -> Option<Uscc> {
        self.issuer.uscc()
    }

    /// The serial, which all versions of a certificate share.
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// Which version of the certificate.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The check character.
    pub fn check_char(&self) -> char {
        let version = self.version.to_string();
        let parts = [self.type_code.as_str(), self.issuer.as_str(), self.serial.as_str(), &version];
        check_char(parts.into_iter().flat_map(str::bytes))
    }
}

/// Takes what this service writes: the issuer is a unified social credit code.
impl FromStr for CertificateIdentifier {
    type Err = IdentifierError;

    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        let identifier = Self::parse_foreign(text)?;
        match identifier.issuer.0 {
            IssuerKind::Organisation(_) => Ok(identifier),
            IssuerKind::Area(_) => Err(IdentifierError::Issuer(UsccError::Length)),
        }
    }
}

impl fmt::Display for CertificateIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { type_code, issuer, serial, version } = self;
        write!(f, "{ROOT}{type_code}.{issuer}.{serial}.{version}.{}", self.check_char())
    }
}

impl fmt::Debug for CertificateIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who issued a certificate: an organisation, or in foreign identifiers an area.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Issuer(IssuerKind);

impl Issuer {
    /// Eighteen characters of an organisation or six digits of an area.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            IssuerKind::Organisation(code) => code.as_str(),
            IssuerKind::Area(area) => std::str::from_utf8(area).expect("digits"),
        }
    }

    /// The organisation, if it is one.
    pub fn uscc(&self) -> Option<Uscc> {
        match self.0 {
            IssuerKind::Organisation(code) => Some(code),
            IssuerKind::Area(_) => None,
        }
    }

    fn parse(text: &str) -> Result<Self, IdentifierError> {
        if let Ok(area) = <[u8; 6]>::try_from(text.as_bytes())
            && area.iter().all(u8::is_ascii_digit)
        {
            return Ok(Self(IssuerKind::Area(area)));
        }
        text.parse().map(|code| Self(IssuerKind::Organisation(code))).map_err(IdentifierError::Issuer)
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A serial (流水号): 1 to 40 digits and capital letters.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Serial(String);

impl Serial {
    /// Twenty characters that nobody can guess, from random bytes.
    pub fn from_random(bytes: &[u8; 32]) -> Self {
        // 256 bits modulo 36^20, which has 104: no serial is likelier than another by 2^-152.
        let mut number = bytes.iter().fold(0, |sum: u128, &byte| (sum * 256 + u128::from(byte)) % SERIALS);
        let mut serial = String::with_capacity(SERIAL_LENGTH);
        for _ in 0..SERIAL_LENGTH {
            let digit = usize::try_from(number % 36).expect("below 36");
            serial.push(char::from(ALPHABET[digit]));
            number /= 36;
        }
        Self(serial)
    }

    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Serial {
    type Err = IdentifierError;

    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        let plain = text.bytes().all(|byte| ALPHABET.contains(&byte));
        if plain && (1..=SERIAL_MAX).contains(&text.len()) {
            Ok(Self(text.into()))
        } else {
            Err(IdentifierError::Serial)
        }
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which version of a certificate: 1 to 999, one more at every re-issue.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Version(u16);

impl Version {
    /// The version of a new certificate.
    pub const FIRST: Self = Self(1);

    /// The version after this one; `None` after the 999th.
    pub fn next(self) -> Option<Self> {
        (self.0 < VERSION_MAX).then(|| Self(self.0 + 1))
    }

    /// The version as a number.
    pub fn number(self) -> u16 {
        self.0
    }
}

/// Takes three digits, `001` to `999`.
impl FromStr for Version {
    type Err = IdentifierError;

    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        let digits: [u8; 3] = text.as_bytes().try_into().map_err(|_| IdentifierError::Version)?;
        if !digits.iter().all(u8::is_ascii_digit) || digits == *b"000" {
            return Err(IdentifierError::Version);
        }
        Ok(Self(digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))))
    }
}

/// Three digits.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.0)
    }
}

/// Why a text is not the identifier of a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum IdentifierError {
    /// Does not begin with `1.2.156.3005.2.`.
    Root,
    /// Not type, issuer, serial, version and check with dots between them.
    Parts,
    /// The type code is none.
    Type(TypeCodeError),
    /// The issuer is no unified social credit code.
    Issuer(UsccError),
    /// The serial is not 1 to 40 digits and capital letters.
    Serial,
    /// The version is not three digits, `001` to `999`.
    Version,
    /// The check character is wrong.
    Check,
}

impl IdentifierError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Root => "number/root",
            Self::Parts => "number/parts",
            Self::Type(_) => "number/type",
            Self::Issuer(_) => "number/issuer",
            Self::Serial => "number/serial",
            Self::Version => "number/version",
            Self::Check => "number/check",
        }
    }
}

impl fmt::Display for IdentifierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => write!(f, "a certificate identifier begins with `{ROOT}`"),
            Self::Parts => f.write_str(
                "a certificate identifier is type, issuer, serial, version and check, with dots between",
            ),
            Self::Type(error) => write!(f, "the type in the certificate identifier: {error}"),
            Self::Issuer(error) => write!(f, "the issuer in the certificate identifier: {error}"),
            Self::Serial => f.write_str("a serial is 1 to 40 digits and capital letters"),
            Self::Version => f.write_str("a version is three digits, `001` to `999`"),
            Self::Check => f.write_str("the last character of the certificate identifier, a check, is wrong"),
        }
    }
}

impl std::error::Error for IdentifierError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Type(error) => Some(error),
            Self::Issuer(error) => Some(error),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum IssuerKind {
    Organisation(Uscc),
    Area([u8; 6]),
}

/// ISO 7064 MOD 37,36, over digits and capital letters.
fn check_char(body: impl Iterator<Item = u8>) -> char {
    let product = body.fold(36, |product, byte| {
        let value = ALPHABET.iter().position(|&letter| letter == byte).expect("of the alphabet");
        let sum = match (product + value) % 36 {
            0 => 36,
            sum => sum,
        };
        sum * 2 % 37
    });
    char::from(ALPHABET[(37 - product) % 36])
}

/// The arc of certificate identifiers.
const ROOT: &str = "1.2.156.3005.2.";

const ALPHABET: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Of the serials we make.
const SERIAL_LENGTH: usize = 20;

/// 36^20: how many serials there are to choose from.
const SERIALS: u128 = 36u128.pow(20);

/// Of the serials we read: the longest in circulation have 32.
const SERIAL_MAX: usize = 40;

const VERSION_MAX: u16 = 999;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vectors(list: &str) -> Vec<String> {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/vectors/identifiers_checkdigits.json")).unwrap();
        let list = vectors["e_licence_identifier_gbt36904"][list].as_array().unwrap();
        list.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    fn with_check(serial: &str) -> Result<CertificateIdentifier, IdentifierError> {
        let body = format!("11100000000013338W01111430000006122244L{serial}001");
        let plain = body.bytes().filter(|byte| ALPHABET.contains(byte));
        format!("{ROOT}11100000000013338W011.11430000006122244L.{serial}.001.{}", check_char(plain)).parse()
    }

    #[test]
    fn published_identifiers_are_taken() {
        let valid = vectors("valid");
        assert_eq!(valid.len(), 6);
        for text in valid {
            let identifier =
                CertificateIdentifier::parse_foreign(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(identifier.to_string(), text);
            assert_eq!(
                text.parse::<CertificateIdentifier>().is_ok(),
                identifier.issuer_uscc().is_some(),
                "{text}"
            );
        }
        let second = "11100000000013338W00211320482014138860P201807250201001";
        assert_eq!(check_char(second.bytes()), 'M');
    }

    #[test]
    fn a_published_mistake_is_refused() {
        for text in vectors("invalid_check_char") {
            assert_eq!(CertificateIdentifier::parse_foreign(&text), Err(IdentifierError::Check), "{text}");
            let right = format!("{}D", text.strip_suffix('M').unwrap());
            assert!(right.parse::<CertificateIdentifier>().is_ok());
        }
    }

    #[test]
    fn an_area_in_the_issuers_place_is_read_and_never_ours() {
        let text = "1.2.156.3005.2.11100000MB03271699022.340100.000000016.001.9";
        let identifier = CertificateIdentifier::parse_foreign(text).unwrap();
        assert_eq!(identifier.issuer().as_str(), "340100");
        assert_eq!(identifier.issuer_uscc(), None);
        assert!(matches!(text.parse::<CertificateIdentifier>(), Err(IdentifierError::Issuer(_))));
    }

    #[test]
    fn the_parts_come_back() {
        let text = "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.002.S";
        let identifier: CertificateIdentifier = text.parse().unwrap();
        assert_eq!(identifier.type_code().to_string(), "11100000000013338W011");
        assert_eq!(identifier.issuer().to_string(), "11430000006122244L");
        assert_eq!(identifier.serial().as_str(), "20230000403");
        assert_eq!(identifier.version().number(), 2);
        assert_eq!(identifier.check_char(), 'S');
        let issuer = identifier.issuer_uscc().unwrap();
        let serial = identifier.serial().clone();
        assert_eq!(
            CertificateIdentifier::new(identifier.type_code(), issuer, serial, identifier.version()),
            identifier
        );
    }

    #[test]
    fn what_is_no_identifier_is_refused() {
        let body = "11100000000013338W011.11430000006122244L.20230000403.002";
        for (text, error) in [
            (String::new(), IdentifierError::Root),
            (format!("{body}.S"), IdentifierError::Root),
            (format!("{ROOT}{body}"), IdentifierError::Parts),
            (format!("{ROOT}{body}.S.S"), IdentifierError::Parts),
            (format!("{ROOT}{body}."), IdentifierError::Check),
            (format!("{ROOT}{body}.s"), IdentifierError::Check),
            (format!("{ROOT}{body}.SS"), IdentifierError::Check),
            (format!("{ROOT}{body}.S").replace(".002", ".000"), IdentifierError::Version),
            (format!("{ROOT}{body}.S").replace(".002", ".2"), IdentifierError::Version),
        ] {
            assert_eq!(text.parse::<CertificateIdentifier>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_serial_has_one_to_forty_plain_characters() {
        assert!(with_check("7").is_ok());
        assert!(with_check(&"Z".repeat(40)).is_ok());
        for serial in ["", &"Z".repeat(41), &"Z".repeat(100_000), "2023-0403", "2023a", "字第1号"] {
            assert_eq!(with_check(serial), Err(IdentifierError::Serial), "{serial:?}");
        }
    }

    #[test]
    fn versions_end_at_999() {
        let mut version = Version::FIRST;
        assert_eq!(version.to_string(), "001");
        while let Some(next) = version.next() {
            assert!(next > version && next.to_string().parse() == Ok(next));
            version = next;
        }
        assert_eq!(version.to_string(), "999");
    }

    #[test]
    fn every_single_character_change_is_caught() {
        for text in vectors("valid") {
            for index in 0..text.len() {
                for letter in (' '..='~').filter(|&letter| !text[index..].starts_with(letter)) {
                    let mut changed = text.clone();
                    changed.replace_range(index..=index, letter.encode_utf8(&mut [0; 4]));
                    assert!(CertificateIdentifier::parse_foreign(&changed).is_err(), "{text} as {changed}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn what_we_make_we_read_and_no_single_change_passes(
            bytes: [u8; 32],
            version in 1..=999u16,
            place: prop::sample::Index,
            letter in "[0-9A-Z.]",
        ) {
            let serial = Serial::from_random(&bytes);
            prop_assert_eq!(serial.as_str().len(), 20);
            let type_code = "11100000000013338W011".parse().unwrap();
            let issuer = "11500199XT0TEXT11P".parse().unwrap();
            let identifier = CertificateIdentifier::new(type_code, issuer, serial, Version(version));
            let text = identifier.to_string();
            prop_assert_eq!(text.parse(), Ok(identifier));
            let mut changed = text.clone();
            let index = place.index(text.len());
            changed.replace_range(index..=index, &letter);
            prop_assert!(changed == text || changed.parse::<CertificateIdentifier>().is_err());
        }
    }

    #[test]
    fn serials_use_every_character_and_every_byte() {
        let zero = Serial::from_random(&[0; 32]);
        assert_eq!(zero.as_str(), "0".repeat(20));
        for index in 0..32 {
            let mut bytes = [0; 32];
            bytes[index] = 1;
            assert_ne!(Serial::from_random(&bytes), zero, "byte {index}");
        }
    }
}
