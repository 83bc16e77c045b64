//! `talos config show`: the settings, and where each comes from.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};
use talos_config::{
    Effective, EffectiveValue, Fallback, Key, Origin, SectionComments, YamlWriter, flow,
};

use super::source;
use crate::client::Answer;
use crate::console::Console;
use crate::environment::variables;
use crate::error::CliError;
use crate::output::{self, FORMATS, Format, Output, Presentation, Table};
use crate::printable::printable;

/// What to show, and how.
#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// The configuration file; - for standard input; default: --config, or the environment alone
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Show every key, also those at their defaults
    #[arg(long)]
    effective: bool,

    /// Format of the result; yaml has the sources as comments
    #[arg(long, value_name = FORMATS, default_value = "yaml")]
    format: Format,
}

impl ShowArguments {
    /// Shows the settings.
    pub(super) fn run(
        &self,
        config: Option<&Path>,
        console: &mut Console<'_>,
    ) -> Result<ExitCode, CliError> {
        let path = self.file.as_deref().or(config);
        let file = path.map(|path| source::read(path, console)).transpose()?;
        let effective = Effective::load(file.as_ref(), variables())?;
        source::write_warnings(&effective.warnings, &effective, console.remarks);
        for key in effective.missing() {
            // The result is the same if the remark cannot be written.
            let _ = writeln!(
                console.remarks,
                "talos: warning: {}: required but not set; see `talos config explain {0}`",
                key.path
            );
        }
        let mut values = effective.values();
        if !self.effective {
            values.retain(|value| value.origin != Origin::Default && value.is_changed);
        }
        self.write(&values, console)?;
        Ok(ExitCode::SUCCESS)
    }

    fn write(&self, values: &[EffectiveValue], console: &mut Console<'_>) -> Result<(), CliError> {
        if self.format == Format::Yaml {
            return console
                .out
                .write_all(yaml(values).as_bytes())
                .and_then(|()| console.out.flush())
                .map_err(CliError::Terminal);
        }
        let json = json(values);
        let rows: Vec<Value> = values.iter().map(row).collect();
        let output = Output {
            answer: &Answer {
                text: json.to_string(),
                json,
            },
            table: Table::of_array(&rows, &["key", "value", "source"]),
            essence: Vec::new(),
        };
        output::write(console.out, &output, Presentation::Whole(&self.format))
    }
}

/// The settings as a configuration file, with the source of each value in a comment.
fn yaml(values: &[EffectiveValue]) -> String {
    let mut yaml = YamlWriter::new(SectionComments::LeftOut);
    for value in values {
        let shown = flow(&value.value);
        yaml.key(value.key.path, &[], &shown, &printable(&source(value)));
    }
    yaml.finish()
}

/// The settings by path: value, kind of source, and source.
fn json(values: &[EffectiveValue]) -> Value {
    let entry = |value: &EffectiveValue| {
        let from = value.origin.to_string();
        let entry = match value.place.as_str() {
            "" => json!({"value": value.value, "from": from}),
            place => json!({"value": value.value, "from": from, "source": place}),
        };
        (value.key.path.to_owned(), entry)
    };
    Value::Object(values.iter().map(entry).collect::<Map<_, _>>())
}

fn row(value: &EffectiveValue) -> Value {
    json!({
        "key": value.key.path,
        "value": flow(&value.value),
        "source": source(value),
    })
}

/// Where the value comes from, for people.
fn source(value: &EffectiveValue) -> String {
    match value.origin {
        Origin::Default if value.value.is_null() => unset(value.key),
        origin if value.place.is_empty() => origin.to_string(),
        _ => value.place.clone(),
    }
}

/// What it means that the key is not set.
fn unset(key: &Key) -> String {
    match key.fallback {
        Fallback::Unset(meaning) => format!("unset: {meaning}"),
        Fallback::RequiredUnless { path, .. } => format!("unset: {path}"),
        Fallback::Required(_) | Fallback::Value(_) => "required, not set".to_owned(),
    }
}
