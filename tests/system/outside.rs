//! Auditors and verifiers need nothing of ours but what is published: they do their work as
//! another user, from another directory, with no access to the server's.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use kabao::cli::sample;
use serde_json::json;
use tempfile::TempDir;

use crate::durable::absent;
use crate::service::{Installation, done, order, refused, revocation};

/// Somebody who is not us, with a directory and a copy of the program.
struct Outsider {
    home: TempDir,
    /// The command by which we become them.
    become_them: &'static [&'static str],
}

impl Outsider {
    /// `None` where we may not become anybody else.
    fn new() -> Option<Self> {
        let home = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap();
        let root = home.path().metadata().unwrap().uid() == 0;
        let become_them = if root { SETPRIV } else { SUDO };
        let allowed = Command::new(become_them[0]).args(&become_them[1..]).arg("true").output();
        if !allowed.is_ok_and(|output| output.status.success()) {
            return None;
        }
        fs::copy(env!("CARGO_BIN_EXE_kabao"), home.path().join("kabao")).unwrap();
        let work = home.path().join("work");
        fs::create_dir(&work).unwrap();
        // The only thing here that they may write to.
        fs::set_permissions(&work, fs::Permissions::from_mode(0o777)).unwrap();
        Some(Self { home, become_them })
    }

    fn work(&self) -> PathBuf {
        self.home.path().join("work")
    }

    fn run(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.become_them[0]);
        command.args(&self.become_them[1..]).arg(program).args(arguments);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.current_dir(self.work());
        command
    }

    fn kabao(&self, arguments: &[&str]) -> Command {
        self.run(&self.home.path().join("kabao"), arguments)
    }
}

#[test]
fn audit_and_offline_verification_need_no_access_to_the_servers_directory() {
    let Some(outsider) = Outsider::new() else {
        absent("no other user can be had here: that audit and verification need no access is not shown");
        return;
    };
    let installation = Installation::default();
    let server = installation.start();
    let person = sample::person(11);
    let officer = server.client(&installation.officer());
    let holder = server.client(&installation.holder(&person));
    for (name, n) in [("good", 1), ("revoked", 2)] {
        let issued = officer.post("/v1/certificates", name, &order(n, &person)).good(201);
        let identifier = issued.text("identifier");
        let credential = format!("/v1/wallet/certificates/{identifier}/credential");
        fs::write(outsider.work().join(name), holder.get(&credential).good(200).body).unwrap();
        let body = json!({ "identifier": identifier });
        let offline = holder.post("/v1/wallet/offline", "", &body).good(201).text("text");
        fs::write(outsider.work().join(format!("{name}.kb1")), offline).unwrap();
        if name == "revoked" {
            officer.post(&format!("/v1/certificates/{identifier}/revocation"), "r", &revocation()).good(200);
        }
    }
    server.stop();
    let server = installation.start(); // lists are signed anew: nobody waits a minute

    let vault = installation.dir();
    for secret in [vault.clone(), vault.join("keys"), vault.join("config.toml"), vault.join("store/CURRENT")]
    {
        assert!(secret.exists());
        let listed = outsider.run(Path::new("ls"), &[secret.to_str().unwrap()]).output().unwrap();
        assert!(!listed.status.success(), "`{}` is open to everybody", secret.display());
    }

    let audited = done(&mut outsider.kabao(&["log", "audit", server.url(), "--development", "--state", "s"]));
    let audited = String::from_utf8(audited.stdout).unwrap();
    assert!(audited.contains("1 status lists are those of the log bit for bit"), "{audited}");
    done(&mut outsider.kabao(&["log", "audit", server.url(), "--development", "--state", "s"])); // goes on
    done(&mut outsider.kabao(&["verify", "--fetch", server.url(), "--out", "trust", "--development"]));
    server.stop(); // from here there is no network

    let verify = |what: &str| {
        let given = ["--trust", "trust/trust.jwt", "--status-dir", "trust", "--development"];
        outsider.kabao(&[&["verify", what][..], &given].concat())
    };
    for good in ["good", "good.kb1"] {
        let verdict = String::from_utf8(done(&mut verify(good)).stdout).unwrap();
        assert!(verdict.contains("accepted"), "{verdict}");
    }
    for ended in ["revoked", "revoked.kb1"] {
        let said = refused(&mut verify(ended), 1);
        // Why it ended is not published; who asks the vault is told.
        assert!(said.contains("(status/ended)"), "{said}");
    }
    let mut altered = fs::read(outsider.work().join("good")).unwrap();
    let place = altered.iter().position(|byte| *byte == b'.').unwrap() + 40;
    altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
    fs::write(outsider.work().join("altered"), altered).unwrap();
    refused(&mut verify("altered"), 1);
}

const SETPRIV: &[&str] = &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
const SUDO: &[&str] = &["sudo", "-n", "-u", "nobody", "--"];
