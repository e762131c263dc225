//! Every "MUST be rejected" of RFC 9901, 7, and every reason of a verdict.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::*;
use crate::credential::disclosure::{Disclosure, DisclosureError};
use crate::credential::json::JsonError;
use crate::credential::sd_jwt::{Plan, SdJwt, StatusClaim};
use crate::credential::token::{self, TokenError};
use crate::keys::jws::JwsError;
use crate::keys::random::SeededRandom;
use crate::keys::soft::SoftSigner;
use crate::keys::{Algorithm, Signer};

const ISSUER: &str = "https://kabao.example/issuers/11500000MB0N123456";
const VCT: &str = "https://kabao.example/types/11500199XT0TEXT11P012/1";
const LIST: &str = "https://kabao.example/status/3";
const ISSUED: i64 = 1_800_000_000;
const ENDS: i64 = 1_900_000_000;
const AUDIENCE: &str = "x509_hash:agency";

fn at(seconds: i64) -> UnixTime {
    UnixTime::new(seconds).unwrap()
}

fn issuer() -> SoftSigner {
    SoftSigner::ed25519(&[1; 32])
}

/// Another key at each call: ring makes P-256 keys with chance of its own.
fn holder() -> SoftSigner {
    SoftSigner::generate(Algorithm::P256, &SeededRandom::danger_seeded(7)).unwrap().0
}

fn plan() -> Plan {
    Plan {
        issuer: ISSUER.into(),
        vct: VCT.into(),
        issued_at: at(ISSUED),
        not_before: None,
        expires_at: Some(at(ENDS)),
        status: StatusClaim { index: 12, uri: LIST.into() },
        confirmation: None,
        claims: vec![
            ("identifier".into(), json!("1.2.156.3005.2.X")),
            ("name".into(), json!("张小明")),
            ("classes".into(), json!(["C1", "D"])),
            ("points".into(), json!(3)),
        ],
    }
}

fn credential() -> SdJwt {
    signed(plan())
}

fn signed(plan: Plan) -> SdJwt {
    plan.sign(&issuer(), &[b"leaf".to_vec()], &SeededRandom::danger_seeded(1)).unwrap()
}

struct World {
    key: Option<TrustedIssuerKey>,
    status: StatusAnswer,
}

impl Default for World {
    fn default() -> Self {
        let key = TrustedIssuerKey {
            key: issuer().public_key().clone(),
            not_before: at(ISSUED - 1000),
            not_after: at(ISSUED + 1000),
            compromised_since: None,
            issuer_name: "公安交管".into(),
            development: false,
        };
        Self { key: Some(key), status: StatusAnswer::Value { value: 0, as_of: at(ISSUED) } }
    }
}

impl World {
    fn with_key(change: impl FnOnce(&mut TrustedIssuerKey)) -> Self {
        let mut world = Self::default();
        change(world.key.as_mut().unwrap());
        world
    }
}

impl IssuerTrust for World {
    fn issuer_key(&self, iss: &str, kid: &str, vct: &str) -> Option<TrustedIssuerKey> {
        let asked = (iss, kid, vct) == (ISSUER, &issuer().public_key().kid(), VCT);
        self.key.clone().filter(|_| asked)
    }
}

impl StatusSource for World {
    fn status(&self, uri: &str, index: u32) -> StatusAnswer {
        if (uri, index) == (LIST, 12) { self.status } else { StatusAnswer::Unknown }
    }
}

// ---- what parses ------------------------------------------------------------------------------

/// What every credential must have beside the member under test.
fn payload(changes: Value) -> Value {
    let mut payload = json!({
        "iss": ISSUER, "vct": VCT, "iat": ISSUED, "nbf": ISSUED, "exp": ENDS, "_sd_alg": "sha-256",
        "status": { "status_list": { "idx": 12, "uri": LIST } },
    });
    for (name, value) in changes.as_object().unwrap() {
        if value == &json!("(absent)") {
            payload.as_object_mut().unwrap().remove(name);
        } else {
            payload[name] = value.clone();
        }
    }
    payload
}

fn encoded(disclosure: &Value) -> String {
    URL_SAFE_NO_PAD.encode(disclosure.to_string())
}

fn digest(disclosure: &Value) -> String {
    URL_SAFE_NO_PAD.encode(crate::domain::digest::Digest::of(&[encoded(disclosure).as_bytes()]).as_bytes())
}

/// Signed by the issuer, so that nothing but the rule under test can refuse it.
fn text(payload: &Value, disclosures: &[Value]) -> String {
    let mut text = token::sign(&issuer(), sd_jwt::TYP, &[], payload.to_string().as_bytes()).unwrap();
    text.push('~');
    for disclosure in disclosures {
        text.push_str(&encoded(disclosure));
        text.push('~');
    }
    text
}

#[track_caller]
fn check(changes: Value, disclosures: &[Value], expected: Result<Value, SdJwtError>) {
    let text = text(&payload(changes.clone()), disclosures);
    let actual =
        UnverifiedCredential::parse(&text).map(|parsed| Value::Object(parsed.content.claims.clone()));
    assert_eq!(actual, expected, "{changes} {disclosures:?}");
}

#[test]
fn claims_come_from_every_level() {
    let street = json!(["s1", "street", "解放碑"]);
    let address = json!(["s2", "address", { "_sd": [digest(&street)], "city": "重庆" }]);
    let class = json!(["s3", "C1"]);
    let decoy = "decoydecoydecoydecoydecoydecoydecoydecoydec";
    check(
        json!({ "_sd": [digest(&address), decoy], "classes": [{ "...": digest(&class) }, { "...": "kept back" }, "D"] }),
        &[address.clone(), street.clone(), class.clone()],
        Ok(json!({ "address": { "city": "重庆", "street": "解放碑" }, "classes": ["C1", "D"] })),
    );
    check(json!({ "_sd": [digest(&address)] }), &[address], Ok(json!({ "address": { "city": "重庆" } })));
    check(json!({}), &[], Ok(json!({})));
    check(json!({ "_sd_alg": "(absent)", "exp": "(absent)" }), &[], Ok(json!({})));
}

#[test]
fn everything_rfc_9901_7_1_rejects_is_refused() {
    use SdJwtError as E;
    let one = json!(["s1", "name", "张"]);
    let other = json!(["s2", "name", "李"]);
    let element = json!(["s3", "C1"]);
    let (d_one, d_other, d_element) = (digest(&one), digest(&other), digest(&element));
    let inner = json!(["s4", "inner", { "_sd": [d_one] }]);
    let reserved = json!(["s5", "tree", { "_sd_alg": "sha-256" }]);

    for digests in [json!("x"), json!(0), json!(null), json!({}), json!(true)] {
        check(json!({ "_sd": digests }), &[], Err(E::Digests));
        check(json!({ "address": { "_sd": digests } }), &[], Err(E::Digests));
    }
    for item in [json!(1), json!(null), json!({}), json!(["x"])] {
        check(json!({ "_sd": [item] }), &[], Err(E::Digests));
        check(json!({ "list": [{ "...": item }] }), &[], Err(E::Digests));
    }

    // A digest in two places, disclosed or not, directly or by way of a disclosure.
    check(json!({ "_sd": [d_one, d_one] }), &[], Err(E::DuplicateDigest));
    check(json!({ "_sd": [d_one, d_one] }), std::slice::from_ref(&one), Err(E::DuplicateDigest));
    check(json!({ "_sd": ["decoy"], "address": { "_sd": ["decoy"] } }), &[], Err(E::DuplicateDigest));
    check(json!({ "list": [{ "...": d_element }, { "...": d_element }] }), &[], Err(E::DuplicateDigest));
    check(json!({ "_sd": ["x"], "list": [{ "...": "x" }] }), &[], Err(E::DuplicateDigest));
    check(json!({ "_sd": [d_one, digest(&inner)] }), &[one.clone(), inner.clone()], Err(E::DuplicateDigest));

    // A disclosure that nothing covers.
    check(json!({}), std::slice::from_ref(&one), Err(E::UnreferencedDisclosure));
    check(json!({ "_sd": [d_one] }), &[one.clone(), other.clone()], Err(E::UnreferencedDisclosure));
    check(json!({ "_sd": [digest(&inner)] }), std::slice::from_ref(&one), Err(E::UnreferencedDisclosure));
    check(json!({ "note": d_one }), std::slice::from_ref(&one), Err(E::UnreferencedDisclosure));
    check(json!({ "_sd": [d_one] }), &[one.clone(), one.clone()], Err(E::DuplicateDisclosure));

    // The wrong form for its place.
    check(json!({ "_sd": [d_element] }), std::slice::from_ref(&element), Err(E::Elements));
    check(json!({ "list": [{ "...": d_one }] }), std::slice::from_ref(&one), Err(E::Elements));

    // A name that is taken.
    check(json!({ "_sd": [d_one], "name": "王" }), std::slice::from_ref(&one), Err(E::ClaimExists));
    check(json!({ "_sd": [d_one, d_other] }), &[one.clone(), other.clone()], Err(E::ClaimExists));
    check(json!({ "a": { "_sd": [d_one], "name": "王" } }), std::slice::from_ref(&one), Err(E::ClaimExists));

    // Reserved names.
    for name in ["_sd", "...", "_sd_alg"] {
        let named = json!(["s", name, "x"]);
        let error = E::Disclosure(DisclosureError::ReservedName);
        check(json!({ "_sd": [digest(&named)] }), std::slice::from_ref(&named), Err(error));
    }
    check(json!({ "...": "x" }), &[], Err(E::ReservedName));
    check(json!({ "a": { "...": "x" } }), &[], Err(E::ReservedName));
    check(json!({ "list": [{ "...": "x", "more": 1 }] }), &[], Err(E::ReservedName));
    check(json!({ "a": { "_sd_alg": "sha-256" } }), &[], Err(E::ReservedName));
    check(json!({ "list": [{ "_sd_alg": "sha-256" }] }), &[], Err(E::ReservedName));
    check(json!({ "_sd": [digest(&reserved)] }), std::slice::from_ref(&reserved), Err(E::ReservedName));

    // Another digest, or one cut short.
    for algorithm in
        [json!("sha-1"), json!("sha-256-32"), json!("sha-512"), json!("SHA-256"), json!(1), json!(null)]
    {
        check(json!({ "_sd_alg": algorithm }), &[], Err(E::HashAlgorithm));
    }

    // Claims that a holder could keep back.
    for name in
        ["iss", "nbf", "exp", "cnf", "vct", "vct#integrity", "status", "iat", "sub", "aud", "jti", "nonce"]
    {
        let hidden = json!(["s", name, 1]);
        let changes = json!({ "_sd": [digest(&hidden)], (name): "(absent)" });
        check(changes, std::slice::from_ref(&hidden), Err(E::MustStandInTheClear));
    }
    let second_exp = json!(["s", "exp", ENDS + 1]);
    check(json!({ "_sd": [digest(&second_exp)] }), std::slice::from_ref(&second_exp), Err(E::ClaimExists));
}

#[test]
fn disclosures_within_disclosures_end_somewhere() {
    let mut chain = vec![json!(["s", "end", 1])];
    for depth in 0..20 {
        let inner = digest(chain.last().unwrap());
        chain.push(json!([format!("s{depth}"), "next", { "_sd": [inner] }]));
    }
    let changes = json!({ "_sd": [digest(chain.last().unwrap())] });
    check(changes, &chain, Err(SdJwtError::Deep));
}

#[test]
fn validity_claims_of_the_wrong_type_are_not_absent_ones() {
    let wrong = [
        json!(null),
        json!("1900000000"),
        json!(1.5e9),
        json!(1_900_000_000.5),
        json!(-1),
        json!(9_223_372_036_854_775_808_u64),
        json!(253_402_300_800_i64),
        json!(true),
        json!([ENDS]),
        json!({}),
    ];
    for name in ["exp", "iat", "nbf"] {
        for value in &wrong {
            check(json!({ (name): value }), &[], Err(SdJwtError::Claim { name }));
        }
    }
    for name in ["iat", "nbf", "iss", "vct", "status"] {
        check(json!({ (name): "(absent)" }), &[], Err(SdJwtError::Claim { name }));
    }
    for name in ["iss", "vct"] {
        for value in [json!(null), json!(7), json!(""), json!([ISSUER]), json!(true)] {
            check(json!({ (name): value }), &[], Err(SdJwtError::Claim { name }));
        }
    }
    for status in [
        json!(0),
        json!({}),
        json!({ "status_list": { "idx": "12", "uri": LIST } }),
        json!({ "status_list": { "idx": -1, "uri": LIST } }),
        json!({ "status_list": { "idx": 4_294_967_296_i64, "uri": LIST } }),
        json!({ "status_list": { "idx": 12 } }),
    ] {
        check(json!({ "status": status }), &[], Err(SdJwtError::Claim { name: "status" }));
    }
    for cnf in [json!({}), json!("x"), json!({ "jwk": { "kty": "OKP", "crv": "Ed25519", "x": "AA" } })] {
        check(json!({ "cnf": cnf }), &[], Err(SdJwtError::Claim { name: "cnf" }));
    }
}

#[track_caller]
fn check_text(text: &str, expected: SdJwtError) {
    assert_eq!(UnverifiedCredential::parse(text).map(|_| ()), Err(expected), "{text:.80}");
}

#[test]
fn what_is_no_sd_jwt_is_refused() {
    use SdJwtError as E;
    let good = text(&payload(json!({})), &[]);
    let jwt = good.trim_end_matches('~');
    let disclosure = |error| E::Disclosure(error);
    check_text(jwt, E::NotSdJwt);
    check_text("", E::NotSdJwt);
    check_text("~", E::Token(TokenError::Jws(JwsError::Malformed { part: "parts" })));
    check_text(&format!("{good}~"), disclosure(DisclosureError::Encoding));
    check_text(&format!("{good}?~"), disclosure(DisclosureError::Encoding));
    check_text(&format!("{good}{}=~", encoded(&json!(["s", "n", 1]))), disclosure(DisclosureError::Encoding));
    for (json, error) in [
        (json!({}), DisclosureError::Elements),
        (json!([]), DisclosureError::Elements),
        (json!(["s"]), DisclosureError::Elements),
        (json!(["s", "n", 1, 2]), DisclosureError::Elements),
        (json!([1, "n", 1]), DisclosureError::Salt),
        (json!(["s", 1, 1]), DisclosureError::Name),
    ] {
        check_text(&text(&payload(json!({ "_sd": [digest(&json)] })), &[json]), disclosure(error));
    }
    check_text(&format!("{good}{}", "W10~".repeat(sd_jwt::DISCLOSURES_MAX + 1)), E::TooManyDisclosures);
    check_text(&"x".repeat(sd_jwt::BYTES_MAX + 1), E::TooLong);

    let claims = payload(json!({})).to_string();
    let typed = |typ| token::sign(&issuer(), typ, &[], claims.as_bytes()).unwrap() + "~";
    for typ in ["JWT", "vc+sd-jwt", "kb+jwt", "dc+sd-jwt+x"] {
        check_text(&typed(typ), E::Token(TokenError::Jws(JwsError::Type)));
    }
    let doubled = claims.replacen('{', r#"{"exp":1,"#, 1);
    let doubled = token::sign(&issuer(), sd_jwt::TYP, &[], doubled.as_bytes()).unwrap() + "~";
    check_text(&doubled, E::Token(TokenError::Json(JsonError::DuplicateMember)));
}

// ---- what is signed ---------------------------------------------------------------------------

#[test]
fn a_credential_says_what_the_plan_says_and_nothing_in_the_clear_that_it_need_not() {
    let credential = credential();
    let payload = credential.issuer_jwt().split('.').nth(1).unwrap();
    let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    let members: Vec<&str> = payload.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["_sd", "_sd_alg", "exp", "iat", "iss", "nbf", "status", "vct"]);
    let digests: Vec<&str> = payload["_sd"].as_array().unwrap().iter().map(|d| d.as_str().unwrap()).collect();
    assert!(digests.is_sorted() && digests.len() == 4);

    let parsed = UnverifiedCredential::parse(credential.as_str()).unwrap();
    let claims =
        json!({ "identifier": "1.2.156.3005.2.X", "name": "张小明", "classes": ["C1", "D"], "points": 3 });
    assert_eq!(Value::Object(parsed.content.claims.clone()), claims);
    assert_eq!(parsed.jwt(), credential.issuer_jwt());
    assert_eq!(format!("{credential:?} {parsed:?}"), "SdJwt(..) UnverifiedCredential(..)");
}

#[test]
fn only_what_the_holder_chose_is_presented() {
    let credential = SdJwt::read_back(credential().as_str()).unwrap();
    let shown = credential.present(&["name", "no such claim"]);
    let parsed = UnverifiedCredential::parse(&shown).unwrap();
    assert_eq!(Value::Object(parsed.content.claims.clone()), json!({ "name": "张小明" }));
    assert_eq!(credential.keys().collect::<Vec<_>>(), ["identifier", "name", "classes", "points"]);
    assert_eq!(*credential.present(&[]), format!("{}~", credential.issuer_jwt()));
}

#[test]
fn every_salt_is_its_own() {
    let mut salts = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let credential = plan().sign(&issuer(), &[], &SeededRandom::danger_seeded(seed)).unwrap();
        for encoded in credential.as_str().split('~').skip(1).filter(|part| !part.is_empty()) {
            let disclosure: Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap();
            let salt = URL_SAFE_NO_PAD.decode(disclosure[0].as_str().unwrap()).unwrap();
            assert_eq!(salt.len(), 16);
            assert!(salts.insert(salt));
        }
    }
    struct Stuck;
    impl crate::keys::Random for Stuck {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), crate::keys::RandomError> {
            bytes.fill(7);
            Ok(())
        }
    }
    assert_eq!(plan().sign(&issuer(), &[], &Stuck).map(|_| ()), Err(SdJwtError::Random));
}

#[test]
fn a_plan_that_breaks_a_rule_is_never_signed() {
    let broken: [fn(&mut Plan); 14] = [
        |plan| plan.issuer = "kabao.example".into(),
        |plan| plan.vct = "https://".into(),
        |plan| plan.status.uri = format!("https://x/{}", "y".repeat(600)),
        |plan| plan.status.uri = "https://x y".into(),
        |plan| plan.status.index = 1 << 20,
        |plan| plan.expires_at = Some(at(ISSUED)),
        |plan| plan.not_before = Some(at(ENDS)),
        |plan| plan.claims.clear(),
        |plan| plan.claims[0].1 = json!(1),
        |plan| plan.claims.push(("name".into(), json!("again"))),
        |plan| plan.claims.push(("exp".into(), json!(1))),
        |plan| plan.claims.push((String::new(), json!(1))),
        |plan| plan.claims.push(("tree".into(), json!([{ "_sd": [] }]))),
        |plan| plan.claims.push(("deep".into(), json!([[[[[1]]]]]))),
    ];
    for (index, change) in broken.into_iter().enumerate() {
        let mut plan = plan();
        change(&mut plan);
        let signed = plan.sign(&issuer(), &[], &SeededRandom::danger_seeded(1));
        assert!(matches!(signed, Err(SdJwtError::Plan { .. })), "{index}: {signed:?}");
    }
}

// ---- what is believed -------------------------------------------------------------------------

#[track_caller]
fn judge(
    text: &str,
    world: &World,
    policy: &Policy<'_>,
    now: i64,
    expected: Reason,
) -> Option<VerifiedCredential> {
    let parsed = UnverifiedCredential::parse(text).unwrap();
    let (parts, verified) = parsed.verify(world, world, policy, at(now));
    assert_eq!(verified.is_some(), parts.all_passed());
    let verdict = parts.verdict(Check::new(Reason::AskingNone));
    assert_eq!(verdict.deciding().reason, expected, "{verdict}");
    verified
}

#[test]
fn a_good_credential_is_accepted_with_its_claims() {
    let credential = credential();
    let shown = credential.present(&["points"]);
    let verified =
        judge(&shown, &World::default(), &Policy::default(), ISSUED + 5, Reason::StatusActive).unwrap();
    assert_eq!(Value::Object(verified.expose().clone()), json!({ "points": 3 }));
    assert_eq!((verified.issuer_url(), verified.vct(), verified.issuer_name()), (ISSUER, VCT, "公安交管"));
    assert_eq!((verified.status_reference(), verified.expires_at()), ((LIST, 12), Some(at(ENDS))));
    assert_eq!(verified.jwt(), credential.issuer_jwt());
}

#[test]
fn each_reason_is_told() {
    let text = credential().as_str().to_owned();
    let now = ISSUED + 5;
    let look = |world: World, now, reason| judge(&text, &world, &Policy::default(), now, reason);
    look(World { key: None, ..World::default() }, now, Reason::ChainUntrusted);
    look(World::with_key(|key| key.development = true), now, Reason::ChainDevelopment);
    look(World::with_key(|key| key.not_before = at(ISSUED + 1)), now, Reason::KeyNotValid);
    look(World::with_key(|key| key.not_after = at(ISSUED)), now, Reason::KeyNotValid);
    look(World::with_key(|key| key.compromised_since = Some(at(ISSUED))), now, Reason::KeyCompromised);
    for (status, reason) in [
        (StatusAnswer::Value { value: 1, as_of: at(now) }, Reason::StatusEnded),
        (StatusAnswer::Value { value: 2, as_of: at(now) }, Reason::StatusSuspended),
        (StatusAnswer::Value { value: 3, as_of: at(now) }, Reason::StatusUnknown),
        (StatusAnswer::Stale { as_of: at(now) }, Reason::StatusStale),
        (StatusAnswer::Unknown, Reason::StatusUnknown),
    ] {
        look(World { status, ..World::default() }, now, reason);
    }
    // The second in which it ends is no longer in it.
    look(World::default(), ENDS - 1, Reason::StatusActive);
    look(World::default(), ENDS, Reason::TimeExpired);
    look(World::default(), ISSUED - CLOCK_SKEW_S, Reason::StatusActive);
    look(World::default(), ISSUED - CLOCK_SKEW_S - 1, Reason::TimeNotYet);
    // The same key does not vouch for another issuer or type.
    for changes in
        [json!({ "iss": "https://kabao.example/issuers/other" }), json!({ "vct": format!("{VCT}0") })]
    {
        let text = self::text(&payload(changes), &[]);
        judge(&text, &World::default(), &Policy::default(), now, Reason::ChainUntrusted);
    }
}

#[test]
fn a_changed_bit_is_a_bad_signature() {
    let good = text(&payload(json!({})), &[]);
    let (head, signature) = good.trim_end_matches('~').rsplit_once('.').unwrap();
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    for index in 0..bytes.len() {
        bytes[index] ^= 1;
        let text = format!("{head}.{}~", URL_SAFE_NO_PAD.encode(&bytes));
        judge(&text, &World::default(), &Policy::default(), ISSUED, Reason::SignatureBad);
        bytes[index] ^= 1;
    }
    let (header, _) = head.split_once('.').unwrap();
    let forged = URL_SAFE_NO_PAD.encode(payload(json!({ "points": 0 })).to_string());
    let text = format!("{header}.{forged}.{signature}~");
    judge(&text, &World::default(), &Policy::default(), ISSUED, Reason::SignatureBad);
}

#[test]
fn what_a_compromised_key_says_of_its_time_is_worth_nothing() {
    let text = credential().as_str().to_owned();
    let world = World::with_key(|key| key.compromised_since = Some(at(ISSUED + 100)));
    let logged = |seconds| Policy { logged_at: Some(at(seconds)), ..Policy::default() };
    judge(&text, &world, &Policy::default(), ISSUED + 200, Reason::KeyCompromised);
    judge(&text, &world, &logged(ISSUED + 100), ISSUED + 200, Reason::KeyCompromised);
    judge(&text, &world, &logged(ISSUED + 60), ISSUED + 200, Reason::StatusActive);
}

#[test]
fn keys_for_development_are_believed_only_by_who_says_so() {
    let world = World::with_key(|key| key.development = true);
    let policy = Policy { development: DevelopmentKeys::DangerAccept, ..Policy::default() };
    judge(credential().as_str(), &world, &policy, ISSUED, Reason::StatusActive);
}

#[test]
fn a_key_binding_is_the_verifiers_policy() {
    let holder = holder();
    let mut bound = plan();
    bound.confirmation = Some(holder.public_key().clone());
    let bound = signed(bound);
    let shown = bound.present(&["name"]);
    let now = ISSUED + 100;
    let bind = |text: &str, signer: &SoftSigner, audience, nonce, time| {
        key_binding::bind(text, signer, audience, nonce, at(time)).unwrap()
    };
    let good = bind(&shown, &holder, AUDIENCE, "n1", now);
    let expected = Expected { audience: AUDIENCE, nonce: "n1", age_s_max: 60 };
    let wanted = Policy { key_binding: KeyBinding::Require(expected), ..Policy::default() };
    let world = World::default();
    judge(&good, &world, &wanted, now, Reason::StatusActive).unwrap();
    // Present but not wanted, wanted but not present.
    judge(&good, &world, &Policy::default(), now, Reason::BindingKeyBad);
    judge(&shown, &world, &wanted, now, Reason::BindingKeyBad);

    let jwt = |claims: Value| {
        format!(
            "{}{}",
            *shown,
            token::sign(&holder, key_binding::TYP, &[], claims.to_string().as_bytes()).unwrap()
        )
    };
    let sd_hash = URL_SAFE_NO_PAD.encode(crate::domain::digest::Digest::of(&[shown.as_bytes()]).as_bytes());
    let claims = json!({ "aud": AUDIENCE, "nonce": "n1", "iat": now, "sd_hash": sd_hash });
    judge(&jwt(claims.clone()), &world, &wanted, now, Reason::StatusActive).unwrap();
    let mut bad = vec![
        bind(&shown, &issuer(), AUDIENCE, "n1", now),
        bind(&shown, &holder, "x509_hash:other", "n1", now),
        bind(&shown, &holder, AUDIENCE, "n2", now),
        bind(&shown, &holder, AUDIENCE, "n1", now - 61),
        bind(&shown, &holder, AUDIENCE, "n1", now + 61),
        // Made over less, and over more, than is shown.
        good.replacen(&*shown, &bound.present(&[]), 1),
        good.replacen(&*shown, bound.as_str(), 1),
        format!("{}{}", *shown, token::sign(&holder, "JWT", &[], claims.to_string().as_bytes()).unwrap()),
        format!("{}x", *shown),
    ];
    for (name, value) in [
        ("aud", json!([AUDIENCE])),
        ("aud", json!(null)),
        ("nonce", json!(1)),
        ("iat", json!(now.to_string())),
        ("iat", json!(null)),
        ("sd_hash", json!(null)),
        ("sd_hash", json!("")),
    ] {
        let mut claims = claims.clone();
        claims[name] = value;
        bad.push(jwt(claims));
    }
    for (index, text) in bad.iter().enumerate() {
        let parsed = UnverifiedCredential::parse(text).unwrap();
        let (parts, verified) = parsed.verify(&world, &world, &wanted, at(now));
        assert_eq!(parts.binding.reason, Reason::BindingKeyBad, "{index}");
        assert!(verified.is_none());
    }
    // A credential that names no holder's key cannot be bound to one.
    let free = credential();
    let text = bind(free.as_str(), &holder, AUDIENCE, "n1", now);
    judge(&text, &world, &wanted, now, Reason::BindingKeyBad);
    // What we keep ourselves never carries one.
    assert_eq!(SdJwt::read_back(&good).map(|_| ()), Err(SdJwtError::KeyBindingUnwanted));
    assert!(Disclosure::parse(&good).is_err());
}
