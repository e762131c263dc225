//! `kabao type`: the kinds of certificate, to look at and to check.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::report::{Failure, data, say};
use crate::catalog::certificate_type::ValidityRule;
use crate::catalog::field::{Disclosable, Offline, Required};
use crate::catalog::{Catalog, CertificateType};

/// `kabao type …`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List all types
    #[command(after_help = "Example: kabao type list | grep 驾驶")]
    List(Look),
    /// Show one type with its fields
    #[command(after_help = "Example: kabao type show driving_licence")]
    Show {
        /// Slug, code or Chinese name
        name: String,
        #[command(flatten)]
        look: Look,
    },
    /// Check a folder of type and scenario files without starting anything
    #[command(after_help = "Example: kabao type check schemas")]
    Check {
        /// Folder with `types/`, `scenarios/`, `states.toml`, `aliases.toml`
        folder: PathBuf,
    },
}

/// How types are shown, and which.
#[derive(Args, Debug)]
pub(super) struct Look {
    /// Folder with more types, or other ones
    #[arg(long, value_name = "DIR")]
    schemas: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Command {
    /// Does it.
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::List(look) => {
                let catalog = look.catalog()?;
                for kind in catalog.types() {
                    if look.json {
                        data(json!({
                            "slug": kind.slug(), "code": kind.code().to_string(), "version": kind.version(),
                            "row": kind.row(), "name": { "zh": kind.name().zh, "en": kind.name().en },
                            "holder": kind.holder().kind.name(), "category": kind.category().name(),
                            "fields": kind.fields().len(),
                        }));
                    } else {
                        data(format!(
                            "{}\t{}\t{}\t{}",
                            kind.slug(),
                            kind.code(),
                            kind.name().zh,
                            kind.name().en
                        ));
                    }
                }
                Ok(())
            }
            Self::Show { name, look } => {
                let catalog = look.catalog()?;
                let kind = catalog.find(&name).ok_or_else(|| {
                    Failure::refused(format!("there is no certificate type `{name}`"))
                        .hint("see `kabao type list`")
                })?;
                if look.json {
                    data(format!("{:#}", whole(kind)))
                } else {
                    show(kind)
                }
                Ok(())
            }
            Self::Check { folder } => {
                let files = count_files(&folder)?;
                let catalog = Catalog::with_folder(&folder)?;
                say(format!(
                    "{files} files read, no mistakes; with the built-in ones {} types and {} scenarios",
                    catalog.types().len(),
                    catalog.scenarios().count()
                ));
                Ok(())
            }
        }
    }
}

impl Look {
    fn catalog(&self) -> Result<Catalog, Failure> {
        match &self.schemas {
            Some(folder) => Ok(Catalog::with_folder(folder)?),
            None => Ok(Catalog::embedded()?),
        }
    }
}

/// The files of a folder that the catalogue reads. A folder without any is not what was meant.
fn count_files(folder: &Path) -> Result<usize, Failure> {
    let mut count = 0;
    for place in [folder.to_owned(), folder.join("types"), folder.join("scenarios")] {
        let entries = match std::fs::read_dir(&place) {
            Ok(entries) => entries,
            Err(_) if place != *folder => continue,
            Err(error) => return Err(Failure::file(&place, &error)),
        };
        let is_file = |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|name| name == "toml");
        count += entries.flatten().filter(is_file).count();
    }
    if count == 0 {
        return Err(Failure::refused(format!("`{}` holds no type or scenario files", folder.display()))
            .hint("they are `types/*.toml`, `scenarios/*.toml`, `states.toml` and `aliases.toml`"));
    }
    Ok(count)
}

fn show(kind: &CertificateType) {
    data(format!("{}  {}", kind.name().zh, kind.name().en));
    data(format!("slug      {}", kind.slug()));
    data(format!("code      {} version {} ({})", kind.code(), kind.version(), origin(kind)));
    data(format!("issued by {}", kind.department()));
    let holder = kind.holder();
    data(format!(
        "holder    {} {} ({}, at most {})",
        holder.label.zh,
        holder.label.en,
        holder.kind.name(),
        holder.subjects_max
    ));
    data(format!("number    {} {}", kind.number().label.zh, kind.number().label.en));
    data(format!("validity  {} {}{}", kind.validity().label.zh, kind.validity().label.en, months(kind)));
    data(format!("states    {} ({})", kind.states().name, kind.states().source));
    data("fields    (! required, - never disclosed, * in the offline code)");
    for field in kind.fields() {
        let marks = [
            if field.required == Required::Yes { '!' } else { ' ' },
            if field.disclosable == Disclosable::No { '-' } else { ' ' },
            if field.offline == Offline::Yes { '*' } else { ' ' },
        ];
        let marks: String = marks.iter().collect();
        data(format!(
            "  {:>3} {marks} {:<28} {} {} ({}, {})",
            field.number,
            field.key,
            field.label.zh,
            field.label.en,
            field.kind.name(),
            field.sensitivity.name()
        ));
    }
    for source in kind.sources() {
        data(format!("source    {source}"));
    }
}

fn whole(kind: &CertificateType) -> serde_json::Value {
    let fields: Vec<serde_json::Value> = kind
        .all_fields()
        .map(|field| {
            json!({
                "number": field.number, "key": field.key, "label": { "zh": field.label.zh, "en": field.label.en },
                "kind": field.kind.name(), "required": field.required == Required::Yes,
                "disclosable": field.disclosable == Disclosable::Yes, "offline": field.offline == Offline::Yes,
                "sensitivity": field.sensitivity.name(),
            })
        })
        .collect();
    json!({
        "slug": kind.slug(), "code": kind.code().to_string(), "origin": origin(kind), "version": kind.version(),
        "name": { "zh": kind.name().zh, "en": kind.name().en }, "department": kind.department(),
        "category": kind.category().name(), "holder": kind.holder().kind.name(), "fields": fields,
        "sources": kind.sources(),
    })
}

fn origin(kind: &CertificateType) -> &'static str {
    use crate::catalog::certificate_type::CodeOrigin;
    match kind.code_origin() {
        CodeOrigin::Inferred => "inferred code",
        CodeOrigin::Local => "local code",
        CodeOrigin::National => "national code",
    }
}

fn months(kind: &CertificateType) -> String {
    match kind.validity().rule {
        ValidityRule::Until { months_max } | ValidityRule::Either { months_max } => {
            format!(", at most {months_max} months")
        }
        ValidityRule::Long | ValidityRule::None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_files_is_not_called_good() {
        let directory = tempfile::tempdir().unwrap();
        assert!(count_files(directory.path()).is_err());
        std::fs::create_dir(directory.path().join("types")).unwrap();
        assert!(count_files(directory.path()).is_err());
        std::fs::write(directory.path().join("types/a.toml"), "").unwrap();
        assert_eq!(count_files(directory.path()).unwrap(), 1);
    }
}
