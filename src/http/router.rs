//! The table of routes: who may call what, with how much, how often.
//!
//! [`ROUTES`] is the whole surface of the service. The router, the OpenAPI document and
//! the test over every route and role are made from it; a route without a line cannot
//! exist, and a line without a handler does not compile. What a line does not allow is
//! refused before a byte of the body is read.

use axum::Router;
use axum::http::Method;
use axum::middleware;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::App;
use super::audit;
use super::backups;
use super::demo;
use super::issuer;
use super::limits;
use super::limits::Rate;
use super::observe;
use super::pages;
use super::problem::Problem;
use super::publications;
use super::registrations;
use super::token;
use super::verify;
use super::wallet;
use crate::vault::guard::Role;

/// One line of the table.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with `{names}` for what varies and `{*name}` for a rest with slashes.
    pub path: &'static str,
    /// Who may call it.
    pub who: Access,
    /// How many bytes its body may have.
    pub body_max: usize,
    /// Which rate limit it counts for.
    pub rate: Rate,
    /// Whether a request must carry an `Idempotency-Key`.
    pub key: Key,
    /// What it takes.
    pub takes: Content,
    /// What it gives when all went well.
    pub gives: Content,
    /// With which status.
    pub status: u16,
    /// Its name: the handler, and the operation of the OpenAPI document.
    pub name: &'static str,
    /// What it is for.
    pub summary: &'static str,
    serve: fn() -> MethodRouter<App>,
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// Anybody, and only in development mode.
    Demo,
    /// Anybody.
    Public,
    /// A caller with a token, playing one of these roles.
    Roles(&'static [Role]),
}

/// Whether a request carries an `Idempotency-Key`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Key {
    /// It must.
    Keyed,
    /// It may; `openapi` says for each route what it is good for.
    Optional,
    /// It need not: sending it twice does no more than sending it once.
    Plain,
}

/// A body: its form, and the name of its schema in the OpenAPI document.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Content {
    /// Its form.
    pub media: Media,
    /// The schema's name; empty where bytes have none.
    pub schema: &'static str,
}

/// The forms of bodies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Media {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// A page.
    Html,
    /// JSON.
    Json,
    /// A compact JWS.
    Jwt,
    /// One JSON object a line.
    Ndjson,
    /// No body.
    Nothing,
    /// Bytes.
    Octets,
    /// A PNG picture.
    Png,
    /// A Token Status List as JWT.
    StatusList,
    /// An SVG picture.
    Svg,
    /// Plain text.
    Text,
}

impl Media {
    /// The content type, as answered.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Form => "application/x-www-form-urlencoded",
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
            Self::Jwt => "application/jwt",
            Self::Ndjson => "application/x-ndjson",
            Self::Nothing => "",
            Self::Octets => "application/octet-stream",
            Self::Png => "image/png",
            Self::StatusList => "application/statuslist+jwt",
            Self::Svg => "image/svg+xml",
            Self::Text => "text/plain; charset=utf-8",
        }
    }
}

macro_rules! access {
    (public) => {
        Access::Public
    };
    (demo) => {
        Access::Demo
    };
    ([$($role:ident)+]) => {
        Access::Roles(&[$(Role::$role),+])
    };
}

macro_rules! schema {
    (()) => {
        ""
    };
    (($name:ident)) => {
        stringify!($name)
    };
}

macro_rules! routes {
    ($($method:ident $path:literal $who:tt $limit:ident $rate:ident $key:ident
       $takes:ident $taken:tt -> $status:literal $gives:ident $given:tt
       $module:ident::$handler:ident $summary:literal;)+) => {
        /// Every route there is.
        pub static ROUTES: &[Route] = &[$(Route {
            method: Method::$method,
            path: $path,
            who: access!($who),
            body_max: $limit,
            rate: Rate::$rate,
            key: Key::$key,
            takes: Content { media: Media::$takes, schema: schema!($taken) },
            gives: Content { media: Media::$gives, schema: schema!($given) },
            status: $status,
            name: concat!(stringify!($module), "_", stringify!($handler)),
            summary: $summary,
            serve: || on(MethodFilter::$method, $module::$handler),
        }),+];
    };
}

routes! {
    // method, path, who, body, rate, key, takes -> gives, handler, summary
    POST   "/v1/certificates"                                [Officer] SMALL  Write  Keyed Json(IssueBody) -> 201 Json(IssuedView)              issuer::issue        "Issue one certificate";
    POST   "/v1/certificates/batch"                          [Officer] STREAM Batch  Keyed Ndjson(IssueRow) -> 200 Ndjson(IssueResult)          issuer::batch        "Issue many certificates: one JSON object a line, one result a line, in order";
    GET    "/v1/certificates/{identifier}"                   [Officer] NONE   Read   Plain Nothing() -> 200 Json(CertificateBody)               issuer::certificate  "A certificate that one's department issued";
    GET    "/v1/certificates/{identifier}/history"           [Officer] NONE   Read   Plain Nothing() -> 200 Json(CertificateHistory)            issuer::history      "All its versions, newest first";
    PUT    "/v1/certificates/{identifier}/suspension"        [Officer] SMALL  Write  Plain Json(ChangeBody) -> 200 Json(CertificateBody)        issuer::suspend      "Suspend (暂停): stop a certificate from being accepted, until lifted";
    DELETE "/v1/certificates/{identifier}/suspension"        [Officer] SMALL  Write  Plain Json(ChangeBody) -> 200 Json(CertificateBody)        issuer::resume       "Lift the suspension (恢复)";
    POST   "/v1/certificates/{identifier}/revocation"        [Officer] SMALL  Write  Keyed Json(ChangeBody) -> 200 Json(CertificateBody)        issuer::revoke       "Revoke (吊销): a sanction";
    POST   "/v1/certificates/{identifier}/cancellation"      [Officer] SMALL  Write  Keyed Json(ChangeBody) -> 200 Json(CertificateBody)        issuer::cancel       "Cancel (注销): at the holder's request, or because the reason for it has gone";
    POST   "/v1/certificates/{identifier}/withdrawal"        [Officer] SMALL  Write  Keyed Json(ChangeBody) -> 200 Json(CertificateBody)        issuer::withdraw     "Withdraw (撤销): wrongly granted, may reach back";
    POST   "/v1/certificates/{identifier}/transfer"          [Officer] SMALL  Write  Keyed Json(ChangeBody) -> 200 Json(CertificateBody)        issuer::transfer     "Transfer out (转出): another place keeps it from now on";
    POST   "/v1/certificates/{identifier}/replacement"       [Officer] SMALL  Write  Keyed Json(IssueBody) -> 201 Json(IssuedView)              issuer::replace      "Replace (换发): the next version, linked both ways";
    GET    "/v1/wallet/certificates"                         [Holder]  NONE   Read   Plain Nothing() -> 200 Json(CertificatePage)               wallet::certificates "One's own certificates, newest first";
    GET    "/v1/wallet/certificates/{identifier}"            [Holder]  NONE   Read   Plain Nothing() -> 200 Json(CertificateBody)               wallet::certificate  "One certificate, masked unless `reveal=full`";
    GET    "/v1/wallet/certificates/{identifier}/face.svg"   [Holder]  NONE   Read   Plain Nothing() -> 200 Svg()                               wallet::face_svg     "Its face as SVG";
    GET    "/v1/wallet/certificates/{identifier}/face.png"   [Holder]  NONE   Draw   Plain Nothing() -> 200 Png()                               wallet::face_png     "Its face as PNG";
    GET    "/v1/wallet/certificates/{identifier}/credential" [Holder]  NONE   Read   Plain Nothing() -> 200 Text()                              wallet::credential   "Its credential as SD-JWT, every disclosure with it";
    POST   "/v1/wallet/showings"                             [Holder]  SMALL  Show   Optional Json(ShowingBody) -> 201 Json(ShowingView)           wallet::show         "Show certificates (亮证): a code for one agency, once, within a minute";
    DELETE "/v1/wallet/showings/{id}"                        [Holder]  NONE   Write  Plain Nothing() -> 204 Nothing()                           wallet::end_showing  "End a showing: its codes are void";
    POST   "/v1/wallet/offline"                              [Holder]  SMALL  Show   Optional Json(OfflineBody) -> 201 Json(OfflineView)           wallet::show_offline "Show one certificate where there is no network: a signed text for five minutes";
    GET    "/v1/wallet/accesses"                             [Holder]  NONE   Read   Plain Nothing() -> 200 Json(AccessPage)                    wallet::accesses     "Who looked, when, for which case, at which fields";
    POST   "/v1/verifications"                               [Clerk]   PHOTO  Verify Keyed Json(VerificationBody) -> 200 Json(VerificationView) verify::verify       "Verify what is shown: a verdict with reasons, the fields allowed, a signed receipt";
    POST   "/v1/verifications/batch"                         [Clerk]   STREAM Batch  Keyed Ndjson(VerificationRow) -> 200 Ndjson(VerificationResult) verify::batch   "Verify many: one JSON object a line, one verdict a line, in order";
    GET    "/v1/audit/revocations"                           [Auditor] NONE   Read   Plain Nothing() -> 200 Json(RevocationPage)                audit::revocations   "Every suspension, return and end in a span of time";
    GET    "/v1/registrations"              [SecurityAdministrator]    NONE   Read   Plain Nothing() -> 200 Json(RegistrationList)              registrations::list  "Who is registered";
    POST   "/v1/registrations"              [SecurityAdministrator]    SMALL  Write  Optional Json(RegistrationBody) -> 201 Json(RegistrationView) registrations::register "Register a department's or agency's system, with its keys";
    GET    "/v1/registrations/{id}"         [SecurityAdministrator]    NONE   Read   Plain Nothing() -> 200 Json(RegistrationView)              registrations::one   "One registration";
    DELETE "/v1/registrations/{id}"         [SecurityAdministrator]    NONE   Write  Plain Nothing() -> 204 Nothing()                           registrations::withdraw "Withdraw a registration; it bites on the next call";
    POST   "/v1/backups"                    [SystemAdministrator]      SMALL  Batch  Keyed Json(BackupBody) -> 201 Json(BackupView)                backups::make        "Copy the vault as it is now, while it runs";
    POST   "/oauth/token"                                    public    SMALL  Token  Plain Form(TokenForm) -> 200 Json(TokenView)               token::token         "A bearer token for a registered key (client_credentials, private_key_jwt)";
    GET    "/log/{log}/checkpoint"                           public    NONE   Public Plain Nothing() -> 200 Text()                              publications::checkpoint "The log's signed head (C2SP tlog-checkpoint)";
    GET    "/log/{log}/tile/{*path}"                         public    NONE   Public Plain Nothing() -> 200 Octets()                            publications::tile   "Tiles and entry bundles of the log (C2SP tlog-tiles)";
    GET    "/log/{log}/loss-statement"                       public    NONE   Public Plain Nothing() -> 200 Jwt()                               publications::loss_statement "What was lost before this log began, signed by the log key; 404 of a log that began otherwise";
    GET    "/status"                                         public    NONE   Public Plain Nothing() -> 200 Json(StatusLists)                   publications::status_lists "Every status list";
    GET    "/status/{list}"                                  public    NONE   Public Plain Nothing() -> 200 StatusList()                        publications::status_list "A Token Status List as JWT";
    GET    "/trust"                                          public    NONE   Public Plain Nothing() -> 200 Jwt()                               publications::trust  "The signed trust bundle, for verifiers without a network";
    GET    "/types/{code}/{version}"                         public    NONE   Public Plain Nothing() -> 200 Json(TypeMetadata)                  publications::type_metadata "What a certificate type is (SD-JWT VC type metadata)";
    GET    "/issuers/{uscc}"                                 public    NONE   Public Plain Nothing() -> 200 Json(IssuerMetadata)                publications::issuer "An issuing department and its keys";
    GET    "/.well-known/jwt-vc-issuer/issuers/{uscc}"       public    NONE   Public Plain Nothing() -> 200 Json(IssuerMetadata)                publications::issuer_metadata "The same, where SD-JWT VC looks for it";
    GET    "/s/{code}"                                       public    NONE   Public Plain Nothing() -> 200 Html()                              pages::show          "What a scanned code opens: a page that tells who can verify it. Never redeems";
    GET    "/S/{code}"                                       public    NONE   Public Plain Nothing() -> 200 Html()                              pages::show_upper    "The same, as the QR writes it";
    GET    "/healthz"                                        public    NONE   Public Plain Nothing() -> 200 Text()                              publications::alive  "Whether the process answers";
    GET    "/readyz"                                         public    NONE   Public Plain Nothing() -> 200 Json(Readiness)                     publications::ready  "Whether it takes work";
    GET    "/metrics"                                        public    NONE   Public Plain Nothing() -> 200 Text()                              publications::metrics "Figures for Prometheus";
    GET    "/openapi.json"                                   public    NONE   Public Plain Nothing() -> 200 Json(OpenApi)                       pages::openapi       "This service as OpenAPI 3.1";
    GET    "/docs"                                           public    NONE   Public Plain Nothing() -> 200 Html()                              pages::docs          "The same, to read";
    GET    "/assets/{name}"                                  public    NONE   Public Plain Nothing() -> 200 Octets()                            pages::asset         "Style and script of the pages";
    GET    "/"                                               public    NONE   Public Plain Nothing() -> 200 Html()                              pages::home          "The first page";
    GET    "/demo/certificates"                              demo      NONE   Public Plain Nothing() -> 200 Json(CertificatePage)               demo::certificates   "Development only: the sample holder's certificates";
    GET    "/demo/certificates/{place}/face.svg"             demo      NONE   Public Plain Nothing() -> 200 Svg()                               demo::face           "Development only: the face of a sample";
    POST   "/demo/showings"                                  demo      SMALL  Public Plain Json(DemoBody) -> 201 Json(ShowingView)              demo::show           "Development only: show a sample";
    POST   "/demo/verifications"                             demo      SMALL  Public Plain Json(DemoCode) -> 200 Json(VerificationView)         demo::verify         "Development only: verify as the sample agency";
    POST   "/demo/revocations"                               demo      SMALL  Public Plain Json(DemoBody) -> 200 Json(CertificateBody)          demo::revoke         "Development only: revoke a sample as its department";
}

/// The service: every route of the table behind its gate, and a problem for everything else.
pub(super) fn router(app: App) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let gate = middleware::from_fn_with_state((app.clone(), route), limits::gate);
        router = router.route(route.path, (route.serve)().layer(gate));
    }
    router
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .fallback(|| async { Problem::no_such_route() })
        .layer(middleware::from_fn_with_state(app.clone(), limits::address))
        .layer(middleware::from_fn_with_state(app.clone(), observe::request))
        .with_state(app)
}

/// No body.
const NONE: usize = 0;

/// A certificate with long tables fits; nothing we take in one piece is larger but a photo.
const SMALL: usize = 256 * 1024;

/// A photo of a QR in base64.
const PHOTO: usize = 6 * 1024 * 1024;

/// Streams are bounded line by line (`ndjson::LINE_BYTES_MAX`).
const STREAM: usize = usize::MAX;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_route_has_one_line_and_one_name() {
        let mut places = BTreeSet::new();
        let mut names = BTreeSet::new();
        for route in ROUTES {
            assert!(places.insert((route.method.as_str(), route.path)), "{} {}", route.method, route.path);
            assert!(names.insert(route.name), "{}", route.name);
        }
    }

    #[test]
    fn everything_under_v1_needs_a_role_and_nothing_else_writes_for_the_public() {
        for route in ROUTES {
            let versioned = route.path.starts_with("/v1/");
            assert_eq!(versioned, matches!(route.who, Access::Roles(_)), "{}", route.path);
            if route.who == Access::Public {
                assert!(route.method == Method::GET || route.path == "/oauth/token", "{}", route.path);
            }
        }
    }

    #[test]
    fn every_post_that_writes_takes_a_key() {
        // These make something that expires by itself, or are the same when sent twice.
        let optional = ["/v1/wallet/showings", "/v1/wallet/offline", "/v1/registrations"];
        for route in
            ROUTES.iter().filter(|route| route.method == Method::POST && route.path.starts_with("/v1/"))
        {
            let expected = if optional.contains(&route.path) { Key::Optional } else { Key::Keyed };
            assert_eq!(route.key, expected, "{}", route.path);
        }
    }

    #[test]
    fn a_route_that_takes_nothing_reads_nothing() {
        for route in ROUTES {
            assert_eq!(route.takes.media == Media::Nothing, route.body_max == NONE, "{}", route.path);
        }
    }
}
