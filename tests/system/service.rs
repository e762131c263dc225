//! The real program as a service: a vault made by `kabao init`, served by `kabao serve` on
//! loopback from a real RocksDB, and a client that asks over HTTP.
//!
//! What is started here is ended here: an [`Installation`] is removed and a [`Server`] is
//! killed when it is dropped. Nothing waits for time to pass: a server is there when it has
//! logged where it listens, and a request to it waits in the queue of its socket until then.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use kabao::cli::sample;
use kabao::log::entry::Entry;
use kabao::log::event::Event;
use kabao::log::tile::{EntryBundle, TileKind, TilePath};
use kabao::vault::clock::{Clock, SystemClock};
use kabao::vault::issue::OrderHolder;
use reqwest::Method;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::world::{AGENCY, DEPARTMENT, OTHER_AGENCY, catalog};

/// A vault for development in a folder of its own that nobody else may read.
pub(crate) struct Installation {
    folder: TempDir,
}

impl Default for Installation {
    fn default() -> Self {
        let made = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(made.passphrase(), PASSPHRASE).unwrap();
        let mut init = kabao();
        init.args(["init", "--development", "--url", URL]).arg("--dir").arg(made.dir());
        init.arg("--passphrase-file").arg(made.passphrase());
        init.args(["--department", &format!("{DEPARTMENT}=测试发证局=Test office")]);
        init.args(["--agency", &format!("{AGENCY}=测试机构=Test agency")]);
        init.args(["--agency", &format!("{OTHER_AGENCY}=另一机构=Other agency")]);
        done(&mut init);
        made
    }
}

impl Installation {
    /// The vault's directory.
    pub(crate) fn dir(&self) -> PathBuf {
        self.folder.path().join("vault")
    }

    /// The file with the passphrase: beside the vault, not in it.
    pub(crate) fn passphrase(&self) -> PathBuf {
        self.folder.path().join("passphrase")
    }

    /// `kabao serve`, to be run.
    pub(crate) fn serve(&self) -> Command {
        let mut serve = kabao();
        serve.args(["serve", "--listen", "127.0.0.1:0", "--no-rate-limits"]).arg("--dir").arg(self.dir());
        serve
    }

    /// A running server.
    pub(crate) fn start(&self) -> Server {
        Server::begin(&mut self.serve())
    }

    pub(crate) fn officer(&self) -> String {
        self.token(&["--registration", &format!("officer-{}", DEPARTMENT.to_ascii_lowercase())])
    }

    pub(crate) fn clerk(&self) -> String {
        self.token(&["--registration", &format!("clerk-{}", AGENCY.to_ascii_lowercase())])
    }

    pub(crate) fn other_clerk(&self) -> String {
        self.token(&["--registration", &format!("clerk-{}", OTHER_AGENCY.to_ascii_lowercase())])
    }

    pub(crate) fn system_administrator(&self) -> String {
        self.token(&["--registration", "system-administrator"])
    }

    pub(crate) fn holder(&self, holder: &OrderHolder) -> String {
        let file = self.folder.path().join("holder");
        fs::write(&file, format!("{}:{}", holder.code_type, holder.code)).unwrap();
        self.token(&["--holder-file", file.to_str().unwrap()])
    }

    fn token(&self, subject: &[&str]) -> String {
        let output = done(kabao().arg("token").arg("--dir").arg(self.dir()).args(subject));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// A process that serves, alone or under a process that watches it.
pub(crate) struct Server {
    child: Child,
    url: String,
    log: Option<JoinHandle<Vec<u8>>>,
}

impl Server {
    /// Starts the command and waits until it has said where it listens.
    #[track_caller]
    pub(crate) fn begin(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut reader = BufReader::new(child.stderr.take().unwrap());
        let mut said = Vec::new();
        let address = loop {
            let before = said.len();
            let read = reader.read_until(b'\n', &mut said).unwrap();
            assert_ne!(read, 0, "it did not begin to serve:\n{}", String::from_utf8_lossy(&said));
            let line: Json = serde_json::from_slice(&said[before..]).unwrap_or_default();
            if line["fields"]["message"] == "serving" {
                break line["fields"]["listen"].as_str().unwrap().to_owned();
            }
        };
        let log = std::thread::spawn(move || {
            // An end cut short is what a kill leaves.
            let _ = reader.read_to_end(&mut said);
            said
        });
        Self { child, url: format!("http://{address}"), log: Some(log) }
    }

    /// Where it really listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A caller with a token; an empty one is nobody.
    pub(crate) fn client(&self, token: &str) -> Client {
        Client::new(&self.url, token)
    }

    /// Asks it to end, which it does in good order. Its log.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Vec<u8> {
        self.signal("TERM");
        let status = self.child.wait().unwrap();
        let log = self.log.take().unwrap().join().unwrap();
        assert!(status.success(), "{status}: {}", String::from_utf8_lossy(&log));
        log
    }

    /// Ends it between two instructions. Its log.
    pub(crate) fn kill(mut self) -> Vec<u8> {
        self.signal("KILL");
        self.child.wait().unwrap();
        self.log.take().unwrap().join().unwrap()
    }

    fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("sh").args(["-c", "kill -\"$0\" \"$1\"", signal, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// The process that serves: a process that watches it has it as its only child.
    fn pid(&self) -> u32 {
        let own = self.child.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        children.split_whitespace().next().map_or(own, |child| child.parse().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `stop` or `kill` there is nobody left, and its number may be another's.
        if self.log.is_some() {
            self.signal("KILL");
            let _ = self.child.wait();
        }
    }
}

/// The server went away before it had answered.
#[derive(Debug)]
pub(crate) struct Gone;

/// An answer over HTTP.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn good(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    #[track_caller]
    pub(crate) fn problem(self, status: u16, code: &str) {
        assert_eq!(self.good(status).json()["code"], code);
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}", self.body))
    }

    #[track_caller]
    pub(crate) fn text(&self, member: &str) -> String {
        let json = self.json();
        json[member].as_str().unwrap_or_else(|| panic!("no `{member}` in {json}")).to_owned()
    }
}

/// A caller of the service, one request after another.
pub(crate) struct Client {
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Client {
    fn new(url: &str, token: &str) -> Self {
        // A second call finds the first one's provider, which is the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_MAX).build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, http, url: url.to_owned(), token: token.to_owned() }
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).unwrap()
    }

    #[track_caller]
    pub(crate) fn bytes(&self, path: &str) -> Vec<u8> {
        let request = self.request(Method::GET, path);
        self.runtime.block_on(async {
            let response = request.send().await.unwrap();
            assert_eq!(response.status().as_u16(), 200, "{path}");
            response.bytes().await.unwrap().to_vec()
        })
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, key: &str, body: &Json) -> Answer {
        self.try_post(path, key, body).unwrap()
    }

    pub(crate) fn try_post(&self, path: &str, key: &str, body: &Json) -> Result<Answer, Gone> {
        self.post_text(path, key, "application/json", body.to_string())
    }

    pub(crate) fn post_text(&self, path: &str, key: &str, form: &str, body: String) -> Result<Answer, Gone> {
        let request = self.request(Method::POST, path).header("content-type", form);
        // Showings take no key, or one; an empty one is none.
        let request = if key.is_empty() { request } else { request.header("idempotency-key", key) };
        self.send(request.body(body))
    }

    /// Sends rows, and hands on each line of the answer as it arrives.
    pub(crate) fn try_rows(
        &self,
        path: &str,
        key: &str,
        rows: String,
        mut each: impl FnMut(Json),
    ) -> Result<(), Gone> {
        let request = self.request(Method::POST, path).header("content-type", "application/x-ndjson");
        let request = request.header("idempotency-key", key).body(rows);
        self.runtime.block_on(async {
            let mut response = request.send().await.map_err(|_| Gone)?;
            assert_eq!(response.status().as_u16(), 200);
            let mut open = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|_| Gone)? {
                open.extend_from_slice(&chunk);
                while let Some(end) = open.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = open.drain(..=end).collect();
                    each(serde_json::from_slice(&line).unwrap());
                }
            }
            Ok(())
        })
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        if self.token.is_empty() { request } else { request.bearer_auth(&self.token) }
    }

    fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer, Gone> {
        self.runtime.block_on(async {
            let response = request.send().await.map_err(|_| Gone)?;
            let status = response.status().as_u16();
            Ok(Answer { status, body: response.text().await.map_err(|_| Gone)? })
        })
    }
}

impl Client {
    /// Every page of a list of the caller's own.
    #[track_caller]
    pub(crate) fn pages(&self, path: &str) -> Vec<Json> {
        let mut items = Vec::new();
        let mut next = path.to_owned();
        loop {
            let page = self.get(&next).good(200).json();
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            let Some(cursor) = page["next"].as_str() else { return items };
            next = format!("{path}?cursor={cursor}");
        }
    }

    /// The holder's certificates, with the state of each.
    #[track_caller]
    pub(crate) fn wallet(&self) -> BTreeMap<String, String> {
        let text = |item: &Json, member: &str| item[member].as_str().unwrap().to_owned();
        let items = self.pages("/v1/wallet/certificates");
        let wallet: BTreeMap<_, _> =
            items.iter().map(|item| (text(item, "identifier"), text(item, "state"))).collect();
        assert_eq!(wallet.len(), items.len(), "a certificate is listed twice");
        wallet
    }

    /// The whole log as it is published.
    #[track_caller]
    pub(crate) fn log(&self) -> Vec<Event> {
        let checkpoint = self.get("/log/0/checkpoint").good(200);
        let size: u64 = checkpoint.body.lines().nth(1).unwrap().parse().unwrap();
        let mut events = Vec::new();
        for index in 0..size.div_ceil(256) {
            let width = u16::try_from((size - index * 256).min(256)).unwrap();
            let path = TilePath::new(TileKind::Entries, index, width).unwrap();
            let bundle = EntryBundle::decode(&self.bytes(&format!("/log/0/{path}")), width).unwrap();
            let entries = bundle.entries().iter().map(|entry| Entry::decode(entry).unwrap());
            events.extend(entries.map(|entry| entry.event().clone()));
        }
        events
    }

    /// How many certificates were issued according to the log, and how many statuses changed.
    #[track_caller]
    pub(crate) fn logged(&self) -> (usize, usize) {
        let log = self.log();
        let issued = log.iter().filter(|event| matches!(event, Event::Issued { .. })).count();
        (issued, log.iter().filter(|event| matches!(event, Event::Status { .. })).count())
    }

    /// Shows one certificate; the code.
    pub(crate) fn try_show(&self, identifier: &str) -> Result<Answer, Gone> {
        let body =
            json!({ "items": [{ "identifier": identifier }], "scenario": SCENARIO, "purpose": "路检" });
        self.try_post("/v1/wallet/showings", "", &body)
    }
}

/// The program, without what the tester's own shell would tell it.
pub(crate) fn kabao() -> Command {
    kabao_at(Path::new(env!("CARGO_BIN_EXE_kabao")))
}

/// The same from another place.
pub(crate) fn kabao_at(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Runs a command that must succeed.
#[track_caller]
pub(crate) fn done(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}:\n{said}", output.status);
    output
}

/// Runs a command that must end with this code; what it said on stderr.
#[track_caller]
pub(crate) fn refused(command: &mut Command, code: i32) -> String {
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{command:?}:\n{said}");
    said
}

/// Audits a log from outside: everything it promises holds.
#[track_caller]
pub(crate) fn audit(url: &str) {
    done(kabao().args(["log", "audit", url, "--development"]));
}

/// An order for a certificate of which one person may have many. Every number has its own printed one.
pub(crate) fn order(n: u64, holder: &OrderHolder) -> Json {
    let catalog = catalog();
    let kind = catalog.by_slug(MANY).unwrap();
    sample::to_json(&sample::order_for(kind, n, SystemClock.now().date(), vec![holder.clone()]))
}

/// What a revocation says.
pub(crate) fn revocation() -> Json {
    json!({ "reason": "sanction", "legal_basis": "道路交通安全法 第九十一条" })
}

/// What a clerk sends with a code. `case` is the clerk's own number.
pub(crate) fn verification(code: &str, case: &str) -> Json {
    json!({ "code": code, "scenario": SCENARIO, "business_number": case })
}

/// The first answer of somebody who is asked again must be the answer now.
#[track_caller]
pub(crate) fn same(before: &Answer, now: &Answer) {
    assert_eq!((before.status, &before.body), (now.status, &now.body));
}

/// The vault's public URL. It is a name only: nobody is asked there.
const URL: &str = "http://kabao.test";

/// The passphrase of the key store: a secret that nothing but its own file may hold.
pub(crate) const PASSPHRASE: &str = "correct-horse-battery-5521";

/// A type of which one person may have many, and the scenario that asks for it.
const MANY: &str = "vehicle_licence";
pub(crate) const SCENARIO: &str = "traffic_stop";

/// Longest wait for an answer: far above any, so that a hanging server ends the test.
const ANSWER_MAX: Duration = Duration::from_secs(120);
