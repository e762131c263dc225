//! Who calls: from a bearer token to a caller whose role the route allows.
//!
//! The vault checks the token and that its registration is still active, at every call.
//! A handler's [`Who`] can only have come through [`admit`]. A missing token, a forged
//! one and an expired one get the same answer. Where tokens cannot be checked nobody is
//! told that theirs is bad.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::App;
use super::problem::Problem;
use crate::vault::Vault;
use crate::vault::guard::{Caller, Role};
use crate::vault::token::TokenError;

/// The caller, admitted to this route.
#[derive(Clone)]
pub(super) struct Who(pub(super) Caller);

impl FromRequestParts<App> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        // Only the gate puts it there; a route for the public that asks for a caller is our mistake.
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::fault)
    }
}

/// The caller of a stream, who must remain admitted as long as it lasts.
pub(super) struct Standing {
    token: String,
    /// As admitted when the stream began.
    pub(super) caller: Caller,
}

impl FromRequestParts<App> for Standing {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Who(caller) = Who::from_request_parts(parts, app).await?;
        let token = bearer(&parts.headers).ok_or_else(Problem::unauthenticated)?.to_string();
        Ok(Self { token, caller })
    }
}

impl Standing {
    /// Whether the token still stands for this caller: in time, and not withdrawn since.
    pub(super) fn holds(&self, vault: &Vault) -> bool {
        vault.admit_token(&self.token).is_ok_and(|caller| caller == self.caller)
    }
}

/// The caller whose token the request bears, if one of these roles is theirs.
///
/// # Errors
/// 401 without a token that is accepted, 403 for another role, 503 when tokens cannot be checked.
pub(super) async fn admit(app: &App, headers: &HeaderMap, roles: &'static [Role]) -> Result<Caller, Problem> {
    let token = bearer(headers).ok_or_else(Problem::unauthenticated)?.to_string();
    let caller = app.run(move |vault| vault.admit_token(&token)).await?;
    let caller = caller.map_err(refused)?;
    if roles.contains(&caller.role) { Ok(caller) } else { Err(Problem::forbidden()) }
}

fn refused(error: TokenError) -> Problem {
    match error {
        TokenError::Refused => Problem::unauthenticated(),
        TokenError::Unavailable => {
            tracing::error!(error.code = error.code(), "{error}");
            Problem::not_ready("tokens cannot be checked now")
        }
    }
}

/// The token of the one `Authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= TOKEN_BYTES_MAX)
        .then_some(token)
}

/// Our tokens have about 400 bytes.
const TOKEN_BYTES_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[&str], expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        assert_eq!(bearer(&headers), expected);
    }

    #[test]
    fn a_token_that_cannot_be_checked_is_not_called_bad() {
        assert_eq!(refused(TokenError::Refused).status().as_u16(), 401);
        let problem = refused(TokenError::Unavailable);
        assert_eq!((problem.status().as_u16(), problem.code()), (503, "http/not-ready"));
        assert!(problem.written("r").headers().contains_key("retry-after"));
    }

    #[test]
    fn a_token_comes_in_one_header_and_no_other_way() {
        check(&["Bearer abc.def"], Some("abc.def"));
        check(&["bearer abc.def"], Some("abc.def"));
        check(&[], None);
        check(&["Bearer "], None);
        check(&["Basic abc"], None);
        check(&["Bearer a", "Bearer b"], None);
        let long = format!("Bearer {}", "a".repeat(TOKEN_BYTES_MAX + 1));
        check(&[&long], None);
    }
}
