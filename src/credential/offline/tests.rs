//! What a code promises, what breaks it, and that others can open it.

use coset::{CborSerializable, TaggedCborSerializable};

use super::*;
use crate::credential::qr::{self, Level, Qr};
use crate::credential::show_key::{ShortKid, ShowAuthority, short_kid};
use crate::domain::verdict::Outcome;
use crate::keys::soft::SoftSigner;

const NOW: i64 = 1_800_000_000;
const ISSUER_CODE: &str = "11430000006122244L";
const TYPE_CODE: &str = "11100000000013338W011";

fn at(seconds: i64) -> UnixTime {
    UnixTime::new(seconds).unwrap()
}

fn authority() -> SoftSigner {
    SoftSigner::ed25519(&[1; 32])
}

fn show_key() -> SoftSigner {
    SoftSigner::ed25519(&[2; 32])
}

fn certificate_for(not_before: i64, expires_at: i64) -> ShowKeyCertificate {
    let plan = show_key::Plan {
        key: show_key().public_key().clone(),
        not_before: at(not_before),
        expires_at: at(expires_at),
    };
    plan.sign(&authority()).unwrap()
}

fn certificate() -> ShowKeyCertificate {
    certificate_for(NOW - 60, NOW + 4 * 3600)
}

fn plan() -> Plan {
    let certificate_type: TypeCode = TYPE_CODE.parse().unwrap();
    let issuer: Uscc = ISSUER_CODE.parse().unwrap();
    let serial = "20230000403ABCDEFGHI".parse().unwrap();
    let version = "002".parse().unwrap();
    Plan {
        issuer,
        certificate_type,
        type_version: 1,
        identifier: CertificateIdentifier::new(certificate_type, issuer, serial, version),
        list: 3,
        index: 1_000_000,
        status: 0,
        good_at: at(NOW),
        issued_at: at(NOW),
        expires_at: at(NOW + 300),
        claims: BTreeMap::from([
            (1, claims::Value::Text("张小明".into())),
            (12, claims::Value::List(vec!["C1".into(), "D".into()])),
            (13, claims::Value::Integer(-3)),
            (14, claims::Value::Boolean(true)),
        ]),
    }
}

fn plan_with(change: impl FnOnce(&mut Plan)) -> Plan {
    let mut plan = plan();
    change(&mut plan);
    plan
}

fn code() -> String {
    plan().sign(&show_key(), &certificate()).unwrap()
}

/// The bundle of a verifier.
struct Bundle(Option<ShowAuthority>);

impl Default for Bundle {
    fn default() -> Self {
        Self(Some(ShowAuthority {
            key: authority().public_key().clone(),
            not_before: at(NOW - 1_000_000),
            not_after: at(NOW + 1_000_000),
            development: false,
            name: "重庆市电子证照库".into(),
        }))
    }
}

impl ShowAuthorities for Bundle {
    fn authority(&self, kid: &ShortKid) -> Option<ShowAuthority> {
        self.0.clone().filter(|_| *kid == short_kid(authority().public_key()))
    }
}

#[track_caller]
fn judge(text: &str, bundle: &Bundle, now: i64, expected: Reason) -> Option<VerifiedOfflineCode> {
    judge_knowing(text, bundle, &KnownShowKeys::default(), now, expected)
}

#[track_caller]
fn judge_knowing(
    text: &str,
    bundle: &Bundle,
    known: &KnownShowKeys,
    now: i64,
    expected: Reason,
) -> Option<VerifiedOfflineCode> {
    let parsed = UnverifiedOfflineCode::parse(text).unwrap();
    let (parts, verified) = parsed.verify(bundle, known, DevelopmentKeys::Refuse, at(now));
    assert_eq!(verified.is_some(), parts.all_passed());
    let verdict = parts.verdict(Check::new(Reason::AskingNone));
    assert_eq!(verdict.deciding().reason, expected, "{verdict}");
    verified
}

/// The message inside a text.
fn message(text: &str) -> Vec<u8> {
    base45::decode(text.strip_prefix(PREFIX).unwrap()).unwrap()
}

fn text_of(message: &[u8]) -> String {
    format!("{PREFIX}{}", base45::encode(message))
}

/// A code over any payload, signed by the real show key.
fn signed(payload: &Value) -> String {
    let header = vec![(Value::Integer(SHOW_KEY), Value::Bytes(certificate().as_bytes().to_vec()))];
    text_of(&cose::sign(&show_key(), header, payload).unwrap())
}

#[test]
fn what_was_disclosed_comes_out_with_its_status_and_times() {
    let verified = judge(&code(), &Bundle::default(), NOW + 5, Reason::StatusActive).unwrap();
    assert!(verified.expose() == &plan().claims);
    assert_eq!(verified.identifier(), &plan().identifier);
    assert_eq!((verified.issuer(), verified.certificate_type()), (plan().issuer, plan().certificate_type));
    assert_eq!((verified.status_reference(), verified.type_version()), ((3, 1_000_000), 1));
    assert_eq!(
        (verified.good_at(), verified.issued_at(), verified.expires_at()),
        (at(NOW), at(NOW), at(NOW + 300))
    );
    assert_eq!(verified.authority_name(), "重庆市电子证照库");
    assert_eq!(format!("{verified:?}"), "VerifiedOfflineCode(..)");
}

#[test]
fn an_identifier_of_another_issuer_goes_whole() {
    let foreign = format!("1.2.156.3005.2.{TYPE_CODE}.500000.2023X.001.");
    let identifier = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        .chars()
        .find_map(|check| CertificateIdentifier::parse_foreign(&format!("{foreign}{check}")).ok())
        .unwrap();
    let text =
        plan_with(|plan| plan.identifier = identifier.clone()).sign(&show_key(), &certificate()).unwrap();
    let verified = judge(&text, &Bundle::default(), NOW, Reason::StatusActive).unwrap();
    assert_eq!(verified.identifier(), &identifier);
    // Ours, spelled out, is a second spelling.
    let whole = Value::Text(plan().identifier.to_string());
    let error = UnverifiedOfflineCode::parse(&signed(&with(IDENTIFIER, whole))).map(|_| ());
    assert_eq!(error, Err(OfflineError::Malformed { part: "payload" }));
}

#[test]
fn each_reason_is_told() {
    let certificates =
        |not_before, expires_at| plan().sign(&show_key(), &certificate_for(not_before, expires_at)).unwrap();
    let bundle = |change: fn(&mut ShowAuthority)| {
        let mut authority = Bundle::default().0.unwrap();
        change(&mut authority);
        Bundle(Some(authority))
    };
    judge(&code(), &Bundle(None), NOW, Reason::ChainShowKey);
    judge(
        &code(),
        &bundle(|authority| authority.key = show_key().public_key().clone()),
        NOW,
        Reason::ChainShowKey,
    );
    judge(&code(), &bundle(|authority| authority.not_before = at(NOW)), NOW, Reason::ChainShowKey);
    judge(&code(), &bundle(|authority| authority.not_after = at(NOW + 3600)), NOW, Reason::ChainShowKey);
    judge(&code(), &bundle(|authority| authority.development = true), NOW, Reason::ChainDevelopment);
    judge(&code(), &Bundle::default(), NOW + 299, Reason::StatusActive);
    judge(&code(), &Bundle::default(), NOW + 300, Reason::TimeCodeExpired);
    judge(&code(), &Bundle::default(), NOW - 60, Reason::StatusActive);
    judge(&code(), &Bundle::default(), NOW - 61, Reason::TimeNotYet);
    judge(&certificates(NOW, NOW + 300), &Bundle::default(), NOW + 299, Reason::StatusActive);
    for (bits, reason) in [(1, Reason::StatusEnded), (2, Reason::StatusSuspended)] {
        let text = plan_with(|plan| plan.status = bits).sign(&show_key(), &certificate()).unwrap();
        judge(&text, &Bundle::default(), NOW, reason);
    }
}

#[test]
fn a_show_key_cannot_give_a_code_more_than_its_minutes() {
    let long = signed(&with(EXPIRES_AT, Value::Integer(NOW + 3600)));
    judge(&long, &Bundle::default(), NOW + 299, Reason::StatusActive);
    judge(&long, &Bundle::default(), NOW + 300, Reason::TimeCodeExpired);
    // Dated back before the key, and used after it.
    judge(&signed(&with(ISSUED_AT, Value::Integer(NOW - 61))), &Bundle::default(), NOW, Reason::KeyNotValid);
    let later = NOW + 4 * 3600;
    let late = plan().payload();
    let late =
        replace(replace(late, ISSUED_AT, Value::Integer(later - 1)), EXPIRES_AT, Value::Integer(later + 200));
    judge(&signed(&late), &Bundle::default(), later, Reason::KeyNotValid);
    let stale = [3, 1_000_000, 0, NOW - STAPLE_AGE_S_MAX - LIFETIME_S_MAX - 1].map(Value::Integer);
    judge(&signed(&with(STATUS, Value::Array(stale.into()))), &Bundle::default(), NOW, Reason::StatusStale);
}

#[test]
fn a_known_show_key_is_believed_no_longer_than_its_authority() {
    let known = KnownShowKeys::default();
    judge_knowing(&code(), &Bundle::default(), &known, NOW, Reason::StatusActive);
    judge_knowing(&code(), &Bundle::default(), &known, NOW + 1, Reason::StatusActive);
    judge_knowing(&code(), &Bundle(None), &known, NOW, Reason::ChainShowKey);
    let mut shortened = Bundle::default();
    shortened.0.as_mut().unwrap().not_after = at(NOW + 60);
    judge_knowing(&code(), &shortened, &known, NOW, Reason::ChainShowKey);
    let mut replaced = Bundle::default();
    replaced.0.as_mut().unwrap().key = show_key().public_key().clone();
    judge_knowing(&code(), &replaced, &known, NOW, Reason::ChainShowKey);
}

#[test]
fn no_changed_byte_is_accepted() {
    let good = message(&code());
    for index in 0..good.len() {
        for bit in [1, 0x80] {
            let mut bytes = good.clone();
            bytes[index] ^= bit;
            let Ok(parsed) = UnverifiedOfflineCode::parse(&text_of(&bytes)) else { continue };
            let (_, verified) = parsed.verify(
                &Bundle::default(),
                &KnownShowKeys::default(),
                DevelopmentKeys::Refuse,
                at(NOW),
            );
            assert!(verified.is_none(), "byte {index}");
        }
    }
}

fn replace(payload: Value, label: i64, value: Value) -> Value {
    let Value::Map(entries) = payload else { panic!("the payload is a map") };
    let others = entries.into_iter().filter(|(key, _)| *key != Value::Integer(label));
    Value::Map(others.chain([(Value::Integer(label), value)]).collect())
}

/// The payload of the plan with one entry changed.
fn with(label: i64, value: Value) -> Value {
    replace(plan().payload(), label, value)
}

#[track_caller]
fn refused(text: &str, expected: OfflineError) {
    assert_eq!(UnverifiedOfflineCode::parse(text).map(|_| ()), Err(expected), "{text}");
}

#[test]
fn what_is_built_otherwise_is_refused_even_if_it_is_signed() {
    let malformed = |part| OfflineError::Malformed { part };
    let good = message(&code());
    refused("HC1:ABC", OfflineError::NotOffline);
    refused("kb1:ABC", OfflineError::NotOffline);
    refused("", OfflineError::NotOffline);
    refused(PREFIX, malformed("message"));
    refused(&format!("{PREFIX}A"), malformed("base45"));
    refused(&format!("{PREFIX}:::"), malformed("base45"));
    // Two characters above 255, which the decoder cuts down.
    refused(&format!("{PREFIX}::"), malformed("base45"));
    refused(&code().to_ascii_lowercase().replacen("kb1:", PREFIX, 1), malformed("base45"));
    refused(&format!("{PREFIX}{}", "0".repeat(TEXT_CHARACTERS_MAX)), OfflineError::TooLong);
    refused(&text_of(&[&good[..], &[0]].concat()), malformed("message"));
    refused(&text_of(&good[1..]), malformed("message"));
    refused(&text_of(&[0x81; 600]), malformed("message"));

    let status = |items: &[i64]| Value::Array(items.iter().copied().map(Value::Integer).collect());
    let text = |text: &str| Value::Text(text.into());
    for payload in [
        Value::Map(vec![]),
        Value::Integer(0),
        with(99, Value::Integer(0)),
        with(ISSUER, text("11430000006122244X")),
        with(TYPE, text("short")),
        with(TYPE_VERSION, Value::Integer(65_536)),
        with(IDENTIFIER, text("20230000403ABCDEFGHI")),
        with(IDENTIFIER, text("20230000403ABCDEFGHI.2")),
        with(EXPIRES_AT, text("1800000300")),
        with(ISSUED_AT, Value::Integer(-1)),
        with(STATUS, status(&[3, 1, 0])),
        with(STATUS, status(&[3, 1, 3, NOW])),
        with(STATUS, status(&[-1, 1, 0, NOW])),
        with(CLAIMS, Value::Array(vec![])),
        with(CLAIMS, Value::Map(vec![(text("name"), text("x"))])),
        with(CLAIMS, Value::Map(vec![(Value::Integer(65_536), text("x"))])),
        with(CLAIMS, Value::Map(vec![(Value::Integer(1), Value::Bytes(vec![]))])),
        with(CLAIMS, Value::Map(vec![(Value::Integer(1), Value::Array(vec![Value::Integer(1)]))])),
    ] {
        refused(&signed(&payload), malformed("payload"));
    }
    let bare = cose::sign(&show_key(), vec![], &plan().payload()).unwrap();
    refused(&text_of(&bare), malformed("header"));
    let more =
        vec![(Value::Integer(SHOW_KEY), Value::Bytes(vec![])), (Value::Integer(4), Value::Bytes(vec![]))];
    refused(&text_of(&cose::sign(&show_key(), more, &plan().payload()).unwrap()), malformed("header"));
}

#[test]
fn zlib_is_used_where_it_helps_and_cannot_be_a_bomb() {
    let repeated = BTreeMap::from([(20, claims::Value::Text("文".repeat(300)))]);
    let text = plan_with(|plan| plan.claims = repeated.clone()).sign(&show_key(), &certificate()).unwrap();
    assert_eq!(message(&text).first(), Some(&ZLIB));
    assert!(judge(&text, &Bundle::default(), NOW, Reason::StatusActive).unwrap().expose() == &repeated);

    // What would not be read again is not made, however small it could be packed.
    let huge = BTreeMap::from([(20, claims::Value::Text("文".repeat(450)))]);
    let huge = plan_with(|plan| plan.claims = huge).sign(&show_key(), &certificate());
    assert_eq!(huge, Err(OfflineError::TooLong));

    let malformed = OfflineError::Malformed { part: "zlib" };
    refused(&text_of(&compress(&vec![0xd2; MESSAGE_BYTES_MAX + 1])), malformed);
    refused(&text_of(&compress(&vec![0; 400_000])), malformed);
    refused(&text_of(&[message(&text), vec![0]].concat()), malformed);
    refused(&text_of(&message(&text)[..100]), malformed);
}

#[test]
fn the_fields_that_a_type_may_promise_fit_the_qr_and_more_do_not() {
    // 235 bytes in four fields, no character like another, as TYPE_FORMAT allows a type.
    let unlike = |count: usize, from: u32| {
        (0..).filter_map(|n| char::from_u32(from + n * 7)).take(count).collect::<String>()
    };
    let fields = |name| {
        BTreeMap::from([
            (1, claims::Value::Text(unlike(name, 0x4e00))),
            (3, claims::Value::Text("500199199003071231".into())),
            (11, claims::Value::Text(unlike(30, 0x6000))),
            (12, claims::Value::Text("2099-12-31".into())),
        ])
    };
    let text = plan_with(|plan| plan.claims = fields(33)).sign(&show_key(), &certificate()).unwrap();
    assert!(text.len() <= TEXT_CHARACTERS_MAX);
    assert!(Qr::new(&text, Level::M, qr::OFFLINE_VERSION_MAX).is_ok());
    let too_long = plan_with(|plan| plan.claims = fields(90)).sign(&show_key(), &certificate());
    assert_eq!(too_long, Err(OfflineError::TooLong));
}

#[test]
fn a_plan_that_breaks_a_rule_is_never_signed() {
    let broken: [fn(&mut Plan); 8] = [
        |plan| plan.expires_at = at(NOW + 301),
        |plan| plan.expires_at = at(NOW),
        |plan| plan.good_at = at(NOW + 1),
        |plan| plan.good_at = at(NOW - STAPLE_AGE_S_MAX - 1),
        |plan| plan.status = 3,
        |plan| drop(plan.claims.insert(20, claims::Value::Rows(vec![]))),
        |plan| (plan.issued_at, plan.good_at, plan.expires_at) = (at(NOW - 61), at(NOW - 61), at(NOW)),
        |plan| {
            let end = NOW + 4 * 3600;
            (plan.issued_at, plan.good_at, plan.expires_at) = (at(end - 1), at(end - 1), at(end + 1));
        },
    ];
    for (index, change) in broken.into_iter().enumerate() {
        let signed = plan_with(change).sign(&show_key(), &certificate());
        assert!(matches!(signed, Err(OfflineError::Plan { .. })), "{index}: {signed:?}");
    }
    assert!(matches!(plan().sign(&authority(), &certificate()), Err(OfflineError::Signer(_))));
}

#[test]
fn an_independent_cose_opens_code_and_certificate() {
    let sign1 = coset::CoseSign1::from_tagged_slice(&message(&code())).unwrap();
    let show_key = show_key();
    let verify = |key: &crate::keys::PublicKey, signature: &[u8], data: &[u8]| {
        if key.verify(data, &signature.try_into().unwrap()) { Ok(()) } else { Err(()) }
    };
    sign1.verify_signature(b"", |signature, data| verify(show_key.public_key(), signature, data)).unwrap();
    let (label, certificate) = &sign1.protected.header.rest[0];
    assert_eq!(*label, coset::Label::Int(SHOW_KEY));
    let certificate = certificate.as_bytes().unwrap();
    assert!(certificate.len() <= show_key::BYTES_MAX, "{}", certificate.len());
    let certificate = coset::CoseSign1::from_tagged_slice(certificate).unwrap();
    certificate
        .verify_signature(b"", |signature, data| verify(authority().public_key(), signature, data))
        .unwrap();
    assert_eq!(certificate.protected.header.key_id, short_kid(authority().public_key()));
    let claims = coset::cwt::ClaimsSet::from_slice(certificate.payload.as_ref().unwrap()).unwrap();
    assert_eq!(claims.expiration_time, Some(coset::cwt::Timestamp::WholeSeconds(NOW + 4 * 3600)));
}

#[test]
fn show_keys_live_for_hours() {
    let plan = |lifetime_s| show_key::Plan {
        key: show_key().public_key().clone(),
        not_before: at(NOW),
        expires_at: at(NOW + lifetime_s),
    };
    for lifetime_s in [0, -1, show_key::LIFETIME_S_MAX + 1] {
        assert_eq!(plan(lifetime_s).sign(&authority()), Err(show_key::ShowKeyError::Plan));
    }
    let certificate = plan(show_key::LIFETIME_S_MAX).sign(&authority()).unwrap();
    assert_eq!(ShowKeyCertificate::read_back(certificate.as_bytes()), Ok(certificate.clone()));
    let known = KnownShowKeys::default();
    for index in 0..certificate.as_bytes().len() {
        let mut bytes = certificate.as_bytes().to_vec();
        bytes[index] ^= 1;
        assert!(show_key::verify(&bytes, &Bundle::default(), &known).is_err(), "byte {index}");
    }
    let long = [certificate.as_bytes(), &[0; 20]].concat();
    assert_eq!(ShowKeyCertificate::read_back(&long), Err(show_key::ShowKeyError::Malformed));
}

#[test]
fn an_undecided_code_gives_no_fields() {
    let old = plan_with(|plan| plan.good_at = at(NOW - STAPLE_AGE_S_MAX))
        .sign(&show_key(), &certificate())
        .unwrap();
    let parsed = UnverifiedOfflineCode::parse(&old).unwrap();
    let (parts, verified) =
        parsed.verify(&Bundle::default(), &KnownShowKeys::default(), DevelopmentKeys::Refuse, at(NOW + 301));
    assert_eq!((parts.status.outcome(), verified.is_none()), (Outcome::Unknown, true));
}
