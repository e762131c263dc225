//! The service as OpenAPI 3.1, made from the table of routes and the shapes of `wire`.
//!
//! Nothing here is written by hand beside the table, so the document cannot say what the
//! router does not do. [`document`] gives the same bytes for the same build and address.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::router::{Access, Content, Key, Media, ROUTES, Route};
use super::wire;

/// The document.
pub fn document(url: &str) -> Value {
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for route in ROUTES {
        let path = route.path.replace("{*", "{");
        let method = route.method.as_str().to_ascii_lowercase();
        paths.entry(path).or_default().insert(method, operation(route));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "kabao 卡包",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "An electronic certificate (电子证照) vault: issue, carry, show, verify, revoke, prove",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": url }],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "responses": {
                "Problem": {
                    "description": "What was asked for was not done (RFC 9457)",
                    "content": { "application/problem+json": { "schema": reference("ProblemBody") } },
                },
            },
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": route.name,
        "summary": route.summary,
        "tags": [tag(route)],
        "parameters": parameters(route),
        "responses": {
            (route.status.to_string()): success(route),
            "default": { "$ref": "#/components/responses/Problem" },
        },
    });
    if route.takes.media != Media::Nothing {
        operation["requestBody"] = json!({ "required": true, "content": content(route.takes) });
    }
    if let Access::Roles(roles) = route.who {
        let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
        operation["security"] = json!([{ "bearer": [] }]);
        operation["x-roles"] = json!(names);
    }
    operation
}

/// The group in which a route is shown.
pub(super) fn tag(route: &Route) -> &'static str {
    let path = route.path;
    let groups = [
        ("/v1/certificates", "issuer"),
        ("/v1/wallet", "wallet"),
        ("/v1/verifications", "agency"),
        ("/v1/audit", "audit"),
        ("/v1/registrations", "administration"),
        ("/oauth", "tokens"),
        ("/demo", "demonstration"),
    ];
    groups.iter().find(|(prefix, _)| path.starts_with(prefix)).map_or("public", |(_, tag)| tag)
}

fn success(route: &Route) -> Value {
    let mut answer = json!({ "description": route.summary });
    if route.gives.media != Media::Nothing {
        answer["content"] = content(route.gives);
    }
    answer
}

fn content(content: Content) -> Value {
    let schema = match (content.schema, content.media) {
        ("", Media::Octets | Media::Png) => json!({}),
        ("", _) => json!({ "type": "string" }),
        (name, _) => reference(name),
    };
    let media = content.media.content_type();
    let media = media.split(';').next().unwrap_or(media);
    json!({ (media): { "schema": schema } })
}

fn parameters(route: &Route) -> Value {
    let mut parameters = Vec::new();
    for part in route.path.split(['{', '}']).skip(1).step_by(2) {
        let name = part.trim_start_matches('*');
        parameters.push(json!({
            "name": name, "in": "path", "required": true,
            "description": path_words(name), "schema": { "type": "string" },
        }));
    }
    if route.key != Key::Plain {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": route.key == Key::Keyed,
            "description": key_words(route),
            "schema": { "type": "string", "minLength": 1, "maxLength": 128 },
        }));
    }
    for (name, words, schema) in queries(route.name) {
        parameters.push(json!({
            "name": name, "in": "query", "required": false, "description": words, "schema": schema,
        }));
    }
    Value::Array(parameters)
}

/// What sending a request again does.
fn key_words(route: &Route) -> &'static str {
    match route.name {
        "registrations_register" => {
            "Accepted and not needed: a registration is idempotent by its `id`; sent again, it is the same registration"
        }
        "wallet_show" | "wallet_show_offline" => {
            "Accepted and not needed: codes are kept nowhere, so a request sent again makes another code; \
             the one before ends by itself"
        }
        "backups_make" => {
            "New and random for each backup; the same name sent again with the same key answers 201 once the backup is whole"
        }
        _ => {
            "New and random for each request; the same request sent again with the same key answers the same"
        }
    }
}

fn path_words(name: &str) -> &'static str {
    match name {
        "identifier" => "电子证照标识 (GB/T 36904)",
        "uscc" => "Social credit code of the department (GB 32100)",
        "code" => "The code",
        "version" => "The version",
        "list" => "Number of the status list",
        "log" => "Number of the log; 0 on one machine",
        "path" => "As C2SP tlog-tiles says",
        "place" => "Place in the list of samples, from 0",
        _ => "Its name",
    }
}

/// What a route reads from its query.
fn queries(operation: &str) -> Vec<(&'static str, &'static str, Value)> {
    let text = || json!({ "type": "string" });
    let cursor = ("cursor", "Where the page before ended", text());
    let limit = (
        "limit",
        "Most items in the page",
        json!({ "type": "integer", "minimum": 1, "maximum": 100, "default": 20 }),
    );
    let reveal = (
        "reveal",
        "Whether values are shown whole",
        json!({ "type": "string", "enum": ["masked", "full"], "default": "masked" }),
    );
    match operation {
        "issuer_certificate" | "wallet_certificate" | "wallet_face_svg" => vec![reveal],
        "wallet_face_png" => vec![
            reveal,
            (
                "width",
                "Pixels",
                json!({ "type": "integer", "minimum": 200, "maximum": 2000, "default": 1000 }),
            ),
        ],
        "wallet_certificates" => vec![
            ("type", "Only this type, by slug", text()),
            ("state", "Only this state, such as `active` or `expired`", text()),
            cursor,
            limit,
        ],
        "wallet_accesses" => vec![cursor, limit],
        "audit_revocations" => vec![
            ("from", "Recorded from this instant on (RFC 3339)", text()),
            ("until", "Recorded before this instant (RFC 3339)", text()),
            cursor,
            limit,
        ],
        _ => vec![],
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Every shape, by name: those the table names, and those inside them.
fn schemas() -> BTreeMap<String, Value> {
    let mut found: Vec<(String, RefOr<Schema>)> = Vec::new();
    macro_rules! take {
        ($($name:ident)+) => {
            $(
                found.push((<wire::$name as ToSchema>::name().into_owned(), <wire::$name as PartialSchema>::schema()));
                <wire::$name as ToSchema>::schemas(&mut found);
            )+
        };
    }
    take! {
        AccessPage BackupBody BackupView CertificateBody CertificateHistory CertificatePage ChangeBody DemoBody DemoCode IssueBody
        IssueResult IssueRow IssuedView OfflineBody OfflineView ProblemBody Readiness RegistrationBody
        RegistrationList RegistrationView RevocationPage ShowingBody ShowingView StatusLists TokenForm TokenView
        VerificationBody VerificationResult VerificationRow VerificationView
    }
    let mut schemas = BTreeMap::new();
    for (name, schema) in found {
        // A schema that is not JSON would be caught by the tests below.
        let value = serde_json::to_value(&schema).unwrap_or_default();
        schemas.insert(name, value);
    }
    // Documents of others, which we only pass on.
    for (name, words) in FOREIGN {
        schemas.insert((*name).to_string(), json!({ "type": "object", "description": words }));
    }
    schemas
}

/// Shapes that a standard says.
const FOREIGN: &[(&str, &str)] = &[
    ("IssuerMetadata", "JWT VC issuer metadata (SD-JWT VC): `issuer` and `jwks`"),
    ("OpenApi", "An OpenAPI 3.1 document"),
    ("TypeMetadata", "SD-JWT VC type metadata, with the type's fields under `kabao`"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_documented_and_nothing_else() {
        let document = document("http://localhost");
        let mut documented = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                documented.insert((method.to_ascii_uppercase(), path.clone()));
            }
        }
        let routed: BTreeSet<_> =
            ROUTES.iter().map(|route| (route.method.to_string(), route.path.replace("{*", "{"))).collect();
        assert_eq!(documented, routed);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document("http://localhost");
        let mut open = vec![&document];
        let mut references = 0;
        while let Some(value) = open.pop() {
            match value {
                Value::Array(list) => open.extend(list),
                Value::Object(members) => {
                    if let Some(Value::String(target)) = members.get("$ref") {
                        let pointer = target.strip_prefix('#').unwrap();
                        assert!(document.pointer(pointer).is_some(), "{target}");
                        references += 1;
                    }
                    open.extend(members.values());
                }
                _ => {}
            }
        }
        assert!(references > ROUTES.len(), "only {references} references were looked at");
    }

    #[test]
    fn a_route_says_who_may_call_it() {
        let document = document("http://localhost");
        let issue = &document["paths"]["/v1/certificates"]["post"];
        assert_eq!(issue["x-roles"], json!(["officer"]));
        assert_eq!(issue["parameters"][0]["name"], "Idempotency-Key");
        assert!(document["paths"]["/trust"]["get"].get("security").is_none());
    }

    #[test]
    fn a_route_says_whether_it_needs_a_key_and_what_the_key_is_good_for() {
        let document = document("http://localhost");
        let key = |path: &str| document["paths"][path]["post"]["parameters"][0].clone();
        assert_eq!(key("/v1/certificates")["required"], true);
        for path in ["/v1/registrations", "/v1/wallet/showings", "/v1/wallet/offline"] {
            assert_eq!(key(path)["name"], "Idempotency-Key", "{path}");
            assert_eq!(key(path)["required"], false, "{path}");
        }
        assert!(key("/v1/registrations")["description"].as_str().unwrap().contains("idempotent by its `id`"));
        let row = &document["components"]["schemas"]["VerificationRow"];
        assert!(row["description"].as_str().unwrap().contains("Photos"), "{row}");
    }

    #[test]
    fn what_comes_in_takes_nothing_unknown() {
        for (name, schema) in schemas() {
            if name.ends_with("Body") && ["IssueBody", "ChangeBody", "ShowingBody"].contains(&name.as_str()) {
                assert_eq!(schema["additionalProperties"], json!(false), "{name}");
            }
        }
    }
}
