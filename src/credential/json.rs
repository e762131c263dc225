//! JSON as it may arrive from outside.
//!
//! A value from here had no member twice, was nested at most [`DEPTH_MAX`] deep and
//! was no longer than the caller allows. Two parsers that read a doubled member
//! differently are how one claim is checked and another believed (RFC 8725, 2.4; T14).

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a text is not JSON that we take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum JsonError {
    /// Nested deeper than [`DEPTH_MAX`].
    Deep,
    /// An object has the same member twice.
    DuplicateMember,
    /// Not JSON.
    Syntax,
    /// Longer than the caller allows.
    TooLong,
}

impl JsonError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Deep => "json/deep",
            Self::DuplicateMember => "json/duplicate-member",
            Self::Syntax => "json/syntax",
            Self::TooLong => "json/too-long",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        None
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deep => "the JSON is nested too deeply",
            Self::DuplicateMember => "the JSON has the same member twice",
            Self::Syntax => "not JSON",
            Self::TooLong => "the JSON is too long",
        })
    }
}

impl std::error::Error for JsonError {}

/// Parses at most `bytes_max` bytes of JSON.
///
/// # Errors
/// [`JsonError`], one variant for each bound.
pub fn parse(bytes: &[u8], bytes_max: usize) -> Result<Value, JsonError> {
    if bytes.len() > bytes_max {
        return Err(JsonError::TooLong);
    }
    let fault = Cell::new(JsonError::Syntax);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let strict = Strict { depth: DEPTH_MAX, fault: &fault };
    let value = strict.deserialize(&mut deserializer).map_err(|_| fault.get())?;
    deserializer.end().map_err(|_| JsonError::Syntax)?;
    Ok(value)
}

/// Reads one value with so many levels left.
#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: usize,
    /// serde lets no typed error of ours through, so it is left here.
    fault: &'a Cell<JsonError>,
}

impl Strict<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => {
                self.fault.set(JsonError::Deep);
                Err(E::custom("too deep"))
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not finite"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if members.contains_key(&key) {
                self.fault.set(JsonError::DuplicateMember);
                return Err(A::Error::custom("duplicate member"));
            }
            let value = access.next_value_seed(inner)?;
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }
}

/// Objects and arrays inside one another. Our own choice: no credential of ours goes beyond 5.
pub const DEPTH_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<Value, JsonError>) {
        assert_eq!(parse(text.as_bytes(), 100), expected, "{text}");
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_refused() {
        check(
            r#"{"a":1,"b":[true,null,-1.5,"x"]}"#,
            Ok(serde_json::json!({"a": 1, "b": [true, null, -1.5, "x"]})),
        );
        check(r#"{"a":1,"a":1}"#, Err(JsonError::DuplicateMember));
        check(r#"{"a":{"b":1,"\u0062":1}}"#, Err(JsonError::DuplicateMember));
        check(r#"{"a":1}x"#, Err(JsonError::Syntax));
        check("{a:1}", Err(JsonError::Syntax));
        check("1e999", Err(JsonError::Syntax));
        check("", Err(JsonError::Syntax));
        check(&" ".repeat(101), Err(JsonError::TooLong));
    }

    #[test]
    fn nesting_stops_at_its_bound() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(DEPTH_MAX).as_bytes(), 100).is_ok());
        check(&nested(DEPTH_MAX + 1), Err(JsonError::Deep));
        assert_eq!(parse("[".repeat(100_000).as_bytes(), 1_000_000), Err(JsonError::Deep));
    }
}
