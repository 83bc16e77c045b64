//! How results are written.

mod format;
mod table;

use std::io::Write;

use serde_json::Value;

pub(crate) use self::format::{FORMATS, Format};
pub(crate) use self::table::{Table, printable};
use crate::client::Answer;
use crate::error::CliError;

/// What is written of an answer.
pub(crate) struct Output<'a> {
    /// The answer of the server.
    pub(crate) answer: &'a Answer,
    /// The same for people.
    pub(crate) table: Table,
    /// The values that a script wants, one a line; all that is written when quiet.
    pub(crate) essence: Vec<String>,
}

/// Writes the result; `quiet` wins over `format`.
///
/// # Errors
/// [`CliError::NothingSelected`] with the whole answer, which may be the only one that ever shows its secret.
pub(crate) fn write(
    out: &mut dyn Write,
    output: &Output<'_>,
    format: &Format,
    quiet: bool,
) -> Result<(), CliError> {
    let written = if quiet {
        output
            .essence
            .iter()
            .try_for_each(|line| writeln!(out, "{line}"))
    } else {
        match format {
            Format::Table => output.table.write(out),
            Format::Json => writeln!(out, "{}", one_line(output.answer)),
            Format::JsonPretty => writeln!(out, "{:#}", output.answer.json),
            Format::Yaml => out.write_all(yaml(&output.answer.json)?.as_bytes()),
            Format::Selected(selector) => {
                let selected = selector.select(&output.answer.json);
                if selected.is_empty() {
                    return Err(CliError::NothingSelected {
                        selector: selector.to_string(),
                        answer: one_line(output.answer),
                    });
                }
                selected
                    .iter()
                    .try_for_each(|value| writeln!(out, "{value}"))
            }
        }
    };
    written
        .and_then(|()| out.flush())
        .map_err(CliError::Terminal)
}

/// The body as it came, unless it has line breaks.
fn one_line(answer: &Answer) -> String {
    let text = answer.text.trim();
    if text.contains(['\n', '\r']) {
        answer.json.to_string()
    } else {
        text.to_owned()
    }
}

fn yaml(json: &Value) -> Result<String, CliError> {
    let mut text = serde_saphyr::to_string(json)
        .map_err(|error| CliError::Terminal(std::io::Error::other(error)))?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(json: &Value, text: &str, format: &str, quiet: bool) -> Result<String, CliError> {
        let answer = Answer {
            text: text.to_owned(),
            json: json.clone(),
        };
        let output = Output {
            answer: &answer,
            table: Table::of_object(json),
            essence: vec!["essence".to_owned()],
        };
        let mut out = Vec::new();
        let format = format.parse().expect("a format");
        write(&mut out, &output, &format, quiet)?;
        Ok(String::from_utf8(out).expect("UTF-8"))
    }

    #[test]
    fn json_is_the_servers_own_on_one_line() {
        let json = json!({"b": 1, "a": 2});
        for (text, wanted) in [
            (r#"{"b":1.0, "a":2}"#, "{\"b\":1.0, \"a\":2}\n"),
            ("{\n \"b\":1,\n \"a\":2}\n", "{\"a\":2,\"b\":1}\n"),
        ] {
            assert_eq!(
                written(&json, text, "json", false).expect("written"),
                wanted
            );
        }
    }

    #[test]
    fn other_formats_hold_the_same() {
        let json = json!({"a": {"list": ["x", 1, null]}, "text": "no", "empty": [], "number": "1"});
        let pretty = written(&json, "", "json-pretty", false).expect("written");
        assert!(
            pretty.lines().count() > 5 && pretty.ends_with("}\n"),
            "{pretty}"
        );
        assert_eq!(serde_json::from_str::<Value>(&pretty).expect("JSON"), json);
        let yaml = written(&json, "", "yaml", false).expect("written");
        assert!(yaml.starts_with("a:\n") && yaml.ends_with('\n'), "{yaml}");
        // Texts that YAML would read as something else are quoted.
        assert_eq!(
            serde_saphyr::from_str::<Value>(&yaml).expect("YAML"),
            json,
            "{yaml}"
        );
    }

    #[test]
    fn a_part_is_json_and_a_missing_one_loses_nothing() {
        let json = json!({"secret": "s", "list": [1, 2]});
        for (format, wanted) in [
            ("jsonpointer=/secret", "\"s\"\n"),
            ("jsonpath=$.list[*]", "1\n2\n"),
            ("jsonpath=list", "[1,2]\n"),
        ] {
            assert_eq!(written(&json, "", format, false).expect("written"), wanted);
        }
        let error =
            written(&json, &json.to_string(), "jsonpath=$.sercet", false).expect_err("nothing");
        let report = error.report();
        assert!(
            report.contains("sercet") && report.contains(r#""secret":"s""#),
            "{report}"
        );
    }

    #[test]
    fn quiet_is_the_essence_whatever_the_format() {
        for format in ["table", "json", "yaml", "jsonpath=x"] {
            assert_eq!(
                written(&json!({}), "{}", format, true).expect("written"),
                "essence\n"
            );
        }
    }
}
