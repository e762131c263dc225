//! Crashes at every write, and openings that must be refused.

use kabao::domain::lifecycle::{ChangeKind, ReasonCode, State};
use kabao::store::head_lock::Refusal;
use kabao::store::sim::{Fault, Faults, Syncing};
use kabao::vault::issue::IssueOrder;
use kabao::vault::lifecycle::ChangeOrder;
use kabao::vault::opening::OpenError;

use crate::world::{PERSONS, World, officer, order};

const LICENCE: &str = "driving_licence";

fn keyed(person: usize, number: u32) -> IssueOrder {
    IssueOrder { request: Some(format!("row-{number}")), ..order(LICENCE, PERSONS[person], number) }
}

fn revoke() -> ChangeOrder {
    ChangeOrder {
        kind: ChangeKind::Revoke,
        reason: ReasonCode::Sanction,
        legal_basis: "第九十一条".into(),
        effective_at: None,
        request: Some("revoke-1".into()),
    }
}

/// Issues, revokes, issues; stops at the first refusal. `true` when everything was acknowledged.
fn work(world: &World, faults: &Faults) -> bool {
    let Ok(vault) = world.try_open(faults) else { return false };
    let Ok(first) = world.issue(&vault, keyed(0, 1)) else { return false };
    if vault.change(&officer(), &first, revoke()).is_err() {
        return false;
    }
    world.acknowledged.lock().unwrap().insert(first, State::Revoked);
    world.issue(&vault, keyed(1, 2)).is_ok()
}

#[test]
fn a_crash_at_any_write_neither_loses_nor_doubles_anything() {
    for fault in [Fault::BeforeWrite, Fault::AfterWrite] {
        for write in 0.. {
            let world = World::default();
            let faults = Faults::at(write, fault);
            let whole = work(&world, &faults);
            world.disk.crash();

            let vault = world.open();
            world.check(&vault); // every answer ever given still holds
            drop(vault);
            assert!(work(&world, &Faults::none()), "the same requests, sent again, all succeed");
            let vault = world.open();
            world.check(&vault);
            assert_eq!(world.acknowledged.lock().unwrap().len(), 2, "nothing doubled at write {write}");

            if whole {
                assert!(write > 6, "only {write} writes: is the fault still reached?");
                break;
            }
        }
    }
}

#[test]
fn without_syncing_the_same_crash_is_found_out() {
    let world = World::syncing(Syncing::Off);
    assert!(work(&world, &Faults::none()));
    world.disk.crash();
    let refused = world.try_open(&Faults::none()).err();
    assert!(
        matches!(refused, Some(OpenError::Refused(Refusal::Behind | Refusal::NoLock | Refusal::Incomplete))),
        "{refused:?}"
    );
}

#[test]
fn a_clock_that_stepped_back_is_not_opened() {
    let world = World::default();
    let vault = world.open();
    world.issue(&vault, keyed(0, 1)).unwrap();
    drop(vault);
    world.clock.advance(-2);
    drop(world.open());
    world.clock.advance(-60);
    assert!(matches!(world.try_open(&Faults::none()), Err(OpenError::ClockBack { .. })));
}

#[test]
fn a_second_opening_of_the_same_disk_is_refused() {
    let world = World::default();
    let vault = world.open();
    assert!(matches!(world.try_open(&Faults::none()), Err(OpenError::Store(_))));
    drop(vault);
    drop(world.open());
}

#[test]
fn every_key_at_work_is_named_in_the_log_once() {
    let world = World::default();
    let vault = world.open();
    let (size, _) = vault.log_head();
    let keys = 2 + 6; // two departments; log, receipt, show authority, status, token, trust
    let registrations = 5;
    assert_eq!(size, 1 + keys + registrations);
    drop(vault);
    assert_eq!(world.open().log_head().0, size, "opening again names nothing twice");
}
