//! Routes of holders: see, show, and see who looked.

use axum::extract::State;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::App;
use super::body::{Identifier, Json, Pairs, PathText, typed};
use super::caller::Who;
use super::issuer::reveal;
use super::problem::Problem;
use super::router::Media;
use super::wire::{
    AccessPage, CertificateBody, CertificatePage, OfflineBody, OfflineView, ShowingBody, ShowingView,
    pictured,
};
use crate::vault::wallet::WalletQuery;

/// `GET /v1/wallet/certificates`.
pub(super) async fn certificates(
    State(app): State<App>,
    Who(caller): Who,
    mut query: Pairs,
) -> Result<Json<CertificatePage>, Problem> {
    let wanted = WalletQuery {
        certificate_type: query.take("type"),
        state: query.take("state"),
        cursor: query.take("cursor"),
        limit: limit(&mut query)?,
    };
    query.finish()?;
    let page = app.run(move |vault| vault.wallet(&caller, &wanted)).await??;
    Ok(Json((&page).into()))
}

/// `GET /v1/wallet/certificates/{identifier}`.
pub(super) async fn certificate(
    State(app): State<App>,
    Who(caller): Who,
    Identifier(identifier): Identifier,
    mut query: Pairs,
) -> Result<Json<CertificateBody>, Problem> {
    let reveal = reveal(&mut query)?;
    query.finish()?;
    let view = app.run(move |vault| vault.wallet_certificate(&caller, &identifier, reveal)).await??;
    Ok(Json((&view).into()))
}

/// `GET /v1/wallet/certificates/{identifier}/face.svg`.
pub(super) async fn face_svg(
    State(app): State<App>,
    Who(caller): Who,
    Identifier(identifier): Identifier,
    mut query: Pairs,
) -> Result<Response, Problem> {
    let reveal = reveal(&mut query)?;
    query.finish()?;
    let svg = app
        .run(move |vault| vault.wallet_certificate(&caller, &identifier, reveal).map(|view| view.face_svg()));
    Ok(svg_answer(svg.await??))
}

/// `GET /v1/wallet/certificates/{identifier}/face.png`.
pub(super) async fn face_png(
    State(app): State<App>,
    Who(caller): Who,
    Identifier(identifier): Identifier,
    mut query: Pairs,
) -> Result<Response, Problem> {
    let reveal = reveal(&mut query)?;
    let width = query.number("width", 200..=2_000, 1_000)?;
    query.finish()?;
    let png =
        app.run_picture(move |vault| vault.wallet_certificate(&caller, &identifier, reveal)?.face_png(width));
    Ok(typed(Media::Png, png.await??))
}

/// `GET /v1/wallet/certificates/{identifier}/credential`.
pub(super) async fn credential(
    State(app): State<App>,
    Who(caller): Who,
    Identifier(identifier): Identifier,
) -> Result<Response, Problem> {
    let text = app.run(move |vault| vault.credential(&caller, &identifier)).await??;
    Ok(typed(Media::Text, text))
}

/// `POST /v1/wallet/showings`.
pub(super) async fn show(
    State(app): State<App>,
    Who(caller): Who,
    Json(body): Json<ShowingBody>,
) -> Result<Response, Problem> {
    let (order, picture) = body.order()?;
    let shown = app.run(move |vault| vault.show(&caller, order)).await??;
    let qr = picture.map(|picture| pictured(&shown.qr_text, picture)).transpose()?;
    Ok((StatusCode::CREATED, Json(ShowingView::new(shown, qr))).into_response())
}

/// `DELETE /v1/wallet/showings/{id}`.
pub(super) async fn end_showing(
    State(app): State<App>,
    Who(caller): Who,
    PathText(id): PathText,
) -> Result<StatusCode, Problem> {
    app.run(move |vault| vault.end_showing(&caller, &id)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/wallet/offline`.
pub(super) async fn show_offline(
    State(app): State<App>,
    Who(caller): Who,
    Json(body): Json<OfflineBody>,
) -> Result<Response, Problem> {
    let (order, picture) = body.order()?;
    let shown = app.run(move |vault| vault.show_offline(&caller, order)).await??;
    let qr = picture.map(|picture| pictured(&shown.text, picture)).transpose()?;
    Ok((StatusCode::CREATED, Json(OfflineView::new(shown, qr))).into_response())
}

/// `GET /v1/wallet/accesses`.
pub(super) async fn accesses(
    State(app): State<App>,
    Who(caller): Who,
    mut query: Pairs,
) -> Result<Json<AccessPage>, Problem> {
    let cursor = query.take("cursor");
    let limit = limit(&mut query)?;
    query.finish()?;
    let page = app.run(move |vault| vault.accesses(&caller, cursor.as_deref(), limit)).await??;
    Ok(Json(page.into()))
}

/// A page's length.
pub(super) fn limit(query: &mut Pairs) -> Result<usize, Problem> {
    let limit = query.number("limit", 1..=100, 20)?;
    usize::try_from(limit).map_err(|_| Problem::fault())
}

/// A picture that may style itself and load nothing.
pub(super) fn svg_answer(svg: String) -> Response {
    let mut response = typed(Media::Svg, svg);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY_PICTURE));
    response
}

const POLICY_PICTURE: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox";
