//! What is encoded is decoded again, and nothing else is decoded at all.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::domain::digest::Digest;
use crate::store::HolderId;
use crate::store::IssuerTag;
use crate::store::KeyTag;
use crate::store::RowKey;
use crate::store::Sealed;
use crate::store::ShowingId;
use crate::store::Tag;

#[track_caller]
fn check_round_trip<R: Record + PartialEq + std::fmt::Debug>(record: &R) {
    let (key, value) = encode(record).unwrap();
    assert_eq!(decode::<R>(&key, &value).as_ref(), Ok(record));
    super::check(R::TABLE, &key, &value).unwrap();
    let another = [&[VERSION + 1], &value[1..]].concat();
    assert_eq!(
        decode::<R>(&key, &another),
        Err(StoreError::Version { table: R::TABLE.name(), found: VERSION + 1 })
    );
    assert_eq!(decode::<R>(&key, &[]), Err(StoreError::Corrupt { table: R::TABLE.name() }));
}

fn time() -> impl Strategy<Value = UnixTime> {
    (0..=253_402_300_799i64).prop_map(UnixTime::clamped)
}

fn sealed() -> impl Strategy<Value = Sealed> {
    vec(any::<u8>(), 0..80).prop_map(Sealed::from)
}

proptest! {
    #[test]
    fn what_is_kept_reads_as_what_was_put(
        a in any::<[u8; 16]>(), b in any::<[u8; 16]>(), tag in any::<[u8; 32]>(), hash in any::<[u8; 32]>(),
        short in any::<[u8; 8]>(), long in any::<u64>(), number in any::<u32>(), small in any::<u16>(),
        kind in any::<u8>(), hour in any::<i64>(), at in time(), sealed in sealed(), text in "\\PC{1,40}",
    ) {
        let (tag, key, holder, id) = (Tag(tag), RowKey(a), HolderId(b), ShowingId(b));
        let (hash, issuer, signer) = (Digest::from_bytes(hash), IssuerTag(short), KeyTag(b));
        let mut bits = [0; 64];
        bits[..32].copy_from_slice(&tag.0);
        check_round_trip(&row::Access { holder, at, seq: long, sealed: sealed.clone() });
        check_round_trip(&row::AccessLeaf { hour, seq: long, hash });
        check_round_trip(&row::Certificate { key, sealed: sealed.clone() });
        check_round_trip(&row::CertificateTag { tag, key });
        check_round_trip(&row::Change { at, issuer, entry: long, key, kind });
        check_round_trip(&row::Client { id: text.clone(), sealed: sealed.clone() });
        check_round_trip(&row::Credential { key, seq: number, sealed: sealed.clone() });
        check_round_trip(&row::Entry { log: small, index: long, bytes: sealed.as_bytes().to_vec() });
        let head = row::Head { log: small, origin: text, size: long, root: hash, note: sealed.as_bytes().to_vec() };
        check_round_trip(&head);
        check_round_trip(&row::ClosedHead(head));
        check_round_trip(&row::Holder { id: holder, sealed: sealed.clone() });
        check_round_trip(&row::HolderTag { tag, id: holder });
        check_round_trip(&row::Issued { issuer, issued: at, key });
        check_round_trip(&row::NumberTag { tag, key });
        check_round_trip(&row::Request { tag, digest: hash, expires: at, sealed: sealed.clone() });
        check_round_trip(&row::ShowCode { tag, expires: at, id });
        check_round_trip(&row::Showing { id, expires: at, sealed: sealed.clone() });
        check_round_trip(&row::SignedBy { signer, at, key });
        check_round_trip(&row::Slot { list: number, index: number, key });
        check_round_trip(&row::StatusChunk { list: number, chunk: small, bits });
        check_round_trip(&row::TileHash { log: small, level: kind, index: long, hash });
        check_round_trip(&row::Wallet { holder, issued: at, key, sealed });
        check_round_trip(&Expiry { expires: at, table: Table::Request, key: tag.0.to_vec() });
    }

    #[test]
    fn any_bytes_are_a_row_or_an_error_and_a_row_has_one_spelling(
        number in 1..=22u8, key in vec(any::<u8>(), 0..60), mut value in vec(any::<u8>(), 0..90),
    ) {
        value.insert(0, VERSION);
        let table = Table::from_number(number).unwrap();
        let _ = super::check(table, &key, &value);
        if let Ok(wallet) = decode::<row::Wallet>(&key, &value) {
            prop_assert_eq!(encode(&wallet).unwrap(), (key.clone(), value.clone()));
        }
        if let Ok(request) = decode::<row::Request>(&key, &value) {
            prop_assert_eq!(encode(&request).unwrap(), (key, value));
        }
    }

    #[test]
    fn byte_order_is_the_order_of_reading(one in time(), other in time(), first in any::<i64>(), second in any::<i64>()) {
        let key = |issued| wallet_key(HolderId([7; 16]), issued, RowKey([1; 16]));
        prop_assert_eq!(one.cmp(&other), key(one).cmp(&key(other)).reverse());
        let signed = |at| Record::key(&row::SignedBy { signer: KeyTag([1; 16]), at, key: RowKey([1; 16]) });
        prop_assert_eq!(one.cmp(&other), signed(one).cmp(&signed(other)));
        prop_assert_eq!(first.cmp(&second), hour_bytes(first).cmp(&hour_bytes(second)));
    }
}

#[test]
fn every_name_of_a_value_has_a_number_of_its_own() {
    let names = layout::META_NAMES;
    let numbers: std::collections::BTreeSet<u8> = names.into_iter().map(layout::meta_number).collect();
    assert_eq!(numbers.len(), names.len());
    assert!(!numbers.contains(&head_key()[0]) && !numbers.contains(&LAYOUT_KEY[0]));
    for name in names {
        check_round_trip(&row::Meta { name, bytes: vec![1, 2] });
    }
}

#[test]
fn bytes_missing_or_left_over_are_told() {
    let (key, value) = encode(&row::Slot { list: 1, index: 2, key: RowKey([3; 16]) }).unwrap();
    let corrupt = Err(StoreError::Corrupt { table: "slot" });
    assert_eq!(decode::<row::Slot>(&key[1..], &value), corrupt);
    assert_eq!(decode::<row::Slot>(&key, &value[..16]), corrupt);
    assert_eq!(decode::<row::Slot>(&key, &[&value[..], &[0]].concat()), corrupt);
    assert_eq!(decode::<row::Slot>(&[&key[..], &[0]].concat(), &value), corrupt);
}

#[test]
fn what_is_too_long_is_not_kept() {
    let entry = |length| row::Entry { log: 0, index: 0, bytes: vec![0; length] };
    assert!(encode(&entry(65_535)).is_ok());
    assert_eq!(encode(&entry(65_536)), Err(StoreError::TooLong { table: "entry" }));
    let client = |length| row::Client { id: "x".repeat(length), sealed: Sealed::default() };
    assert!(encode(&client(128)).is_ok());
    assert_eq!(encode(&client(129)), Err(StoreError::TooLong { table: "client" }));
    assert_eq!(encode(&client(0)), Err(StoreError::TooLong { table: "client" }));
    let head = |length| row::Head {
        log: 0,
        origin: "x".repeat(length),
        size: 0,
        root: Digest::of(&[]),
        note: vec![],
    };
    assert!(encode(&head(255)).is_ok());
    assert_eq!(encode(&head(256)), Err(StoreError::TooLong { table: "meta" }));
    let certificate = |length| row::Certificate { key: RowKey([0; 16]), sealed: vec![0; length].into() };
    assert!(encode(&certificate(VALUE_BYTES_MAX - 1)).is_ok());
    assert_eq!(encode(&certificate(VALUE_BYTES_MAX)), Err(StoreError::TooLong { table: "certificate" }));
}

#[test]
fn a_layout_of_a_later_release_is_refused() {
    assert_eq!(check_layout(Some(&[VERSION, LAYOUT])), Ok(()));
    assert_eq!(check_layout(Some(&[VERSION, 2])), Err(StoreError::Version { table: "meta", found: 2 }));
    assert_eq!(check_layout(None), Err(StoreError::Missing));
}
