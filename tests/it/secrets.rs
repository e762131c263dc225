//! Secrets and personal numbers do not print.
//!
//! Each type that holds one stands here: either it has no `Debug` at all, or its `Debug`
//! is shown not to contain what was put in. A promise without a test decays.

use std::fmt::Debug;

use kabao::credential::disclosure::Disclosure;
use kabao::domain::claims::{Claims, Value};
use kabao::domain::party::{HolderCode, HolderCodeType};
use kabao::domain::resident_id::ResidentId;
use kabao::keys::envelope::SecretKey;
use kabao::keys::index::IndexKey;
use kabao::keys::soft::{Passphrase, SoftSigner};
use kabao::status::slot::Permutation;
use kabao::store::Sealed;
use kabao::vault::verify::{Presented, VerifyOrder};
use kabao::vault::view::Reveal;

use crate::source::sources;
use crate::world::{PERSONS, World, case, clerk, holder, officer, order};

/// Fails to compile when one of the types gets a `Debug` or a `Display`.
macro_rules! must_not_print {
    ($($type:ty),+ $(,)?) => {
        #[test]
        fn what_has_no_debug_has_no_debug() {
            $({
                trait Ambiguous<Which> {
                    fn checked() {}
                }
                impl<T: ?Sized> Ambiguous<()> for T {}
                struct Debugs;
                impl<T: ?Sized + Debug> Ambiguous<Debugs> for T {}
                struct Displays;
                impl<T: ?Sized + std::fmt::Display> Ambiguous<Displays> for T {}
                <$type as Ambiguous<_>>::checked();
            })+
        }
    };
}

must_not_print!(
    kabao::credential::offline::Plan,
    kabao::credential::sd_jwt::Plan,
    kabao::vault::Vault,
    kabao::vault::issue::IssueOrder,
    kabao::vault::issue::OrderHolder,
    kabao::vault::keyring::IssuerKey,
    kabao::vault::keyring::Keyring,
    kabao::vault::records::RecordHolder,
    kabao::vault::records::WrappedKey,
    kabao::vault::showing::ShowOrder,
    kabao::vault::showing::Shown,
    kabao::vault::verify::Presented,
    kabao::vault::verify::ShownField,
    kabao::vault::verify::VerifyOrder,
    kabao::vault::view::CertificateView,
    kabao::vault::view::FieldView,
);

#[track_caller]
fn check(canary: &str, printed: &dyn Debug) {
    for text in [format!("{printed:?}"), format!("{printed:#?}")] {
        for told in tellings(canary) {
            assert!(!text.contains(&told), "{text} tells {told}");
        }
    }
}

/// A secret as it might be told: as it is, in hexadecimal, as a list of bytes, by its end.
fn tellings(canary: &str) -> Vec<String> {
    let bytes = canary.as_bytes();
    let list: Vec<String> = bytes.iter().map(u8::to_string).collect();
    let end: String = canary.chars().skip(canary.chars().count() / 2).collect();
    vec![canary.to_string(), hex::encode(bytes), hex::encode_upper(bytes), list.join(", "), end]
}

#[test]
fn numbers_and_values_do_not_print() {
    let number = PERSONS[0];
    check(number, &number.parse::<ResidentId>().unwrap());
    check(number, &HolderCode::parse(HolderCodeType::ResidentId, number).unwrap());
    check(number, &Value::Text(number.into()));
    check(number, &Value::List(vec![number.into()]));
    check("渝小明同志", &Value::Rows(vec![[("name".to_string(), Value::Text("渝小明同志".into()))].into()]));
    let mut claims = Claims::default();
    claims.insert("number", Value::Text(number.into()));
    check(number, &claims);
    check("987654321", &Value::Integer(987_654_321));
}

#[test]
fn what_is_wrong_with_a_number_does_not_tell_the_number() {
    for number in ["50010319900307123X", "500103199003071234567", "50010319900307x234"] {
        let Err(error) = number.parse::<ResidentId>() else { panic!("{number} is a number") };
        check(number, &error);
        check(number, &error.to_string());
        let Err(error) = HolderCode::parse(HolderCodeType::ResidentId, number) else { panic!() };
        check(number, &error);
        check(number, &error.to_string());
    }
}

#[test]
fn keys_do_not_print() {
    let secret = *b"canary-canary-canary-canary-0123";
    let canary = std::str::from_utf8(&secret).unwrap();
    let key = SecretKey::from_bytes(&secret);
    check(canary, &key);
    check(canary, &IndexKey::new(&key));
    check(canary, &Permutation::new(&secret));
    check(canary, &SoftSigner::ed25519(&secret));
    check(canary, &Passphrase::new(secret.to_vec()));
    check(canary, &Sealed::from(&secret[..]));
}

#[test]
fn disclosures_do_not_print() {
    use base64::Engine;
    let text = format!(r#"["c2FsdHNhbHRzYWx0c2FsdA","number","{}"]"#, PERSONS[0]);
    let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    check(PERSONS[0], &Disclosure::parse(&encoded).unwrap());
    check(&encoded, &Disclosure::parse(&encoded).unwrap());
}

/// Answers, refusals and callers of the whole main job, printed.
#[test]
fn what_the_vault_answers_does_not_print_the_holder() {
    let world = World::default();
    let vault = world.open();
    let number = PERSONS[0];
    let name = format!("渝测{}", &number[14..]);
    let identifier = world.issue(&vault, order("driving_licence", number, 1)).unwrap();
    let person = holder(&vault, number);
    let credential = vault.credential(&person, &identifier).unwrap();
    let verify = |presented| VerifyOrder {
        presented,
        case: case("traffic_stop"),
        supplied: Default::default(),
        request: None,
    };
    let answer = vault.verify(&clerk(), verify(Presented::Credential(credential))).unwrap();
    let again = vault.issue(&officer(), order("driving_licence", number, 2)).map(|issued| issued.identifier);
    let mut wrong = order("driving_licence", number, 3);
    wrong.holders[0].code = "500103199003071234567".into();
    let refused = vault.issue(&officer(), wrong).unwrap_err();
    let unknown = vault.verify(&clerk(), verify(Presented::Code(number.into()))).unwrap_err();
    let seen = vault.accesses(&person, None, 10).unwrap();
    assert!(
        vault.issued(&officer(), &identifier, Reveal::Full).is_ok_and(|view| view.holder_names[0] == name)
    );
    for canary in [number, name.as_str(), "500103199003071234567"] {
        check(canary, &answer);
        check(canary, &again);
        check(canary, &refused);
        check(canary, &refused.to_string());
        check(canary, &unknown);
        check(canary, &person);
        for access in &seen.items {
            check(canary, &access.fields);
        }
    }
}

/// A field that holds a secret by its name stands in no type whose `Debug` is derived.
#[test]
fn no_derived_debug_holds_a_field_named_as_a_secret() {
    const NAMES: [&str; 9] = [
        "claims",
        "code_number",
        "holder_name",
        "holder_names",
        "passphrase",
        "private",
        "secret",
        "seed",
        "supplied",
    ];
    let mut faults = Vec::new();
    // The seed of the random source for tests is a number that everybody may know.
    for source in sources("src").into_iter().filter(|source| source.name != "src/keys/random.rs") {
        let mut derived = false;
        for (number, line) in source.code_before_tests() {
            if line.starts_with("#[derive(") {
                derived = line.contains("Debug");
            } else if line == "}" || line.is_empty() {
                derived = false;
            }
            let field = line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(super) ");
            let field = field.split(':').next().unwrap_or_default();
            if derived && line.starts_with("    ") && line.contains(": ") && NAMES.contains(&field) {
                faults.push(format!("{}:{number}: `{field}` prints by a derived Debug", source.name));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}
