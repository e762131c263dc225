//! `kabao type`: the kinds of certificate, to look at and to check.

use std::path::PathBuf;

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
                let catalog = Catalog::with_folder(&folder)?;
                say(format!(
                    "{} types and {} scenarios, no mistakes",
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
