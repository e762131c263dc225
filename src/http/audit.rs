//! Routes of auditors.

use axum::extract::State;

use super::App;
use super::body::{Json, Pairs};
use super::caller::Who;
use super::problem::Problem;
use super::wallet::limit;
use super::wire::RevocationPage;
use crate::domain::time::UnixTime;

/// `GET /v1/audit/revocations`: changes recorded from `from` up to before `until`; all of them when absent.
pub(super) async fn revocations(
    State(app): State<App>,
    Who(caller): Who,
    mut query: Pairs,
) -> Result<Json<RevocationPage>, Problem> {
    let from = instant(&mut query, "from")?.unwrap_or_default();
    let until = instant(&mut query, "until")?.unwrap_or(UnixTime::clamped(i64::MAX));
    let cursor = query.take("cursor");
    let limit = limit(&mut query)?;
    query.finish()?;
    let page =
        app.run(move |vault| vault.revocations(&caller, from, until, cursor.as_deref(), limit)).await??;
    Ok(Json(page.into()))
}

fn instant(query: &mut Pairs, name: &str) -> Result<Option<UnixTime>, Problem> {
    let Some(text) = query.take(name) else { return Ok(None) };
    let instant = text.parse().map_err(|error| {
        let error: crate::domain::time::TimeError = error;
        Problem::invalid_field(name, &format!("is {error}"))
    });
    instant.map(Some)
}
