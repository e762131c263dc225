//! DIR/config.toml, and where the passphrase comes from.
//!
//! A [`Config`] has been read whole: every member known, every path resolved
//! against DIR. The passphrase is never in it.
//!
//! The passphrase comes from the first of: `--passphrase-file`, `--passphrase-fd`,
//! `KABAO_PASSPHRASE_FILE`, the systemd credential `kabao-passphrase`
//! (`$CREDENTIALS_DIRECTORY`), `passphrase_file` of the configuration.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::report::Failure;
use crate::keys::soft::Passphrase;

/// Where a vault lives.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Place {
    /// The vault's directory
    #[arg(long, env = "KABAO_DIR", value_name = "DIR")]
    pub(super) dir: PathBuf,
    #[command(flatten)]
    pub(super) passphrase: PassphraseSource,
}

/// Where the passphrase of the key store comes from.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct PassphraseSource {
    /// File with the passphrase of the key store
    #[arg(long, env = "KABAO_PASSPHRASE_FILE", value_name = "FILE")]
    pub(super) passphrase_file: Option<PathBuf>,
    /// Open descriptor to read the passphrase from
    #[arg(long, value_name = "N", conflicts_with = "passphrase_file")]
    pub(super) passphrase_fd: Option<u32>,
}

impl PassphraseSource {
    /// The passphrase, from the first source that is there.
    pub(super) fn read(&self, configured: Option<&Path>) -> Result<Passphrase, Failure> {
        let given = match self.passphrase_fd {
            Some(fd) => Some(PathBuf::from(format!("/dev/fd/{fd}"))),
            None => self.passphrase_file.clone(),
        };
        let systemd = std::env::var_os("CREDENTIALS_DIRECTORY")
            .map(|directory| PathBuf::from(directory).join(CREDENTIAL))
            .filter(|path| path.exists());
        let Some(path) = given.or(systemd).or_else(|| configured.map(Path::to_path_buf)) else {
            return Err(Failure::misuse("no passphrase for the key store")
                .hint("give `--passphrase-file FILE`, or set KABAO_PASSPHRASE_FILE"));
        };
        Passphrase::read_file(&path).map_err(Failure::from)
    }
}

/// What the operator decided: DIR/config.toml.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// The public URL, without a slash at its end. Part of every credential and x509: never changed.
    pub(super) url: String,
    /// Where the server listens.
    pub(super) listen: String,
    /// Whether this is for development: everybody has the keys.
    pub(super) mode: Mode,
    /// The operator's name, as it stands in the x509.
    pub(super) operator: String,
    /// The log's number when the vault is new. Later the database knows it.
    #[serde(default)]
    pub(super) log: u32,
    /// Folder of the key store.
    #[serde(default = "default_keys")]
    pub(super) keys: PathBuf,
    /// Folder of the x509.
    #[serde(default = "default_x509")]
    pub(super) x509: PathBuf,
    /// Folder of the database.
    #[serde(default = "default_store")]
    pub(super) store: PathBuf,
    /// The head lock; in production on another disk.
    #[serde(default = "default_head_lock")]
    pub(super) head_lock: PathBuf,
    /// Folder of backups.
    #[serde(default = "default_backups")]
    pub(super) backups: PathBuf,
    /// Folder with more certificate types and scenarios, or other ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) schemas: Option<PathBuf>,
    /// File with the passphrase of the key store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) passphrase_file: Option<PathBuf>,
    /// TLS, unless a proxy does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tls: Option<Tls>,
    /// The departments, as printed.
    #[serde(default, rename = "department")]
    pub(super) departments: Vec<Organisation>,
}

/// Whether a vault is for use.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    /// For development: keys that everybody has.
    Development,
    /// For use.
    Production,
}

/// Files of TLS, in PEM.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    /// The server's chain, leaf first.
    pub(super) certificate: PathBuf,
    /// Its private key.
    pub(super) key: PathBuf,
}

/// A department or an agency: code and names.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Organisation {
    /// Its unified social credit code.
    pub(super) uscc: String,
    /// Its name in Chinese.
    pub(super) zh: String,
    /// Its name in English.
    pub(super) en: String,
}

/// `USCC=名称=Name`.
impl std::str::FromStr for Organisation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split('=');
        let (Some(uscc), Some(zh), Some(en), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("must be USCC=名称=Name".into());
        };
        let uscc = uscc.parse::<crate::domain::uscc::Uscc>().map_err(|error| error.to_string())?;
        if zh.is_empty() || en.is_empty() {
            return Err("must have a name in Chinese and one in English".into());
        }
        Ok(Self { uscc: uscc.to_string(), zh: zh.into(), en: en.into() })
    }
}

impl Config {
    /// A new vault's configuration.
    pub(super) fn new(url: &str, listen: &str, mode: Mode, operator: &str) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            listen: listen.to_owned(),
            mode,
            operator: operator.to_owned(),
            log: 0,
            keys: default_keys(),
            x509: default_x509(),
            store: default_store(),
            head_lock: default_head_lock(),
            backups: default_backups(),
            schemas: None,
            passphrase_file: None,
            tls: None,
            departments: vec![],
        }
    }

    /// The configuration of a vault, with every path resolved.
    pub(super) fn read(dir: &Path) -> Result<Self, Failure> {
        Self::read_raw(dir).map(|config| config.resolve(dir))
    }

    /// The configuration as it is written.
    pub(super) fn read_raw(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Failure::misuse(format!("there is no vault in `{}`", dir.display()))
                    .hint("make one with `kabao init --dir DIR --url URL`")
            }
            _ => Failure::file(&path, &error),
        })?;
        toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            Failure::misuse(format!("{}:{line}: {}", path.display(), error.message()))
        })
    }

    /// Every path against DIR.
    pub(super) fn resolve(mut self, dir: &Path) -> Self {
        let places =
            [&mut self.keys, &mut self.x509, &mut self.store, &mut self.head_lock, &mut self.backups];
        let optional = [self.schemas.as_mut(), self.passphrase_file.as_mut()];
        let tls = self.tls.as_mut().map(|tls| [&mut tls.certificate, &mut tls.key]);
        for path in places.into_iter().chain(optional.into_iter().flatten()).chain(tls.into_iter().flatten())
        {
            *path = dir.join(&*path);
        }
        self
    }

    /// Writes it, whole or not at all.
    pub(super) fn write(&self, dir: &Path) -> Result<(), Failure> {
        let text = toml::to_string(self)
            .map_err(|error| Failure::unknown(format!("the configuration cannot be written: {error}")))?;
        write_whole(&dir.join(FILE), text.as_bytes())
    }
}

/// Writes a file whole or not at all: beside its place, synced, renamed.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    use std::io::Write;
    let part = path.with_extension("part");
    let write = || {
        let mut file = std::fs::File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    };
    write().map_err(|error| Failure::file(path, &error))
}

fn default_keys() -> PathBuf {
    "keys".into()
}

fn default_x509() -> PathBuf {
    "x509".into()
}

fn default_store() -> PathBuf {
    "store".into()
}

fn default_head_lock() -> PathBuf {
    "head.lock".into()
}

fn default_backups() -> PathBuf {
    "backups".into()
}

/// The configuration's name in a vault's directory.
pub(super) const FILE: &str = "config.toml";

/// The name of the systemd credential that holds the passphrase.
const CREDENTIAL: &str = "kabao-passphrase";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_paths_are_resolved() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::new("https://example.com/", "127.0.0.1:8080", Mode::Production, "示范市");
        config.departments.push("11500199000000004P=市场监管局=Market".parse().unwrap_or(Organisation {
            uscc: "x".into(),
            zh: "y".into(),
            en: "z".into(),
        }));
        config.write(directory.path()).unwrap();
        let read = Config::read(directory.path()).unwrap();
        assert_eq!(read.url, "https://example.com");
        assert_eq!(read.store, directory.path().join("store"));
        assert_eq!(read.departments, config.departments);
    }

    #[test]
    fn an_unknown_member_is_refused_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let text =
            "url = \"https://e\"\nlisten = \"[::1]:1\"\nmode = \"production\"\noperator = \"o\"\nport = 1\n";
        std::fs::write(directory.path().join(FILE), text).unwrap();
        let failure = Config::read(directory.path()).unwrap_err().to_string();
        assert!(failure.contains("config.toml:5"), "{failure}");
    }
}
