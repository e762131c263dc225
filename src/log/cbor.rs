//! The little of deterministic CBOR that entries need (RFC 8949 section 4.2.1).
//!
//! A [`Reader`] takes only definite lengths and shortest integers, and hands
//! out slices of its input, so that no length it reads can make it allocate.

/// Writes items one after another.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn array(&mut self, items: usize) {
        self.head(ARRAY, u64::try_from(items).expect("a length fits in 64 bits"));
    }

    pub(super) fn unsigned(&mut self, number: u64) {
        self.head(UNSIGNED, number);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.head(TEXT, u64::try_from(text.len()).expect("a length fits in 64 bits"));
        self.0.extend(text.as_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.head(BYTES, u64::try_from(bytes.len()).expect("a length fits in 64 bits"));
        self.0.extend(bytes);
    }

    pub(super) fn null(&mut self) {
        self.0.push(NULL);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn head(&mut self, major: u8, number: u64) {
        let bytes = number.to_be_bytes();
        match number {
            0..24 => self.0.push(major << 5 | bytes[7]),
            24..0x100 => self.0.extend([major << 5 | 24, bytes[7]]),
            0x100..0x1_0000 => {
                self.0.push(major << 5 | 25);
                self.0.extend(&bytes[6..]);
            }
            0x1_0000..0x1_0000_0000 => {
                self.0.push(major << 5 | 26);
                self.0.extend(&bytes[4..]);
            }
            _ => {
                self.0.push(major << 5 | 27);
                self.0.extend(bytes);
            }
        }
    }
}

/// Reads items one after another.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn array(&mut self) -> Result<u64, Malformed> {
        self.head(ARRAY, "not an array")
    }

    pub(super) fn unsigned(&mut self) -> Result<u64, Malformed> {
        self.head(UNSIGNED, "not an unsigned integer")
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = self.head(TEXT, "not a text")?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Malformed("not UTF-8"))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.head(BYTES, "not a byte string")?;
        self.take(length)
    }

    /// Reads null, if it is next.
    pub(super) fn null(&mut self) -> bool {
        match self.0.split_first() {
            Some((&NULL, rest)) => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    /// The major type of what is next.
    pub(super) fn major(&self) -> Option<u8> {
        self.0.first().map(|byte| byte >> 5)
    }

    pub(super) const fn finish(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed("trailing bytes")) }
    }

    fn head(&mut self, major: u8, otherwise: &'static str) -> Result<u64, Malformed> {
        let (first, rest) = self.0.split_first().ok_or(Malformed("ends early"))?;
        if first >> 5 != major {
            return Err(Malformed(otherwise));
        }
        self.0 = rest;
        let short = first & 31;
        let (number, least) = match short {
            0..24 => return Ok(u64::from(short)),
            24 => (self.number::<1>()?, 24),
            25 => (self.number::<2>()?, 0x100),
            26 => (self.number::<4>()?, 0x1_0000),
            27 => (self.number::<8>()?, 0x1_0000_0000),
            _ => return Err(Malformed("indefinite or reserved length")),
        };
        if number < least { Err(Malformed("integer not in its shortest form")) } else { Ok(number) }
    }

    fn number<const N: usize>(&mut self) -> Result<u64, Malformed> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed("ends early"))?;
        self.0 = rest;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| Malformed("ends early"))?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed("ends early"))?;
        self.0 = rest;
        Ok(bytes)
    }
}

/// Not what was expected, or not deterministic: and what is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Malformed(pub(super) &'static str);

pub(super) const UNSIGNED: u8 = 0;
pub(super) const BYTES: u8 = 2;
pub(super) const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const NULL: u8 = 0xf6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_those_of_rfc_8949_appendix_a_and_have_one_form() {
        for (number, hexadecimal) in [
            (0, "00"),
            (23, "17"),
            (24, "1818"),
            (100, "1864"),
            (1000, "1903e8"),
            (1_000_000, "1a000f4240"),
            (1_000_000_000_000, "1b000000e8d4a51000"),
            (u64::MAX, "1bffffffffffffffff"),
        ] {
            let mut writer = Writer::default();
            writer.unsigned(number);
            let bytes = writer.finish();
            assert_eq!(hex::encode(&bytes), hexadecimal);
            assert_eq!(Reader::new(&bytes).unsigned(), Ok(number));
        }
        for long in ["1800", "1817", "190018", "1900ff", "1a0000ffff", "1b00000000ffffffff"] {
            let bytes = hex::decode(long).unwrap();
            let expected = Err(Malformed("integer not in its shortest form"));
            assert_eq!(Reader::new(&bytes).unsigned(), expected, "{long}");
        }
    }

    #[test]
    fn what_ends_early_or_has_no_length_is_refused() {
        for (hexadecimal, expected) in [
            ("", "ends early"),
            ("78", "ends early"),
            ("6261", "ends early"),
            ("7bffffffffffffffff61", "ends early"),
            ("7f6161ff", "indefinite or reserved length"),
            ("7c", "indefinite or reserved length"),
            ("61ff", "not UTF-8"),
            ("4161", "not a text"),
        ] {
            let bytes = hex::decode(hexadecimal).unwrap();
            assert_eq!(Reader::new(&bytes).text(), Err(Malformed(expected)), "{hexadecimal}");
        }
        assert_eq!(Reader::new(&[0]).finish(), Err(Malformed("trailing bytes")));
    }
}
