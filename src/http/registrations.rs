//! Routes of the security administrator: who may call, in which part.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::App;
use super::body::{Json, PathText};
use super::caller::Who;
use super::problem::Problem;
use super::wire::{RegistrationBody, RegistrationList, RegistrationView};

/// `GET /v1/registrations`.
pub(super) async fn list(
    State(app): State<App>,
    Who(caller): Who,
) -> Result<Json<RegistrationList>, Problem> {
    let registrations = app.run(move |vault| vault.registrations(&caller)).await??;
    Ok(Json(registrations.as_slice().into()))
}

/// `POST /v1/registrations`: registers, or changes a registration; the same again is the same.
pub(super) async fn register(
    State(app): State<App>,
    Who(caller): Who,
    Json(body): Json<RegistrationBody>,
) -> Result<Response, Problem> {
    let registration = body.registration()?;
    let view = RegistrationView::from(&registration);
    app.run(move |vault| vault.register(&caller, registration)).await??;
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

/// `GET /v1/registrations/{id}`.
pub(super) async fn one(
    State(app): State<App>,
    Who(caller): Who,
    PathText(id): PathText,
) -> Result<Json<RegistrationView>, Problem> {
    let registration = app.run(move |vault| vault.registration_for(&caller, &id)).await??;
    Ok(Json((&registration).into()))
}

/// `DELETE /v1/registrations/{id}`: bites on the next call.
pub(super) async fn withdraw(
    State(app): State<App>,
    Who(caller): Who,
    PathText(id): PathText,
) -> Result<StatusCode, Problem> {
    app.run(move |vault| vault.withdraw_registration(&caller, &id)).await??;
    Ok(StatusCode::NO_CONTENT)
}
