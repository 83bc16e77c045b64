//! `talos config explain`: what a key is for, and what it may be.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use talos_config::{
    Fallback, KEYS, Key, Reload, SECTIONS, Section, SectionComments, YamlWriter, find_key,
    find_section, flow, keys_inside, suggested_paths,
};

use crate::client::Answer;
use crate::console::Console;
use crate::error::CliError;
use crate::output::{self, FORMATS, Format, Output, Presentation, Table};
use crate::printable::printable;

/// The most columns of a line of text.
const COLUMNS_MAX: usize = 100;
/// The columns before the value of a field.
const NAME_COLUMNS: usize = 10;

/// What to explain.
#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// The path of a key or of a section, such as serve.http.port, or the name of an environment
    /// variable; default: all sections
    #[arg(value_name = "KEY")]
    name: Option<String>,

    /// Format of the result; table is text for people
    #[arg(long, value_name = FORMATS, default_value = "table")]
    format: Format,
}

/// What a name leads to.
enum Explained {
    Key(&'static Key),
    Section(&'static Section),
    Everything,
}

impl ExplainArguments {
    /// Explains the key.
    pub(super) fn run(&self, console: &mut Console<'_>) -> Result<ExitCode, CliError> {
        let explained = match self.name.as_deref() {
            None => Explained::Everything,
            Some(name) => find(name)?,
        };
        if self.format == Format::Table {
            let written = match explained {
                Explained::Key(key) => write_key(key, console.out),
                Explained::Section(section) => write_section(section, console.out),
                Explained::Everything => write_sections(console.out),
            };
            written
                .and_then(|()| console.out.flush())
                .map_err(CliError::Terminal)?;
            return Ok(ExitCode::SUCCESS);
        }
        let json = match explained {
            Explained::Key(key) => of_key(key),
            Explained::Section(section) => json!({
                "section": section.path,
                "description": section.about,
                "keys": keys_inside(section.path).map(of_key).collect::<Vec<_>>(),
            }),
            Explained::Everything => {
                json!({"keys": KEYS.iter().map(of_key).collect::<Vec<_>>()})
            }
        };
        let output = Output {
            answer: &Answer {
                text: json.to_string(),
                json,
            },
            table: Table::Fields(Vec::new()),
            essence: Vec::new(),
        };
        output::write(console.out, &output, Presentation::Whole(&self.format))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The key or the section with this name. A dot at the end, as of an incomplete path, is ignored.
fn find(name: &str) -> Result<Explained, CliError> {
    let name = name.trim_end_matches('.');
    if let Some(key) = find_key(name) {
        return Ok(Explained::Key(key));
    }
    if let Some(section) = find_section(name) {
        return Ok(Explained::Section(section));
    }
    Err(CliError::NoSuchSetting {
        name: name.to_owned(),
        meant: suggested_paths(name),
    })
}

fn of_key(key: &'static Key) -> Value {
    let (unset, required, unless) = match key.fallback {
        Fallback::Value(_) => (None, false, None),
        Fallback::Unset(meaning) => (Some(meaning), false, None),
        Fallback::Required(_) => (None, true, None),
        Fallback::RequiredUnless { path, .. } => (None, true, Some(path)),
    };
    json!({
        "key": key.path,
        "description": key.about,
        "type": key.kind_name(),
        "allowed": key.allowed(),
        "default": key.default_value(),
        "unset_means": unset,
        "required": required,
        "required_unless": unless,
        "variable": key.variable(),
        "file_variable": key.file_variable(),
        "reload": key.reload.to_string(),
        "example": key.example_value(),
    })
}

fn write_key(key: &Key, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", key.path)?;
    write_wrapped(key.about, out)?;
    writeln!(out)?;
    let mut field = |name: &str, value: &str| writeln!(out, "{name:NAME_COLUMNS$}{value}");
    field("type", key.kind_name())?;
    field("allowed", &key.allowed())?;
    field("default", &default_of(key))?;
    field("variable", &key.variable())?;
    if let Some(variable) = key.file_variable() {
        field("", &format!("{variable} names a file with the value"))?;
    }
    field("reload", effect_of(key.reload))?;
    let mut yaml = YamlWriter::new(SectionComments::LeftOut);
    yaml.key(key.path, &[], &key.example_text(), "");
    let mut name = "example";
    for line in yaml.finish().lines() {
        field(name, line)?;
        name = "";
    }
    Ok(())
}

fn default_of(key: &Key) -> String {
    match key.fallback {
        Fallback::Value(_) => flow(&key.default_value()),
        Fallback::Unset(meaning) => format!("unset: {meaning}"),
        Fallback::Required(advice) => format!("none, the key is required: {advice}"),
        Fallback::RequiredUnless { path, advice } => {
            format!("none, the key is required unless {path} is set: {advice}")
        }
    }
}

fn effect_of(reload: Reload) -> &'static str {
    match reload {
        Reload::Live => "live: a change takes effect while the server runs",
        Reload::Restart => "restart: a change takes effect at the next start",
    }
}

fn write_section(section: &Section, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", section.path)?;
    write_wrapped(section.about, out)?;
    writeln!(out)?;
    let keys: Vec<&Key> = keys_inside(section.path).collect();
    let widest = keys.iter().map(|key| key.path.len()).max().unwrap_or(0);
    for key in keys {
        writeln!(out, "{:widest$}  {}", key.path, short_default(key))?;
    }
    Ok(())
}

fn short_default(key: &Key) -> String {
    match key.fallback {
        Fallback::Value(_) => flow(&key.default_value()),
        Fallback::Unset(_) => "unset".to_owned(),
        Fallback::Required(_) | Fallback::RequiredUnless { .. } => "required".to_owned(),
    }
}

/// Writes the sections at the top, each on one line.
fn write_sections(out: &mut dyn Write) -> io::Result<()> {
    let top = SECTIONS
        .iter()
        .filter(|section| !section.path.contains('.'));
    let widest = top.clone().map(|section| section.path.len()).max();
    let widest = widest.unwrap_or(0);
    for section in top {
        let sentence = section.about.split_inclusive(". ").next();
        let sentence = sentence.unwrap_or_default().trim_end();
        writeln!(out, "{:widest$}  {sentence}", section.path)?;
    }
    Ok(())
}

fn write_wrapped(text: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut columns = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if columns > 0 && columns + 1 + length > COLUMNS_MAX {
            writeln!(out)?;
            columns = 0;
        }
        if columns > 0 {
            write!(out, " ")?;
            columns += 1;
        }
        write!(out, "{}", printable(word))?;
        columns += length;
    }
    writeln!(out)
}
