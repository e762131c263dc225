//! The main job: issue, carry, show, verify, revoke, prove.

use std::collections::BTreeMap;

use kabao::domain::lifecycle::{ChangeKind, ReasonCode, State};
use kabao::domain::verdict::Decision;
use kabao::vault::lifecycle::ChangeOrder;
use kabao::vault::showing::{OfflineOrder, ShowItem, ShowOrder, Shown};
use kabao::vault::verify::{Presented, Verification, VerifyOrder};
use kabao::vault::view::{Masked, Reveal};
use kabao::vault::wallet::WalletQuery;
use kabao::vault::{Vault, VaultError};

use crate::world::{
    AGENCY, PERSONS, World, auditor, case, check_log, clerk, holder, officer, order, other_clerk,
    other_officer, uscc,
};

const LICENCE: &str = "driving_licence";
const TRAFFIC_STOP: &str = "traffic_stop";

fn change(kind: ChangeKind, reason: ReasonCode) -> ChangeOrder {
    ChangeOrder {
        kind,
        reason,
        legal_basis: "道路交通安全法 第九十一条".into(),
        effective_at: None,
        request: None,
    }
}

fn show(vault: &Vault, identifier: &kabao::domain::number::CertificateIdentifier) -> Shown {
    let item = ShowItem { identifier: identifier.clone(), fields: None };
    let order = ShowOrder {
        items: vec![item],
        scenario: Some(TRAFFIC_STOP.into()),
        agency: None,
        purpose: "路检".into(),
        continues: None,
    };
    vault.show(&holder(vault, PERSONS[0]), order).unwrap()
}

fn present(vault: &Vault, presented: Presented) -> Result<Verification, VaultError> {
    let order = VerifyOrder { presented, case: case(TRAFFIC_STOP), supplied: BTreeMap::new(), request: None };
    vault.verify(&clerk(), order)
}

#[test]
fn a_certificate_is_issued_shown_verified_once_revoked_and_the_next_verdict_says_so() {
    let world = World::default();
    let vault = world.open();
    let identifier = world.issue(&vault, order(LICENCE, PERSONS[0], 1)).unwrap();

    let listed =
        vault.wallet(&holder(&vault, PERSONS[0]), &WalletQuery { limit: 10, ..WalletQuery::default() });
    let listed = listed.unwrap();
    assert_eq!(listed.items.len(), 1);
    assert_eq!(listed.items[0].identifier, identifier);
    assert!(listed.items[0].number.contains('*'), "masked by default: {}", listed.items[0].number);

    let shown = show(&vault, &identifier);
    let first = present(&vault, Presented::Code(shown.qr_text.clone())).unwrap();
    assert_eq!(first.items[0].verdict.decision(), Decision::Accepted, "{}", first.items[0].verdict);
    assert!(!first.items[0].fields.is_empty());
    assert_eq!(present(&vault, Presented::Code(shown.qr_text)).unwrap_err(), VaultError::CodeRefused);

    let seen = vault.accesses(&holder(&vault, PERSONS[0]), None, 10).unwrap();
    assert_eq!(seen.items.len(), 1);
    assert_eq!(seen.items[0].agency, AGENCY);

    vault.change(&officer(), &identifier, change(ChangeKind::Revoke, ReasonCode::Sanction)).unwrap();
    let shown = show(&vault, &identifier);
    let second = present(&vault, Presented::Code(shown.code)).unwrap();
    let verdict = &second.items[0].verdict;
    assert_eq!(verdict.decision(), Decision::Refused);
    assert_eq!(verdict.deciding().reason.code(), "status/revoked");
    assert_eq!(verdict.deciding().zh(), "2026年11月23日由测试发证局吊销");

    let span = (vault.now().minus(60), vault.now().plus(60));
    let listed = vault.revocations(&auditor(), span.0, span.1, None, 10).unwrap();
    assert_eq!(listed.items.len(), 1);
    assert_eq!(listed.items[0].kind, ChangeKind::Revoke);
    world.check(&vault);
}

#[test]
fn a_code_lives_sixty_seconds_and_redeeming_one_voids_its_siblings() {
    let world = World::default();
    let vault = world.open();
    let identifier = world.issue(&vault, order(LICENCE, PERSONS[0], 1)).unwrap();
    let late = show(&vault, &identifier);
    world.clock.advance(61);
    assert_eq!(present(&vault, Presented::Code(late.code.clone())).unwrap_err(), VaultError::CodeRefused);

    let item = ShowItem { identifier: identifier.clone(), fields: None };
    let again = |continues| ShowOrder {
        items: vec![item.clone()],
        scenario: None,
        agency: None,
        purpose: String::new(),
        continues,
    };
    let person = holder(&vault, PERSONS[0]);
    let first = vault.show(&person, again(None)).unwrap();
    let second = vault.show(&person, again(Some(first.id.clone()))).unwrap();
    assert_eq!(first.id, second.id);
    present(&vault, Presented::Code(first.code)).unwrap();
    assert_eq!(present(&vault, Presented::Code(second.code)).unwrap_err(), VaultError::CodeRefused);
    let unknown = "A".repeat(32);
    assert_eq!(present(&vault, Presented::Code(unknown)).unwrap_err(), VaultError::CodeRefused);
}

#[test]
fn a_typed_code_is_for_the_agency_named_and_for_no_other() {
    let world = World::default();
    let vault = world.open();
    let identifier = world.issue(&vault, order(LICENCE, PERSONS[0], 1)).unwrap();
    let order = ShowOrder {
        items: vec![ShowItem { identifier, fields: Some(vec!["number".into(), "file_number".into()]) }],
        scenario: None,
        agency: Some(uscc(AGENCY)),
        purpose: String::new(),
        continues: None,
    };
    let typed = vault.show(&holder(&vault, PERSONS[0]), order).unwrap().typed_code.unwrap();
    let verify = |caller| {
        let presented = Presented::Code(typed.to_lowercase());
        let order =
            VerifyOrder { presented, case: case(TRAFFIC_STOP), supplied: BTreeMap::new(), request: None };
        vault.verify(&caller, order)
    };
    assert_eq!(verify(other_clerk()).unwrap_err(), VaultError::CodeRefused);
    let answer = verify(clerk()).unwrap();
    let keys: Vec<&str> = answer.items[0].fields.iter().map(|field| field.key.as_str()).collect();
    assert_eq!(keys, ["number"], "granted and allowed by the scenario, nothing more");
}

#[test]
fn a_repeated_request_gets_the_same_answer_also_after_a_restart_and_nobody_else_does() {
    let world = World::default();
    let vault = world.open();
    let issue =
        || kabao::vault::issue::IssueOrder { request: Some("row-1".into()), ..order(LICENCE, PERSONS[0], 1) };
    let identifier = world.issue(&vault, issue()).unwrap();
    let shown = show(&vault, &identifier);
    let verify = || VerifyOrder {
        presented: Presented::Code(shown.code.clone()),
        case: case(TRAFFIC_STOP),
        supplied: BTreeMap::new(),
        request: Some("window-7".into()),
    };
    let first = vault.verify(&clerk(), verify()).unwrap();
    drop(vault);

    let vault = world.open();
    assert_eq!(world.issue(&vault, issue()).unwrap(), identifier);
    assert_eq!(vault.verify(&clerk(), verify()).unwrap(), first);
    assert_eq!(vault.verify(&other_clerk(), verify()).unwrap_err(), VaultError::CodeRefused);
    let other = kabao::vault::issue::IssueOrder { number: PERSONS[1].into(), ..issue() };
    assert_eq!(world.issue(&vault, other).unwrap_err(), VaultError::RequestReused);
    world.check(&vault);
}

#[test]
fn offline_codes_and_credentials_are_verified_and_a_revocation_reaches_both() {
    let world = World::default();
    let vault = world.open();
    let identifier = world.issue(&vault, order(LICENCE, PERSONS[0], 1)).unwrap();
    let person = holder(&vault, PERSONS[0]);
    let offline =
        vault.show_offline(&person, OfflineOrder { identifier: identifier.clone(), fields: None }).unwrap();
    let credential = vault.credential(&person, &identifier).unwrap();
    for presented in [Presented::Offline(offline.text.clone()), Presented::Credential(credential.clone())] {
        let answer = present(&vault, presented).unwrap();
        assert_eq!(answer.items[0].verdict.decision(), Decision::Accepted, "{}", answer.items[0].verdict);
    }
    vault.change(&officer(), &identifier, change(ChangeKind::Suspend, ReasonCode::UnderReview)).unwrap();
    for presented in [Presented::Offline(offline.text), Presented::Credential(credential.clone())] {
        let answer = present(&vault, presented).unwrap();
        assert_eq!(answer.items[0].verdict.deciding().reason.code(), "status/suspended");
    }
    let mut altered = credential.into_bytes();
    let place = altered.iter().position(|byte| *byte == b'.').unwrap() + 40;
    altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
    let answer = present(&vault, Presented::Credential(String::from_utf8(altered).unwrap())).unwrap();
    assert_eq!(answer.items[0].verdict.decision(), Decision::Refused);
    assert!(answer.items[0].fields.is_empty());
}

#[test]
fn one_of_several_holders_shows_no_other_name_offline() {
    let world = World::default();
    let vault = world.open();
    let mut couple = order("marriage_certificate", PERSONS[0], 1);
    let mut other = couple.holders[0].clone();
    other.code = PERSONS[1].into();
    other.name = "渝测二人".into();
    couple.holders.push(other);
    let identifier = world.issue(&vault, couple).unwrap();
    let contains = |person: &str, name: &str| {
        let order = OfflineOrder { identifier: identifier.clone(), fields: None };
        let text = vault.show_offline(&holder(&vault, person), order).unwrap().text;
        let bytes = base45::decode(text.strip_prefix("KB1:").unwrap()).unwrap();
        let mut unpacked = Vec::new();
        match std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(&bytes[..]), &mut unpacked) {
            Ok(_) => {}
            Err(_) => unpacked = bytes,
        }
        unpacked.windows(name.len()).any(|window| window == name.as_bytes())
    };
    assert!(contains(PERSONS[1], "渝测二人"));
    assert!(!contains(PERSONS[0], "渝测二人"));
}

#[test]
fn departments_do_not_see_each_other_and_holders_do_not_see_others() {
    let world = World::default();
    let vault = world.open();
    let identifier = world.issue(&vault, order(LICENCE, PERSONS[0], 1)).unwrap();
    let revoke = change(ChangeKind::Revoke, ReasonCode::Sanction);
    assert_eq!(vault.change(&other_officer(), &identifier, revoke).err(), Some(VaultError::NotFound));
    assert_eq!(vault.issued(&other_officer(), &identifier, Reveal::Full).err(), Some(VaultError::NotFound));
    let stranger = holder(&vault, PERSONS[1]);
    assert_eq!(
        vault.wallet_certificate(&stranger, &identifier, Reveal::Full).err(),
        Some(VaultError::NotFound)
    );
    assert_eq!(vault.credential(&stranger, &identifier).err(), Some(VaultError::NotFound));
    let own = vault.wallet_certificate(&holder(&vault, PERSONS[0]), &identifier, Reveal::Full).unwrap();
    assert!(own.fields.iter().all(|field| field.masked == Masked::No));
}

#[test]
fn a_replacement_links_both_ways_and_the_old_one_says_so() {
    let world = World::default();
    let vault = world.open();
    let first = world.issue(&vault, order(LICENCE, PERSONS[0], 1)).unwrap();
    let second = vault.replace(&officer(), &first, order(LICENCE, PERSONS[0], 1)).unwrap().identifier;
    assert_eq!(second.version().number(), 2);
    assert_eq!(second.serial(), first.serial());
    let history = vault.history(&officer(), &first).unwrap();
    assert_eq!(history.len(), 2);
    assert_eq!(history[0].previous.as_ref(), Some(&first));
    assert_eq!(history[1].next.as_ref(), Some(&second));
    let error = vault.replace(&officer(), &first, order(LICENCE, PERSONS[0], 1)).unwrap_err();
    assert_eq!(error, VaultError::IllegalMove { state: State::Superseded, kind: ChangeKind::Replace });
    world.check(&vault);
}

#[test]
fn the_same_change_twice_answers_the_same_and_is_logged_once() {
    let world = World::default();
    let vault = world.open();
    let identifier = world.issue(&vault, order(LICENCE, PERSONS[0], 1)).unwrap();
    let suspend = || change(ChangeKind::Suspend, ReasonCode::UnderReview);
    let first = vault.change(&officer(), &identifier, suspend()).unwrap();
    let (size, _) = vault.log_head();
    let second = vault.change(&officer(), &identifier, suspend()).unwrap();
    assert!(first == second);
    assert_eq!(vault.log_head().0, size);
    vault.change(&officer(), &identifier, change(ChangeKind::Resume, ReasonCode::Settled)).unwrap();
    vault.change(&officer(), &identifier, change(ChangeKind::Cancel, ReasonCode::HolderRequest)).unwrap();
    let back = vault.change(&officer(), &identifier, change(ChangeKind::Resume, ReasonCode::Settled));
    assert!(matches!(back, Err(VaultError::IllegalMove { .. })));
    vault.change(&officer(), &identifier, change(ChangeKind::Revoke, ReasonCode::Fraud)).unwrap();
    check_log(&vault);
}

#[test]
fn a_certificate_of_every_type_can_be_issued_and_its_face_drawn() {
    let world = World::default();
    let vault = world.open();
    let orders: Vec<_> = world
        .catalog
        .types()
        .iter()
        .zip(1..)
        .map(|(kind, number)| order(kind.slug(), PERSONS[0], number))
        .collect();
    let slugs: Vec<String> = orders.iter().map(|order| order.certificate_type.clone()).collect();
    for (slug, outcome) in slugs.iter().zip(vault.issue_many(&officer(), orders)) {
        let issued = outcome.unwrap_or_else(|error| panic!("{slug}: {error}"));
        let view = vault.issued(&officer(), &issued.identifier, Reveal::Full).unwrap();
        assert!(view.face_svg().contains("</svg>"), "{slug}");
    }
    check_log(&vault);
}

#[test]
fn wrong_fields_are_all_named_and_nothing_is_kept() {
    let world = World::default();
    let vault = world.open();
    let size = vault.log_head().0;
    let mut wrong = order(LICENCE, PERSONS[0], 1);
    wrong.fields.insert("no_such_field".into(), "x".into());
    wrong.fields.remove("file_number");
    wrong.number = PERSONS[1].into();
    let Err(VaultError::Invalid(faults)) = world.issue(&vault, wrong) else { panic!("accepted") };
    let named: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(named, ["file_number", "no_such_field", "number"]);
    assert_eq!(vault.log_head().0, size);
}

#[test]
fn a_masked_table_hides_what_its_columns_hide() {
    let world = World::default();
    let vault = world.open();
    let identifier = world.issue(&vault, order("household_register", PERSONS[0], 1)).unwrap();
    let person = holder(&vault, PERSONS[0]);
    let view = |reveal| vault.wallet_certificate(&person, &identifier, reveal).unwrap();
    let number = "500199199003071231"; // the longest value of a resident number's kind
    assert!(view(Reveal::Full).fields.iter().any(|field| field.text.contains(number)));
    let masked = view(Reveal::Masked);
    assert!(masked.fields.iter().all(|field| !field.text.contains(number)));
    assert!(!masked.face_svg().contains(number));
}

#[test]
fn an_agency_cannot_try_values_against_what_the_holder_did_not_grant() {
    let world = World::default();
    let vault = world.open();
    let identifier = world.issue(&vault, order("resident_id_card", PERSONS[0], 1)).unwrap();
    let person = holder(&vault, PERSONS[0]);
    let scenarios: Vec<_> = world
        .catalog
        .scenarios()
        .filter(|scenario| scenario.takes("resident_id_card"))
        .filter(|scenario| scenario.needs().iter().any(|need| !need.predicates.is_empty()))
        .map(|scenario| scenario.slug().to_string())
        .collect();
    assert!(!scenarios.is_empty());
    for scenario in scenarios {
        let item = ShowItem { identifier: identifier.clone(), fields: Some(vec!["holder_name".into()]) };
        let (agency, purpose, continues) = (None, String::new(), None);
        let shown =
            vault.show(&person, ShowOrder { items: vec![item], scenario: None, agency, purpose, continues });
        let presented = Presented::Code(shown.unwrap().code);
        let order =
            VerifyOrder { presented, case: case(&scenario), supplied: BTreeMap::new(), request: None };
        let answer = vault.verify(&clerk(), order).unwrap();
        let about = |key: &str| {
            let needs = world.catalog.scenario(&scenario).unwrap().needs().iter();
            let mut all = needs.flat_map(|need| &need.predicates);
            all.find(|predicate| predicate.key == key).map(|predicate| predicate.question.clone()).unwrap()
        };
        for given in &answer.items[0].answers {
            use kabao::catalog::scenario::Question;
            let question = about(&given.key);
            let granted = matches!(&question, Question::Match { field } if field == "holder_name");
            assert!(
                granted || matches!(question, Question::Valid | Question::Count),
                "{scenario}: {question:?}"
            );
        }
    }
}

#[test]
fn one_key_for_an_issue_and_a_replacement_are_two_requests() {
    let world = World::default();
    let vault = world.open();
    let keyed =
        || kabao::vault::issue::IssueOrder { request: Some("k".into()), ..order(LICENCE, PERSONS[0], 1) };
    let first = world.issue(&vault, keyed()).unwrap();
    let second = vault.replace(&officer(), &first, keyed()).unwrap().identifier;
    assert_ne!(second, first);
    assert_eq!(
        vault.replace(&officer(), &first, keyed()).unwrap().identifier,
        second,
        "the same request again"
    );
}

#[test]
fn the_access_records_of_an_hour_are_anchored_in_the_log_when_it_has_passed() {
    use kabao::log::entry::Entry;
    use kabao::log::event::Event;

    let world = World::default();
    let vault = world.open();
    let identifier = world.issue(&vault, order(LICENCE, PERSONS[0], 1)).unwrap();
    for _ in 0..2 {
        let shown = show(&vault, &identifier);
        present(&vault, Presented::Code(shown.code)).unwrap();
    }
    drop(vault);
    world.clock.advance(3600);
    let vault = world.open(); // the hour has passed while nothing ran
    world.issue(&vault, order(LICENCE, PERSONS[1], 2)).unwrap();
    let (size, _) = vault.log_head();
    let anchored = (0..size).filter_map(|index| {
        let (bytes, _) = vault.inclusion(index).unwrap();
        match Entry::decode(&bytes).unwrap().event() {
            Event::Accesses { count, .. } => Some(*count),
            _ => None,
        }
    });
    assert_eq!(anchored.collect::<Vec<_>>(), [2]);
    world.check(&vault);
}
