//! The content of a trust bundle as JSON.
//!
//! ```json
//! { "kabao_trust": 1, "version": 7, "issued_at": 1800000000, "origin": "https://…", "development": false,
//!   "anchors": ["<x509 DER, base64>"],
//!   "issuers": [{ "uscc": "…", "name": { "zh": "…", "en": "…" }, "keys": [{ "kid": "…", "jwk": {…},
//!     "x5c": ["…"], "types": "all" | ["…"], "not_before": 0, "not_after": 0,
//!     "retired_at": 0, "compromised_since": 0 }] }],
//!   "log": { "origin": "…", "vkey": "…" },
//!   "status_keys": [{ "kid": "…", "jwk": {…}, "not_before": 0, "not_after": 0 }],
//!   "receipt_keys": […], "show_authority_keys": […],
//!   "status_base": "https://…/status/", "type_versions": { "<type code>": 1 } }
//! ```
//!
//! Members we do not know are passed over: a bundle may grow. Another
//! `kabao_trust` is not understood at all.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::domain::time::UnixTime;
use crate::keys::development::Development;
use crate::keys::public::PublicKey;
use crate::pki::trust::{IssuerKey, TrustBundle, TrustError, TrustedIssuer, TrustedKey, TrustedLog, Types};
use crate::pki::x509::X509;

pub(super) fn encode(bundle: &TrustBundle) -> Vec<u8> {
    let value = json!({
        "kabao_trust": FORMAT,
        "version": bundle.version,
        "issued_at": bundle.issued_at.seconds(),
        "origin": bundle.origin,
        "development": bundle.development == Development::Yes,
        "anchors": encode_x509(&bundle.anchors),
        "issuers": bundle.issuers.iter().map(encode_issuer).collect::<Value>(),
        "log": { "origin": bundle.log.origin, "vkey": bundle.log.vkey },
        "status_keys": bundle.status_keys.iter().map(encode_key).collect::<Value>(),
        "receipt_keys": bundle.receipt_keys.iter().map(encode_key).collect::<Value>(),
        "show_authority_keys": bundle.show_authority_keys.iter().map(encode_key).collect::<Value>(),
        "status_base": bundle.status_base,
        "type_versions": bundle.type_versions,
    });
    value.to_string().into_bytes()
}

pub(super) fn decode(bytes: &[u8]) -> Result<TrustBundle, TrustError> {
    let value: Value = serde_json::from_slice(bytes).map_err(|_| malformed("json"))?;
    if value["kabao_trust"].as_u64() != Some(FORMAT) {
        return Err(malformed("kabao_trust"));
    }
    Ok(TrustBundle {
        version: value["version"].as_u64().ok_or(malformed("version"))?,
        issued_at: time(&value, "issued_at")?,
        origin: text(&value, "origin")?,
        development: match value["development"].as_bool().ok_or(malformed("development"))? {
            true => Development::Yes,
            false => Development::No,
        },
        anchors: decode_x509(&value, "anchors", ANCHORS_MAX)?,
        issuers: list(&value, "issuers", ISSUERS_MAX)?.iter().map(decode_issuer).collect::<Result<_, _>>()?,
        log: TrustedLog { origin: text(&value["log"], "origin")?, vkey: text(&value["log"], "vkey")? },
        status_keys: decode_keys(&value, "status_keys")?,
        receipt_keys: decode_keys(&value, "receipt_keys")?,
        show_authority_keys: decode_keys(&value, "show_authority_keys")?,
        status_base: text(&value, "status_base")?,
        type_versions: type_versions(&value)?,
    })
}

fn encode_issuer(issuer: &TrustedIssuer) -> Value {
    json!({
        "uscc": issuer.uscc,
        "name": { "zh": issuer.name_zh, "en": issuer.name_en },
        "keys": issuer.keys.iter().map(encode_issuer_key).collect::<Value>(),
    })
}

fn encode_issuer_key(key: &IssuerKey) -> Value {
    let types = match &key.types {
        Types::All => Value::from("all"),
        Types::Only(codes) => codes.iter().map(String::as_str).collect(),
    };
    let mut value = Map::new();
    value.insert("kid".into(), key.key.kid().into());
    value.insert("jwk".into(), jwk(&key.key));
    value.insert("x5c".into(), encode_x509(&key.x509));
    value.insert("types".into(), types);
    value.insert("not_before".into(), key.not_before.seconds().into());
    value.insert("not_after".into(), key.not_after.seconds().into());
    for (name, at) in [("retired_at", key.retired_at), ("compromised_since", key.compromised_since)] {
        if let Some(at) = at {
            value.insert(name.into(), at.seconds().into());
        }
    }
    Value::Object(value)
}

fn encode_key(key: &TrustedKey) -> Value {
    json!({
        "kid": key.key.kid(),
        "jwk": jwk(&key.key),
        "not_before": key.not_before.seconds(),
        "not_after": key.not_after.seconds(),
    })
}

fn encode_x509(chain: &[X509]) -> Value {
    chain.iter().map(|x509| STANDARD.encode(x509.der())).collect()
}

fn jwk(key: &PublicKey) -> Value {
    serde_json::from_str(&key.jwk()).expect("a JWK is JSON by construction")
}

fn decode_issuer(value: &Value) -> Result<TrustedIssuer, TrustError> {
    let keys = list(value, "keys", KEYS_MAX)?.iter().map(decode_issuer_key);
    Ok(TrustedIssuer {
        uscc: text(value, "uscc")?,
        name_zh: text(&value["name"], "zh")?,
        name_en: text(&value["name"], "en")?,
        keys: keys.collect::<Result<_, _>>()?,
    })
}

fn decode_issuer_key(value: &Value) -> Result<IssuerKey, TrustError> {
    let types = match &value["types"] {
        Value::String(all) if all == "all" => Types::All,
        Value::Array(_) => {
            let codes = list(value, "types", TYPES_MAX)?.iter().map(|code| code.as_str().map(str::to_owned));
            Types::Only(codes.collect::<Option<_>>().ok_or(malformed("types"))?)
        }
        _ => return Err(malformed("types")),
    };
    let optional = |name| if value[name].is_null() { Ok(None) } else { time(value, name).map(Some) };
    Ok(IssuerKey {
        key: decode_jwk(value)?,
        x509: decode_x509(value, "x5c", CHAIN_MAX)?,
        types,
        not_before: time(value, "not_before")?,
        not_after: time(value, "not_after")?,
        retired_at: optional("retired_at")?,
        compromised_since: optional("compromised_since")?,
    })
}

fn decode_keys(value: &Value, name: &'static str) -> Result<Vec<TrustedKey>, TrustError> {
    let decode = |value: &Value| {
        Ok(TrustedKey {
            key: decode_jwk(value)?,
            not_before: time(value, "not_before")?,
            not_after: time(value, "not_after")?,
        })
    };
    list(value, name, KEYS_MAX)?.iter().map(decode).collect()
}

/// The key, whose kid must be the one that stands beside it.
fn decode_jwk(value: &Value) -> Result<PublicKey, TrustError> {
    let key = PublicKey::from_jwk(&value["jwk"]).map_err(|_| malformed("jwk"))?;
    if value["kid"].as_str() == Some(&key.kid()) { Ok(key) } else { Err(malformed("kid")) }
}

fn decode_x509(value: &Value, name: &'static str, most: usize) -> Result<Vec<X509>, TrustError> {
    let decode = |value: &Value| X509::from_der(&STANDARD.decode(value.as_str()?).ok()?).ok();
    list(value, name, most)?.iter().map(|value| decode(value).ok_or(malformed(name))).collect()
}

fn type_versions(value: &Value) -> Result<BTreeMap<String, u32>, TrustError> {
    let versions = value["type_versions"].as_object().ok_or(malformed("type_versions"))?;
    if versions.len() > TYPES_MAX {
        return Err(TrustError::TooMuch { what: "type_versions" });
    }
    let version =
        |(code, version): (&String, &Value)| Some((code.clone(), u32::try_from(version.as_u64()?).ok()?));
    versions.iter().map(|entry| version(entry).ok_or(malformed("type_versions"))).collect()
}

fn list<'a>(value: &'a Value, name: &'static str, most: usize) -> Result<&'a [Value], TrustError> {
    let list = value[name].as_array().ok_or(malformed(name))?;
    if list.len() > most { Err(TrustError::TooMuch { what: name }) } else { Ok(list) }
}

fn text(value: &Value, name: &'static str) -> Result<String, TrustError> {
    value[name].as_str().map(str::to_owned).ok_or(malformed(name))
}

fn time(value: &Value, name: &'static str) -> Result<UnixTime, TrustError> {
    value[name].as_i64().and_then(UnixTime::new).ok_or(malformed(name))
}

fn malformed(part: &'static str) -> TrustError {
    TrustError::Malformed { part }
}

/// The version of the format.
const FORMAT: u64 = 1;

/// Limits of our own choice, well above what one city needs.
const ANCHORS_MAX: usize = 32;
const ISSUERS_MAX: usize = 10_000;
const KEYS_MAX: usize = 64;
const CHAIN_MAX: usize = 8;
const TYPES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn value() -> Value {
        json!({
            "kabao_trust": 1, "version": 1, "issued_at": 0, "origin": "", "development": false, "anchors": [],
            "issuers": [], "log": { "origin": "", "vkey": "" }, "status_keys": [], "receipt_keys": [],
            "show_authority_keys": [], "status_base": "", "type_versions": {}, "a_later_member": 1,
        })
    }

    #[track_caller]
    fn check(name: &str, edited: Value, expected: TrustError) {
        let mut value = value();
        value[name] = edited;
        assert_eq!(decode(value.to_string().as_bytes()).unwrap_err(), expected, "{name}");
    }

    #[test]
    fn a_bundle_may_grow_but_not_change_its_format() {
        assert!(decode(value().to_string().as_bytes()).is_ok());
        check("kabao_trust", json!(2), malformed("kabao_trust"));
    }

    #[test]
    fn every_member_is_needed_and_of_its_kind() {
        for name in value().as_object().unwrap().keys().filter(|name| *name != "a_later_member") {
            let mut value = value();
            value[name] = json!([[[]]]);
            assert!(decode(value.to_string().as_bytes()).is_err(), "{name}");
            value.as_object_mut().unwrap().remove(name);
            assert!(decode(value.to_string().as_bytes()).is_err(), "{name}");
        }
        check("issued_at", json!(-1), malformed("issued_at"));
    }

    #[test]
    fn every_list_has_a_limit() {
        for (name, most) in [("anchors", ANCHORS_MAX), ("issuers", ISSUERS_MAX), ("status_keys", KEYS_MAX)] {
            check(name, vec![json!(""); most + 1].into(), TrustError::TooMuch { what: name });
        }
        let types: Map<_, _> = (0..=TYPES_MAX).map(|n| (n.to_string(), json!(1))).collect();
        check("type_versions", types.into(), TrustError::TooMuch { what: "type_versions" });
    }

    #[test]
    fn a_kid_that_is_not_its_key_s_is_refused() {
        let key =
            json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
        let entry = json!([{ "kid": "x", "jwk": key, "not_before": 0, "not_after": 1 }]);
        check("status_keys", entry, malformed("kid"));
    }
}
