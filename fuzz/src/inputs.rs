//! One function for each parser of foreign bytes; its name is the target's.
//!
//! It must come back: no panic, no endless work, no memory without a bound. What it takes
//! it must give back the same, where a form has one spelling. Where a signature stands
//! before a parser, the bytes are signed here first, so that what is behind it is reached.

use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kabao::catalog::Catalog;
use kabao::credential::disclosure::Disclosure;
use kabao::credential::json;
use kabao::credential::offline::UnverifiedOfflineCode;
use kabao::credential::qr;
use kabao::credential::sd_jwt::SdJwt;
use kabao::credential::show_key::ShowKeyCertificate;
use kabao::credential::verify::UnverifiedCredential;
use kabao::domain::time::UnixTime;
use kabao::http::{App, Limits};
use kabao::keys::Signer;
use kabao::keys::jws;
use kabao::keys::soft::SoftSigner;
use kabao::log::entry::Entry;
use kabao::log::note::UnverifiedNote;
use kabao::log::proof::UnverifiedProof;
use kabao::log::resume::Audit;
use kabao::log::tile::{EntryBundle, Tile};
use kabao::pki::trust::{Anchoring, UnverifiedBundle};
use kabao::pki::x509::X509;
use kabao::status::token::UnverifiedStatusToken;
use kabao::vault::token::Subject;

use crate::world::World;

/// A target: the bytes go in, nothing comes out.
pub type Target = fn(&[u8]);

/// Every target by name, for the replay of the seeds.
pub const ALL: &[(&str, Target)] = &[
    ("cbor_entry", cbor_entry),
    ("http_body", http_body),
    ("json", strict_json),
    ("note", note),
    ("offline_code", offline_code),
    ("qr_image", qr_image),
    ("sd_jwt", sd_jwt),
    ("show_key", show_key),
    ("status_token", status_token),
    ("tile", tile),
    ("trust_bundle", trust_bundle),
    ("type_file", type_file),
    ("x509", x509),
];

fn now() -> UnixTime {
    UnixTime::new(1_800_000_000).expect("a time of our own")
}

fn signer() -> &'static SoftSigner {
    static SIGNER: OnceLock<SoftSigner> = OnceLock::new();
    SIGNER.get_or_init(|| SoftSigner::ed25519(&[1; 32]))
}

/// An entry of the log; the state of an audit that is resumed.
pub fn cbor_entry(bytes: &[u8]) {
    if let Ok(entry) = Entry::decode(bytes) {
        assert_eq!(entry.encode(), bytes, "an entry has one spelling");
    }
    if let Ok(audit) = Audit::resume(bytes) {
        assert!(Audit::resume(&audit.keep()).is_ok(), "a state that is kept is resumed");
    }
}

/// The body of a request: the first byte chooses the route, the rest is sent.
pub fn http_body(bytes: &[u8]) {
    struct Service {
        runtime: tokio::runtime::Runtime,
        router: axum::Router,
        clerk: String,
        officer: String,
    }
    static SERVICE: OnceLock<Service> = OnceLock::new();
    let service = SERVICE.get_or_init(|| {
        let vault = Arc::new(World::default().open());
        let token = |id: &str| {
            vault.mint_token(&Subject::Registration(id.into()), 900).expect("it is registered").token
        };
        let (clerk, officer) = (token("clerk"), token("officer"));
        let limits = Limits { rates: None, ..Limits::default() };
        let router = App::new(vault, limits, None).router();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Service { runtime: runtime.expect("threads are there"), router, clerk, officer }
    });
    let Some((choice, body)) = bytes.split_first() else { return };
    let (path, token) = match choice % 4 {
        0 => ("/v1/verifications", &service.clerk),
        1 => ("/v1/certificates", &service.officer),
        2 => ("/v1/certificates/batch", &service.officer),
        _ => ("/v1/verifications/batch", &service.clerk),
    };
    let kind = if choice % 4 < 2 { "application/json" } else { "application/x-ndjson" };
    let request = axum::http::Request::post(path)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", kind)
        .header("idempotency-key", "fuzz")
        .body(axum::body::Body::from(body.to_vec()))
        .expect("built by us");
    let answer = tower::ServiceExt::oneshot(service.router.clone(), request);
    let answer = service.runtime.block_on(answer).expect("never fails");
    assert!(answer.status().as_u16() < 500, "{}", answer.status());
}

/// JSON as credentials may hold it.
pub fn strict_json(bytes: &[u8]) {
    if let Ok(value) = json::parse(bytes, 1 << 16) {
        let again = json::parse(value.to_string().as_bytes(), 1 << 20);
        assert_eq!(again, Ok(value), "what is read is read again");
    }
}

/// A signed note, a checkpoint in a proof.
pub fn note(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(note) = UnverifiedNote::parse(text) {
        let _ = note.verify(&[]);
    }
    let _ = UnverifiedProof::parse(text);
}

/// `KB1:`: the text as it stands, and the bytes as its message.
pub fn offline_code(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = UnverifiedOfflineCode::parse(text);
    }
    let _ = UnverifiedOfflineCode::parse(&format!("KB1:{}", base45::encode(bytes)));
}

/// A photo of a code.
pub fn qr_image(bytes: &[u8]) {
    let _ = qr::read(bytes);
}

/// A credential: the text as it stands, and the bytes as a payload that the issuer signed.
pub fn sd_jwt(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = UnverifiedCredential::parse(text);
        let _ = SdJwt::read_back(text);
        let _ = Disclosure::parse(text);
    }
    let disclosure = URL_SAFE_NO_PAD.encode(bytes);
    let _ = Disclosure::parse(&disclosure);
    if let Ok(token) = jws::sign(signer(), "dc+sd-jwt", &[], bytes) {
        let _ = UnverifiedCredential::parse(&format!("{token}~{disclosure}~"));
    }
}

/// The certificate of a show key.
pub fn show_key(bytes: &[u8]) {
    if let Ok(certificate) = ShowKeyCertificate::read_back(bytes) {
        assert_eq!(certificate.as_bytes(), bytes);
    }
}

/// A status list token: the text as it stands, and the bytes as a payload that was signed.
pub fn status_token(bytes: &[u8]) {
    let keys = [signer().public_key().clone()];
    let uri = "https://kabao.example/status/0";
    if let Ok(token) = std::str::from_utf8(bytes).map(UnverifiedStatusToken::parse) {
        let _ = token.map(|token| token.verify(&keys, uri, now()));
    }
    if let Ok(signed) = jws::sign(signer(), "statuslist+jwt", &[], bytes) {
        let _ = UnverifiedStatusToken::parse(&signed).map(|token| token.verify(&keys, uri, now()));
    }
}

/// Tiles and bundles of entries, as an auditor fetches them: the first byte is the width less one.
pub fn tile(bytes: &[u8]) {
    let Some((width, rest)) = bytes.split_first() else { return };
    let width = u16::from(*width) + 1;
    if let Ok(bundle) = EntryBundle::decode(rest, width) {
        assert_eq!(bundle.encode(), rest, "a bundle has one spelling");
    }
    if let Ok(tile) = Tile::decode(rest, width) {
        assert_eq!(tile.encode(), rest, "a tile has one spelling");
    }
}

/// The trust bundle: the text as it stands, and the bytes as a payload that the trust key signed.
pub fn trust_bundle(bytes: &[u8]) {
    static WORLD: OnceLock<World> = OnceLock::new();
    let keyring = &WORLD.get_or_init(World::default).keyring;
    let kid = keyring.trust.public_key().kid();
    let read = |text: &str| {
        let bundle = UnverifiedBundle::parse(text)?;
        bundle.verify(&Anchoring::Key(&kid), now())
    };
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = read(text);
    }
    let x5c: Vec<&[u8]> = keyring.trust_chain.iter().map(Vec::as_slice).collect();
    if let Ok(text) = jws::sign(keyring.trust.as_ref(), "kabao-trust+jwt", &x5c, bytes) {
        let _ = read(&text);
    }
}

/// A file of a certificate type or scenario that an operator adds.
pub fn type_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for name in ["types/driving_licence.toml", "scenarios/traffic_stop.toml", "states.toml", "aliases.toml"] {
        let _ = Catalog::from_files(vec![(name.to_owned(), text.to_owned())]);
    }
}

/// An x509, as DER and as PEM.
pub fn x509(bytes: &[u8]) {
    if let Ok(x509) = X509::from_der(bytes) {
        assert_eq!(x509.der(), bytes);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = X509::from_pem(text);
    }
}
