//! What goes over the wire: the outer shapes of the HTTP interface, in and out.
//!
//! What comes in is refused when it has a member that is not named here. What goes out
//! holds what the caller needs and nothing else. Instants are RFC 3339 in UTC, days are
//! `2026-03-03` in China time, identifiers are text. Types that come in, and those that
//! show people's data, have no `Debug`.
//!
//! # Not here
//!
//! No decision. Whether a certificate may be issued or a code redeemed is the vault's business.

mod certificate;
mod registration;
mod showing;
mod verification;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) use self::certificate::{
    CertificateBody, CertificateHistory, CertificatePage, ChangeBody, IssueBody, IssueResult, IssueRow,
    IssuedView,
};
pub(super) use self::registration::{RegistrationBody, RegistrationList, RegistrationView};
pub(super) use self::showing::{
    AccessPage, OfflineBody, OfflineView, Picture, RevocationPage, ShowingBody, ShowingView, pictured,
};
pub(super) use self::verification::{
    VerificationBody, VerificationResult, VerificationRow, VerificationView,
};
use crate::catalog;

/// A problem (RFC 9457), with a stable code, a hint and the request's id.
#[derive(Serialize, ToSchema)]
pub(super) struct ProblemBody {
    /// Where the problem is described.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// The kind of problem in a few words.
    pub(super) title: String,
    /// The HTTP status.
    pub(super) status: u16,
    /// What happened here.
    pub(super) detail: String,
    /// Stable name for machines.
    pub(super) code: String,
    /// What the caller can do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) errors: Vec<FieldError>,
    /// The request's id, as in `X-Request-Id`.
    pub(super) request: String,
    /// Only from `/oauth/token`: the error code of RFC 6749.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field's key.
    pub field: String,
    /// Stable name for machines.
    pub code: String,
    /// The reason, for the person who filled it in.
    pub reason: String,
}

impl FieldError {
    pub(super) fn new(field: &str, code: &str, reason: &str) -> Self {
        Self { field: field.to_string(), code: code.to_string(), reason: reason.to_string() }
    }
}

/// A text in Chinese and English.
#[derive(Serialize, ToSchema)]
pub(super) struct Bilingual {
    zh: String,
    en: String,
}

impl Bilingual {
    pub(super) fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { zh: zh.into(), en: en.into() }
    }
}

impl From<&catalog::Bilingual> for Bilingual {
    fn from(text: &catalog::Bilingual) -> Self {
        Self::new(&text.zh, &text.en)
    }
}

/// What `/oauth/token` takes (RFC 6749 section 4.4, RFC 7523), as a form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form; `token` reads it pair by pair")]
pub(super) struct TokenForm {
    /// `client_credentials`.
    grant_type: String,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`.
    client_assertion_type: String,
    /// A JWT signed by the registered key: `iss` and `sub` the registration, `aud` this
    /// address, `iat`, `exp` at most five minutes later, `jti` new each time.
    client_assertion: String,
}

/// A backup to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BackupBody {
    /// Its name: 1 to 64 of a-z, 0-9, `-` and `.`, no `.` first.
    pub(super) name: String,
}

/// A backup that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct BackupView {
    /// Its name.
    pub(super) name: String,
    /// Entries in its log.
    pub(super) log_size: u64,
}

/// A bearer token.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenView {
    /// The token.
    pub(super) access_token: String,
    /// `Bearer`.
    pub(super) token_type: &'static str,
    /// Its life in seconds.
    pub(super) expires_in: i64,
}

/// Addresses of all status lists (Token Status List, aggregation).
#[derive(Serialize, ToSchema)]
pub(super) struct StatusLists {
    pub(super) status_lists: Vec<String>,
}

/// Whether the service takes work.
#[derive(Serialize, ToSchema)]
pub(super) struct Readiness {
    /// `ready`.
    pub(super) state: &'static str,
    /// Entries in the released log.
    pub(super) log_size: u64,
}

/// Which sample.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DemoBody {
    /// Its place in the list of samples, from 0.
    pub(super) place: usize,
}

/// A code to verify as the sample agency.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DemoCode {
    /// The QR's text, or the typed code.
    pub(super) code: String,
    /// The place of the sample, whose scenario the case is in.
    pub(super) place: usize,
}
