//! `kabao backup`.
//!
//! A backup is made by the running server, which alone has the database open: the command
//! asks it to. The server copies the database as of one instant, reads the copy once, and
//! writes last into it what it is a copy of.
//!
//! # What is not in it
//!
//! The head lock, the list of deleted holders, and the keys. Back them up apart: a lock that
//! is restored together with the database proves nothing, and a key beside what it opens
//! protects nothing.

use clap::Args;
use reqwest::Method;
use serde_json::json;

use super::client::{self, Server};
use super::report::{Failure, data, say};

/// A backup of a running vault.
#[derive(Args, Debug)]
pub(super) struct Backup {
    /// Name of the backup: a folder below the vault's `backups`
    #[arg(long, value_name = "NAME")]
    name: String,
    #[command(flatten)]
    server: Server,
}

impl Backup {
    /// Asks the server for it.
    pub(super) fn run(self) -> Result<(), Failure> {
        let api = self.server.connect()?;
        let body = json!({ "name": self.name });
        let request = client::request_key()?;
        let answer = client::wait(api.json(Method::POST, "/v1/backups", Some(&body), Some(&request)))?;
        data(format!("{answer:#}"));
        say("keep the head lock and the key store apart from it: together they would prove nothing");
        Ok(())
    }
}
