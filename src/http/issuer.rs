//! Routes of issuing departments: issue, change, look.
//!
//! Whether this department may issue this type or change this certificate is the vault's
//! business. Every change may be sent again, and answers as it did.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::App;
use super::body::{Identifier, Json, Pairs, RequestKey};
use super::caller::{Standing, Who};
use super::ndjson::{self, Answer, Row, Rows};
use super::problem::Problem;
use super::wire::{
    CertificateBody, CertificateHistory, ChangeBody, IssueBody, IssueResult, IssueRow, IssuedView,
};
use crate::domain::lifecycle::ChangeKind;
use crate::domain::number::CertificateIdentifier;
use crate::vault::Vault;
use crate::vault::guard::Caller;
use crate::vault::issue::Issued;
use crate::vault::view::Reveal;

/// `POST /v1/certificates`.
pub(super) async fn issue(
    State(app): State<App>,
    Who(caller): Who,
    RequestKey(key): RequestKey,
    Json(body): Json<IssueBody>,
) -> Result<Response, Problem> {
    let order = body.order(key)?;
    let issued = app.run(move |vault| vault.issue(&caller, order)).await??;
    Ok(created(&issued))
}

/// `POST /v1/certificates/batch`.
pub(super) async fn batch(
    State(app): State<App>,
    standing: Standing,
    RequestKey(key): RequestKey,
    body: Body,
) -> Response {
    let rows = IssueRows { caller: standing.caller.clone(), key };
    ndjson::answer(app, standing, rows, body)
}

/// `GET /v1/certificates/{identifier}`.
pub(super) async fn certificate(
    State(app): State<App>,
    Who(caller): Who,
    Identifier(identifier): Identifier,
    mut query: Pairs,
) -> Result<Json<CertificateBody>, Problem> {
    let reveal = reveal(&mut query)?;
    query.finish()?;
    let view = app.run(move |vault| vault.issued(&caller, &identifier, reveal)).await??;
    Ok(Json((&view).into()))
}

/// `GET /v1/certificates/{identifier}/history`.
pub(super) async fn history(
    State(app): State<App>,
    Who(caller): Who,
    Identifier(identifier): Identifier,
) -> Result<Json<CertificateHistory>, Problem> {
    let views = app.run(move |vault| vault.history(&caller, &identifier)).await??;
    Ok(Json(views.as_slice().into()))
}

/// `PUT /v1/certificates/{identifier}/suspension`: suspending a suspended certificate answers
/// 200 with the same body, so an issuer whose connection dropped can send the request again.
pub(super) async fn suspend(
    State(app): State<App>,
    Who(caller): Who,
    Identifier(identifier): Identifier,
    Json(body): Json<ChangeBody>,
) -> Result<Json<CertificateBody>, Problem> {
    change(app, caller, identifier, body, ChangeKind::Suspend, None).await
}

/// `DELETE /v1/certificates/{identifier}/suspension`.
pub(super) async fn resume(
    State(app): State<App>,
    Who(caller): Who,
    Identifier(identifier): Identifier,
    Json(body): Json<ChangeBody>,
) -> Result<Json<CertificateBody>, Problem> {
    change(app, caller, identifier, body, ChangeKind::Resume, None).await
}

/// `POST /v1/certificates/{identifier}/revocation`.
pub(super) async fn revoke(
    State(app): State<App>,
    Who(caller): Who,
    Identifier(identifier): Identifier,
    RequestKey(key): RequestKey,
    Json(body): Json<ChangeBody>,
) -> Result<Json<CertificateBody>, Problem> {
    change(app, caller, identifier, body, ChangeKind::Revoke, Some(key)).await
}

/// `POST /v1/certificates/{identifier}/cancellation`.
pub(super) async fn cancel(
    State(app): State<App>,
    Who(caller): Who,
    Identifier(identifier): Identifier,
    RequestKey(key): RequestKey,
    Json(body): Json<ChangeBody>,
) -> Result<Json<CertificateBody>, Problem> {
    change(app, caller, identifier, body, ChangeKind::Cancel, Some(key)).await
}

/// `POST /v1/certificates/{identifier}/withdrawal`.
pub(super) async fn withdraw(
    State(app): State<App>,
    Who(caller): Who,
    Identifier(identifier): Identifier,
    RequestKey(key): RequestKey,
    Json(body): Json<ChangeBody>,
) -> Result<Json<CertificateBody>, Problem> {
    change(app, caller, identifier, body, ChangeKind::Withdraw, Some(key)).await
}

/// `POST /v1/certificates/{identifier}/transfer`.
pub(super) async fn transfer(
    State(app): State<App>,
    Who(caller): Who,
    Identifier(identifier): Identifier,
    RequestKey(key): RequestKey,
    Json(body): Json<ChangeBody>,
) -> Result<Json<CertificateBody>, Problem> {
    change(app, caller, identifier, body, ChangeKind::Transfer, Some(key)).await
}

/// `POST /v1/certificates/{identifier}/replacement`.
pub(super) async fn replace(
    State(app): State<App>,
    Who(caller): Who,
    Identifier(identifier): Identifier,
    RequestKey(key): RequestKey,
    Json(body): Json<IssueBody>,
) -> Result<Response, Problem> {
    let order = body.order(key)?;
    let issued = app.run(move |vault| vault.replace(&caller, &identifier, order)).await??;
    Ok(created(&issued))
}

async fn change(
    app: App,
    caller: Caller,
    identifier: CertificateIdentifier,
    body: ChangeBody,
    kind: ChangeKind,
    request: Option<String>,
) -> Result<Json<CertificateBody>, Problem> {
    let order = body.order(kind, request)?;
    let view = app.run(move |vault| vault.change(&caller, &identifier, order)).await??;
    Ok(Json((&view).into()))
}

/// The same answer for the first time and for a repetition.
fn created(issued: &Issued) -> Response {
    let identifier = issued.identifier.to_string();
    let location = HeaderValue::from_str(&format!("/v1/certificates/{identifier}"));
    let mut response = (StatusCode::CREATED, Json(IssuedView { identifier })).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Whether the query asks for values unmasked.
pub(super) fn reveal(query: &mut Pairs) -> Result<Reveal, Problem> {
    match query.take("reveal").as_deref() {
        None | Some("masked") => Ok(Reveal::Masked),
        Some("full") => Ok(Reveal::Full),
        Some(_) => Err(Problem::invalid_field("reveal", "must be `masked` or `full`")),
    }
}

/// The rows of a batch of orders.
struct IssueRows {
    caller: Caller,
    key: String,
}

impl Rows for IssueRows {
    fn work(&self, vault: &Vault, rows: Vec<Row>) -> Vec<Answer> {
        let read = |row: &Row| {
            let request = format!("batch:{}:{}", self.key, row.number);
            row.read::<IssueRow>().and_then(|body| body.order(request))
        };
        let work = |orders| vault.issue_many(&self.caller, orders);
        ndjson::in_place(&rows, read, work, IssueResult::refused, IssueResult::new)
    }
}
