//! What the main verbs cost, beside the bare primitives they rest on, in one run.
//!
//! | bench | beside |
//! |---|---|
//! | `offline/sign`, `vault/verify_*` | `bare/ed25519/sign`, `bare/ed25519/verify` |
//! | `vault/issue`, `vault/revoke`, `vault/redeem` | `bare/synced_commit` |
//! | `log/append` | `log/bare_leaf_hash` |
//!
//! The vault stands on RocksDB and a real head lock. `kabao bench` prints the ratios that
//! DESIGN asks for; this one is for finding out what changed.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use criterion::{BatchSize, Criterion, Throughput};
use kabao::credential::offline::UnverifiedOfflineCode;
use kabao::domain::digest::Digest;
use kabao::domain::lifecycle::{ChangeKind, ReasonCode};
use kabao::domain::number::CertificateIdentifier;
use kabao::keys::random::SystemRandom;
use kabao::keys::soft::SoftSigner;
use kabao::keys::{Algorithm, Signer};
use kabao::log::append::append;
use kabao::log::merkle::{Edge, leaf_hash};
use kabao::store::head_lock::{FileLock, LockedHead};
use kabao::store::rocks::Rocks;
use kabao::store::{Client, Commit, Row, Sealed, Store};
use kabao::vault::Vault;
use kabao::vault::issue::IssueOrder;
use kabao::vault::lifecycle::ChangeOrder;
use kabao::vault::opening::{ClockStep, Opening};
use kabao::vault::showing::{OfflineOrder, ShowItem, ShowOrder};
use kabao::vault::verify::{Presented, VerifyOrder};

#[path = "../tests/it/world.rs"]
#[expect(clippy::unwrap_used, dead_code, reason = "made for tests, which need more of it")]
mod world;

use world::{PERSONS, World, case, clerk, holder, officer, order};

fn main() {
    let mut criterion = Criterion::default().sample_size(30).configure_from_args();
    primitives(&mut criterion);
    let place = tempfile::tempdir().expect("there is room for temporary files");
    commits(&mut criterion, &place.path().join("bare"));
    let vault = vault(place.path());
    artefacts(&mut criterion, &vault);
    verbs(&mut criterion, &vault);
    log(&mut criterion);
    criterion.final_summary();
}

/// A vault of the tests' people and keys, on a real disk.
fn vault(place: &Path) -> Vault {
    let world = World::default();
    let settings = world::settings();
    let (store, lock) = (place.join("store"), place.join("head.lock"));
    drop(Rocks::create(&store).expect("the folder is empty"));
    let empty = LockedHead { origin: settings.origin(), size: 0, root: Digest::of(&[]) };
    FileLock::create(&lock, &empty).expect("the folder is empty");
    let vault = Vault::open(Opening {
        store: Arc::new(Rocks::open(&store).expect("it was made")),
        lock: Box::new(FileLock::open(&lock).expect("it was made")),
        catalog: Arc::clone(&world.catalog),
        keyring: Arc::clone(&world.keyring),
        clock: world.clock.clone(),
        random: Arc::new(SystemRandom::new()),
        settings,
        clock_step: ClockStep::Refuse,
    })
    .expect("everything is there");
    vault.register_first(&world::registrations()).expect("nobody is registered yet");
    vault
}

/// The store alone: one synced batch of one row.
fn commits(criterion: &mut Criterion, place: &Path) {
    drop(Rocks::create(place).expect("the folder is empty"));
    let store = Rocks::open(place).expect("it was made");
    let mut group = criterion.benchmark_group("bare");
    for bytes in [256, 4096] {
        let commit = || {
            let client = Client { id: next().to_string(), sealed: Sealed::from(vec![7; bytes]) };
            Commit { rows: vec![Row::from(client)], head: None }
        };
        group.bench_function(format!("synced_commit/{bytes}"), |b| {
            b.iter_batched(
                commit,
                |commit| store.commit(commit).expect("the disk works"),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// What nothing above can be faster than.
fn primitives(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("bare");
    let message = [7; 1200];
    let ed25519 = SoftSigner::ed25519(&[1; 32]);
    let random = kabao::keys::random::SeededRandom::danger_seeded(1);
    let (p256, _) = SoftSigner::generate(Algorithm::P256, &random).expect("there is chance");
    for (name, signer) in [("ed25519", &ed25519), ("p256", &p256)] {
        group.bench_function(format!("{name}/sign"), |b| b.iter(|| signer.sign(black_box(&message))));
        let signature = signer.sign(&message).expect("a soft key signs");
        let key = signer.public_key();
        group.bench_function(format!("{name}/verify"), |b| {
            b.iter(|| assert!(key.verify(black_box(&message), &signature)));
        });
    }
    group.finish();
}

fn next() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

/// A licence for a new number each time: a licence's number is its holder's.
fn fresh() -> IssueOrder {
    order("food_business_licence", PERSONS[0], next())
}

fn issued(vault: &Vault, order: IssueOrder) -> CertificateIdentifier {
    vault.issue(&officer(), order).expect("the order is good").identifier
}

/// Credential and offline code: made, checked, without the disk.
fn artefacts(criterion: &mut Criterion, vault: &Vault) {
    let identifier = issued(vault, order("driving_licence", PERSONS[0], 1));
    let person = holder(vault, PERSONS[0]);
    let credential = vault.credential(&person, &identifier).expect("they hold it");
    let offline = || OfflineOrder { identifier: identifier.clone(), fields: None };
    let text = vault.show_offline(&person, offline()).expect("they hold it").text;

    let mut group = criterion.benchmark_group("offline");
    group
        .bench_function("sign", |b| b.iter(|| vault.show_offline(&person, offline()).expect("they hold it")));
    group.bench_function("parse", |b| b.iter(|| UnverifiedOfflineCode::parse(black_box(&text))));
    group.finish();

    let mut group = criterion.benchmark_group("vault");
    for (name, presented) in [
        ("verify_credential", Presented::Credential(credential)),
        ("verify_offline", Presented::Offline(text)),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| vault.verify(&clerk(), asked(presented.clone())).expect("it is good"));
        });
    }
    group.finish();
}

fn asked(presented: Presented) -> VerifyOrder {
    VerifyOrder { presented, case: case("traffic_stop"), supplied: BTreeMap::new(), request: None }
}

/// What is durable when it is answered.
fn verbs(criterion: &mut Criterion, vault: &Vault) {
    let mut group = criterion.benchmark_group("vault");
    group.bench_function("issue", |b| {
        b.iter_batched(fresh, |order| issued(vault, order), BatchSize::SmallInput);
    });
    for size in [64_usize, 512] {
        group.throughput(Throughput::Elements(size.try_into().expect("small")));
        group.bench_function(format!("issue_many/{size}"), |b| {
            let orders = || (0..size).map(|_| fresh()).collect::<Vec<_>>();
            b.iter_batched(orders, |orders| vault.issue_many(&officer(), orders), BatchSize::LargeInput);
        });
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("revoke", |b| {
        let revoke = |identifier: CertificateIdentifier| {
            let order = ChangeOrder {
                kind: ChangeKind::Revoke,
                reason: ReasonCode::Sanction,
                legal_basis: "第九十一条".into(),
                effective_at: None,
                request: None,
            };
            vault.change(&officer(), &identifier, order).map(|_| ()).expect("it is active")
        };
        b.iter_batched(|| issued(vault, fresh()), revoke, BatchSize::SmallInput);
    });
    let identifier = issued(vault, order("driving_licence", PERSONS[1], 1));
    let person = holder(vault, PERSONS[1]);
    let show = || {
        let item = ShowItem { identifier: identifier.clone(), fields: None };
        let order = ShowOrder {
            items: vec![item],
            scenario: Some("traffic_stop".into()),
            agency: None,
            purpose: String::new(),
            continues: None,
        };
        vault.show(&person, order).expect("they hold it").code
    };
    group.bench_function("show", |b| b.iter(show));
    group.bench_function("redeem", |b| {
        let redeem = |code| vault.verify(&clerk(), asked(Presented::Code(code))).expect("it is fresh");
        b.iter_batched(show, redeem, BatchSize::SmallInput);
    });
    group.finish();
}

/// The public record alone.
fn log(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log");
    let entries: Vec<Vec<u8>> = (0_u32..256).map(|n| n.to_be_bytes().repeat(30)).collect();
    group.throughput(Throughput::Elements(256));
    group.bench_function("append/256", |b| b.iter(|| append(&Edge::empty(), black_box(&entries))));
    group.bench_function("bare_leaf_hash/256", |b| {
        b.iter(|| entries.iter().map(|entry| leaf_hash(black_box(entry))).collect::<Vec<_>>());
    });
    group.finish();
}
