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
use crate::vault::guard::Caller;
use crate::vault::verify::Presented;
use crate::vault::{Vault, VaultError};

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
        let mut answers: Vec<Option<Answer>> = Vec::with_capacity(rows.len());
        let mut places = Vec::with_capacity(rows.len());
        let mut orders = Vec::with_capacity(rows.len());
        for row in &rows {
            let request = format!("batch:{}:{}", self.key, row.number);
            match row.read::<VerificationRow>().and_then(|body| body.order(request)) {
                Ok(order) => {
                    places.push(answers.len());
                    orders.push(order);
                    answers.push(None);
                }
                Err(problem) => {
                    let result = VerificationResult::refused(row.number, &problem);
                    answers.push(Some(Answer::Line(ndjson::line(&result))));
                }
            }
        }
        for (place, outcome) in places.into_iter().zip(vault.verify_many(&self.caller, orders)) {
            let line = ndjson::line(&VerificationResult::new(rows[place].number, &outcome));
            answers[place] = Some(match outcome {
                Err(VaultError::Overloaded) => Answer::Later(line),
                Err(VaultError::Stopped) => Answer::End,
                _ => Answer::Line(line),
            });
        }
        // One outcome came back for each order; were one missing, the stream must not go on.
        answers.into_iter().map(|answer| answer.unwrap_or(Answer::End)).collect()
    }
}
