//! What every driver must do: one set of tests, run for each.
//!
//! A driver's tests name a [`World`], a place where its store outlives being
//! closed, and list the promises with [`contract_tests`].

use std::path::Path;

use crate::domain::digest::Digest;
use crate::domain::time::UnixTime;
use crate::store::*;

/// A place in which a store can be opened again and again.
pub(super) trait World {
    fn open(&self) -> Result<Box<dyn Store>, StoreError>;
    fn open_copy(&self, dir: &Path) -> Box<dyn Store>;
}

/// The promises, as tests of one driver.
macro_rules! contract_tests {
    ($world:expr) => {
        $crate::store::contract::contract_tests!(
            $world;
            what_is_put_is_read_by_its_reader,
            what_is_not_there_is_none,
            of_two_rows_with_one_name_the_later_stands,
            a_refused_commit_writes_nothing_and_the_store_goes_on,
            the_head_never_falls_and_never_forks,
            entries_have_no_holes_and_are_never_rewritten,
            a_log_closes_when_another_begins_and_stays_readable,
            a_wallet_lists_the_newest_first_in_pages,
            a_cursor_cannot_leave_its_list,
            a_span_begins_at_its_first_instant_and_ends_before_its_last,
            a_sweep_takes_what_expired_and_nothing_else,
            a_long_sweep_comes_to_its_end,
            runs_of_entries_and_hashes_end_at_the_first_gap,
            entries_too_large_for_one_scan_come_whole,
            what_was_kept_is_there_after_opening_again,
            a_second_opening_is_refused,
            a_copy_is_the_store_of_one_instant,
            all_rows_carried_to_another_store_give_the_same_digest,
            every_row_counts_in_the_digest,
            forgetting_keeps_the_living
        );
    };
    ($world:expr; $($name:ident),*) => {
        $(#[test]
        fn $name() {
            $crate::store::contract::$name(&$world);
        })*
    };
}

pub(super) use contract_tests;

fn at(seconds: i64) -> UnixTime {
    UnixTime::new(1_700_000_000 + seconds).unwrap()
}

fn sealed(text: &str) -> Sealed {
    Sealed::from(text.as_bytes())
}

fn head(size: u64) -> Head {
    let note = format!("head {size}").into_bytes();
    Head { log: 0, origin: "log.example".to_owned(), size, root: Digest::of(&[&size.to_be_bytes()]), note }
}

fn entry(index: u64) -> Row {
    Row::from(Entry { log: 0, index, bytes: format!("entry {index}").into_bytes() })
}

#[track_caller]
fn put(store: &dyn Store, rows: Vec<Row>) {
    store.commit(Commit { rows, head: None }).unwrap();
}

fn wallet(holder: u8, issued: i64, key: u8) -> Wallet {
    let (holder, key) = (HolderId([holder; 16]), RowKey([key; 16]));
    Wallet { holder, issued: at(issued), key, sealed: sealed("summary") }
}

/// One row of each kind.
fn all_rows() -> Vec<Row> {
    let (key, tag, id) = (RowKey([1; 16]), Tag([2; 32]), ShowingId([3; 16]));
    let (holder, issuer, hash) = (HolderId([4; 16]), IssuerTag([5; 8]), Digest::of(&[b"leaf"]));
    vec![
        Access { holder, at: at(7), seq: 1, sealed: sealed("access") }.into(),
        AccessLeaf { hour: at(7).hours(), seq: 0, hash }.into(),
        Certificate { key, sealed: sealed("record") }.into(),
        CertificateTag { tag, key }.into(),
        Change { at: at(8), issuer, entry: 0, key, kind: 2 }.into(),
        Client { id: "agency".to_owned(), sealed: sealed("client") }.into(),
        Credential { key, seq: 0, sealed: sealed("credential") }.into(),
        Holder { id: holder, sealed: sealed("key") }.into(),
        HolderTag { tag, id: holder }.into(),
        Issued { issuer, issued: at(9), key }.into(),
        Meta { name: MetaName::Lists, bytes: vec![1, 2] }.into(),
        NumberTag { tag, key }.into(),
        Request { tag, digest: hash, expires: at(60), sealed: sealed("answer") }.into(),
        ShowCode { tag, expires: at(60), id }.into(),
        Showing { id, expires: at(60), sealed: sealed("showing") }.into(),
        SignedBy { signer: KeyTag([6; 16]), at: at(9), key }.into(),
        Slot { list: 1, index: 77, key }.into(),
        StatusChunk { list: 1, chunk: 9, bits: [5; 64] }.into(),
        TileHash { log: 0, level: 1, index: 0, hash }.into(),
        Wallet { holder, issued: at(9), key, sealed: sealed("summary") }.into(),
        entry(0),
    ]
}

fn filled(world: &dyn World) -> Box<dyn Store> {
    let store = world.open().unwrap();
    store.commit(Commit { rows: all_rows(), head: Some(head(1)) }).unwrap();
    store
}

#[track_caller]
fn check_filled(store: &dyn Store) {
    let (key, tag, id) = (RowKey([1; 16]), Tag([2; 32]), ShowingId([3; 16]));
    let (holder, signer) = (HolderId([4; 16]), KeyTag([6; 16]));
    let page = PageRequest::first(10);
    let span = Span { from: at(0), until: at(100) };
    let first = |items: Vec<Row>| {
        assert_eq!(items.len(), 1, "{items:?}");
        items.into_iter().next().unwrap()
    };
    let found: Vec<Row> = vec![
        first(store.accesses(holder, &page).unwrap().items.into_iter().map(Row::from).collect()),
        first(store.access_leaves(at(7).hours(), &page).unwrap().items.into_iter().map(Row::from).collect()),
        store.certificate(key).unwrap().unwrap().into(),
        CertificateTag { tag, key: store.certificate_by_tag(tag).unwrap().unwrap() }.into(),
        first(store.changes(span, &page).unwrap().items.into_iter().map(Row::from).collect()),
        store.client("agency").unwrap().unwrap().into(),
        first(store.credentials(key, &page).unwrap().items.into_iter().map(Row::from).collect()),
        store.holder(holder).unwrap().unwrap().into(),
        HolderTag { tag, id: store.holder_by_tag(tag).unwrap().unwrap() }.into(),
        first(store.issued_by(IssuerTag([5; 8]), &page).unwrap().items.into_iter().map(Row::from).collect()),
        Meta { name: MetaName::Lists, bytes: store.meta(MetaName::Lists).unwrap().unwrap() }.into(),
        NumberTag { tag, key: store.number_owner(tag).unwrap().unwrap() }.into(),
        store.request(tag).unwrap().unwrap().into(),
        store.show_code(tag).unwrap().unwrap().into(),
        store.showing(id).unwrap().unwrap().into(),
        first(store.signed_by(signer, span, &page).unwrap().items.into_iter().map(Row::from).collect()),
        Slot { list: 1, index: 77, key: store.slot_owner(1, 77).unwrap().unwrap() }.into(),
        first(store.status_chunks(&page).unwrap().items.into_iter().map(Row::from).collect()),
        TileHash { log: 0, level: 1, index: 0, hash: store.tile_hashes(0, 1, 0, 9).unwrap()[0] }.into(),
        first(store.wallet(holder, &page).unwrap().items.into_iter().map(Row::from).collect()),
        first(store.entries(0, 0, 9).unwrap().into_iter().map(Row::from).collect()),
    ];
    assert_eq!(found, all_rows());
    assert_eq!(store.head(), Ok(Some(head(1))));
    assert_eq!(store.credential(key, 0).unwrap().map(Row::from), Some(found[6].clone()));
    assert_eq!(store.clients(&page).unwrap().items.len(), 1);
}

pub(super) fn what_is_put_is_read_by_its_reader(world: &dyn World) {
    check_filled(&*filled(world));
}

pub(super) fn what_is_not_there_is_none(world: &dyn World) {
    let store = world.open().unwrap();
    let (key, tag, page) = (RowKey([1; 16]), Tag([2; 32]), PageRequest::first(10));
    assert_eq!(store.certificate(key), Ok(None));
    assert_eq!(store.certificate_by_tag(tag), Ok(None));
    assert_eq!(store.holder_by_tag(tag), Ok(None));
    assert_eq!(store.number_owner(tag), Ok(None));
    assert_eq!(store.client(""), Ok(None));
    assert_eq!(store.meta(MetaName::Trust), Ok(None));
    assert_eq!(store.head(), Ok(None));
    assert_eq!(store.entries(0, 0, 5), Ok(vec![]));
    assert_eq!(store.entries(0, u64::MAX, 5), Ok(vec![]));
    assert_eq!(store.tile_hashes(0, 1, 0, 5), Ok(vec![]));
    assert_eq!(store.wallet(HolderId([255; 16]), &page), Ok(Page { items: vec![], next: None }));
    let backwards = Span { from: at(5), until: at(1) };
    assert_eq!(store.changes(backwards, &page), Ok(Page { items: vec![], next: None }));
}

pub(super) fn of_two_rows_with_one_name_the_later_stands(world: &dyn World) {
    let store = world.open().unwrap();
    let client = |text| Row::from(Client { id: "a".to_owned(), sealed: sealed(text) });
    let delete = || Row::from(RowId::Client("a".to_owned()));
    put(&*store, vec![client("one"), delete(), client("two")]);
    assert_eq!(store.client("a").unwrap().map(Row::from), Some(client("two")));
    put(&*store, vec![client("three"), delete()]);
    assert_eq!(store.client("a"), Ok(None));
    put(&*store, vec![delete()]);

    let all: Vec<Row> = deletable().into_iter().map(Row::from).collect();
    put(&*store, all_rows().into_iter().filter(|row| !matches!(row, Row::Entry(_))).collect());
    put(&*store, all);
    assert_eq!(store.certificate(RowKey([1; 16])), Ok(None));
    assert_eq!(store.number_owner(Tag([2; 32])), Ok(None));
    assert_eq!(store.holder(HolderId([4; 16])), Ok(None));
    assert_eq!(store.wallet(HolderId([4; 16]), &PageRequest::first(1)).unwrap().items, vec![]);
    assert_eq!(store.accesses(HolderId([4; 16]), &PageRequest::first(1)).unwrap().items, vec![]);
    assert_eq!(store.issued_by(IssuerTag([5; 8]), &PageRequest::first(1)).unwrap().items, vec![]);
}

/// The names of those of `all_rows` that may be deleted.
fn deletable() -> Vec<RowId> {
    let (key, tag, holder) = (RowKey([1; 16]), Tag([2; 32]), HolderId([4; 16]));
    vec![
        RowId::Access { holder, at: at(7), seq: 1 },
        RowId::Certificate(key),
        RowId::CertificateTag(tag),
        RowId::Client("agency".to_owned()),
        RowId::Credential { key, seq: 0 },
        RowId::Holder(holder),
        RowId::HolderTag(tag),
        RowId::Issued { issuer: IssuerTag([5; 8]), issued: at(9), key },
        RowId::NumberTag(tag),
        RowId::Request(tag),
        RowId::ShowCode(tag),
        RowId::Showing(ShowingId([3; 16])),
        RowId::Wallet { holder, issued: at(9), key },
    ]
}

pub(super) fn a_refused_commit_writes_nothing_and_the_store_goes_on(world: &dyn World) {
    let store = filled(world);
    let before = content_digest(&*store).unwrap();
    let fine = Row::from(wallet(9, 9, 9));
    let long = Row::from(Client { id: "x".repeat(129), sealed: sealed("") });
    let refused = store.commit(Commit { rows: vec![fine.clone(), long], head: None });
    assert_eq!(refused, Err(StoreError::TooLong { table: "client" }));
    assert_eq!(store.commit(Commit { rows: vec![fine.clone()], head: Some(head(0)) }), Err(StoreError::Head));
    assert_eq!(content_digest(&*store), Ok(before));
    put(&*store, vec![fine]);
    assert_ne!(content_digest(&*store), Ok(before));
}

pub(super) fn the_head_never_falls_and_never_forks(world: &dyn World) {
    let store = world.open().unwrap();
    let commit = |rows, head| store.commit(Commit { rows, head: Some(head) });
    commit(vec![entry(0), entry(1)], head(2)).unwrap();
    assert_eq!(commit(vec![], head(1)), Err(StoreError::Head));
    assert_eq!(commit(vec![], Head { root: Digest::of(&[b"x"]), ..head(2) }), Err(StoreError::Head));
    let other = Head { origin: "other.example".to_owned(), ..head(3) };
    assert_eq!(commit(vec![entry(2)], other), Err(StoreError::Head));
    assert_eq!(store.head(), Ok(Some(head(2))));
    let signed_again = Head { note: b"again".to_vec(), ..head(2) };
    commit(vec![], signed_again.clone()).unwrap();
    assert_eq!(store.head(), Ok(Some(signed_again)));
}

pub(super) fn entries_have_no_holes_and_are_never_rewritten(world: &dyn World) {
    let store = world.open().unwrap();
    store.commit(Commit { rows: vec![entry(1), entry(0)], head: Some(head(2)) }).unwrap();
    for rows in
        [vec![], vec![entry(2)], vec![entry(3), entry(4)], vec![entry(1), entry(2)], vec![entry(2); 2]]
    {
        assert_eq!(store.commit(Commit { rows, head: Some(head(4)) }), Err(StoreError::Head));
    }
    assert_eq!(store.commit(Commit { rows: vec![entry(2)], head: None }), Err(StoreError::Head));
    assert_eq!(store.commit(Commit { rows: vec![entry(0)], head: None }), Err(StoreError::Head));
    assert_eq!(store.entries(0, 0, 10).unwrap().len(), 2);
}

pub(super) fn a_log_closes_when_another_begins_and_stays_readable(world: &dyn World) {
    let store = filled(world);
    let commit = |rows, head| store.commit(Commit { rows, head: Some(head) });
    let other = |log, size| Head { log, origin: format!("log.example/{log}"), ..head(size) };
    let of = |log, index| Row::from(Entry { log, index, bytes: format!("{log} {index}").into_bytes() });

    // A new log has a higher number and another origin, and all of its entries.
    assert_eq!(commit(vec![of(2, 0)], Head { log: 2, ..head(1) }), Err(StoreError::Head));
    assert_eq!(commit(vec![of(0, 0)], other(0, 1)), Err(StoreError::Head));
    assert_eq!(commit(vec![of(2, 1)], other(2, 2)), Err(StoreError::Head));
    assert_eq!(commit(vec![of(0, 0)], other(2, 1)), Err(StoreError::Head));
    assert_eq!(store.head(), Ok(Some(head(1))));
    assert_eq!(store.closed_head(0), Ok(None));

    let hash = Digest::of(&[b"of the second"]);
    let tile = TileHash { log: 2, level: 1, index: 0, hash }.into();
    commit(vec![of(2, 0), of(2, 1), tile], other(2, 2)).unwrap();
    commit(vec![of(2, 2)], other(2, 3)).unwrap();
    drop(store);
    let store = world.open().unwrap();
    let commit = |rows, head| store.commit(Commit { rows, head: Some(head) });
    assert_eq!(store.head(), Ok(Some(other(2, 3))));
    assert_eq!(store.closed_head(0), Ok(Some(head(1))));
    assert_eq!(store.closed_head(2), Ok(None));
    assert_eq!(
        store.entries(0, 0, 9).unwrap().into_iter().map(Row::from).collect::<Vec<_>>(),
        vec![entry(0)]
    );
    assert_eq!(store.entries(2, 0, 9).unwrap().len(), 3);
    assert_eq!(store.tile_hashes(2, 1, 0, 9), Ok(vec![hash]));
    assert_eq!(store.tile_hashes(0, 1, 0, 9).unwrap().len(), 1);

    // The closed log does not come back, neither to grow nor beside the new one.
    assert_eq!(commit(vec![entry(1)], head(2)), Err(StoreError::Head));
    assert_eq!(commit(vec![of(2, 3), entry(1)], other(2, 4)), Err(StoreError::Head));
    commit(vec![of(7, 0)], other(7, 1)).unwrap();
    assert_eq!(store.closed_head(2), Ok(Some(other(2, 3))));
    assert_eq!(store.closed_head(0), Ok(Some(head(1))));

    let carried = sim::Sim::fresh();
    copy_all(&*store, &carried).unwrap();
    assert_eq!(carried.closed_head(2), Ok(Some(other(2, 3))));
}

pub(super) fn a_wallet_lists_the_newest_first_in_pages(world: &dyn World) {
    let store = world.open().unwrap();
    let mut rows: Vec<Wallet> = (0..25).map(|number| wallet(5, i64::from(number / 2), number)).collect();
    put(
        &*store,
        rows.iter().cloned().map(Row::from).chain([wallet(4, 1, 1).into(), wallet(6, 1, 1).into()]).collect(),
    );
    rows.sort_by_key(|row| (std::cmp::Reverse(row.issued), row.key));
    for limit in [1, 3, 24, 25, 26, 1000] {
        let mut found = Vec::new();
        let mut request = PageRequest::first(limit);
        loop {
            let page = store.wallet(HolderId([5; 16]), &request).unwrap();
            assert!(page.items.len() <= limit);
            found.extend(page.items);
            match page.next {
                Some(cursor) => {
                    request = PageRequest::after(Cursor::from_bytes(cursor.as_bytes().to_vec()), limit)
                }
                None => break,
            }
        }
        assert_eq!(found, rows, "limit {limit}");
    }
}

pub(super) fn a_cursor_cannot_leave_its_list(world: &dyn World) {
    let store = world.open().unwrap();
    put(&*store, (1..=3).map(|holder| wallet(holder, 1, 1).into()).collect());
    let forged = [vec![0], vec![255; 24], vec![255; 200], vec![0; 40], [vec![3; 16], vec![0; 24]].concat()];
    for bytes in forged {
        let request = PageRequest::after(Cursor::from_bytes(bytes), 10);
        let page = store.wallet(HolderId([2; 16]), &request).unwrap();
        assert!(page.items.iter().all(|row| row.holder == HolderId([2; 16])), "{page:?}");
        let span = Span { from: at(0), until: at(1) };
        assert_eq!(store.signed_by(KeyTag([1; 16]), span, &request).unwrap().items, vec![]);
    }
    for bytes in [vec![], vec![1; 257]] {
        let request = PageRequest::after(Cursor::from_bytes(bytes), 10);
        assert_eq!(store.wallet(HolderId([2; 16]), &request), Err(StoreError::Cursor));
    }
    for bytes in [vec![], vec![0, 1]] {
        let request = PageRequest::after(Cursor::from_bytes(bytes), 10);
        assert_eq!(store.export(&request), Err(StoreError::Cursor));
    }
}

pub(super) fn a_span_begins_at_its_first_instant_and_ends_before_its_last(world: &dyn World) {
    let store = world.open().unwrap();
    let signer = KeyTag([1; 16]);
    let signed = |seconds: u8| SignedBy { signer, at: at(seconds.into()), key: RowKey([seconds; 16]) };
    let other = SignedBy { signer: KeyTag([2; 16]), ..signed(5) };
    let change = |seconds: u8| Change {
        at: at(seconds.into()),
        issuer: IssuerTag([seconds; 8]),
        entry: 1,
        key: RowKey([1; 16]),
        kind: 1,
    };
    put(
        &*store,
        (0..10)
            .flat_map(|number| [signed(number).into(), change(number).into()])
            .chain([other.into()])
            .collect(),
    );
    let span = Span { from: at(3), until: at(7) };
    let (first, all) = (PageRequest::first(3), PageRequest::first(100));
    let expected: Vec<_> = (3..7).map(signed).collect();
    assert_eq!(store.signed_by(signer, span, &all), Ok(Page { items: expected.clone(), next: None }));
    let page = store.signed_by(signer, span, &first).unwrap();
    assert_eq!(page.items, expected[..3]);
    let rest = store.signed_by(signer, span, &PageRequest::after(page.next.unwrap(), 3));
    assert_eq!(rest, Ok(Page { items: expected[3..].to_vec(), next: None }));
    assert_eq!(store.changes(span, &all).unwrap().items, (3..7).map(change).collect::<Vec<_>>());
}

pub(super) fn a_sweep_takes_what_expired_and_nothing_else(world: &dyn World) {
    let store = world.open().unwrap();
    let showing = |number: u8, expires| Showing {
        id: ShowingId([number; 16]),
        expires: at(expires),
        sealed: sealed("s"),
    };
    let code = |number: u8, expires| ShowCode {
        tag: Tag([number; 32]),
        expires: at(expires),
        id: ShowingId([1; 16]),
    };
    let request =
        Request { tag: Tag([9; 32]), digest: Digest::of(&[]), expires: at(20), sealed: sealed("a") };
    put(
        &*store,
        vec![showing(1, 10).into(), showing(2, 11).into(), code(1, 10).into(), request.clone().into()],
    );
    // Put again to live longer; and deleted before its time.
    put(
        &*store,
        vec![
            showing(3, 5).into(),
            showing(3, 30).into(),
            code(2, 5).into(),
            RowId::ShowCode(Tag([2; 32])).into(),
        ],
    );

    assert_eq!(store.sweep(at(4)), Ok(Swept { rows: 0, rest: Rest::None }));
    assert_eq!(store.sweep(at(10)), Ok(Swept { rows: 2, rest: Rest::None }));
    assert_eq!(store.showing(ShowingId([1; 16])), Ok(None));
    assert_eq!(store.show_code(Tag([1; 32])), Ok(None));
    assert_eq!(store.showing(ShowingId([2; 16])), Ok(Some(showing(2, 11))));
    assert_eq!(store.showing(ShowingId([3; 16])), Ok(Some(showing(3, 30))));
    assert_eq!(store.request(request.tag), Ok(Some(request)));
    assert_eq!(store.sweep(at(30)), Ok(Swept { rows: 3, rest: Rest::None }));
    assert_eq!(store.showing(ShowingId([3; 16])), Ok(None));
    assert_eq!(store.sweep(at(1000)), Ok(Swept { rows: 0, rest: Rest::None }));
}

pub(super) fn a_long_sweep_comes_to_its_end(world: &dyn World) {
    let store = world.open().unwrap();
    let id = |number: u16| ShowingId([number.to_be_bytes(); 8].concat().try_into().unwrap());
    let showing =
        |number: u16| Showing { id: id(number), expires: at(i64::from(number % 7)), sealed: sealed("s") };
    put(&*store, (0..5000).map(|number| showing(number).into()).collect());
    let mut swept = 0;
    for _ in 0..100 {
        let done = store.sweep(at(3)).unwrap();
        swept += done.rows;
        if done.rest == Rest::None {
            break;
        }
    }
    assert_eq!(swept, (0..5000).filter(|number| number % 7 <= 3).count());
    assert_eq!(store.showing(id(3)), Ok(None));
    assert!(store.showing(id(4)).unwrap().is_some());
}

pub(super) fn runs_of_entries_and_hashes_end_at_the_first_gap(world: &dyn World) {
    let store = world.open().unwrap();
    store.commit(Commit { rows: (0..300).map(entry).collect(), head: Some(head(300)) }).unwrap();
    let found = |start, count| -> Vec<u64> {
        store.entries(0, start, count).unwrap().into_iter().map(|entry| entry.index).collect()
    };
    assert_eq!(found(256, 256), (256..300).collect::<Vec<_>>());
    assert_eq!(found(10, 5), (10..15).collect::<Vec<_>>());
    assert!(found(300, 5).is_empty());
    assert!(found(0, 0).is_empty());
    assert_eq!(found(0, usize::MAX).len(), 300);

    let hash = |level: u8, index: u64| Digest::of(&[&[level], &index.to_be_bytes()]);
    let row = |level, index| Row::from(TileHash { log: 0, level, index, hash: hash(level, index) });
    put(
        &*store,
        [(1, 0), (1, 1), (1, 3), (2, 0)].into_iter().map(|(level, index)| row(level, index)).collect(),
    );
    assert_eq!(store.tile_hashes(0, 1, 0, 10), Ok(vec![hash(1, 0), hash(1, 1)]));
    assert_eq!(store.tile_hashes(0, 1, 1, 1), Ok(vec![hash(1, 1)]));
    assert_eq!(store.tile_hashes(0, 1, 2, 2), Ok(vec![]));
    assert_eq!(store.tile_hashes(0, 2, 0, 10), Ok(vec![hash(2, 0)]));
}

pub(super) fn entries_too_large_for_one_scan_come_whole(world: &dyn World) {
    let store = world.open().unwrap();
    let large =
        |index: u64| Row::from(Entry { log: 0, index, bytes: vec![u8::try_from(index).unwrap(); 65_535] });
    store.commit(Commit { rows: (0..200).map(large).collect(), head: Some(head(200)) }).unwrap();
    let entries = store.entries(0, 0, 256).unwrap();
    assert_eq!(entries.len(), 200);
    assert!(entries.into_iter().zip(0..).all(|(entry, index)| Row::from(entry) == large(index)));
}

pub(super) fn what_was_kept_is_there_after_opening_again(world: &dyn World) {
    let store = filled(world);
    let digest = content_digest(&*store).unwrap();
    drop(store);
    for _ in 0..3 {
        let store = world.open().unwrap();
        store.sync().unwrap();
        check_filled(&*store);
        assert_eq!(content_digest(&*store), Ok(digest));
    }
}

pub(super) fn a_second_opening_is_refused(world: &dyn World) {
    let store = world.open().unwrap();
    assert_eq!(world.open().err(), Some(StoreError::InUse));
    drop(store);
    assert!(world.open().is_ok());
}

pub(super) fn a_copy_is_the_store_of_one_instant(world: &dyn World) {
    let folder = tempfile::tempdir().unwrap();
    let (dir, taken) = (folder.path().join("copy"), folder.path());
    let store = filled(world);
    let digest = content_digest(&*store).unwrap();
    let copied = store.checkpoint_copy(&dir).unwrap();
    assert_eq!(copied, Copied { head: Some(head(1)), content: digest });
    assert_eq!(store.checkpoint_copy(taken), Err(StoreError::AlreadyThere));
    store.commit(Commit { rows: vec![entry(1)], head: Some(head(2)) }).unwrap();

    let copy = world.open_copy(&dir);
    check_filled(&*copy);
    assert_eq!(content_digest(&*copy), Ok(digest));
    let other = Head { root: Digest::of(&[b"fork"]), ..head(2) };
    copy.commit(Commit { rows: vec![entry(1)], head: Some(other) }).unwrap();
    assert_eq!(store.head(), Ok(Some(head(2))));

    // The copy has gone its own way: the lock, which followed the first, does not open it.
    let lock = head_lock::LockedHead::from(&store.head().unwrap().unwrap());
    let forked = copy.head().unwrap().unwrap();
    let root = |size| Some(if size == forked.size { forked.root } else { head(size).root });
    let opening = head_lock::open_rule(Some(&lock), Some(&forked), root);
    assert_eq!(opening, head_lock::Opening::Refuse(head_lock::Refusal::Forked));
}

pub(super) fn all_rows_carried_to_another_store_give_the_same_digest(world: &dyn World) {
    let store = filled(world);
    put(
        &*store,
        (0..5000u16)
            .map(|number| {
                let [first, second] = number.to_be_bytes();
                let mut tag = [0; 32];
                (tag[0], tag[31]) = (second, first);
                NumberTag { tag: Tag(tag), key: RowKey([second; 16]) }.into()
            })
            .collect(),
    );
    let carried = sim::Sim::fresh();
    copy_all(&*store, &carried).unwrap();
    assert_eq!(content_digest(&carried), content_digest(&*store));
    check_filled(&carried);
    assert_eq!(copy_all(&carried, &*store), Err(StoreError::AlreadyThere));

    let unknown = RawRow { table: 200, key: vec![], value: vec![1] };
    let corrupt = RawRow { table: 3, key: vec![1], value: vec![1] };
    assert!(matches!(store.import(vec![unknown]), Err(StoreError::Version { .. })));
    assert!(matches!(store.import(vec![corrupt]), Err(StoreError::Corrupt { table: "certificate" })));
    assert_eq!(content_digest(&carried), content_digest(&*store));
}

pub(super) fn every_row_counts_in_the_digest(world: &dyn World) {
    let store = world.open().unwrap();
    let mut digests = std::collections::BTreeSet::from([content_digest(&*store).unwrap()]);
    for row in all_rows() {
        if matches!(row, Row::Entry(_)) {
            store.commit(Commit { rows: vec![row], head: Some(head(1)) }).unwrap();
        } else {
            put(&*store, vec![row]);
        }
        assert!(digests.insert(content_digest(&*store).unwrap()));
    }
}

pub(super) fn forgetting_keeps_the_living(world: &dyn World) {
    let store = world.open().unwrap();
    let holder = |number| Holder { id: HolderId([number; 16]), sealed: sealed("key") };
    put(&*store, vec![holder(1).into(), holder(2).into()]);
    put(&*store, vec![RowId::Holder(HolderId([1; 16])).into()]);
    store.forget().unwrap();
    assert_eq!(store.holder(HolderId([1; 16])), Ok(None));
    assert_eq!(store.holder(HolderId([2; 16])), Ok(Some(holder(2))));
    put(&*store, vec![holder(3).into()]);
}
