//! A caller whose answer was lost sends its request again, and a restart in between changes nothing.

use kabao::cli::sample;
use serde_json::Value as Json;

use crate::service::{Installation, Server, order, revocation, same, verification};

/// How a server ends.
type End = fn(Server) -> Vec<u8>;

#[test]
fn a_repeated_key_gets_the_same_answer_across_a_restart() {
    for end in [Server::stop as End, Server::kill] {
        check(end);
    }
}

fn check(end: End) {
    let installation = Installation::default();
    let person = sample::person(7);
    let (officer, clerk) = (installation.officer(), installation.clerk());
    let holder = installation.holder(&person);

    let server = installation.start();
    let first = order(1, &person);
    let issue = |server: &Server| server.client(&officer).post("/v1/certificates", "i", &first);
    let issued = issue(&server).good(201);
    let identifier = issued.text("identifier");

    let rows: String = (2..5).map(|n| format!("{}\n", order(n, &person))).collect();
    let batch = |server: &Server| {
        let mut lines: Vec<Json> = vec![];
        let take = |line| lines.push(line);
        server.client(&officer).try_rows("/v1/certificates/batch", "b", rows.clone(), take).unwrap();
        lines
    };
    let issued_many = batch(&server);
    assert!(issued_many.iter().all(|line| line["identifier"].is_string()), "{issued_many:?}");

    let code = server.client(&holder).try_show(&identifier).unwrap().good(201).text("code");
    let verify = |server: &Server| {
        server.client(&clerk).post("/v1/verifications", "v", &verification(&code, "2026-0001"))
    };
    let verified = verify(&server).good(200);

    let path = format!("/v1/certificates/{identifier}/revocation");
    let revoke = |server: &Server| server.client(&officer).post(&path, "r", &revocation());
    let revoked = revoke(&server).good(200);
    assert_eq!(revoked.text("state"), "revoked");
    assert_eq!(server.client("").logged(), (4, 1));
    end(server);

    let server = installation.start();
    same(&issued, &issue(&server));
    assert_eq!(batch(&server), issued_many);
    same(&verified, &verify(&server));
    same(&revoked, &revoke(&server));
    assert_eq!(server.client("").logged(), (4, 1), "what is repeated is not done again");
    assert_eq!(server.client(&holder).wallet().len(), 4);
    assert_eq!(server.client(&holder).pages("/v1/wallet/accesses").len(), 1);

    // The keys are still taken: for another order, for another caller's code.
    let other = server.client(&officer).post("/v1/certificates", "i", &order(9, &person));
    other.problem(422, "request/key-reused");
    let foreign = server.client(&installation.other_clerk());
    let foreign = foreign.post("/v1/verifications", "v", &verification(&code, "2026-0001"));
    foreign.problem(422, "show/code-refused");
    server.stop();
}
