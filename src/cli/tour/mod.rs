//! `kabao tour`: the main job, lived through and told.
//!
//! A department issues certificates, a person carries them and shows one by QR, an agency
//! verifies it once, the department revokes it, the next verification says so and why,
//! and the public log proves it. The server is a real one on loopback, with a real
//! database; everything goes over HTTP, but for the tokens, which the operator mints.
//! Every step is checked: a tour that ends with 0 has seen all of it.
//!
//! DIR/out holds what independent tools need to check the same.

mod out;
mod story;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use reqwest::Method;
use serde_json::Value as Json;

use super::client::{self, Api};
use super::config::Config;
use super::report::{Failure, data};
use super::{city, init, open, serve, token};
use crate::domain::verdict::Decision;
use crate::http::{Limits, Running};
use crate::keys::soft::{KeyStore, Passphrase};
use crate::vault::guard::Role;
use crate::vault::token::Subject;

/// A tour.
#[derive(Args, Debug)]
pub(super) struct Tour {
    /// Directory of the tour's vault: new or empty
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

impl Tour {
    /// Goes through it.
    pub(super) fn run(self) -> Result<(), Failure> {
        let listener = serve::listen("127.0.0.1:0")?;
        let address =
            listener.local_addr().map_err(|error| Failure::unknown(format!("cannot listen: {error}")))?;
        let url = format!("http://{address}");
        city::found(&self.dir, &url, &address.to_string())?;
        let (config, vault) = city::open(&self.dir)?;
        let app = serve::app(&config, &vault, Limits::default(), None);
        let running = Running::start(listener, None, app)
            .map_err(|error| Failure::unknown(format!("the server does not start: {error}")))?;
        let stage = Stage::new(self.dir.clone(), config)?;
        data(format!("A vault for a city that does not exist, served at {url}\n"));
        let told = client::wait(story::tell(&stage));
        let stopped = running.stop();
        drop(vault);
        told?;
        stopped.map_err(|error| Failure::unknown(format!("the server came to grief: {error}")))?;
        data(format!("\nDone. {} holds what independent tools need.", self.dir.join("out").display()));
        Ok(())
    }
}

/// The city with its server, and who calls it.
struct Stage {
    dir: PathBuf,
    config: Config,
    keys: Arc<KeyStore>,
}

impl Stage {
    fn new(dir: PathBuf, config: Config) -> Result<Self, Failure> {
        let path = config.passphrase_file.clone().unwrap_or_else(|| dir.join("passphrase"));
        let keys = open::key_store(&config, &Passphrase::read_file(&path)?)?;
        Ok(Self { dir, config, keys: Arc::new(keys) })
    }

    fn caller(
        &self,
        subject: impl Fn() -> Result<Subject, Failure> + Send + Sync + 'static,
    ) -> Result<Api, Failure> {
        let (keys, url) = (Arc::clone(&self.keys), self.config.url.clone());
        Api::minting(&self.config.url, move || {
            token::mint(&keys, &url, &subject()?, crate::vault::token::SECONDS_MAX)
        })
    }

    /// An officer of a department.
    fn officer(&self, uscc: &str) -> Result<Api, Failure> {
        let id = init::officer_id(uscc);
        self.caller(move || Ok(Subject::Registration(id.clone())))
    }

    /// The clerk of an agency.
    fn clerk(&self, uscc: &str) -> Result<Api, Failure> {
        let id = init::clerk_id(uscc);
        self.caller(move || Ok(Subject::Registration(id.clone())))
    }

    /// The auditor.
    fn auditor(&self) -> Result<Api, Failure> {
        self.caller(|| Ok(Subject::Registration(Role::Auditor.name().to_owned())))
    }

    /// A person, by resident number.
    fn holder(&self, code: &str) -> Result<Api, Failure> {
        let code = format!("111:{code}");
        self.caller(move || Ok(Subject::Holder(token::holder_code(&code)?)))
    }
}

/// Posts with a key of its own.
async fn post(api: &Api, path: &str, body: &Json) -> Result<Json, Failure> {
    let request = client::request_key()?;
    api.json(Method::POST, path, Some(body), Some(&request)).await
}

/// A text in an answer.
fn text<'a>(json: &'a Json, path: &str) -> Result<&'a str, Failure> {
    json.pointer(path)
        .and_then(Json::as_str)
        .ok_or_else(|| Failure::refused(format!("the answer has no `{path}`")))
}

/// Says when something is not as the story has it.
fn expect(what: &str, holds: Holds) -> Result<(), Failure> {
    match holds {
        Holds::Yes => Ok(()),
        Holds::No => Err(Failure::refused(format!("not as it should be: {what}"))),
    }
}

/// Whether something is as the story has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Holds {
    Yes,
    No,
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// The decision of the first verdict of an answer.
fn decision(json: &Json) -> Option<&str> {
    json.pointer("/items/0/verdict/decision").and_then(Json::as_str)
}

/// The name of a decision, as answers have it.
fn accepted() -> &'static str {
    Decision::Accepted.name()
}
