//! The command line as a client of a running server.
//!
//! An [`Api`] knows the server's URL and how to get a token. A problem that the server
//! answers becomes a [`Failure`] with the server's own code and hint; a server that
//! cannot be reached is one of those that end with exit code 3.
//!
//! # Not here
//!
//! What is asked: the command that asks knows it.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use reqwest::{Method, StatusCode, header};
use serde_json::Value as Json;

use super::report::Failure;
use crate::keys::random::{self, SystemRandom};

/// How a command reaches a server.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Server {
    /// The server's URL
    #[arg(long, env = "KABAO_URL", value_name = "URL")]
    pub(super) url: String,
    /// Bearer token
    #[arg(long, env = "KABAO_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub(super) token: Option<String>,
    /// File with a bearer token, read again when the server wants a fresh one
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub(super) token_file: Option<PathBuf>,
    /// x509 (PEM) to trust as the server's TLS anchor, beside the system's
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
}

/// Where tokens come from.
enum Tokens {
    None,
    Fixed(String),
    File(PathBuf),
    Minted(Box<dyn Fn() -> Result<String, Failure> + Send + Sync>, Mutex<Option<String>>),
}

/// A server to talk to.
pub(super) struct Api {
    url: String,
    tokens: Tokens,
    client: reqwest::Client,
}

/// An answer: status, headers that matter, body.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

/// Why there is no answer to use.
pub(super) enum Trouble {
    /// The same request may go through later.
    Later(Failure, Option<Duration>),
    /// It will not.
    Never(Failure),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Later(failure, _) | Trouble::Never(failure) => failure,
        }
    }
}

impl Server {
    /// Ready to ask.
    pub(super) fn connect(&self) -> Result<Api, Failure> {
        let tokens = match (&self.token, &self.token_file) {
            (Some(token), _) => Tokens::Fixed(token.trim().to_owned()),
            (None, Some(path)) => Tokens::File(path.clone()),
            (None, None) => Tokens::None,
        };
        let ca =
            self.ca.as_deref().map(|path| std::fs::read(path).map_err(|error| Failure::file(path, &error)));
        Api::new(&self.url, tokens, ca.transpose()?)
    }
}

impl Api {
    fn new(url: &str, tokens: Tokens, ca: Option<Vec<u8>>) -> Result<Self, Failure> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(
                Failure::misuse(format!("`{url}` is no URL of a server")).hint("like `https://example.org`")
            );
        }
        // A second call finds the first one's provider, which is the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("kabao/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(REQUEST_SECONDS));
        if let Some(pem) = ca {
            let anchor = reqwest::Certificate::from_pem(&pem)
                .map_err(|_| Failure::misuse("the file of `--ca` holds no x509 in PEM"))?;
            builder = builder.tls_certs_merge([anchor]);
        }
        let client =
            builder.build().map_err(|error| Failure::unknown(format!("no client can be made: {error}")))?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), tokens, client })
    }

    /// A server that needs no token.
    pub(super) fn public(url: &str) -> Result<Self, Failure> {
        Self::new(url, Tokens::None, None)
    }

    /// A server for which tokens are minted as they are needed.
    pub(super) fn minting(
        url: &str,
        mint: impl Fn() -> Result<String, Failure> + Send + Sync + 'static,
    ) -> Result<Self, Failure> {
        Self::new(url, Tokens::Minted(Box::new(mint), Mutex::new(None)), None)
    }

    /// Bytes of a public address; `None` when there is nothing.
    pub(super) async fn bytes(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        match self.send(Method::GET, path, None, None).await {
            Ok(answer) if answer.status == StatusCode::NOT_FOUND => Ok(None),
            Ok(answer) => answer.good().map(|answer| Some(answer.body)).map_err(Failure::from),
            Err(trouble) => Err(trouble.into()),
        }
    }

    /// The text at an address that must be there.
    pub(super) async fn text(&self, path: &str) -> Result<String, Failure> {
        let bytes =
            self.bytes(path).await?.ok_or_else(|| Failure::refused(format!("there is no `{path}`")))?;
        String::from_utf8(bytes).map_err(|_| Failure::unknown(format!("`{path}` is no text")))
    }

    /// The same, again for a while when the server is busy: for reading much.
    pub(super) async fn patiently(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        let mut pause = Duration::from_millis(200);
        loop {
            let trouble = match self.send(Method::GET, path, None, None).await {
                Ok(answer) if answer.status == StatusCode::NOT_FOUND => return Ok(None),
                Ok(answer) => match answer.good() {
                    Ok(answer) => return Ok(Some(answer.body)),
                    Err(trouble) => trouble,
                },
                Err(trouble) => trouble,
            };
            match trouble {
                Trouble::Later(_, after) if pause < PAUSE_MAX => {
                    tokio::time::sleep(after.unwrap_or(pause)).await;
                    pause *= 2;
                }
                trouble => return Err(trouble.into()),
            }
        }
    }

    /// One request with its answer as JSON. Writes carry an idempotency key.
    pub(super) async fn json(
        &self,
        method: Method,
        path: &str,
        body: Option<&Json>,
        request: Option<&str>,
    ) -> Result<Json, Failure> {
        let body = body.map(|body| ("application/json", body.to_string().into_bytes()));
        let answer = self.send(method, path, body, request).await.map_err(Failure::from)?;
        let answer = answer.good().map_err(Failure::from)?;
        if answer.body.is_empty() {
            return Ok(Json::Null);
        }
        serde_json::from_slice(&answer.body)
            .map_err(|_| Failure::unknown(format!("the server's answer at `{path}` is no JSON")))
    }

    /// One request, answered whatever the status. A 401 is tried once more with a fresh token.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
        request: Option<&str>,
    ) -> Result<Answer, Trouble> {
        let first = self.send_once(method.clone(), path, body.clone(), request).await?;
        let renewable = matches!(self.tokens, Tokens::File(_) | Tokens::Minted(..));
        if first.status != StatusCode::UNAUTHORIZED || !renewable {
            return Ok(first);
        }
        if let Tokens::Minted(_, held) = &self.tokens {
            *held.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
        }
        self.send_once(method, path, body, request).await
    }

    async fn send_once(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
        request: Option<&str>,
    ) -> Result<Answer, Trouble> {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.url) };
        let mut call = self.client.request(method, url);
        if let Some(token) = self.token().map_err(Trouble::Never)? {
            call = call.bearer_auth(token);
        }
        if let Some(key) = request {
            call = call.header("idempotency-key", key);
        }
        if let Some((kind, bytes)) = body {
            call = call.header(header::CONTENT_TYPE, kind).body(bytes);
        }
        let lost = |error: reqwest::Error| {
            let what = format!("`{}` cannot be reached: {}", self.url, without_url(error));
            Trouble::Later(Failure::unknown(what).hint("is the server running? see `kabao serve`"), None)
        };
        let mut response = call.send().await.map_err(lost)?;
        let status = response.status();
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Trouble::Never(Failure::unknown("the server's answer is too long")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, retry_after, body })
    }

    fn token(&self) -> Result<Option<String>, Failure> {
        match &self.tokens {
            Tokens::None => Ok(None),
            Tokens::Fixed(token) => Ok(Some(token.clone())),
            Tokens::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
                Ok(Some(text.trim().to_owned()))
            }
            Tokens::Minted(mint, held) => {
                let mut held = held.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if held.is_none() {
                    *held = Some(mint()?);
                }
                Ok(held.clone())
            }
        }
    }
}

impl Answer {
    /// The answer if it is one, else the problem it tells.
    pub(super) fn good(self) -> Result<Self, Trouble> {
        if self.status.is_success() { Ok(self) } else { Err(self.problem()) }
    }

    fn problem(&self) -> Trouble {
        let json: Json = serde_json::from_slice(&self.body).unwrap_or_default();
        let text = |name: &str| json.get(name).and_then(Json::as_str);
        let said = text("detail").or(text("title")).unwrap_or("the server gave no reason");
        let code = text("code").map_or_else(|| self.status.as_u16().to_string(), str::to_owned);
        let mut what = format!("{said} ({code})");
        for fault in json.get("errors").or(json.get("faults")).and_then(Json::as_array).into_iter().flatten()
        {
            let part = |name: &str| fault.get(name).and_then(Json::as_str).unwrap_or_default();
            let fault = format!("`{}` {}", part("field"), part("reason"));
            // The sentence before may have told it already.
            if !what.contains(&fault) {
                what.push_str(&format!("\n  {fault}"));
            }
        }
        let hint = text("hint");
        if self.status == StatusCode::TOO_MANY_REQUESTS || self.status == StatusCode::SERVICE_UNAVAILABLE {
            return Trouble::Later(Failure::unknown(what).maybe_hint(hint), self.retry_after);
        }
        if self.status.is_server_error() {
            return Trouble::Later(Failure::unknown(what).maybe_hint(hint), None);
        }
        let hint = match self.status {
            StatusCode::UNAUTHORIZED => hint.or(Some("give a fresh token with `--token`; see `kabao token`")),
            _ => hint,
        };
        Trouble::Never(Failure::refused(what).maybe_hint(hint))
    }
}

/// A random idempotency key.
pub(super) fn request_key() -> Result<String, Failure> {
    let bytes: [u8; 16] = random::bytes(&SystemRandom::new()).map_err(Failure::unknown)?;
    Ok(hex::encode(bytes))
}

/// A runtime for one command.
pub(super) fn wait<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::unknown(format!("no runtime can be made: {error}")))?;
    runtime.block_on(work)
}

/// The error and its causes, but not the address: it may hold what the user asked for.
fn without_url(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}

/// One request, with its answer. Our own choice.
const REQUEST_SECONDS: u64 = 120;

/// After a pause of this length a reader gives up.
const PAUSE_MAX: Duration = Duration::from_secs(8);

/// Largest answer that we take in: a full status list is under a megabyte, a batch's results a few. Our own choice.
const ANSWER_BYTES_MAX: usize = 64 << 20;
