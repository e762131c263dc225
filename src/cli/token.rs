//! `kabao token`: a bearer token, minted with the key store and without the database.
//!
//! Who may read the key store and its passphrase may be anybody: this is for the
//! operator's own machine and for small installations.

use clap::{ArgGroup, Args};

use super::config::{Config, Place};
use super::open;
use super::report::{Failure, data, say};
use crate::domain::party::{HolderCode, HolderCodeType};
use crate::keys::Purpose;
use crate::keys::index::IndexKey;
use crate::keys::soft::KeyStore;
use crate::vault::clock::{Clock, SystemClock};
use crate::vault::token::{self, Subject};

/// A token for a caller.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("subject").required(true).args(["registration", "holder", "holder_file"])))]
pub(super) struct Token {
    #[command(flatten)]
    place: Place,
    /// For this registered caller
    #[arg(long, value_name = "ID")]
    registration: Option<String>,
    /// For this holder: code type and code, like 111:NUMBER
    #[arg(long, value_name = "TYPE:CODE")]
    holder: Option<String>,
    /// For the holder whose TYPE:CODE stands in this file (arguments can be read by other users)
    #[arg(long, value_name = "FILE")]
    holder_file: Option<std::path::PathBuf>,
    /// Its life, at most 900
    #[arg(long, default_value_t = token::SECONDS_MAX, value_name = "SECONDS")]
    seconds: i64,
}

impl Token {
    /// Mints it.
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = Config::read(&self.place.dir)?;
        let passphrase = self.place.passphrase.read(config.passphrase_file.as_deref())?;
        let store = open::key_store(&config, &passphrase)?;
        let subject = match (self.registration, self.holder, self.holder_file) {
            (Some(id), ..) => {
                say(format!(
                    "`{id}` is not looked up: without an active registration the token opens nothing"
                ));
                Subject::Registration(id)
            }
            (None, Some(holder), _) => Subject::Holder(holder_code(&holder)?),
            (None, None, Some(path)) => {
                let text = std::fs::read_to_string(&path).map_err(|error| Failure::file(&path, &error))?;
                Subject::Holder(holder_code(text.trim())?)
            }
            (None, None, None) => return Err(Failure::misuse("a token for whom?")),
        };
        data(mint(&store, &config.url, &subject, self.seconds)?);
        Ok(())
    }
}

/// A token of this vault.
pub(super) fn mint(store: &KeyStore, url: &str, subject: &Subject, seconds: i64) -> Result<String, Failure> {
    let now = SystemClock.now();
    let key = store.current(Purpose::Token, None, crate::keys::Algorithm::Ed25519, now)?;
    let secrets = store.secret(Purpose::Index)?;
    let index = secrets.first().map(|(_, secret)| IndexKey::new(secret));
    let index = index.ok_or_else(|| Failure::refused("the key store has no index key"))?;
    Ok(token::mint(key.signer.as_ref(), &index, url, subject, now, seconds)?.token)
}

/// `111:NUMBER`.
pub(super) fn holder_code(text: &str) -> Result<HolderCode, Failure> {
    let wrong = || {
        Failure::misuse("the holder must be code type and code, like `111:NUMBER`").hint(
            "the code types are those of GB/T 36903 Annex A: 111 resident number, 001 social credit code",
        )
    };
    let (code_type, code) = text.split_once(':').ok_or_else(wrong)?;
    let code_type = HolderCodeType::parse(code_type).ok_or_else(wrong)?;
    HolderCode::parse(code_type, code).map_err(|error| Failure::misuse(format!("the holder's code {error}")))
}
