//! Pages, their style and script, and the OpenAPI document.
//!
//! Pages load nothing from elsewhere and run only our own script; the policy says so.
//! They are Chinese with English beside it. Nothing that a visitor sends is written into
//! a page: what changes is fetched by the script and set as text.

mod docs;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};

use super::App;
use super::body::{PathText, typed};
use super::openapi;
use super::problem::Problem;
use super::router::Media;

/// Which first page there is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mode {
    /// With samples to try.
    Demo,
    /// That says what this is.
    Plain,
}

/// The pages that are made once.
pub(super) struct Pages {
    mode: Mode,
    openapi: String,
    docs: String,
}

impl Pages {
    pub(super) fn new(url: &str, mode: Mode) -> Self {
        let document = openapi::document(url);
        Self { mode, docs: docs::page(&document), openapi: document.to_string() }
    }
}

/// `GET /`.
pub(super) async fn home(State(app): State<App>) -> Response {
    page(match app.pages().mode {
        Mode::Demo => include_str!("pages/demo.html"),
        Mode::Plain => include_str!("pages/home.html"),
    })
}

/// `GET /docs`.
pub(super) async fn docs(State(app): State<App>) -> Response {
    page(app.pages().docs.clone())
}

/// `GET /openapi.json`.
pub(super) async fn openapi(State(app): State<App>) -> Response {
    let mut response = typed(Media::Json, app.pages().openapi.clone());
    keep(response.headers_mut(), "public, max-age=60");
    response
}

/// `GET /s/{code}`: tells what a scanned code is. The code is not looked at.
pub(super) async fn show() -> Response {
    let mut response = page(include_str!("pages/show.html"));
    response.headers_mut().insert("x-robots-tag", HeaderValue::from_static("noindex, nofollow"));
    response
}

/// `GET /S/{code}`: a QR in alphanumeric mode has capitals only.
pub(super) async fn show_upper() -> Response {
    show().await
}

/// `GET /assets/{name}`.
pub(super) async fn asset(PathText(name): PathText) -> Result<Response, Problem> {
    let (content_type, text) = match name.as_str() {
        "kabao.css" => ("text/css; charset=utf-8", include_str!("pages/kabao.css")),
        "demo.js" => ("text/javascript; charset=utf-8", include_str!("pages/demo.js")),
        _ => return Err(Problem::no_such_route()),
    };
    let mut response = text.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    keep(response.headers_mut(), "public, max-age=300");
    Ok(response)
}

fn page(text: impl IntoResponse) -> Response {
    let mut response = typed(Media::Html, text);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

fn keep(headers: &mut HeaderMap, policy: &'static str) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(policy));
}

/// What a page may load and run: our own, and pictures that the script was given.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_load_nothing_from_elsewhere_and_hold_no_script_of_their_own() {
        let docs = Pages::new("https://kabao.example", Mode::Plain).docs;
        let pages = [
            include_str!("pages/demo.html"),
            include_str!("pages/home.html"),
            include_str!("pages/show.html"),
        ];
        for page in pages.into_iter().chain([docs.as_str()]) {
            for forbidden in [
                "src=\"http",
                "src=\"//",
                "href=\"http",
                "href=\"//",
                "<style",
                "style=\"",
                " onclick",
                "@import",
            ] {
                assert!(!page.contains(forbidden), "{forbidden}");
            }
            assert!(page.contains("lang=\"zh-CN\""));
            assert!(page.contains("<meta name=\"viewport\""));
            let scripts = page.matches("<script").count();
            assert_eq!(scripts, page.matches("<script type=\"module\" src=\"/assets/").count());
        }
        for asset in [include_str!("pages/kabao.css"), include_str!("pages/demo.js")] {
            assert!(
                !asset.contains("http://") && !asset.contains("https://") && !asset.contains("innerHTML")
            );
        }
    }
}
