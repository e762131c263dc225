//! What everybody may read: the log, status lists, trust, types, issuers, and how the service is.
//!
//! All of it is bytes that caches may keep: tiles for ever, lists for their `ttl`, the
//! checkpoint not at all, since it is what makes the rest fresh.

use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::App;
use super::body::{Json, PathText, typed};
use super::problem::Problem;
use super::router::Media;
use super::wire::{Readiness, StatusLists};
use crate::domain::digest::Digest;
use crate::log::tile::TilePath;
use crate::vault::opening::WriterHealth;

/// `GET /log/{log}/checkpoint`.
pub(super) async fn checkpoint(State(app): State<App>, PathText(log): PathText) -> Result<Response, Problem> {
    let log = log_number(&log)?;
    let note = app.run(move |vault| vault.checkpoint(log)).await??;
    let note = note.filter(|note| !note.is_empty()).ok_or_else(Problem::not_found)?;
    Ok(cached(typed(Media::Text, note), "no-cache"))
}

/// `GET /log/{log}/tile/{*path}`.
pub(super) async fn tile(
    State(app): State<App>,
    path: Result<Path<(String, String)>, axum::extract::rejection::PathRejection>,
) -> Result<Response, Problem> {
    let Ok(Path((log, rest))) = path else { return Err(Problem::not_found()) };
    let log = log_number(&log)?;
    let path: TilePath = format!("tile/{rest}").parse().map_err(|_| Problem::not_found())?;
    let bytes = app.run(move |vault| vault.tile(log, &path)).await??.ok_or_else(Problem::not_found)?;
    Ok(cached(typed(Media::Octets, bytes), FOR_EVER))
}

/// `GET /log/{log}/loss-statement`.
pub(super) async fn loss_statement(
    State(app): State<App>,
    PathText(log): PathText,
) -> Result<Response, Problem> {
    let log = log_number(&log)?;
    let statement = app.run(move |vault| vault.loss_statement(log)).await??.ok_or_else(Problem::not_found)?;
    Ok(cached(typed(Media::Jwt, statement), "public, max-age=300"))
}

/// `GET /status`.
pub(super) async fn status_lists(State(app): State<App>) -> Result<Response, Problem> {
    let status_lists = app.run(|vault| vault.status_uris()).await?;
    Ok(cached(Json(StatusLists { status_lists }).into_response(), "public, max-age=60"))
}

/// `GET /status/{list}`.
pub(super) async fn status_list(
    State(app): State<App>,
    PathText(list): PathText,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let list: u32 =
        list.parse().ok().filter(|number: &u32| number.to_string() == list).ok_or_else(Problem::not_found)?;
    let signed = app.run(move |vault| vault.status_token(list)).await??.ok_or_else(Problem::not_found)?;
    let tagged = tagged(&signed.digest, &headers, || typed(Media::StatusList, signed.jwt.clone()));
    Ok(cached(tagged, "public, max-age=30"))
}

/// `GET /trust`.
pub(super) async fn trust(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    let bundle = app.run(|vault| vault.trust_bundle()).await??;
    let digest = Digest::of(&[bundle.as_bytes()]);
    Ok(cached(tagged(&digest, &headers, || typed(Media::Jwt, bundle)), "public, max-age=60"))
}

/// `GET /types/{code}/{version}`.
pub(super) async fn type_metadata(
    State(app): State<App>,
    path: Result<Path<(String, u16)>, axum::extract::rejection::PathRejection>,
) -> Result<Response, Problem> {
    let Ok(Path((code, version))) = path else { return Err(Problem::not_found()) };
    let metadata = app.run(move |vault| vault.type_metadata(&code, version)).await?;
    let metadata = metadata.ok_or_else(Problem::not_found)?;
    // A version of a type never changes once a certificate of it was issued.
    Ok(cached(Json(metadata).into_response(), "public, max-age=86400"))
}

/// `GET /issuers/{uscc}`.
pub(super) async fn issuer(State(app): State<App>, PathText(uscc): PathText) -> Result<Response, Problem> {
    let metadata = app.run(move |vault| vault.issuer_metadata(&uscc)).await?;
    let metadata = metadata.ok_or_else(Problem::not_found)?;
    Ok(cached(Json(metadata).into_response(), "public, max-age=300"))
}

/// `GET /.well-known/jwt-vc-issuer/issuers/{uscc}`.
pub(super) async fn issuer_metadata(app: State<App>, uscc: PathText) -> Result<Response, Problem> {
    issuer(app, uscc).await
}

/// `GET /healthz`: the process answers, and says no more.
pub(super) async fn alive() -> Response {
    typed(Media::Text, "alive\n")
}

/// `GET /readyz`: it takes work. Not while stopping, and not once the writer has stopped.
pub(super) async fn ready(State(app): State<App>) -> Result<Json<Readiness>, Problem> {
    if app.stopping() {
        return Err(Problem::not_ready("the service is stopping"));
    }
    let health = app.run(|vault| vault.health()).await?;
    match health.writer {
        WriterHealth::Running => Ok(Json(Readiness { state: "ready", log_size: health.log_size })),
        WriterHealth::Stopped => {
            Err(Problem::not_ready("the writer has stopped; the vault must be opened again"))
        }
    }
}

/// `GET /metrics`.
pub(super) async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    let text = app.figures().await?;
    let mut response = text.into_response();
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response.headers_mut().insert(axum::http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}

/// Logs that closed after a loss are served as well: whether it is here is the vault's to say.
fn log_number(log: &str) -> Result<u16, Problem> {
    log.parse().ok().filter(|number: &u16| number.to_string() == log).ok_or_else(Problem::not_found)
}

fn cached(mut response: Response, policy: &'static str) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(policy));
    response
}

/// The answer with its tag, or 304 when the caller has it already.
fn tagged(digest: &Digest, headers: &HeaderMap, whole: impl FnOnce() -> Response) -> Response {
    let tag = format!("\"{}\"", &digest.to_string()[..32]);
    let held = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let same = held.is_some_and(|held| held.split(',').any(|one| one.trim().trim_start_matches("W/") == tag));
    let mut response = if same { StatusCode::NOT_MODIFIED.into_response() } else { whole() };
    if let Ok(value) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, value);
    }
    response
}

const FOR_EVER: &str = "public, max-age=31536000, immutable";
