//! CBOR as we write and read it: core deterministic encoding (RFC 8949, 4.2.1) and nothing else.
//!
//! A [`Value`] that was decoded has exactly one encoding, the one that was read: integers and
//! lengths at their shortest, definite lengths, map keys ascending bytewise and once, no
//! trailing bytes, no floats. [`decode`] enforces each while reading and then encodes again
//! and compares, because one check alone has been got wrong by others (T20).

use std::fmt;

/// The kinds of value in our messages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Value {
    Array(Vec<Value>),
    Boolean(bool),
    Bytes(Vec<u8>),
    Integer(i64),
    Map(Vec<(Value, Value)>),
    Tag(u64, Box<Value>),
    Text(String),
}

impl Value {
    /// The entry of a map under an integer label.
    pub(super) fn entry(&self, label: i64) -> Option<&Value> {
        let Self::Map(entries) = self else {
            return None;
        };
        entries.iter().find(|(key, _)| *key == Self::Integer(label)).map(|(_, value)| value)
    }

    pub(super) fn as_array(&self) -> Option<&[Value]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    pub(super) fn as_bytes(&self) -> Option<&[u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    pub(super) fn as_integer(&self) -> Option<i64> {
        if let Self::Integer(integer) = self { Some(*integer) } else { None }
    }

    pub(super) fn as_map(&self) -> Option<&[(Value, Value)]> {
        if let Self::Map(entries) = self { Some(entries) } else { None }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

/// The one encoding of a value. Map entries may come in any order, but every key once.
pub(super) fn encode(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    write(value, &mut bytes);
    bytes
}

/// Reads exactly one value from all of the bytes.
///
/// # Errors
/// [`CborError`], one variant for each bound.
pub(super) fn decode(bytes: &[u8], bytes_max: usize) -> Result<Value, CborError> {
    if bytes.len() > bytes_max {
        return Err(CborError::TooLong);
    }
    let mut reader = Reader { bytes, at: 0 };
    let value = reader.value(0)?;
    if reader.at != bytes.len() {
        return Err(CborError::TrailingBytes);
    }
    if encode(&value) != bytes {
        return Err(CborError::NotDeterministic);
    }
    Ok(value)
}

/// Why bytes are not CBOR that we take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum CborError {
    /// Nested deeper than [`DEPTH_MAX`].
    Deep,
    /// An encoding that another one says shorter or in order.
    NotDeterministic,
    /// Longer than the caller allows.
    TooLong,
    /// Something follows the value.
    TrailingBytes,
    /// The bytes end inside the value.
    Truncated,
    /// A kind of value that our messages do not have, or a text that is not UTF-8.
    Unsupported,
}

impl fmt::Display for CborError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deep => "nested too deeply",
            Self::NotDeterministic => "not in deterministic encoding",
            Self::TooLong => "too long",
            Self::TrailingBytes => "bytes follow the end",
            Self::Truncated => "cut off",
            Self::Unsupported => "holds what our messages never hold",
        })
    }
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) => {
            head(ARRAY, length(items.len()), out);
            items.iter().for_each(|item| write(item, out));
        }
        Value::Boolean(false) => out.push(FALSE),
        Value::Boolean(true) => out.push(TRUE),
        Value::Bytes(bytes) => {
            head(BYTES, length(bytes.len()), out);
            out.extend_from_slice(bytes);
        }
        Value::Integer(integer) => match u64::try_from(*integer) {
            Ok(unsigned) => head(UNSIGNED, unsigned, out),
            // -1 - n is stored as n, which is the complement.
            Err(_) => head(NEGATIVE, integer.unsigned_abs() - 1, out),
        },
        Value::Map(entries) => write_map(entries, out),
        Value::Tag(tag, value) => {
            head(TAG, *tag, out);
            write(value, out);
        }
        Value::Text(text) => {
            head(TEXT, length(text.len()), out);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// Entries mostly come in order, above all when they were just decoded: then nothing is sorted or copied.
fn write_map(entries: &[(Value, Value)], out: &mut Vec<u8>) {
    head(MAP, length(entries.len()), out);
    let start = out.len();
    let mut previous = start..start;
    let mut in_order = true;
    for (key, value) in entries {
        let at = out.len();
        write(key, out);
        in_order &= out[previous.clone()] < out[at..];
        previous = at..out.len();
        write(value, out);
    }
    if in_order {
        return;
    }
    out.truncate(start);
    let mut encoded: Vec<(Vec<u8>, &Value)> =
        entries.iter().map(|(key, value)| (encode(key), value)).collect();
    encoded.sort_unstable_by(|left, right| left.0.cmp(&right.0));
    for (key, value) in encoded {
        out.extend_from_slice(&key);
        write(value, out);
    }
}

fn length(length: usize) -> u64 {
    u64::try_from(length).expect("no memory holds 2^64 bytes")
}

/// Major type and argument at its shortest.
fn head(major: u8, argument: u64, out: &mut Vec<u8>) {
    let bytes = argument.to_be_bytes();
    let (info, skip) = match argument {
        0..=23 => (bytes[7], 8),
        24..=0xff => (24, 7),
        0x100..=0xffff => (25, 6),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 0),
    };
    out.push(major << 5 | info);
    out.extend_from_slice(&bytes[skip..]);
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, CborError> {
        if depth > DEPTH_MAX {
            return Err(CborError::Deep);
        }
        let first = self.take(1)?[0];
        match first {
            FALSE => return Ok(Value::Boolean(false)),
            TRUE => return Ok(Value::Boolean(true)),
            _ if first >> 5 > TAG => return Err(CborError::Unsupported),
            _ => {}
        }
        let argument = self.argument(first & 0x1f)?;
        match first >> 5 {
            UNSIGNED => i64::try_from(argument).map(Value::Integer).map_err(|_| CborError::Unsupported),
            NEGATIVE => {
                let below = i64::try_from(argument).map_err(|_| CborError::Unsupported)?;
                Ok(Value::Integer(-1 - below))
            }
            BYTES => Ok(Value::Bytes(self.string(argument)?.to_vec())),
            TEXT => {
                let text = std::str::from_utf8(self.string(argument)?).map_err(|_| CborError::Unsupported)?;
                Ok(Value::Text(text.to_owned()))
            }
            ARRAY => self.array(argument, depth),
            MAP => self.map(argument, depth),
            _ => Ok(Value::Tag(argument, Box::new(self.value(depth + 1)?))),
        }
    }

    // Nothing is reserved for a count that was only claimed: each item costs the sender at least a byte.
    fn array(&mut self, count: u64, depth: usize) -> Result<Value, CborError> {
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.value(depth + 1)?);
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self, count: u64, depth: usize) -> Result<Value, CborError> {
        let mut entries = Vec::new();
        let mut previous: &[u8] = &[];
        for _ in 0..count {
            let start = self.at;
            let key = self.value(depth + 1)?;
            let encoded = &self.bytes[start..self.at];
            // Equal keys fail here too.
            if encoded <= previous {
                return Err(CborError::NotDeterministic);
            }
            previous = encoded;
            entries.push((key, self.value(depth + 1)?));
        }
        Ok(Value::Map(entries))
    }

    fn argument(&mut self, info: u8) -> Result<u64, CborError> {
        let (size, least) = match info {
            0..=23 => return Ok(u64::from(info)),
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            _ => return Err(CborError::Unsupported),
        };
        let argument = self.take(size)?.iter().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
        if argument < least { Err(CborError::NotDeterministic) } else { Ok(argument) }
    }

    fn string(&mut self, length: u64) -> Result<&'a [u8], CborError> {
        self.take(usize::try_from(length).map_err(|_| CborError::Truncated)?)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], CborError> {
        let end = self.at.checked_add(length).ok_or(CborError::Truncated)?;
        let taken = self.bytes.get(self.at..end).ok_or(CborError::Truncated)?;
        self.at = end;
        Ok(taken)
    }
}

/// Levels inside one another (T20). Our messages have four.
pub(super) const DEPTH_MAX: usize = 16;

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hex: &str, expected: Result<Value, CborError>) {
        let bytes = hex::decode(hex).unwrap();
        assert_eq!(decode(&bytes, 64), expected, "{hex}");
    }

    #[test]
    fn values_of_rfc_8949_appendix_a_are_read_and_written() {
        for (hex, value) in [
            ("00", Value::Integer(0)),
            ("17", Value::Integer(23)),
            ("1818", Value::Integer(24)),
            ("1903e8", Value::Integer(1000)),
            ("1a000f4240", Value::Integer(1_000_000)),
            ("1b000000e8d4a51000", Value::Integer(1_000_000_000_000)),
            ("20", Value::Integer(-1)),
            ("3863", Value::Integer(-100)),
            ("3b7fffffffffffffff", Value::Integer(i64::MIN)),
            ("4401020304", Value::Bytes(vec![1, 2, 3, 4])),
            ("63e6b0b4", Value::Text("水".into())),
            ("820102", Value::Array(vec![Value::Integer(1), Value::Integer(2)])),
            (
                "a201020304",
                Value::Map(vec![
                    (Value::Integer(1), Value::Integer(2)),
                    (Value::Integer(3), Value::Integer(4)),
                ]),
            ),
            ("c11a514b67b0", Value::Tag(1, Box::new(Value::Integer(1_363_896_240)))),
            ("f4", Value::Boolean(false)),
            ("f5", Value::Boolean(true)),
        ] {
            assert_eq!(hex::encode(encode(&value)), hex);
            check(hex, Ok(value));
        }
    }

    #[test]
    fn what_has_a_second_encoding_is_refused() {
        for hex in
            ["1817", "190018", "1a00000100", "1b00000000ffffffff", "5801ff", "a2030401 02", "a201020103"]
        {
            check(&hex.replace(' ', ""), Err(CborError::NotDeterministic));
        }
        for hex in [
            "5f4101ff",
            "9f01ff",
            "bf0102ff",
            "f6",
            "f7",
            "f90000",
            "fb3ff0000000000000",
            "61ff",
            "f818",
            "1c",
        ] {
            check(hex, Err(CborError::Unsupported));
        }
        check("0000", Err(CborError::TrailingBytes));
        check("1bffffffffffffffff", Err(CborError::Unsupported));
    }

    #[test]
    fn claimed_lengths_and_nesting_cost_nothing() {
        for hex in ["", "18", "5bffffffffffffffff", "9bffffffffffffffff", "bbffffffffffffffff00", "62e6"] {
            check(hex, Err(CborError::Truncated));
        }
        check(&"81".repeat(DEPTH_MAX + 1), Err(CborError::Deep));
        check(
            &("81".repeat(DEPTH_MAX) + "00"),
            Ok((0..DEPTH_MAX).fold(Value::Integer(0), |value, _| Value::Array(vec![value]))),
        );
        check(&"c1".repeat(40), Err(CborError::Deep));
        check(&"00".repeat(65), Err(CborError::TooLong));
        assert_eq!(decode(&vec![0xd8; 1 << 10], 1 << 10), Err(CborError::Deep));
    }
}
