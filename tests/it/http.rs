//! The service over HTTP, asked as callers ask it: every route by every role, every kind
//! of problem, and the main job.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use futures_util::stream;
use http_body_util::BodyExt;
use kabao::domain::party::{HolderCode, HolderCodeType};
use kabao::http::router::{Access, Key, Media, ROUTES, Route};
use kabao::http::{App, Demo, Limits, PerSecond, Rates, Running, Sample, openapi};
use kabao::vault::Vault;
use kabao::vault::guard::{Caller, Role};
use kabao::vault::issue::IssueOrder;
use kabao::vault::registry::{Allowed, Registration, RegistrationState};
use kabao::vault::token::Subject;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;
use tower::ServiceExt;

use crate::world::{AGENCY, DEPARTMENT, OTHER_DEPARTMENT, PERSONS, World, clerk, holder, officer, order};

/// A service without a socket.
struct Service {
    vault: Arc<Vault>,
    router: Router,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// It went as asked.
    #[track_caller]
    fn good(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }

    /// It is this problem, whole and in form.
    #[track_caller]
    fn problem(self, status: u16, code: &str) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], format!("/docs#{}", code.replace('/', "-")));
        assert_eq!(body["request"], self.header("x-request-id"));
        for member in ["title", "detail", "request"] {
            assert!(!body[member].as_str().unwrap().is_empty(), "{member}");
        }
        self
    }
}

impl Service {
    fn new(world: &World) -> Self {
        Self::with(world, Limits { rates: None, ..Limits::default() })
    }

    fn with(world: &World, limits: Limits) -> Self {
        let vault = Arc::new(world.open());
        register_everybody(&vault);
        let router = App::new(Arc::clone(&vault), limits, None).router();
        Self { vault, router }
    }

    async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn get_as(&self, token: &str, path: &str) -> Answer {
        let request = Request::get(path).header("authorization", format!("Bearer {token}"));
        self.ask(request.body(Body::empty()).unwrap()).await
    }

    async fn send(&self, method: &str, token: &str, path: &str, key: &str, body: &Json) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {token}"));
        let request = request.header("content-type", "application/json").header("idempotency-key", key);
        self.ask(request.body(Body::from(body.to_string())).unwrap()).await
    }

    async fn stream(&self, token: &str, path: &str, key: &str, rows: &str) -> Vec<Json> {
        let request = Request::post(path).header("authorization", format!("Bearer {token}"));
        let request = request.header("content-type", "application/x-ndjson").header("idempotency-key", key);
        let answer = self.ask(request.body(Body::from(rows.to_string())).unwrap()).await.good(200);
        answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn token(&self, role: Role) -> String {
        let subject = match role {
            Role::Holder => person(PERSONS[0]),
            role => Subject::Registration(role.name().into()),
        };
        self.vault.mint_token(&subject, 600).unwrap().token
    }
}

fn person(number: &str) -> Subject {
    Subject::Holder(HolderCode::parse(HolderCodeType::parse("111").unwrap(), number).unwrap())
}

fn security_administrator() -> Caller {
    Caller { id: "first".into(), role: Role::SecurityAdministrator, organisation: None, holder: None }
}

fn register_everybody(vault: &Vault) {
    for role in Role::ALL {
        if role != Role::Holder && vault.registration(role.name()).unwrap().is_none() {
            let registration = Registration {
                id: role.name().into(),
                role,
                organisation: None,
                name: "测试".into(),
                keys: vec![],
                types: Allowed::All,
                scenarios: Allowed::All,
                state: RegistrationState::Active,
            };
            vault.register(&security_administrator(), registration).unwrap();
        }
    }
}

fn body_of(order: &IssueOrder) -> Json {
    let holders: Vec<Json> = order
        .holders
        .iter()
        .map(|holder| json!({ "code_type": holder.code_type, "code": holder.code, "name": holder.name }))
        .collect();
    let date = |date: Option<kabao::domain::time::Date>| date.map(|date| date.to_string());
    json!({
        "type": order.certificate_type, "holders": holders, "number": order.number,
        "issue_date": date(order.issue_date), "valid_from": date(order.valid_from),
        "valid_until": date(order.valid_until), "fields": order.fields,
    })
}

/// A path of the route at which nothing is.
fn nowhere(route: &Route) -> String {
    let identifier = "1.2.156.3005.2.11100000000013338W001.11500199XT0TEXT11P.0A1B2C3D4E5F6G7H8I9J.001.X";
    route
        .path
        .replace("{identifier}", identifier)
        .replace("{id}", "nobody")
        .replace("{log}", "0")
        .replace("{*path}", "0/000")
        .replace("{list}", "99")
        .replace("{code}", "ABC")
        .replace("{version}", "9")
        .replace("{uscc}", "x")
        .replace("{name}", "x")
        .replace("{place}", "0")
}

#[tokio::test]
async fn every_route_lets_in_exactly_the_roles_of_its_line() {
    let world = World::default();
    let service = Service::new(&world);
    let callers: Vec<(Option<Role>, String)> = Role::ALL
        .into_iter()
        .map(|role| (Some(role), format!("Bearer {}", service.token(role))))
        .chain([(None, String::new()), (None, "Bearer x.y.z".into()), (None, "Basic YTpi".into())])
        .collect();
    let mut cells = 0;
    for route in ROUTES {
        for (role, authorization) in &callers {
            let mut request = Request::builder().method(route.method.clone()).uri(nowhere(route));
            if !authorization.is_empty() {
                request = request.header("authorization", authorization);
            }
            // Without the form of a body nothing is read, so nothing is done.
            let answer = service.ask(request.body(Body::empty()).unwrap()).await;
            let place = format!("{} {} as {role:?}", route.method, route.path);
            match route.who {
                Access::Roles(roles) => match role {
                    None => {
                        let answer = answer.problem(401, "access/unauthenticated");
                        assert!(answer.header("www-authenticate").starts_with("Bearer"));
                    }
                    Some(role) if roles.contains(role) => {
                        assert!(!matches!(answer.status.as_u16(), 401 | 403), "{place}: {}", answer.text());
                    }
                    Some(_) => {
                        answer.problem(403, "access/forbidden");
                    }
                },
                Access::Demo => {
                    answer.problem(404, "http/no-such-route");
                }
                Access::Public => assert!(!matches!(answer.status.as_u16(), 401 | 403), "{place}"),
            }
            cells += 1;
        }
    }
    assert_eq!(cells, ROUTES.len() * 10);
}

#[tokio::test]
async fn every_method_that_is_not_in_the_table_is_refused() {
    let world = World::default();
    let service = Service::new(&world);
    let routed: BTreeSet<_> = ROUTES.iter().map(|route| (route.method.as_str(), route.path)).collect();
    for route in ROUTES {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            if routed.contains(&(method, route.path)) {
                continue;
            }
            let request = Request::builder().method(method).uri(nowhere(route)).body(Body::empty()).unwrap();
            let answer = service.ask(request).await.problem(405, "http/method-not-allowed");
            assert!(answer.header("allow").contains(route.method.as_str()), "{} {method}", route.path);
        }
    }
    service.get("/v1/nothing").await.problem(404, "http/no-such-route");
    service.get("/v2/certificates").await.problem(404, "http/no-such-route");
}

#[tokio::test]
async fn a_withdrawn_registration_is_out_on_its_next_call() {
    let world = World::default();
    let service = Service::new(&world);
    let token = service.token(Role::Auditor);
    service.get_as(&token, "/v1/audit/revocations").await.good(200);
    let administrator = service.token(Role::SecurityAdministrator);
    let path = "/v1/registrations/auditor";
    service.send("DELETE", &administrator, path, "k", &Json::Null).await.good(204);
    service.get_as(&token, "/v1/audit/revocations").await.problem(401, "access/unauthenticated");
    assert_eq!(service.get_as(&administrator, path).await.good(200).json()["state"], "withdrawn");
}

#[tokio::test]
async fn the_main_job_over_http() {
    let world = World::default();
    let service = Service::new(&world);
    let (department, citizen, window) =
        (service.token(Role::Officer), service.token(Role::Holder), service.token(Role::Clerk));
    let body = body_of(&order("driving_licence", PERSONS[0], 1));

    let issued = service.send("POST", &department, "/v1/certificates", "i-1", &body).await.good(201);
    let identifier = issued.json()["identifier"].as_str().unwrap().to_string();
    assert_eq!(issued.header("location"), format!("/v1/certificates/{identifier}"));
    assert_eq!(issued.header("cache-control"), "no-store");
    let again = service.send("POST", &department, "/v1/certificates", "i-1", &body).await.good(201);
    assert_eq!(again.body, issued.body, "the same request answers the same");
    let mut other = body.clone();
    other["number"] = "500000000001".into();
    let reused = service.send("POST", &department, "/v1/certificates", "i-1", &other).await;
    assert!(reused.status.is_client_error());

    let listed = service.get_as(&citizen, "/v1/wallet/certificates?limit=5").await.good(200).json();
    assert_eq!(listed["items"][0]["identifier"], identifier);
    assert!(listed["items"][0]["number"].as_str().unwrap().contains('*'), "masked by default");
    let path = format!("/v1/wallet/certificates/{identifier}");
    let whole = service.get_as(&citizen, &format!("{path}?reveal=full")).await.good(200).json();
    assert!(!whole["number"].as_str().unwrap().contains('*'));
    let face = service.get_as(&citizen, &format!("{path}/face.svg")).await.good(200);
    assert_eq!(face.header("content-type"), "image/svg+xml");
    let credential = service.get_as(&citizen, &format!("{path}/credential")).await.good(200).text();
    assert!(credential.ends_with('~'));

    let show = json!({ "items": [{ "identifier": identifier }], "scenario": "traffic_stop", "qr": "svg" });
    let shown = service.send("POST", &citizen, "/v1/wallet/showings", "s", &show).await.good(201).json();
    assert!(shown["qr"].as_str().unwrap().starts_with("<svg"));
    let code = shown["qr_text"].as_str().unwrap();
    let case = |what: &str, value: &str| json!({ (what): value, "scenario": "traffic_stop", "business_number": "2026-1" });
    let verify = case("code", code);
    let found = service.send("POST", &window, "/v1/verifications", "v-1", &verify).await.good(200);
    assert_eq!(found.json()["items"][0]["verdict"]["decision"], "accepted");
    assert_eq!(found.json()["items"][0]["verdict"]["checks"].as_array().unwrap().len(), 7);
    assert_eq!(found.json()["receipt"].as_str().unwrap().split('.').count(), 3);
    let again = service.send("POST", &window, "/v1/verifications", "v-1", &verify).await.good(200);
    assert_eq!(again.body, found.body);
    let replayed = service.send("POST", &window, "/v1/verifications", "v-2", &verify).await;
    replayed.problem(422, "show/code-refused");
    let seen = service.get_as(&citizen, "/v1/wallet/accesses").await.good(200).json();
    assert_eq!(seen["items"][0]["agency"], AGENCY);

    let revoke = json!({ "reason": "sanction", "legal_basis": "道路交通安全法 第九十一条" });
    let path = format!("/v1/certificates/{identifier}/revocation");
    let revoked = service.send("POST", &department, &path, "r-1", &revoke).await.good(200).json();
    assert_eq!(revoked["state"], "revoked");
    let shown = service.send("POST", &citizen, "/v1/wallet/showings", "s", &show).await.good(201).json();
    let verify = case("code", shown["code"].as_str().unwrap());
    let found = service.send("POST", &window, "/v1/verifications", "v-3", &verify).await.good(200).json();
    let verdict = &found["items"][0]["verdict"];
    assert_eq!(verdict["decision"], "refused");
    assert_eq!(verdict["because"]["zh"], "2026年11月23日由测试发证局吊销");

    let auditor = service.token(Role::Auditor);
    let listed = service.get_as(&auditor, "/v1/audit/revocations?limit=10").await.good(200).json();
    assert_eq!(listed["items"][0]["kind"], "revoke");
    assert!(!listed.to_string().contains(&identifier), "auditors see no identifiers");
}

#[tokio::test]
async fn a_certificate_of_another_department_or_holder_is_as_absent_as_one_that_never_was() {
    let world = World::default();
    let service = Service::new(&world);
    let identifier = world.issue(&service.vault, order("driving_licence", PERSONS[0], 1)).unwrap();
    let stranger = service.vault.mint_token(&person(PERSONS[1]), 600).unwrap().token;
    let elsewhere =
        service.vault.mint_token(&Subject::Registration("other-officer".into()), 600).unwrap().token;
    assert_ne!(DEPARTMENT, OTHER_DEPARTMENT);
    let absent = identifier.to_string().replace(".001.", ".002.");
    for (token, path) in [(&stranger, "/v1/wallet/certificates"), (&elsewhere, "/v1/certificates")] {
        let foreign = service.get_as(token, &format!("{path}/{identifier}")).await;
        let foreign = foreign.problem(404, "access/not-found").json();
        for other in [absent.as_str(), "nonsense"] {
            let missing = service.get_as(token, &format!("{path}/{other}")).await;
            let mut missing = missing.problem(404, "access/not-found").json();
            missing["request"] = foreign["request"].clone();
            assert_eq!(missing, foreign);
        }
    }
}

#[tokio::test]
async fn a_batch_answers_every_row_in_order_and_again_the_same() {
    let world = World::default();
    let service = Service::new(&world);
    let token = service.token(Role::Officer);
    let mut rows = String::new();
    for number in 1..=300_u32 {
        let row = match number {
            7 => json!({ "type": "no_such_type", "holders": [], "number": "1" }),
            8 => json!({ "type": MANY }),
            _ => {
                let mut good = body_of(&order(MANY, PERSONS[0], number));
                good["request"] = format!("row-{number}").into();
                good
            }
        };
        rows.push_str(&format!("{row}\n"));
        if number == 9 {
            rows.push_str("{not json}\n");
        }
    }
    let results = service.stream(&token, "/v1/certificates/batch", "b-1", &rows).await;
    assert_eq!(results.len(), 301);
    for (place, result) in results.iter().enumerate() {
        assert_eq!(result["row"], place + 1);
    }
    assert_eq!(results[6]["code"], "certificate/unknown-type", "{}", results[6]);
    assert_eq!(results[6]["field"], "type");
    assert_eq!(results[7]["field"], "holders");
    assert_eq!(results[9]["code"], "request/json");
    let issued = results.iter().filter(|result| result["identifier"].is_string()).count();
    assert_eq!(issued, 298, "{}", results[0]);
    let again = service.stream(&token, "/v1/certificates/batch", "b-1", &rows).await;
    assert_eq!(again, results);
    // The rows' own keys hold in another batch as well.
    let last: String = rows.lines().skip(299).map(|row| format!("{row}\n")).collect();
    let resumed = service.stream(&token, "/v1/certificates/batch", "b-2", &last).await;
    assert_eq!(resumed.last().unwrap()["identifier"], results[300]["identifier"]);
}

#[tokio::test]
async fn many_verifications_have_one_verdict_each() {
    let world = World::default();
    let service = Service::new(&world);
    let identifier = world.issue(&service.vault, order("driving_licence", PERSONS[0], 1)).unwrap();
    let credential = service.vault.credential(&holder(&service.vault, PERSONS[0]), &identifier).unwrap();
    let good = json!({ "credential": credential, "scenario": "traffic_stop", "business_number": "1" });
    let bad =
        json!({ "code": "ABCDABCDABCDABCDABCDABCDAB", "scenario": "traffic_stop", "business_number": "1" });
    let token = service.token(Role::Clerk);
    let results = service.stream(&token, "/v1/verifications/batch", "v", &format!("{good}\n{bad}\n")).await;
    assert!(results[0]["verification"]["items"][0]["verdict"]["decision"].is_string(), "{}", results[0]);
    assert_eq!(results[1]["code"], "show/code-refused");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told() {
    let world = World::default();
    let service = Service::new(&world);
    let token = service.token(Role::Officer);
    let path = "/v1/certificates";
    let good = body_of(&order("driving_licence", PERSONS[0], 1));

    let post = || Request::post(path).header("authorization", format!("Bearer {token}"));
    let json_post = || post().header("content-type", "application/json");
    let ask = |request: Request<Body>| service.ask(request);
    let keyless = ask(json_post().body(Body::from(good.to_string())).unwrap()).await;
    keyless.problem(400, "request/key-missing");
    let typed = post().header("content-type", "text/plain").header("idempotency-key", "k");
    ask(typed.body(Body::from(good.to_string())).unwrap()).await.problem(415, "request/content-type");
    let large = json_post().header("idempotency-key", "k").header("content-length", "300000");
    ask(large.body(Body::empty()).unwrap()).await.problem(413, "request/too-large");
    let endless = json_post().header("idempotency-key", "k");
    let spaces = " ".repeat(300_000);
    ask(endless.body(Body::from(spaces)).unwrap()).await.problem(413, "request/too-large");
    let broken = json_post().header("idempotency-key", "k").body(Body::from("{\"type\":")).unwrap();
    ask(broken).await.problem(400, "request/json");

    let mut unknown = good.clone();
    unknown["colour"] = "red".into();
    let answer = service.send("POST", &token, path, "k", &unknown).await.problem(422, "request/invalid");
    assert_eq!(answer.json()["errors"][0]["field"], "colour");
    let twice = good.to_string().replacen("{\"", "{\"number\":\"1\",\"", 1);
    let twice = json_post().header("idempotency-key", "k").body(Body::from(twice)).unwrap();
    ask(twice).await.problem(422, "request/invalid");
    let mut wrong = good.clone();
    wrong["fields"] = json!({ "no_such_field": 1 });
    let answer = service.send("POST", &token, path, "k", &wrong).await.problem(422, "certificate/invalid");
    assert!(answer.json()["errors"].as_array().unwrap().len() > 1, "every fault at once");
    assert!(!answer.text().contains(PERSONS[0]), "what was sent is not quoted");
    service.get_as(&token, "/v1/wallet/certificates").await.problem(403, "access/forbidden");
    let citizen = service.token(Role::Holder);
    service.get_as(&citizen, "/v1/wallet/certificates?limit=0").await.problem(422, "request/invalid");
    service.get_as(&citizen, "/v1/wallet/certificates?name=x").await.problem(422, "request/invalid");
}

#[tokio::test]
async fn who_asks_too_often_or_finds_no_room_is_told_when_to_come_again() {
    let world = World::default();
    let rates = Rates { public: PerSecond::new(1, 1), ..Rates::default() };
    let service = Service::with(&world, Limits { rates: Some(rates), ..Limits::default() });
    service.get("/healthz").await.good(200);
    let answer = service.get("/healthz").await.problem(429, "http/too-many-requests");
    assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
    let world = World::default();
    let service = Service::with(&world, Limits { requests: 0, ..Limits::default() });
    let answer = service.get("/healthz").await.problem(503, "http/busy");
    assert_eq!(answer.header("retry-after"), "1");
    // Without room no token is looked at: a flood of bad ones costs no hand of the vault.
    service.get_as("x.y.z", "/v1/wallet/certificates").await.problem(503, "http/busy");
}

#[tokio::test]
async fn an_address_is_counted_also_where_nothing_is() {
    let world = World::default();
    let rates = Rates { address: PerSecond::new(1, 2), ..Rates::default() };
    let service = Service::with(&world, Limits { rates: Some(rates), ..Limits::default() });
    service.get("/nowhere").await.problem(404, "http/no-such-route");
    let wrong = Request::patch("/healthz").body(Body::empty()).unwrap();
    service.ask(wrong).await.problem(405, "http/method-not-allowed");
    service.get("/nowhere").await.problem(429, "http/too-many-requests");
}

#[tokio::test]
async fn a_backup_is_whole_or_not_there_and_the_same_request_finds_it() {
    let world = World::default();
    let folder = tempfile::tempdir().unwrap();
    let vault = Arc::new(world.open());
    register_everybody(&vault);
    let limits = Limits { rates: None, ..Limits::default() };
    let app = App::new(Arc::clone(&vault), limits, None).with_backups(folder.path());
    let service = Service { vault, router: app.router() };
    let token = service.token(Role::SystemAdministrator);
    let at = |name: &str| folder.path().join(name);
    // What an attempt that broke off has left.
    std::fs::create_dir_all(at("monday.part").join("half")).unwrap();

    let name = json!({ "name": "monday" });
    let made = service.send("POST", &token, "/v1/backups", "k-1", &name).await.good(201);
    assert!(at("monday").exists() && !at("monday.part").exists());
    let again = service.send("POST", &token, "/v1/backups", "k-1", &name).await.good(201);
    assert_eq!(again.body, made.body);
    let other = service.send("POST", &token, "/v1/backups", "k-2", &name).await;
    let other = other.problem(422, "request/invalid");
    assert_eq!(other.json()["errors"][0]["reason"], "belongs to a backup already");
    let own = json!({ "name": "tuesday.part" });
    service.send("POST", &token, "/v1/backups", "k-3", &own).await.problem(422, "request/invalid");
}

/// A batch that is sent row by row: its sender, and the answer as it comes.
async fn open_stream(service: &Service, token: &str) -> (mpsc::UnboundedSender<String>, Response<Body>) {
    let (sender, receiver) = mpsc::unbounded_channel::<String>();
    let rows = stream::unfold(receiver, |mut receiver| async {
        let row = receiver.recv().await?;
        Some((Ok::<_, std::io::Error>(row), receiver))
    });
    let request = Request::post("/v1/certificates/batch").header("authorization", format!("Bearer {token}"));
    let request = request.header("content-type", "application/x-ndjson").header("idempotency-key", "b");
    let request = request.body(Body::from_stream(rows)).unwrap();
    (sender, service.router.clone().oneshot(request).await.unwrap())
}

#[tokio::test]
async fn a_caller_has_four_streams_open_and_no_more() {
    let world = World::default();
    let service = Service::new(&world);
    let token = service.token(Role::Officer);
    let mut open = Vec::new();
    for _ in 0..4 {
        let (sender, response) = open_stream(&service, &token).await;
        assert_eq!(response.status(), StatusCode::OK);
        open.push((sender, response));
    }
    let path = "/v1/certificates/batch";
    let request = Request::post(path).header("authorization", format!("Bearer {token}"));
    let request = request.header("content-type", "application/x-ndjson").header("idempotency-key", "b");
    let fifth = service.ask(request.body(Body::empty()).unwrap()).await.problem(429, "http/too-many-streams");
    assert_eq!(fifth.header("retry-after"), "1");
    open.pop();
    assert!(service.stream(&token, path, "b", "").await.is_empty(), "one has gone, so there is a seat");
}

#[tokio::test]
async fn a_stream_ends_when_its_token_ends() {
    let world = World::default();
    let service = Service::new(&world);
    let token = service.token(Role::Officer);
    let (sender, response) = open_stream(&service, &token).await;
    let mut answer = response.into_body();
    let row = |number| format!("{}\n", body_of(&order(MANY, PERSONS[0], number)));
    sender.send(row(1)).unwrap();
    let first = answer.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("identifier"));
    world.clock.advance(601);
    sender.send(row(2)).unwrap();
    assert!(answer.frame().await.unwrap().is_err(), "what the token no longer covers has no result");
}

#[tokio::test]
async fn a_key_that_is_not_needed_may_be_sent_but_not_malformed() {
    let world = World::default();
    let service = Service::new(&world);
    let token = service.token(Role::SecurityAdministrator);
    let body = json!({ "id": "new", "role": "auditor", "name": "n", "keys": [] });
    for key in ["k-1", "k-1", "k-2"] {
        service.send("POST", &token, "/v1/registrations", key, &body).await.good(201);
    }
    let long = "k".repeat(129);
    let malformed = service.send("POST", &token, "/v1/registrations", &long, &body).await;
    malformed.problem(400, "request/key-missing");
}

#[tokio::test]
async fn the_public_record_is_bytes_that_caches_may_keep() {
    let world = World::default();
    let service = Service::new(&world);
    let identifier = world.issue(&service.vault, order("driving_licence", PERSONS[0], 1)).unwrap();
    service.vault.sign_changed_lists().unwrap();

    let checkpoint = service.get("/log/0/checkpoint").await.good(200);
    assert!(checkpoint.text().starts_with("kabao.example.org/log/0\n"));
    assert_eq!(checkpoint.header("cache-control"), "no-cache");
    service.get("/log/1/checkpoint").await.problem(404, "access/not-found");
    let (size, _) = service.vault.log_head();
    let tile = service.get(&format!("/log/0/tile/entries/000.p/{size}")).await.good(200);
    assert!(tile.header("cache-control").ends_with("immutable"));
    service.get(&format!("/log/0/tile/entries/000.p/{}", size + 1)).await.problem(404, "access/not-found");
    service.get("/log/0/tile/../../etc/passwd").await.problem(404, "access/not-found");

    let lists = service.get("/status").await.good(200).json();
    let list = lists["status_lists"][0].as_str().unwrap().to_string();
    let path = list.strip_prefix("https://kabao.example.org").unwrap();
    let token = service.get(path).await.good(200);
    assert_eq!(token.header("content-type"), "application/statuslist+jwt");
    let held = Request::get(path).header("if-none-match", token.header("etag")).body(Body::empty()).unwrap();
    let same = service.ask(held).await.good(304);
    assert!(same.body.is_empty());

    let trust = service.get("/trust").await.good(200);
    assert_eq!(trust.text().split('.').count(), 3);
    let kind = world.catalog.by_slug("driving_licence").unwrap();
    let metadata = service.get(&kind.path()).await.good(200).json();
    assert_eq!(metadata["vct"], format!("https://kabao.example.org{}", kind.path()));
    let issuer =
        service.get(&format!("/.well-known/jwt-vc-issuer/issuers/{DEPARTMENT}")).await.good(200).json();
    assert_eq!(issuer["issuer"], format!("https://kabao.example.org/issuers/{DEPARTMENT}"));
    assert_eq!(service.get(&format!("/issuers/{DEPARTMENT}")).await.good(200).json(), issuer);

    assert_eq!(service.get("/readyz").await.good(200).json()["state"], "ready");
    let figures = service.get("/metrics").await.good(200).text();
    assert!(figures.contains(&format!("kabao_log_entries {size}")), "{figures}");
    assert!(figures.contains("route=\"/status/{list}\""));
    assert!(!figures.contains(&identifier.to_string()));
}

#[tokio::test]
async fn opening_a_scanned_code_in_a_browser_does_not_use_it_up() {
    let world = World::default();
    let service = Service::new(&world);
    let identifier = world.issue(&service.vault, order("driving_licence", PERSONS[0], 1)).unwrap();
    let citizen = service.token(Role::Holder);
    let show = json!({ "items": [{ "identifier": identifier.to_string() }], "scenario": "traffic_stop" });
    let shown = service.send("POST", &citizen, "/v1/wallet/showings", "s", &show).await.good(201).json();
    let code = shown["code"].as_str().unwrap();
    for path in [format!("/S/{code}"), format!("/s/{}", code.to_lowercase())] {
        let page = service.get(&path).await.good(200);
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert!(page.header("content-security-policy").contains("default-src 'none'"));
        assert!(!page.text().contains(code));
    }
    let verify = json!({ "code": shown["qr_text"], "scenario": "traffic_stop", "business_number": "1" });
    service.send("POST", &service.token(Role::Clerk), "/v1/verifications", "v", &verify).await.good(200);
}

#[tokio::test]
async fn the_document_is_served_as_it_is_made() {
    let world = World::default();
    let service = Service::new(&world);
    let served = service.get("/openapi.json").await.good(200);
    assert_eq!(served.json(), openapi::document("https://kabao.example.org"));
    for page in ["/", "/docs", "/assets/kabao.css", "/assets/demo.js"] {
        assert_eq!(service.get(page).await.good(200).header("x-content-type-options"), "nosniff");
    }
    for route in ROUTES.iter().filter(|route| route.key == Key::Keyed) {
        assert!(matches!(route.takes.media, Media::Json | Media::Ndjson), "{}", route.path);
        assert_eq!(route.method, Method::POST, "{}", route.path);
    }
}

#[tokio::test]
async fn the_first_page_shows_verifies_and_revokes_a_sample() {
    let world = World::default();
    let vault = Arc::new(world.open());
    let identifier = world.issue(&vault, order("driving_licence", PERSONS[0], 1)).unwrap();
    let sample = Sample { identifier, officer: officer(), scenario: "traffic_stop".into() };
    let demo = Demo { holder: holder(&vault, PERSONS[0]), clerk: clerk(), samples: vec![sample] };
    let limits = Limits { rates: None, ..Limits::default() };
    let router = App::new(Arc::clone(&vault), limits, Some(demo)).router();
    let service = Service { vault, router };

    let listed = service.get("/demo/certificates").await.good(200).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    service.get("/demo/certificates/0/face.svg").await.good(200);
    service.get("/demo/certificates/1/face.svg").await.problem(404, "access/not-found");
    for (act, decision) in [("", "accepted"), ("/demo/revocations", "refused")] {
        if !act.is_empty() {
            service.send("POST", "", act, "k", &json!({ "place": 0 })).await.good(200);
        }
        let shown =
            service.send("POST", "", "/demo/showings", "k", &json!({ "place": 0 })).await.good(201).json();
        assert!(shown["typed_code"].is_string());
        let code = json!({ "place": 0, "code": shown["typed_code"] });
        let found = service.send("POST", "", "/demo/verifications", "k", &code).await.good(200).json();
        assert_eq!(found["items"][0]["verdict"]["decision"], decision);
    }
    // Another page in the same browser cannot send JSON without asking first.
    let plain = Request::post("/demo/revocations").header("content-type", "text/plain");
    service.ask(plain.body(Body::from("{\"place\":0}")).unwrap()).await.problem(415, "request/content-type");
}

/// A service on a real socket.
fn run(world: &World, limits: Limits) -> (Running, Arc<Vault>) {
    let vault = Arc::new(world.open());
    register_everybody(&vault);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let app = App::new(Arc::clone(&vault), limits, None);
    (Running::start(listener, None, app).unwrap(), vault)
}

#[test]
fn a_batch_tells_the_result_of_a_row_before_the_next_is_sent() {
    let world = World::default();
    let (running, vault) = run(&world, Limits::default());
    let token = vault.mint_token(&Subject::Registration("officer".into()), 600).unwrap().token;
    let mut stream = TcpStream::connect(running.address()).unwrap();
    let head = format!(
        "POST /v1/certificates/batch HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
         content-type: application/x-ndjson\r\nidempotency-key: b\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for number in 1..=3_u32 {
        let row = format!("{}\n", body_of(&order(MANY, PERSONS[0], number)));
        stream.write_all(format!("{:x}\r\n{row}\r\n", row.len()).as_bytes()).unwrap();
        let mut line = String::new();
        while !line.contains("\"row\"") {
            line.clear();
            assert_ne!(reader.read_line(&mut line).unwrap(), 0, "the stream ended before row {number}");
        }
        let result: Json = serde_json::from_str(&line).unwrap();
        assert_eq!(result["row"], number);
        assert!(result["identifier"].is_string(), "{result}");
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    drop((stream, reader, vault));
    running.stop().unwrap();
}

#[test]
fn a_stopped_service_lets_go_of_its_vault() {
    let world = World::default();
    let (running, vault) = run(&world, Limits::default());
    drop(vault);
    let mut stream = TcpStream::connect(running.address()).unwrap();
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    running.stop().unwrap();
    // The store knows one process at a time: this opens only if the service let go of it.
    world.check(&world.open());
}

/// A type of which one holder may have many: its number is not the holder's own.
const MANY: &str = "food_business_licence";
