//! `kabao init`: a new vault.
//!
//! # Order of writes
//!
//! 1. keys and x509
//! 2. head lock      holds the empty log
//! 3. database       its first commit is the log's first entry
//! 4. registrations
//! 5. config.toml    from here the directory is a vault
//!
//! A crash before 5 leaves a directory that is no vault: remove it and begin again.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::config::{Config, Mode, Organisation, PassphraseSource};
use super::report::{Failure, say};
use super::{hierarchy, open};
use crate::domain::digest::Digest;
use crate::keys::development::Development;
use crate::keys::random::SystemRandom;
use crate::keys::soft::{KeyStore, Passphrase};
use crate::store::head_lock::{FileLock, LockedHead};
use crate::vault::clock::{Clock, SystemClock};
use crate::vault::guard::Role;
use crate::vault::opening::ClockStep;
use crate::vault::registry::{Allowed, Registration, RegistrationState};

/// A vault to be made.
#[derive(Args, Debug)]
pub(super) struct Init {
    /// Directory of the vault: new or empty
    #[arg(long, env = "KABAO_DIR", value_name = "DIR")]
    dir: PathBuf,
    /// Public URL: part of every credential and x509, never changed later
    #[arg(long, value_name = "URL")]
    url: String,
    /// Where the server shall listen
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: String,
    /// The operator's name, as it shall stand in the x509
    #[arg(long, default_value = "卡包", value_name = "NAME")]
    operator: String,
    /// For development: with roots that everybody has
    #[arg(long)]
    development: bool,
    /// Issuing department; give it again for more
    #[arg(long, value_name = "USCC=名称=Name")]
    department: Vec<Organisation>,
    /// Agency that verifies; give it again for more
    #[arg(long, value_name = "USCC=名称=Name")]
    agency: Vec<Organisation>,
    /// Where the head lock shall lie; in production on another disk
    #[arg(long, value_name = "FILE")]
    head_lock: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseSource,
}

impl Init {
    /// Makes it.
    pub(super) fn run(self) -> Result<(), Failure> {
        let passphrase = self.passphrase.read(None)?;
        let mode = if self.development { Mode::Development } else { Mode::Production };
        let mut config = Config::new(&self.url, &self.listen, mode, &self.operator);
        config.departments = self.department;
        config.passphrase_file =
            self.passphrase.passphrase_file.as_deref().and_then(|path| path.canonicalize().ok());
        if let Some(path) = self.head_lock {
            config.head_lock = std::path::absolute(&path).map_err(|error| Failure::file(&path, &error))?;
        }
        create(&self.dir, &config, &self.agency, &passphrase)?;
        tell(&self.dir, &config, &self.agency);
        Ok(())
    }
}

/// Makes a vault in a new or empty directory.
pub(super) fn create(
    dir: &Path,
    config: &Config,
    agencies: &[Organisation],
    passphrase: &Passphrase,
) -> Result<(), Failure> {
    check_url(config)?;
    let failed = |error: std::io::Error| Failure::file(dir, &error);
    // What lies in it is sealed, but who issued how much is nobody's business either.
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    if std::fs::read_dir(dir).map_err(failed)?.next().is_some() {
        return Err(
            Failure::refused(format!("`{}` is not empty", dir.display())).hint("name a new directory")
        );
    }
    let whole = config.clone().resolve(dir);
    let (random, now) = (SystemRandom::new(), SystemClock.now());
    let development = match config.mode {
        Mode::Development => Development::Yes,
        Mode::Production => Development::No,
    };
    let keys = KeyStore::create(&whole.keys, passphrase, development, &random, now)?;
    hierarchy::found(&keys, &whole, &random, now)?;
    let origin = open::settings(&whole).origin();
    let empty = LockedHead { origin, size: 0, root: Digest::of(&[]) };
    let lock = FileLock::create(&whole.head_lock, &empty)?;
    let vault =
        open::vault_with(&whole, &keys, Box::new(lock), open::new_database(&whole)?, ClockStep::Refuse)?;
    vault.register_first(&registrations(&config.departments, agencies)?)?;
    config.write(dir)
}

/// Who may call a new vault.
fn registrations(
    departments: &[Organisation],
    agencies: &[Organisation],
) -> Result<Vec<Registration>, Failure> {
    let registration = |id: String, role, organisation: Option<&Organisation>, name: &str| {
        let uscc = organisation.map(|organisation| organisation.uscc.parse()).transpose();
        let uscc = uscc.map_err(|error: crate::domain::uscc::UsccError| Failure::misuse(error))?;
        Ok(Registration {
            id,
            role,
            organisation: uscc,
            name: name.to_owned(),
            keys: vec![],
            // Nobody has more than their part needs: officers issue, clerks ask.
            types: only_for(Role::Officer, role),
            scenarios: only_for(Role::Clerk, role),
            state: RegistrationState::Active,
        })
    };
    let mut all = Vec::new();
    for department in departments {
        all.push(registration(officer_id(&department.uscc), Role::Officer, Some(department), &department.zh));
    }
    for agency in agencies {
        all.push(registration(clerk_id(&agency.uscc), Role::Clerk, Some(agency), &agency.zh));
    }
    for (role, name) in [
        (Role::Auditor, "审计员"),
        (Role::SecurityAdministrator, "安全管理员"),
        (Role::SystemAdministrator, "系统管理员"),
    ] {
        all.push(registration(role.name().to_owned(), role, None, name));
    }
    all.into_iter().collect()
}

fn only_for(meant: Role, role: Role) -> Allowed {
    if role == meant { Allowed::All } else { Allowed::Only(vec![]) }
}

/// The registration of a department's officer.
pub(super) fn officer_id(uscc: &str) -> String {
    format!("officer-{}", uscc.to_ascii_lowercase())
}

/// The registration of an agency's clerk.
pub(super) fn clerk_id(uscc: &str) -> String {
    format!("clerk-{}", uscc.to_ascii_lowercase())
}

fn check_url(config: &Config) -> Result<(), Failure> {
    let wrong =
        |what: &str| Err(Failure::misuse(format!("the URL {what}")).hint("like `https://vault.example`"));
    let Some((scheme, host)) = config.url.split_once("://") else { return wrong("has no scheme") };
    let shaped = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:".contains(&byte);
    if host.is_empty() || !host.bytes().all(shaped) {
        return wrong("must be a scheme and a host in lower case, perhaps a port, and nothing more");
    }
    match (scheme, config.mode) {
        ("https", _) | ("http", Mode::Development) => Ok(()),
        ("http", Mode::Production) => wrong("must be https outside development"),
        _ => wrong("must be https"),
    }
}

fn tell(dir: &Path, config: &Config, agencies: &[Organisation]) {
    say(format!("a new vault in {}", dir.display()));
    for department in &config.departments {
        say(format!("  issues:   {}  {} ({})", officer_id(&department.uscc), department.zh, department.en));
    }
    for agency in agencies {
        say(format!("  verifies: {}  {} ({})", clerk_id(&agency.uscc), agency.zh, agency.en));
    }
    say("\nnext:");
    if config.mode == Mode::Production {
        say(
            "  1. move keys/root-*.json to a place that is not on this machine: they are not needed until a new",
        );
        say("     authority or trust key is");
        say("  2. keep head.lock on another disk than the database, and back up keys/ apart from it");
    }
    say(format!("  kabao serve --dir {}", dir.display()));
    say(format!("  kabao token --dir {} --registration security-administrator", dir.display()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::city;

    #[test]
    fn officers_ask_in_no_scenario_and_clerks_issue_no_type() {
        let none = Allowed::Only(vec![]);
        let all = registrations(&city::departments(), &city::agencies()).unwrap();
        for registration in all {
            assert_eq!(registration.types == Allowed::All, registration.role == Role::Officer);
            assert_eq!(registration.scenarios == Allowed::All, registration.role == Role::Clerk);
            assert!(registration.role == Role::Officer || registration.types == none);
        }
    }
}
