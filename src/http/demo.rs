//! Sample work for the first page, in development mode only.
//!
//! Whoever starts the service in development mode gives it a [`Demo`]: a holder, an
//! agency and departments whose verbs these routes call for anybody who asks. Without a
//! `Demo` the routes do not exist. They take JSON, so that no other page can send for them.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::App;
use super::body::{Json, PathText};
use super::problem::Problem;
use super::wallet::svg_answer;
use super::wire::{
    CertificateBody, CertificatePage, DemoBody, DemoCode, Picture, ShowingView, VerificationView, pictured,
};
use crate::domain::lifecycle::{ChangeKind, ReasonCode};
use crate::domain::number::CertificateIdentifier;
use crate::vault::guard::Caller;
use crate::vault::lifecycle::ChangeOrder;
use crate::vault::showing::{ShowItem, ShowOrder};
use crate::vault::verify::{Case, Presented, VerifyOrder};
use crate::vault::view::Reveal;
use crate::vault::wallet::Paged;

/// On whose behalf the first page works.
#[derive(Clone, Debug)]
pub struct Demo {
    /// Holds the samples.
    pub holder: Caller,
    /// Verifies.
    pub clerk: Caller,
    /// What there is to show.
    pub samples: Vec<Sample>,
}

/// One certificate to show.
#[derive(Clone, Debug)]
pub struct Sample {
    /// 电子证照标识.
    pub identifier: CertificateIdentifier,
    /// An officer of the department that issued it.
    pub officer: Caller,
    /// The scenario in which the agency asks, by slug.
    pub scenario: String,
}

/// `GET /demo/certificates`: the samples, masked, in their order.
pub(super) async fn certificates(State(app): State<App>) -> Result<Json<CertificatePage>, Problem> {
    let demo = demo(&app)?.clone();
    let views = app.run(move |vault| {
        let view =
            |sample: &Sample| vault.wallet_certificate(&demo.holder, &sample.identifier, Reveal::Masked);
        demo.samples.iter().map(view).collect::<Result<Vec<_>, _>>()
    });
    let page = Paged { items: views.await??, next: None };
    Ok(Json((&page).into()))
}

/// `GET /demo/certificates/{place}/face.svg`.
pub(super) async fn face(State(app): State<App>, PathText(place): PathText) -> Result<Response, Problem> {
    let place = place.parse().map_err(|_| Problem::not_found())?;
    let (holder, sample) = sample(&app, place)?;
    let svg = app.run(move |vault| {
        vault.wallet_certificate(&holder, &sample.identifier, Reveal::Masked).map(|view| view.face_svg())
    });
    Ok(svg_answer(svg.await??))
}

/// `POST /demo/showings`.
pub(super) async fn show(State(app): State<App>, Json(body): Json<DemoBody>) -> Result<Response, Problem> {
    let (holder, sample) = sample(&app, body.place)?;
    let order = ShowOrder {
        items: vec![ShowItem { identifier: sample.identifier, fields: None }],
        scenario: Some(sample.scenario),
        agency: demo(&app)?.clerk.organisation,
        purpose: "首页演示 / first page".into(),
        continues: None,
    };
    let shown = app.run(move |vault| vault.show(&holder, order)).await??;
    let qr = pictured(&shown.qr_text, Picture::Svg)?;
    Ok((StatusCode::CREATED, Json(ShowingView::new(shown, Some(qr)))).into_response())
}

/// `POST /demo/verifications`: what the sample agency gets for the code.
pub(super) async fn verify(
    State(app): State<App>,
    Json(body): Json<DemoCode>,
) -> Result<Json<VerificationView>, Problem> {
    let (_, sample) = sample(&app, body.place)?;
    let clerk = demo(&app)?.clerk.clone();
    let order = VerifyOrder {
        presented: Presented::Code(body.code),
        case: Case { scenario: sample.scenario, business_number: "DEMO-1".into() },
        supplied: Default::default(),
        request: None,
    };
    let verification = app.run(move |vault| vault.verify(&clerk, order)).await??;
    Ok(Json((&verification).into()))
}

/// `POST /demo/revocations`: as the department that issued it.
pub(super) async fn revoke(
    State(app): State<App>,
    Json(body): Json<DemoBody>,
) -> Result<Json<CertificateBody>, Problem> {
    let (_, sample) = sample(&app, body.place)?;
    let order = ChangeOrder {
        kind: ChangeKind::Revoke,
        reason: ReasonCode::Sanction,
        legal_basis: "首页演示 (demonstration)".into(),
        effective_at: None,
        request: None,
    };
    let view = app.run(move |vault| vault.change(&sample.officer, &sample.identifier, order)).await??;
    Ok(Json((&view).into()))
}

fn demo(app: &App) -> Result<&Demo, Problem> {
    app.demo().ok_or_else(Problem::no_such_route)
}

fn sample(app: &App, place: usize) -> Result<(Caller, Sample), Problem> {
    let demo = demo(app)?;
    let sample = demo.samples.get(place).cloned().ok_or_else(Problem::not_found)?;
    Ok((demo.holder.clone(), sample))
}
