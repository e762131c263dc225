//! Problems: every answer that is not what was asked for (RFC 9457).
//!
//! A handler returns a [`Problem`]; the outermost layer writes it as
//! `application/problem+json` with the request's id, so that there is one place that
//! does. `code` is stable; `detail` is for people and holds no value that was sent in
//! and no text of a driver or parser.

use std::fmt;

use axum::http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::wire::{FieldError, ProblemBody};
use crate::vault::VaultError;

/// An answer that is not what was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem(Box<Parts>);

/// In a box: an answer that went well should not be as large as one that did not.
#[derive(Clone, Debug, PartialEq)]
struct Parts {
    status: StatusCode,
    title: &'static str,
    code: &'static str,
    detail: String,
    hint: Option<&'static str>,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
    oauth: Option<&'static str>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self(Box::new(Parts {
            status,
            title,
            code,
            detail: title.to_string(),
            hint: None,
            errors: vec![],
            headers: vec![],
            oauth: None,
        }))
    }

    fn hint(mut self, hint: &'static str) -> Self {
        self.0.hint = Some(hint);
        self
    }

    fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = detail.into();
        self
    }

    fn retry_after(mut self, seconds: u64) -> Self {
        self.0.headers.push((RETRY_AFTER, HeaderValue::from(seconds)));
        self
    }

    /// Too many at once: the request was not begun.
    pub(super) fn busy() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "http/busy", "too many requests are being served")
            .hint("wait a little and send the same request again")
            .retry_after(1)
    }

    /// The client's key was not accepted (RFC 6749, section 5.2).
    pub(super) fn client_refused() -> Self {
        let mut problem = Self::new(
            StatusCode::UNAUTHORIZED,
            "access/client-refused",
            "the client assertion is not accepted",
        )
        .hint("sign a fresh assertion with the registered key; its audience is this address");
        problem.0.oauth = Some("invalid_client");
        problem
    }

    /// The body is not in the form that the route takes.
    pub(super) fn content_type(expected: &'static str) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "request/content-type", "the body has another form")
            .detail(format!("this route takes `{expected}`"))
            .hint("name the body's form in `Content-Type`")
    }

    /// Something broke on our side.
    pub(super) fn fault() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "http/fault", "something broke on our side")
            .hint("tell the operator the request id")
    }

    /// This caller's role may not do this.
    pub(super) fn forbidden() -> Self {
        Self::from(VaultError::Forbidden)
    }

    /// What a body, query or path says cannot be.
    pub(super) fn invalid(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "request/invalid",
            "the request cannot be understood",
        );
        if let Some(first) = errors.first() {
            problem.0.detail = format!("`{}` {}", first.field, first.reason);
        }
        problem.0.errors = errors;
        problem.hint("mend the fields named and send the request again")
    }

    /// One field cannot be.
    pub(super) fn invalid_field(field: &str, reason: &str) -> Self {
        Self::invalid(vec![FieldError::new(field, "request/invalid", reason)])
    }

    /// The body is not JSON, or says something twice.
    pub(super) fn json(reason: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "request/json", "the body is not the JSON this route takes")
            .detail(reason)
    }

    /// The route needs an `Idempotency-Key`.
    pub(super) fn key_missing() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "request/key-missing", "the `Idempotency-Key` is missing or malformed")
            .hint("send a new random `Idempotency-Key` of 1 to 128 printable ASCII characters with each new request")
    }

    /// The path exists, the method does not.
    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "http/method-not-allowed", "this path has other methods")
            .hint("`Allow` names the methods; /docs lists every route")
    }

    /// There is none, or none that this caller may know of.
    pub(super) fn not_found() -> Self {
        Self::from(VaultError::NotFound)
    }

    /// No such path.
    pub(super) fn no_such_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "http/no-such-route", "there is no such route")
            .hint("/docs lists every route")
    }

    /// Answers nothing yet, or no longer.
    pub(super) fn not_ready(reason: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "http/not-ready", "the service takes no work now")
            .detail(reason)
            .retry_after(5)
    }

    /// The token route was asked for something it does not give.
    pub(super) fn token_request(oauth: &'static str, reason: &'static str) -> Self {
        let mut problem =
            Self::new(StatusCode::BAD_REQUEST, "request/token", "no token can be given for this")
                .detail(reason)
                .hint("send grant_type=client_credentials with a private_key_jwt client assertion");
        problem.0.oauth = Some(oauth);
        problem
    }

    /// It took too long; whether it was done is found by sending it again.
    pub(super) fn timeout() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "http/timeout", "the request took too long")
            .hint("send the same request again, with the same key")
            .retry_after(1)
    }

    /// The body is larger than the route takes.
    pub(super) fn too_large(bytes_max: usize) -> Self {
        Self::of_length().detail(format!("this route takes at most {bytes_max} bytes"))
    }

    /// The body went on beyond what the route takes.
    pub(super) fn of_length() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request/too-large", "the body is too large")
    }

    /// Too often.
    pub(super) fn too_many(wait_seconds: u64) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "http/too-many-requests",
            "too many requests in a short time",
        )
        .hint("wait as long as `Retry-After` says")
        .retry_after(wait_seconds.max(1))
    }

    /// This caller has as many streams open as one may.
    pub(super) fn too_many_streams(most: usize) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "http/too-many-streams",
            "this caller has too many streams open",
        )
        .detail(format!("one caller may have {most} streams open"))
        .hint("wait until one of them has ended, or send its rows in it")
        .retry_after(1)
    }

    /// No token, or none that is accepted; which of the two is not told.
    pub(super) fn unauthenticated() -> Self {
        let mut problem =
            Self::new(StatusCode::UNAUTHORIZED, "access/unauthenticated", "a valid bearer token is needed")
                .hint("ask /oauth/token for a token and send it in `Authorization: Bearer`");
        problem.0.headers.push((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"kabao\"")));
        problem
    }

    /// What stands for an answer that somebody below us made without words.
    pub(super) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::no_such_route(),
            StatusCode::METHOD_NOT_ALLOWED => Self::method_not_allowed(),
            status if status.is_server_error() => Self::fault(),
            status => Self::new(status, "http/refused", "the request cannot be understood"),
        }
    }

    /// Its stable name.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What is wrong with which field.
    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    /// What it says to people.
    pub fn text(&self) -> &str {
        &self.0.detail
    }

    /// The answer as it is sent, with the request's id.
    pub(super) fn written(&self, request: &str) -> Response {
        let body = ProblemBody {
            kind: format!("/docs#{}", self.0.code.replace('/', "-")),
            title: self.0.title.to_string(),
            status: self.0.status.as_u16(),
            detail: self.0.detail.clone(),
            code: self.0.code.to_string(),
            hint: self.0.hint.map(str::to_string),
            errors: self.0.errors.clone(),
            request: request.to_string(),
            error: self.0.oauth.map(str::to_string),
        };
        let text = serde_json::to_vec(&body).expect("strings and numbers are always JSON");
        let mut response = (self.0.status, text).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in &self.0.headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        response
    }
}

/// An empty answer that carries the problem: the outermost layer writes it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        let (status, title) = match &error {
            VaultError::ClockBack => (StatusCode::SERVICE_UNAVAILABLE, "the service writes nothing now"),
            VaultError::CodeRefused => (StatusCode::UNPROCESSABLE_ENTITY, "the code is not accepted"),
            VaultError::Forbidden => (StatusCode::FORBIDDEN, "this caller may not do this"),
            VaultError::IllegalMove { .. } => {
                (StatusCode::CONFLICT, "the certificate's state does not allow this")
            }
            VaultError::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "fields are wrong"),
            VaultError::NotFound => (StatusCode::NOT_FOUND, "there is none"),
            VaultError::NotYourType => (StatusCode::FORBIDDEN, "this department does not issue this type"),
            VaultError::NumberTaken => (StatusCode::CONFLICT, "the number is taken"),
            VaultError::OverAsking { .. } => {
                (StatusCode::FORBIDDEN, "more was asked than the scenario allows")
            }
            VaultError::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "too much is waiting"),
            VaultError::RequestReused => {
                (StatusCode::UNPROCESSABLE_ENTITY, "the key was used for another request")
            }
            VaultError::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "the service has stopped"),
            VaultError::TooLong => (StatusCode::UNPROCESSABLE_ENTITY, "the fields do not fit"),
            VaultError::UnknownType => {
                (StatusCode::UNPROCESSABLE_ENTITY, "there is no such certificate type")
            }
            VaultError::Unreadable => (StatusCode::INTERNAL_SERVER_ERROR, "something broke on our side"),
        };
        let mut problem = Self::new(status, error.code(), title).detail(error.to_string());
        problem.0.hint = error.hint();
        problem.0.errors = field_errors(&error);
        if status == StatusCode::SERVICE_UNAVAILABLE { problem.retry_after(1) } else { problem }
    }
}

/// What a vault error says about single fields.
pub(super) fn field_errors(error: &VaultError) -> Vec<FieldError> {
    match error {
        VaultError::Invalid(faults) => {
            faults.iter().map(|fault| FieldError::new(&fault.field, fault.code, &fault.reason)).collect()
        }
        VaultError::NumberTaken => vec![FieldError::new("number", error.code(), "is taken")],
        VaultError::OverAsking { fields } => {
            let reason = "is not allowed in this scenario";
            fields.iter().map(|field| FieldError::new(field, error.code(), reason)).collect()
        }
        VaultError::UnknownType => vec![FieldError::new("type", error.code(), "is no certificate type")],
        _ => vec![],
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.0.status.as_u16(), self.0.code, self.0.detail)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(problem: Problem, status: u16, code: &str) {
        assert_eq!((problem.status().as_u16(), problem.code()), (status, code));
        let response = problem.written("r-1");
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let waits = matches!(status, 429 | 503);
        assert_eq!(response.headers().contains_key(RETRY_AFTER), waits, "{code}");
        assert_eq!(response.headers().contains_key(WWW_AUTHENTICATE), code == "access/unauthenticated");
    }

    #[test]
    fn every_kind_of_problem_has_its_status_and_a_stable_code() {
        check(Problem::no_such_route(), 404, "http/no-such-route");
        check(Problem::method_not_allowed(), 405, "http/method-not-allowed");
        check(Problem::too_large(9), 413, "request/too-large");
        check(Problem::content_type("application/json"), 415, "request/content-type");
        check(Problem::invalid_field("reason", "is unknown"), 422, "request/invalid");
        check(Problem::too_many(3), 429, "http/too-many-requests");
        check(Problem::too_many_streams(4), 429, "http/too-many-streams");
        check(Problem::fault(), 500, "http/fault");
        check(Problem::busy(), 503, "http/busy");
        check(Problem::timeout(), 503, "http/timeout");
        check(Problem::not_ready("is stopping"), 503, "http/not-ready");
        check(Problem::json("is empty"), 400, "request/json");
        check(Problem::key_missing(), 400, "request/key-missing");
        check(Problem::unauthenticated(), 401, "access/unauthenticated");
        check(Problem::client_refused(), 401, "access/client-refused");
        check(Problem::token_request("invalid_request", "no grant"), 400, "request/token");
        check(VaultError::Forbidden.into(), 403, "access/forbidden");
        check(VaultError::NotFound.into(), 404, "access/not-found");
        check(VaultError::NumberTaken.into(), 409, "certificate/number-taken");
        check(VaultError::CodeRefused.into(), 422, "show/code-refused");
        check(VaultError::Overloaded.into(), 503, "vault/overloaded");
        check(VaultError::Stopped.into(), 503, "vault/stopped");
        check(VaultError::Unreadable.into(), 500, "vault/unreadable");
        check(VaultError::RequestReused.into(), 422, "request/key-reused");
    }

    #[test]
    fn over_asking_names_the_fields() {
        let problem = Problem::from(VaultError::OverAsking { fields: vec!["address".into()] });
        assert_eq!(problem.errors()[0].field, "address");
    }
}
