//! Backups: copies of the vault while it runs.
//!
//! The name is a folder below the one that the operator chose; the caller chooses no path.
//! A backup is never written over. One is made at a time, and takes as long as it takes: a
//! caller who was cut off sends the same request again, which waits for its turn and then
//! answers what the first has made.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::App;
use super::body::{Json, RequestKey};
use super::caller::Who;
use super::problem::Problem;
use super::wire::{BackupBody, BackupView};

/// `POST /v1/backups`.
pub(super) async fn make(
    State(app): State<App>,
    Who(caller): Who,
    RequestKey(key): RequestKey,
    Json(body): Json<BackupBody>,
) -> Result<Response, Problem> {
    let folder = app.backups().ok_or_else(Problem::not_found)?.to_owned();
    let name = body.name;
    check_name(&name)?;
    let turn = app.gates().copies().acquire_owned().await.map_err(|_| Problem::busy())?;
    let below = name.clone();
    let made = app.run(move |vault| {
        let made = vault.backup_named(&caller, &folder, &below, &key);
        // With the verb, not with the request: one that was given up is still at work.
        drop(turn);
        made
    });
    let manifest =
        made.await??.ok_or_else(|| Problem::invalid_field("name", "belongs to a backup already"))?;
    let view = BackupView { name, log_size: manifest.head.size };
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

fn check_name(name: &str) -> Result<(), Problem> {
    let shaped = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    if name.is_empty() || name.len() > NAME_MAX || name.starts_with('.') || !name.bytes().all(shaped) {
        return Err(Problem::invalid_field("name", "must be 1 to 64 of a-z, 0-9, `-` and `.`, no `.` first"));
    }
    if OWN_ENDS.iter().any(|end| name.ends_with(end)) {
        return Err(Problem::invalid_field("name", "must not end in `.part` or `.request`"));
    }
    Ok(())
}

/// Ends of what lies beside a backup (`store::backup`).
const OWN_ENDS: [&str; 2] = [".part", ".request"];

/// Longest name of a backup.
const NAME_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_folder_and_none_of_our_own() {
        for name in ["2026-03-03", "a.b", "parts"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", ".", "..", ".a", "a/b", "A", "a.part", "a.request", &"a".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
