//! Many at once for what only one may have.

use std::sync::Barrier;
use std::thread;

use kabao::cli::sample;

use crate::service::{Answer, Client, Installation, order, verification};

#[test]
fn a_code_redeemed_by_64_clients_at_once_succeeds_exactly_once() {
    let installation = Installation::default();
    let server = installation.start();
    let person = sample::person(64);
    let issued = server.client(&installation.officer()).post("/v1/certificates", "k", &order(1, &person));
    let holder = server.client(&installation.holder(&person));
    let tokens = [installation.clerk(), installation.other_clerk()];
    for round in 0..ROUNDS {
        let shown = holder.try_show(&issued.text("identifier")).unwrap().good(201);
        let code = shown.text("code");
        let ready = Barrier::new(CLIENTS);
        let redeem = |place: usize| {
            let client: Client = server.client(&tokens[place % tokens.len()]);
            client.get("/healthz").good(200); // connected
            let (key, body) = (format!("{round}-{place}"), verification(&code, &place.to_string()));
            ready.wait();
            client.post("/v1/verifications", &key, &body)
        };
        let redeem = &redeem;
        let answers: Vec<Answer> = thread::scope(|scope| {
            let running: Vec<_> = (0..CLIENTS).map(|place| scope.spawn(move || redeem(place))).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!(won.len(), 1, "redeemed {} times", won.len());
        assert_eq!(won[0].json()["items"][0]["verdict"]["decision"], "accepted");
        assert_eq!(lost.len(), CLIENTS - 1);
        for answer in lost {
            answer.problem(422, "show/code-refused");
        }
        assert_eq!(holder.pages("/v1/wallet/accesses").len(), round + 1, "one look, one record");
    }
    server.stop();
}

const CLIENTS: usize = 64;

/// Each with a fresh code.
const ROUNDS: usize = 3;
