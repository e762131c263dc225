//! The token route: `client_credentials` with a signed assertion (RFC 6749 section 4.4, RFC 7523).
//!
//! Nothing else gives tokens over HTTP. Refusals are problems that also carry the error
//! code of RFC 6749, and do not tell an unknown client from a wrong signature.

use axum::extract::{Request, State};

use super::App;
use super::body::{Json, Pairs, collect};
use super::problem::Problem;
use super::wire::TokenView;
use crate::vault::token::TokenError;

/// `POST /oauth/token`.
pub(super) async fn token(State(app): State<App>, request: Request) -> Result<Json<TokenView>, Problem> {
    let body = collect(request).await?;
    let text = std::str::from_utf8(&body)
        .map_err(|_| Problem::token_request("invalid_request", "the form is not text"))?;
    let mut form =
        Pairs::parse(text).map_err(|_| Problem::token_request("invalid_request", "the form is malformed"))?;
    if form.take("grant_type").as_deref() != Some("client_credentials") {
        return Err(Problem::token_request(
            "unsupported_grant_type",
            "`grant_type` must be `client_credentials`",
        ));
    }
    if form.take("client_assertion_type").as_deref() != Some(ASSERTION_TYPE) {
        let reason = "`client_assertion_type` must name a JWT bearer assertion";
        return Err(Problem::token_request("invalid_request", reason));
    }
    let assertion = form
        .take("client_assertion")
        .ok_or_else(|| Problem::token_request("invalid_request", "`client_assertion` is missing"))?;
    let minted = app.run(move |vault| vault.token_for_assertion(&assertion)).await?;
    let minted = minted.map_err(|error| match error {
        TokenError::Refused => Problem::client_refused(),
        TokenError::Unavailable => Problem::not_ready("tokens cannot be signed now"),
    })?;
    Ok(Json(TokenView { access_token: minted.token, token_type: "Bearer", expires_in: minted.expires_in }))
}

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
