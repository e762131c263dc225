//! Nothing is answered before the disk has it: the system calls of the real server say so.
//!
//! strace writes down calls in the order in which it saw them begin and end. A thread goes
//! on from a call only after its end was written down, so a call that was caused by the
//! end of another stands below it.

use std::path::Path;
use std::process::{Command, Stdio};

use kabao::cli::sample;

use crate::service::{Installation, Server, order, revocation, verification};

/// One system call.
struct Call {
    /// Its name, arguments and result.
    text: String,
    /// The line where it begins.
    begun: usize,
    /// The line where it has ended.
    ended: usize,
}

/// Whether an act advances the head lock.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Lock {
    /// It is in the log.
    Advanced,
    /// It is not.
    Untouched,
}

#[test]
fn batch_and_head_lock_are_synced_before_the_answer_is_sent() {
    let strace = Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !strace.is_ok_and(|status| status.success()) {
        absent("strace is not here: that syncs come before answers is not shown");
        return;
    }
    let installation = Installation::default();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trace");
    let serve = installation.serve();
    let mut watched = Command::new("strace");
    watched.args(["-f", "-yy", "-s", "64", "-e", CALLS, "-o"]).arg(&file);
    watched.arg(serve.get_program()).args(serve.get_args());
    let server = Server::begin(&mut watched);

    let person = sample::person(5);
    let officer = server.client(&installation.officer());
    let issued = officer.post("/v1/certificates", "i", &order(1, &person)).good(201);
    let identifier = issued.text("identifier");
    let holder = server.client(&installation.holder(&person));
    let code = holder.try_show(&identifier).unwrap().good(201).text("code");
    let clerk = server.client(&installation.clerk());
    clerk.post("/v1/verifications", "v", &verification(&code, "1")).good(200);
    officer.post(&format!("/v1/certificates/{identifier}/revocation"), "r", &revocation()).good(200);
    server.stop();

    let calls = read(&std::fs::read_to_string(&file).unwrap());
    for (request, answer, lock) in [
        ("POST /v1/certificates HTTP", "HTTP/1.1 201", Lock::Advanced),
        ("POST /v1/certificates/1.2.", "HTTP/1.1 200", Lock::Advanced),
        ("POST /v1/verifications HTTP", "HTTP/1.1 200", Lock::Untouched),
        ("POST /v1/wallet/showings HTTP", "HTTP/1.1 201", Lock::Untouched),
    ] {
        check(&calls, &installation.dir(), request, answer, lock).unwrap();
    }
}

#[test]
fn an_answer_that_is_too_early_would_be_noticed() {
    let good = [
        r#"7 recvfrom(9<TCP:[a->b]>, "POST /x HTTP/1.1", 8192, 0, NULL, NULL) = 16"#,
        r#"8 write(5</v/store/000004.log>, "..", 2) = 2"#,
        r"8 fdatasync(5</v/store/000004.log> <unfinished ...>",
        r"9 futex(1, FUTEX_WAIT) = 0",
        r"8 <... fdatasync resumed>) = 0",
        r#"8 pwrite64(3</v/head.lock>, "..", 512, 4096) = 512"#,
        r"8 fdatasync(3</v/head.lock>) = 0",
        r#"7 sendto(9<TCP:[a->b]>, "HTTP/1.1 201 Created", 20, MSG_NOSIGNAL, NULL, 0) = 20"#,
    ];
    let judge = |lines: &[&str]| {
        check(&read(&lines.join("\n")), Path::new("/v"), "POST /x HTTP", "HTTP/1.1 201", Lock::Advanced)
    };
    assert_eq!(judge(&good), Ok(()));
    let moved = |from: usize, to: usize| {
        let mut lines = good.to_vec();
        let line = lines.remove(from);
        lines.insert(to, line);
        judge(&lines)
    };
    assert!(moved(7, 6).is_err(), "sent before the lock's sync");
    assert!(moved(7, 4).is_err(), "sent before the batch's sync had ended");
    assert!(moved(6, 5).is_err(), "the lock synced before it was written");
    assert!(moved(4, 6).is_err(), "the lock written before the batch's sync had ended");
    assert!(judge(&good[..7]).is_err(), "no answer");
    let failed = good.map(|line| line.replace("resumed>) = 0", "resumed>) = -1 EIO (Input/output error)"));
    assert!(judge(&failed.each_ref().map(String::as_str)).is_err(), "the batch's sync failed");
}

/// Between request and answer: the batch written and synced, then the lock written and synced.
fn check(calls: &[Call], vault: &Path, request: &str, answer: &str, lock: Lock) -> Result<(), String> {
    let from = calls.iter().find(|call| call.text.starts_with("recv") && call.text.contains(request));
    let from = from.ok_or_else(|| format!("`{request}` never came in"))?;
    let socket = from.text.split(['(', ',']).nth(1).unwrap_or_default();
    let sent = calls.iter().find(|call| {
        call.begun > from.ended && call.text.contains(&format!("({socket},")) && call.text.contains(answer)
    });
    let sent = sent.ok_or_else(|| format!("`{request}` was not answered"))?;

    let store = vault.join("store");
    let is_log =
        |call: &Call| call.text.contains(&format!("<{}/", store.display())) && call.text.contains(".log>");
    let is_lock = |call: &Call| call.text.contains(&format!("<{}>", vault.join("head.lock").display()));
    let within = |call: &&Call| call.begun > from.ended && call.begun < sent.begun;
    let written = calls.iter().filter(within).rfind(|call| is_log(call) && is_write(call));
    let written = written.ok_or_else(|| format!("`{request}`: nothing was written to the store"))?;
    let synced = synced_after(calls, written, sent, is_log);
    let synced = synced.ok_or_else(|| format!("`{request}`: answered before the batch was synced"))?;
    if lock == Lock::Untouched {
        return Ok(());
    }
    let locked = calls.iter().filter(within).rfind(|call| is_lock(call) && is_write(call));
    let locked = locked.ok_or_else(|| format!("`{request}`: the head lock was not advanced"))?;
    if locked.begun < synced.ended {
        return Err(format!("`{request}`: the head lock was written before the batch was synced"));
    }
    match synced_after(calls, locked, sent, is_lock) {
        Some(_) => Ok(()),
        None => Err(format!("`{request}`: answered before the head lock was synced")),
    }
}

/// A sync that began after the write had ended, and came back, well, before the answer was begun.
fn synced_after<'a>(
    calls: &'a [Call],
    written: &Call,
    sent: &Call,
    is_file: impl Fn(&Call) -> bool,
) -> Option<&'a Call> {
    calls.iter().find(|call| {
        (call.text.starts_with("fdatasync(") || call.text.starts_with("fsync("))
            && is_file(call)
            && call.begun > written.ended
            && call.ended < sent.begun
            && call.text.ends_with("= 0")
    })
}

fn is_write(call: &Call) -> bool {
    call.text.starts_with("write") || call.text.starts_with("pwrite")
}

/// The calls of a trace, in the order of their beginnings; calls that never ended are left out.
fn read(trace: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut open: Vec<(&str, usize)> = Vec::new();
    for (line, text) in trace.lines().enumerate() {
        let (thread, text) = text.split_once(char::is_whitespace).unwrap_or_default();
        let text = text.trim();
        if let Some(begun) = text.strip_suffix("<unfinished ...>") {
            open.push((thread, calls.len()));
            calls.push(Call { text: begun.trim_end().to_owned(), begun: line, ended: usize::MAX });
        } else if text.starts_with("<... ") {
            let Some(place) = open.iter().position(|(known, _)| *known == thread) else { continue };
            let (_, place) = open.remove(place);
            let rest = text.split_once("resumed>").map_or("", |(_, rest)| rest);
            calls[place].text.push_str(rest);
            calls[place].ended = line;
        } else {
            calls.push(Call { text: text.to_owned(), begun: line, ended: line });
        }
    }
    calls.retain(|call| call.ended != usize::MAX);
    calls
}

/// Says what cannot be shown here; where everything must be shown, that is a failure.
#[expect(clippy::print_stderr, reason = "who runs the tests must see that one did nothing")]
pub(crate) fn absent(what: &str) {
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{what}");
    eprintln!("NOT TESTED: {what}");
}

/// What is watched.
const CALLS: &str = "trace=fdatasync,fsync,write,writev,pwrite64,pwritev,sendto,sendmsg,recvfrom,recvmsg";
