//! Bodies, queries and paths, read strictly.
//!
//! [`Json`] takes exactly the shape of its type: a member that is unknown, missing or
//! there twice is refused, at any depth. [`Pairs`] does the same for queries and forms.
//! What is wrong is told by member and expectation, never by quoting what was sent.

use std::collections::BTreeMap;
use std::fmt;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::App;
use super::problem::Problem;
use super::router::Media;
use crate::domain::number::CertificateIdentifier;

/// A JSON body of exactly this shape, in; an answer in JSON, out.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &App) -> Result<Self, Problem> {
        let bytes = collect(request).await?;
        read(&bytes).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(text) => typed(Media::Json, text),
            Err(_) => Problem::fault().into_response(),
        }
    }
}

/// An answer of this form.
pub(super) fn typed(media: Media, body: impl IntoResponse) -> Response {
    ([(axum::http::header::CONTENT_TYPE, media.content_type())], body).into_response()
}

/// The whole body, which the gate bounds.
pub(super) async fn collect(request: Request) -> Result<Bytes, Problem> {
    match request.into_body().collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => Err(refused(error.into_inner())),
    }
}

fn refused(error: Box<dyn std::error::Error + Send + Sync>) -> Problem {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&*error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return Problem::of_length();
        }
        cause = error.source();
    }
    Problem::json("the body broke off")
}

/// A value of exactly this shape.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let value: Strict = serde_json::from_slice(bytes).map_err(|error| {
        let text = error.to_string();
        if let Some(rest) = text.strip_prefix(TWICE) {
            let name = rest.split('`').nth(1).unwrap_or_default();
            return Problem::invalid_field(name, "is there twice");
        }
        Problem::json(&format!("line {}, column {} is not JSON", error.line(), error.column()))
    })?;
    serde_json::from_value(value.0).map_err(|error| shape(&error.to_string()))
}

/// Tells what serde found wrong without what was sent: its own words quote values.
fn shape(text: &str) -> Problem {
    let name = text.split('`').nth(1).unwrap_or_default();
    if text.starts_with("unknown field") {
        return Problem::invalid_field(name, "is not known here");
    }
    if text.starts_with("missing field") {
        return Problem::invalid_field(name, "is missing");
    }
    let expected = text.rsplit_once("expected ").map_or("another form", |(_, expected)| expected);
    Problem::json(&format!("a member has the wrong form: expected {expected}"))
}

/// A JSON value in which no object says a member twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Strict, E> {
        Ok(Strict(Value::Bool(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Strict, E> {
        Ok(Strict(Value::Number(value.into())))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Strict, E> {
        Ok(Strict(Value::Number(value.into())))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Strict, E> {
        Number::from_f64(value)
            .map(|number| Strict(Value::Number(number)))
            .ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Strict, E> {
        Ok(Strict(Value::String(value.to_string())))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Strict, E> {
        Ok(Strict(Value::String(value)))
    }

    fn visit_unit<E: Error>(self) -> Result<Strict, E> {
        Ok(Strict(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Strict, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(element)) = elements.next_element()? {
            list.push(element);
        }
        Ok(Strict(Value::Array(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Strict, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format!("{TWICE}`{name}`")));
            }
            let Strict(value) = members.next_value()?;
            object.insert(name, value);
        }
        Ok(Strict(Value::Object(object)))
    }
}

/// The identifier in the path. One that is none is answered as one that does not exist.
pub(super) struct Identifier(pub(super) CertificateIdentifier);

impl FromRequestParts<App> for Identifier {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let PathText(text) = PathText::from_request_parts(parts, app).await?;
        CertificateIdentifier::parse_foreign(&text).map(Self).map_err(|_| Problem::not_found())
    }
}

/// The identifier in a body.
pub(super) fn parse_identifier(text: &str) -> Result<CertificateIdentifier, Problem> {
    let parsed = CertificateIdentifier::parse_foreign(text);
    parsed.map_err(|_| Problem::invalid_field("identifier", "is not a certificate identifier (GB/T 36904)"))
}

/// The one thing that varies in the path, as text.
pub(super) struct PathText(pub(super) String);

impl FromRequestParts<App> for PathText {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, app).await;
        path.map(|axum::extract::Path(text)| Self(text)).map_err(|_| Problem::not_found())
    }
}

/// Names and values of a query or a form, each name once.
#[derive(Default)]
pub(super) struct Pairs(BTreeMap<String, String>);

impl Pairs {
    /// Reads `a=b&c=d`, percent-encoded.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let mut pairs = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                return Err(Problem::invalid_field("query", "is not percent-encoded UTF-8"));
            };
            if pairs.insert(name.clone(), value).is_some() {
                return Err(Problem::invalid_field(&name, "is there twice"));
            }
        }
        Ok(Self(pairs))
    }

    /// Takes a value out. An empty one is as good as none.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|value| !value.is_empty())
    }

    /// Takes a whole number out, which must lie in the range.
    pub(super) fn number(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<u32>,
        default: u32,
    ) -> Result<u32, Problem> {
        let Some(text) = self.take(name) else { return Ok(default) };
        let reason = format!("must be a whole number from {} to {}", range.start(), range.end());
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| Problem::invalid_field(name, &reason))
    }

    /// Refuses what nobody took.
    pub(super) fn finish(self) -> Result<(), Problem> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(Problem::invalid_field(&name, "is not known here")),
        }
    }
}

impl FromRequestParts<App> for Pairs {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                hex::decode(digits).ok()?[0]
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The `Idempotency-Key`, if there is exactly one and it is well formed.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all("idempotency-key").iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let key = value.to_str().ok()?.trim();
    (1..=KEY_BYTES_MAX).contains(&key.len()).then_some(key)
}

/// The `Idempotency-Key` of a route that needs one.
pub(super) struct RequestKey(pub(super) String);

impl FromRequestParts<App> for RequestKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let key = idempotency_key(&parts.headers).ok_or_else(Problem::key_missing)?;
        Ok(Self(key.to_string()))
    }
}

/// How our own error of a repeated member begins.
const TWICE: &str = "said twice: ";

/// As many implementations of `Idempotency-Key` allow.
const KEY_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "only its shape matters")]
        name: String,
        #[expect(dead_code, reason = "only its shape matters")]
        fields: Map<String, Value>,
    }

    #[track_caller]
    fn check(text: &str, code: &str, detail: &str) {
        let problem = read::<Sample>(text.as_bytes()).err().unwrap();
        assert_eq!((problem.code(), problem.text()), (code, detail), "{text}");
    }

    #[test]
    fn a_body_is_read_strictly_and_never_quoted() {
        check(r#"{"name":"a","name":"b","fields":{}}"#, "request/invalid", "`name` is there twice");
        check(r#"{"name":"a","fields":{"x":1,"x":2}}"#, "request/invalid", "`x` is there twice");
        check(r#"{"name":"a","fields":{},"more":1}"#, "request/invalid", "`more` is not known here");
        check(r#"{"name":"a"}"#, "request/invalid", "`fields` is missing");
        check(
            r#"{"name":["张小明"],"fields":{}}"#,
            "request/json",
            "a member has the wrong form: expected a string",
        );
        check("{", "request/json", "line 1, column 1 is not JSON");
        check(&"[".repeat(1_000), "request/json", "line 1, column 128 is not JSON");
        assert!(read::<Sample>(r#"{"name":"a","fields":{"n":1.5,"l":[null,true,-1]}}"#.as_bytes()).is_ok());
    }

    #[test]
    fn a_query_says_each_thing_once_and_nothing_unknown() {
        let mut pairs = Pairs::parse("type=%E8%AF%81&limit=5&state=").ok().unwrap();
        assert_eq!(pairs.take("type").as_deref(), Some("证"));
        assert_eq!(pairs.number("limit", 1..=100, 20).ok(), Some(5));
        assert_eq!(pairs.take("state"), None);
        assert!(pairs.finish().is_ok());
        assert!(Pairs::parse("a=1&a=2").is_err());
        assert!(Pairs::parse("a=%zz").is_err());
        assert!(Pairs::parse("a=1").ok().unwrap().finish().is_err());
    }

    #[test]
    fn an_idempotency_key_is_short_and_printable() {
        let mut headers = HeaderMap::new();
        assert_eq!(idempotency_key(&headers), None);
        headers.insert("idempotency-key", "a-1".parse().unwrap());
        assert_eq!(idempotency_key(&headers), Some("a-1"));
        headers.insert("idempotency-key", "k".repeat(129).parse().unwrap());
        assert_eq!(idempotency_key(&headers), None);
    }
}
