//! Backups: copies of the vault while it runs.
//!
//! The name is a folder below the one that the operator chose; the caller chooses no path.
//! A backup is never written over.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::App;
use super::body::Json;
use super::caller::Who;
use super::problem::Problem;
use super::wire::{BackupBody, BackupView};

/// `POST /v1/backups`.
pub(super) async fn make(
    State(app): State<App>,
    Who(caller): Who,
    Json(body): Json<BackupBody>,
) -> Result<Response, Problem> {
    let folder = app.backups().ok_or_else(Problem::not_found)?.to_owned();
    let shaped = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let name = body.name;
    if name.is_empty() || name.len() > NAME_MAX || name.starts_with('.') || !name.bytes().all(shaped) {
        return Err(Problem::invalid_field("name", "must be 1 to 64 of a-z, 0-9, `-` and `.`, no `.` first"));
    }
    let place = folder.join(&name);
    if place.exists() {
        return Err(Problem::invalid_field("name", "belongs to a backup already"));
    }
    let log_size = app.run(move |vault| vault.backup(&caller, &place).map(|manifest| manifest.head.size));
    Ok((StatusCode::CREATED, Json(BackupView { name, log_size: log_size.await?? })).into_response())
}

/// Longest name of a backup.
const NAME_MAX: usize = 64;
