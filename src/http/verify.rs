//! Routes of agencies: verify what is shown.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;

use super::App;
use super::body::{Json, RequestKey};
use super::caller::{Standing, Who};
use super::ndjson::{self, Answer, Row, Rows};
use super::problem::Problem;
use super::wire::{VerificationBody, VerificationResult, VerificationRow, VerificationView};
use crate::vault::Vault;
use crate::vault::guard::Caller;
use crate::vault::verify::Presented;

/// `POST /v1/verifications`.
pub(super) async fn verify(
    State(app): State<App>,
    Who(caller): Who,
    RequestKey(key): RequestKey,
    Json(body): Json<VerificationBody>,
) -> Result<Json<VerificationView>, Problem> {
    let order = body.order(key)?;
    let photo = matches!(order.presented, Presented::Image(_));
    let verb = move |vault: &Vault| vault.verify(&caller, order);
    let verification = if photo { app.run_picture(verb).await } else { app.run(verb).await };
    let verification = verification??;
    Ok(Json((&verification).into()))
}

/// `POST /v1/verifications/batch`.
pub(super) async fn batch(
    State(app): State<App>,
    standing: Standing,
    RequestKey(key): RequestKey,
    body: Body,
) -> Response {
    let rows = VerificationRows { caller: standing.caller.clone(), key };
    ndjson::answer(app, standing, rows, body)
}

/// The rows of a batch of verifications.
struct VerificationRows {
    caller: Caller,
    key: String,
}

impl Rows for VerificationRows {
    fn work(&self, vault: &Vault, rows: Vec<Row>) -> Vec<Answer> {
        let read = |row: &Row| {
            let request = format!("batch:{}:{}", self.key, row.number);
            row.read::<VerificationRow>().and_then(|body| body.order(request))
        };
        let work = |orders| vault.verify_many(&self.caller, orders);
        ndjson::in_place(&rows, read, work, VerificationResult::refused, VerificationResult::new)
    }
}
