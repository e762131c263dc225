//! `kill -9` of the real server while it issues, revokes and shows.
//!
//! A [`Round`] is what callers sent to one life of the server and what they were answered.
//! After the kill the next life must hold all that was acknowledged; what was not is there
//! wholly or not at all, and the same request, sent again, succeeds and does it once.
//!
//! `kill -9` keeps the page cache: that the disk has everything before an answer is the
//! business of `durable.rs`, and of `crash.rs` at every write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard};
use std::thread;

use kabao::cli::sample;
use kabao::domain::time::UnixTime;
use kabao::keys::random::{self, SeededRandom};
use kabao::vault::clock::{Clock, SystemClock};
use kabao::vault::issue::OrderHolder;
use serde_json::{Value as Json, json};

use crate::service::{
    Answer, Client, Gone, Installation, Server, audit, order, revocation, same, verification,
};

/// What was sent to one life of the server, and what was answered.
struct Round {
    number: u64,
    holder: OrderHolder,
    holder_token: String,
    officer: String,
    clerk: String,
    next: AtomicU64,
    killed: AtomicBool,
    ledger: Mutex<Ledger>,
}

#[derive(Default)]
struct Ledger {
    /// By the request's key.
    issues: BTreeMap<String, Issue>,
    /// By the certificate's identifier: whether it was acknowledged.
    revocations: BTreeMap<String, Heard>,
    /// By the request's key, which is also the clerk's case.
    redemptions: BTreeMap<String, Redemption>,
}

struct Issue {
    way: Way,
    order: Json,
    identifier: Option<String>,
}

/// How a certificate was ordered.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Way {
    Batch,
    Single,
}

/// Whether the answer arrived.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Heard {
    No,
    Yes,
}

struct Redemption {
    code: String,
    expires: UnixTime,
    answer: Option<Answer>,
}

/// What all lives together acknowledged: each certificate with the state it is in.
#[derive(Default)]
struct Kept(BTreeMap<String, &'static str>);

#[test]
fn fifty_kills_lose_nothing_acknowledged_and_leave_nothing_half_done() {
    let installation = Installation::default();
    let random = SeededRandom::danger_seeded(50);
    let mut kept = Kept::default();
    let mut server = installation.start();
    let (mut officer, mut clerk) = (String::new(), String::new());
    for number in 1..=ROUNDS {
        if number % 10 == 1 {
            (officer, clerk) = (installation.officer(), installation.clerk()); // they live 15 minutes
        }
        let holder = sample::person(number);
        let round = Round {
            number,
            holder_token: installation.holder(&holder),
            holder,
            officer: officer.clone(),
            clerk: clerk.clone(),
            next: AtomicU64::new(0),
            killed: AtomicBool::new(false),
            ledger: Mutex::default(),
        };
        let [byte] = random::bytes(&random).unwrap();
        round.live_and_die(server, ACKNOWLEDGED_MIN + u32::from(byte) % ACKNOWLEDGED_SPAN);
        server = installation.start();
        round.check(&server, &mut kept);
        if number % 10 == 0 {
            kept.check(&server, &officer);
        }
    }
    assert!(kept.0.len() > 500, "only {} certificates: was there any work?", kept.0.len());
    assert!(kept.0.values().any(|state| *state == "revoked"));
    server.stop();
}

impl Round {
    /// Works with several hands until so many acts are acknowledged, and kills the server.
    fn live_and_die(&self, server: Server, acknowledged: u32) {
        let first = self.issue_one(&server.client(&self.officer)).unwrap();
        let (told, heard) = channel();
        thread::scope(|scope| {
            for hand in [Self::issue_and_revoke, Self::issue_and_revoke, Self::issue_many] {
                let (client, told) = (server.client(&self.officer), told.clone());
                scope.spawn(move || self.until_gone(hand(self, &client, &told)));
            }
            let holder = server.client(&self.holder_token);
            let (clerk, first) = (server.client(&self.clerk), &first);
            scope.spawn(move || self.until_gone(self.show_and_redeem(first, &holder, &clerk, &told)));
            for _ in 0..acknowledged {
                heard.recv().expect("some hand is at work as long as the server is");
            }
            self.killed.store(true, Ordering::SeqCst);
            server.kill();
        });
    }

    /// A hand stops when the server has gone, and it goes when it is killed.
    fn until_gone(&self, end: Result<(), Gone>) {
        assert!(end.is_err(), "a hand stopped by itself");
        assert!(self.killed.load(Ordering::SeqCst), "the server went away by itself");
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    /// The next order of this round, remembered before it is sent.
    fn sent(&self, way: Way) -> (String, Json) {
        let n = self.number * 10_000 + self.next.fetch_add(1, Ordering::SeqCst);
        let (key, order) = (format!("issue-{n}"), order(n, &self.holder));
        self.ledger().issues.insert(key.clone(), Issue { way, order: order.clone(), identifier: None });
        (key, order)
    }

    fn issued(&self, key: &str, identifier: &str) {
        self.ledger().issues.get_mut(key).unwrap().identifier = Some(identifier.to_owned());
    }

    fn issue_one(&self, officer: &Client) -> Result<String, Gone> {
        let (key, order) = self.sent(Way::Single);
        let identifier = officer.try_post("/v1/certificates", &key, &order)?.good(201).text("identifier");
        self.issued(&key, &identifier);
        Ok(identifier)
    }

    fn issue_and_revoke(&self, officer: &Client, told: &Sender<()>) -> Result<(), Gone> {
        loop {
            let identifier = self.issue_one(officer)?;
            let _ = told.send(());
            self.ledger().revocations.insert(identifier.clone(), Heard::No);
            revoke(officer, &identifier)?.good(200);
            self.ledger().revocations.insert(identifier, Heard::Yes);
            let _ = told.send(());
            self.issue_one(officer)?; // one that stays
            let _ = told.send(());
        }
    }

    fn issue_many(&self, officer: &Client, told: &Sender<()>) -> Result<(), Gone> {
        loop {
            let sent: Vec<(String, Json)> = (0..BATCH_ROWS).map(|_| self.sent(Way::Batch)).collect();
            let key = format!("batch of {}", sent[0].0);
            officer.try_rows("/v1/certificates/batch", &key, rows(&sent), |line| {
                let row = usize::try_from(line["row"].as_u64().unwrap()).unwrap();
                self.issued(&sent[row - 1].0, line["identifier"].as_str().expect("every row is good"));
                let _ = told.send(());
            })?;
        }
    }

    fn show_and_redeem(
        &self,
        identifier: &str,
        holder: &Client,
        clerk: &Client,
        told: &Sender<()>,
    ) -> Result<(), Gone> {
        for n in 0.. {
            let shown = holder.try_show(identifier)?.good(201);
            let (code, key) = (shown.text("code"), format!("redeem-{}-{n}", self.number));
            let expires = shown.text("expires_at").parse().unwrap();
            let redemption = Redemption { code: code.clone(), expires, answer: None };
            self.ledger().redemptions.insert(key.clone(), redemption);
            let answer = redeem(clerk, &key, &code, &key)?.good(200);
            self.ledger().redemptions.get_mut(&key).unwrap().answer = Some(answer);
            let _ = told.send(());
        }
        Ok(())
    }

    /// What the next life of the server must say about this round.
    fn check(&self, server: &Server, kept: &mut Kept) {
        let (officer, clerk) = (server.client(&self.officer), server.client(&self.clerk));
        let holder = server.client(&self.holder_token);
        let mut ledger = self.ledger();
        let found = holder.wallet();
        ledger.check_whole_or_absent(&found, &officer, &holder);
        ledger.send_issues_again(self.number, &found, &officer);
        ledger.send_revocations_again(&officer);
        ledger.send_redemptions_again(&clerk, &holder);
        drop(officer);

        let revoked = |identifier: &String| ledger.revocations.contains_key(identifier);
        let state = |identifier: &String| if revoked(identifier) { "revoked" } else { "active" };
        let mine = ledger.issues.values().map(|issue| issue.identifier.clone().unwrap());
        let mine: BTreeMap<String, &str> = mine.map(|one| (one.clone(), state(&one))).collect();
        let now = holder.wallet();
        let now: BTreeMap<String, &str> = now.iter().map(|(one, state)| (one.clone(), &**state)).collect();
        assert_eq!(now, mine, "each order gave one certificate, in the state it was given");
        kept.0.extend(mine);
    }
}

impl Ledger {
    /// Acknowledged certificates are there. Others that are there are of orders that were under
    /// way, and whole. Acknowledged revocations hold.
    fn check_whole_or_absent(&self, found: &BTreeMap<String, String>, officer: &Client, holder: &Client) {
        let known: BTreeSet<&String> =
            self.issues.values().filter_map(|issue| issue.identifier.as_ref()).collect();
        for identifier in &known {
            assert!(found.contains_key(*identifier), "{identifier} was acknowledged and is lost");
        }
        let under_way = self.issues.len() - known.len();
        assert!(found.len() - known.len() <= under_way, "more certificates than orders");
        for (identifier, state) in found {
            let seen = officer.get(&format!("/v1/certificates/{identifier}")).good(200);
            assert_eq!(seen.text("state"), *state, "{identifier}");
            let credential = holder.get(&format!("/v1/wallet/certificates/{identifier}/credential"));
            assert!(credential.good(200).body.contains('~'), "{identifier}");
            let revoked = self.revocations.get(identifier);
            match revoked {
                None => assert_eq!(state, "active", "{identifier}"),
                Some(Heard::Yes) => assert_eq!(state, "revoked", "{identifier} was acknowledged as revoked"),
                Some(Heard::No) => assert!(["active", "revoked"].contains(&state.as_str()), "{state}"),
            }
        }
    }

    fn send_issues_again(&mut self, round: u64, found: &BTreeMap<String, String>, officer: &Client) {
        let many: Vec<(String, Json)> = (self.issues.iter())
            .filter(|(_, issue)| issue.way == Way::Batch)
            .map(|(key, issue)| (key.clone(), issue.order.clone()))
            .collect();
        let mut again: BTreeMap<String, String> = BTreeMap::new();
        let key = format!("again-{round}");
        officer
            .try_rows("/v1/certificates/batch", &key, rows(&many), |line| {
                let row = usize::try_from(line["row"].as_u64().unwrap()).unwrap();
                again.insert(many[row - 1].0.clone(), line["identifier"].as_str().unwrap().to_owned());
            })
            .unwrap();
        for (key, issue) in self.issues.iter().filter(|(_, issue)| issue.way == Way::Single) {
            let answer = officer.post("/v1/certificates", key, &issue.order).good(201);
            again.insert(key.clone(), answer.text("identifier"));
        }
        let given: BTreeSet<&String> = again.values().collect();
        assert_eq!(given.len(), self.issues.len(), "two orders gave one certificate");
        for identifier in found.keys() {
            assert!(given.contains(identifier), "{identifier} was kept, and its order gave another one");
        }
        for (key, issue) in &mut self.issues {
            let identifier = again.remove(key);
            assert!(issue.identifier.is_none() || issue.identifier == identifier, "{key} gave another one");
            issue.identifier = identifier;
        }
    }

    fn send_revocations_again(&self, officer: &Client) {
        for identifier in self.revocations.keys() {
            let answer = revoke(officer, identifier).unwrap().good(200).json();
            assert_eq!(answer["state"], "revoked");
            assert_eq!(answer["changes"].as_array().unwrap().len(), 1, "revoked once: {answer}");
        }
    }

    fn send_redemptions_again(&mut self, clerk: &Client, holder: &Client) {
        let mut looked = BTreeSet::new();
        for (key, redemption) in &self.redemptions {
            let again = redeem(clerk, key, &redemption.code, key).unwrap();
            match &redemption.answer {
                Some(before) => same(before, &again),
                None if again.status == 200 => {}
                // The code lives a minute, and this machine was slow: then nobody ever redeemed it.
                None => {
                    assert!(SystemClock.now() > redemption.expires, "{}", again.body);
                    again.problem(422, "show/code-refused");
                    continue;
                }
            }
            looked.insert(key.clone());
            let other = redeem(clerk, &format!("other-{key}"), &redemption.code, "other");
            other.unwrap().problem(422, "show/code-refused");
        }
        let accesses = holder.pages("/v1/wallet/accesses");
        let cases = accesses.iter().map(|access| access["case"].as_str().unwrap().to_owned());
        assert_eq!(cases.collect::<BTreeSet<_>>(), looked);
        assert_eq!(accesses.len(), looked.len(), "one look, one record");
    }
}

impl Kept {
    /// All of it still holds, and the log says the same: no more and no less.
    fn check(&self, server: &Server, officer: &str) {
        let client = server.client(officer);
        for (identifier, state) in &self.0 {
            let seen = client.get(&format!("/v1/certificates/{identifier}")).good(200);
            assert_eq!(seen.text("state"), *state, "{identifier}");
        }
        let revoked = self.0.values().filter(|state| **state == "revoked").count();
        assert_eq!(client.logged(), (self.0.len(), revoked), "the log holds each act once");
        audit(server.url());
    }
}

fn revoke(officer: &Client, identifier: &str) -> Result<Answer, Gone> {
    let path = format!("/v1/certificates/{identifier}/revocation");
    officer.try_post(&path, &format!("revoke-{identifier}"), &revocation())
}

fn redeem(clerk: &Client, key: &str, code: &str, case: &str) -> Result<Answer, Gone> {
    clerk.try_post("/v1/verifications", key, &verification(code, case))
}

/// Orders as rows, each with its own key.
fn rows(orders: &[(String, Json)]) -> String {
    let row = |(key, order): &(String, Json)| {
        let mut order = order.clone();
        order["request"] = json!(key);
        format!("{order}\n")
    };
    orders.iter().map(row).collect()
}

/// Lives of the server.
const ROUNDS: u64 = 50;

/// Acts that are acknowledged before the kill: so many at least, and fewer than so many more.
const ACKNOWLEDGED_MIN: u32 = 1;
const ACKNOWLEDGED_SPAN: u32 = 40;

/// Rows in one batch.
const BATCH_ROWS: usize = 5;
