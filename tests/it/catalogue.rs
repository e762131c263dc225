//! The kinds of certificate and the uses they are put to, measured against their sources.

use std::collections::{BTreeMap, BTreeSet};

use kabao::catalog::certificate_type::{CertificateType, HolderKind};
use kabao::catalog::field::{Field, Kind, Offline};
use kabao::catalog::{Bilingual, Catalog};
use kabao::credential::offline::Plan;
use kabao::credential::qr::{Level, OFFLINE_VERSION_MAX, Qr};
use kabao::credential::show_key;
use kabao::domain::claims::Value;
use kabao::domain::number::{CertificateIdentifier, Serial, Version};
use kabao::domain::time::UnixTime;
use kabao::domain::uscc::Uscc;
use kabao::keys::Signer;
use kabao::keys::random::{Random, SeededRandom};
use kabao::keys::soft::SoftSigner;
use serde_json::Value as Json;

use crate::source::{files, top};
use crate::world::DEPARTMENT;

const TYPES: &str = include_str!("../vectors/certificate_types.tsv");
const SCENARIOS: &str = include_str!("../vectors/scenarios.tsv");

fn catalog() -> Catalog {
    Catalog::embedded().unwrap_or_else(|error| panic!("{error}"))
}

/// The rows below the heading, each as its cells.
fn rows(table: &str) -> Vec<Vec<&str>> {
    table.lines().skip(1).filter(|line| !line.is_empty()).map(|line| line.split('\t').collect()).collect()
}

#[test]
fn every_type_of_the_source_is_there_under_its_own_name_and_number() {
    let catalog = catalog();
    let rows = rows(TYPES);
    assert_eq!(rows.len(), 221);
    for (index, row) in rows.iter().enumerate() {
        let number = u16::try_from(index + 1).unwrap();
        let Some(kind) = catalog.types().iter().find(|kind| kind.row() == number) else {
            panic!("row {number}, {}, has no type", row[0]);
        };
        assert_eq!((kind.name().zh.as_str(), kind.name().en.as_str()), (row[0], row[1]), "{}", kind.slug());
        assert_eq!(kind.holder().kind.name(), row[2], "{}", kind.slug());
        assert_eq!(kind.department(), row[3], "{}", kind.slug());
    }
}

#[test]
fn every_scenario_of_the_source_is_there_and_every_certificate_it_names_resolves() {
    let catalog = catalog();
    let rows = rows(SCENARIOS);
    assert_eq!(rows.len(), 51);
    for (index, row) in rows.iter().enumerate() {
        let number = u16::try_from(index + 1).unwrap();
        let Some(scenario) = catalog.scenarios().find(|scenario| scenario.row() == number) else {
            panic!("row {number}, {}, has no scenario", row[0]);
        };
        assert_eq!((scenario.name().zh.as_str(), scenario.name().en.as_str()), (row[0], row[1]));
        for name in row[2].split(';').map(str::trim).filter(|name| !name.is_empty()) {
            let slugs = catalog.resolve(name);
            assert!(!slugs.is_empty(), "{}: `{name}` is no type and no alias", row[0]);
            let used =
                scenario.needs().iter().any(|need| need.types.iter().any(|t| slugs.contains(&t.as_str())));
            assert!(used, "{}: nothing is asked of `{name}`", row[0]);
        }
        for need in scenario.needs() {
            assert!(!need.fields.is_empty() || !need.predicates.is_empty(), "{}: {}", row[0], need.name);
        }
    }
}

#[test]
fn types_have_fields_of_their_own_and_not_one_generic_set() {
    let catalog = catalog();
    let mut carriers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for kind in catalog.types() {
        for field in kind.fields() {
            carriers.entry(&field.label.zh).or_default().insert(kind.slug());
        }
    }
    for kind in catalog.types() {
        let fields = kind.fields();
        assert!(fields.len() >= 5, "{} has {} fields", kind.slug(), fields.len());
        let own = fields.iter().filter(|field| carriers[field.label.zh.as_str()].len() <= 20).count();
        assert!(own * 2 > fields.len(), "{}: {own} of {} labels are its own", kind.slug(), fields.len());
    }
}

/// Only closely related types may share a field set.
#[test]
fn no_field_set_is_used_by_many_types() {
    let mut sets: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    for kind in catalog().types() {
        let labels = kind.fields().iter().map(|field| field.label.zh.clone()).collect();
        sets.entry(labels).or_default().push(kind.slug().to_string());
    }
    for slugs in sets.values() {
        assert!(slugs.len() <= 3, "the same fields: {slugs:?}");
    }
}

#[test]
fn every_text_for_people_is_there_in_both_languages() {
    let chinese = |text: &str| text.chars().any(|c| ('\u{3400}'..='\u{9fff}').contains(&c));
    let check = |place: &str, text: &Bilingual| {
        assert!(!text.zh.is_empty() && !text.en.is_empty(), "{place}: a label is empty");
        assert!(!chinese(&text.en), "{place}: `{}` is not English", text.en);
    };
    let catalog = catalog();
    for kind in catalog.types() {
        check(kind.slug(), kind.name());
        for field in kind.all_fields() {
            check(kind.slug(), &field.label);
        }
        assert!(!kind.sources().is_empty(), "{}: where do its fields come from?", kind.slug());
    }
    for scenario in catalog.scenarios() {
        check(scenario.slug(), scenario.name());
    }
}

#[test]
fn the_json_schemas_accept_every_file_and_refuse_a_mistake() {
    for (schema, folder) in [("certificate_type", "schemas/types"), ("scenario", "schemas/scenarios")] {
        let path = top().join(format!("schemas/{schema}.schema.json"));
        let schema: Json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let schema = jsonschema::validator_for(&schema).unwrap();
        let all = files(folder);
        assert!(all.len() >= 51, "{folder}: {} files", all.len());
        for file in all {
            let table: toml::Table = toml::from_str(&file.text).unwrap();
            let mut json = serde_json::to_value(table).unwrap();
            let faults: Vec<String> = schema
                .iter_errors(&json)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(faults.is_empty(), "{}: {}", file.name, faults.join("; "));
            json["an_unknown_member"] = true.into();
            assert!(!schema.is_valid(&json), "{}: an unknown member went through", file.name);
        }
    }
}

/// A type file with a mistake is refused with its name, the line and the reason.
#[test]
fn a_mistake_in_a_file_is_named_with_its_line() {
    const FILE: &str = "types/driving_licence.toml";
    let whole = std::fs::read_to_string(top().join("schemas").join(FILE)).unwrap();
    let states = std::fs::read_to_string(top().join("schemas/states.toml")).unwrap();
    let check = |from: &str, to: &str, reason: &str| {
        assert!(whole.contains(from), "`{from}` is not in the file");
        let text = whole.replacen(from, to, 1);
        // The mistake stands on the last line of what was put in.
        let end = whole.find(from).unwrap() + to.len();
        let line = 1 + text[..end].matches('\n').count();
        let files = vec![(FILE.to_string(), text), ("states.toml".to_string(), states.clone())];
        let error = Catalog::from_files(files).map(|_| ()).expect_err(to).to_string();
        assert!(error.starts_with(&format!("{FILE}:{line}: ")), "{error} (line {line})");
        assert!(error.contains(reason), "`{error}` does not say `{reason}`");
    };
    check("schema = 1", "schema = 2", "schema");
    check("code = \"1", "code = \"9", "code");
    check("category = \"licence\"", "category = \"paper\"", "category");
    check("kind = \"photo\"", "kind = \"picture\"", "`kind`");
    check("number = 11,", "number = 10,", "10");
    check("key = \"sex\"", "key = \"Sex\"", "key");
    check("key = \"nationality\"", "key = \"sex\"", "sex");
    check("accent = \"#1f4e8c\"", "accent = \"blue\"", "accent");
    check("row = 12", "row = 12\ncolour = \"red\"", "colour");
}

#[test]
fn a_scenario_may_only_ask_for_what_its_types_have() {
    let file =
        |name: &str| (name.to_string(), std::fs::read_to_string(top().join("schemas").join(name)).unwrap());
    let mut all = vec![file("states.toml"), file("types/driving_licence.toml")];
    let scenario = "schema = 1\nrow = 900\nname = { zh = \"试\", en = \"Try\" }\nneeds = [\n  \
                    { name = \"驾驶证\", types = [\"driving_licence\"], fields = [\"blood_group\"] },\n]\n";
    all.push(("scenarios/try.toml".into(), scenario.into()));
    let error = Catalog::from_files(all).map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("scenarios/try.toml:") && error.contains("blood_group"), "{error}");
}

/// The offline code of each type, its default fields filled to their declared maximum with
/// texts that do not compress, fits QR version 20 at level M.
#[test]
fn the_offline_code_of_every_type_fits_its_qr() {
    let catalog = catalog();
    let mut random = Dice(SeededRandom::danger_seeded(20));
    let mut largest = (0, String::new());
    for kind in catalog.types() {
        let defaults: Vec<&Field> = kind.all_fields().filter(|field| field.offline == Offline::Yes).collect();
        assert!(!defaults.is_empty(), "{} shows nothing offline", kind.slug());
        assert!(!defaults.iter().any(|field| matches!(field.kind, Kind::Photo)), "{}: a photo", kind.slug());
        let text = offline_code(kind, &defaults, &mut random);
        let qr = Qr::new(&text, Level::M, OFFLINE_VERSION_MAX);
        let qr = qr.unwrap_or_else(|error| panic!("{}: {error} ({} characters)", kind.slug(), text.len()));
        if text.len() > largest.0 {
            largest = (text.len(), format!("{} (version {})", kind.slug(), qr.version()));
        }
    }
    assert!(largest.0 > 700, "the fields were hardly filled: the longest code has {largest:?}");
}

fn offline_code(kind: &CertificateType, defaults: &[&Field], random: &mut Dice) -> String {
    let now: UnixTime = "2026-11-23T02:00:00Z".parse().unwrap();
    let issuer: Uscc = DEPARTMENT.parse().unwrap();
    let (authority, show_key) = (SoftSigner::ed25519(&[1; 32]), SoftSigner::ed25519(&[2; 32]));
    let certificate = show_key::Plan {
        key: show_key.public_key().clone(),
        not_before: now.minus(60),
        expires_at: now.plus(4 * 3600),
    };
    let certificate = certificate.sign(&authority).unwrap();
    let version: Version = "999".parse().unwrap();
    let identifier =
        CertificateIdentifier::new(kind.code(), issuer, Serial::from_random(&random.bytes()), version);
    let plan = Plan {
        issuer,
        certificate_type: kind.code(),
        type_version: kind.version(),
        identifier,
        list: 99_999,
        index: (1 << 20) - 1,
        status: 2,
        good_at: now,
        issued_at: now,
        expires_at: now.plus(300),
        claims: defaults.iter().map(|field| (field.number, fill(field, random))).collect(),
    };
    plan.sign(&show_key, &certificate).unwrap_or_else(|error| panic!("{}: {error}", kind.slug()))
}

/// A value as long as the field allows, which zlib cannot make shorter.
fn fill(field: &Field, random: &mut Dice) -> Value {
    match &field.kind {
        Kind::Ascii { max } | Kind::PassportNumber { max } => Value::Text(random.ascii(*max)),
        Kind::List { items, max } => Value::List((0..*items).map(|_| random.chinese(*max)).collect()),
        Kind::Address { max }
        | Kind::EntityName { max }
        | Kind::PersonName { max }
        | Kind::Plate { max }
        | Kind::Text { max } => Value::Text(random.chinese(*max)),
        _ => field.longest(),
    }
}

/// Chance, the same in every run.
struct Dice(SeededRandom);

impl Dice {
    fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.0.fill(&mut bytes).unwrap();
        bytes
    }

    fn below(&mut self, end: u32) -> u32 {
        let [a, b, c, d, ..] = self.bytes();
        u32::from_be_bytes([a, b, c, d]) % end
    }

    fn chinese(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from_u32(0x4e00 + self.below(0x51a0)).unwrap()).collect()
    }

    fn ascii(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from_u32(0x21 + self.below(0x5e)).unwrap()).collect()
    }
}

#[test]
fn persons_and_entities_are_both_served() {
    let catalog = catalog();
    let count = |kind| catalog.types().iter().filter(|found| found.holder().kind == kind).count();
    assert!(count(HolderKind::Person) > 50 && count(HolderKind::Entity) > 50);
}
