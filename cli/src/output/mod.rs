//! Writes results in the format that `--format` and `--quiet` choose.

mod format;
mod table;

use std::io::Write;

use serde_json::Value;

pub(crate) use self::format::{FORMATS, Format};
pub(crate) use self::table::Table;
use crate::client::Answer;
use crate::error::CliError;
use crate::printable::{printable, printable_json};

/// The forms in which an answer can be written.
pub(crate) struct Output<'a> {
    /// The answer of the server, for the machine-readable formats.
    pub(crate) answer: &'a Answer,
    /// The result as a table, for people.
    pub(crate) table: Table,
    /// Only the values that a script needs, one a line, for `--quiet`.
    pub(crate) essence: Vec<String>,
}

/// Which form of a result is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Presentation<'a> {
    /// The whole result, in this format.
    Whole(&'a Format),
    /// Only the values that a script needs.
    Essence,
}

impl<'a> Presentation<'a> {
    /// The presentation that `--format` and `--quiet` choose; `--quiet` overrides `--format`.
    pub(crate) fn chosen(format: &'a Format, quiet: bool) -> Self {
        if quiet {
            Self::Essence
        } else {
            Self::Whole(format)
        }
    }
}

/// Writes the result to `out`.
///
/// # Errors
/// [`CliError::NothingSelected`]. It contains the whole answer, because no later answer may show
/// the secret again.
pub(crate) fn write(
    out: &mut dyn Write,
    output: &Output<'_>,
    presentation: Presentation<'_>,
) -> Result<(), CliError> {
    let written = match presentation {
        Presentation::Essence => output
            .essence
            .iter()
            .try_for_each(|line| writeln!(out, "{}", printable(line))),
        Presentation::Whole(Format::Table) => output.table.write(out),
        Presentation::Whole(Format::Json) => {
            writeln!(out, "{}", printable_json(&one_line(output.answer)))
        }
        Presentation::Whole(Format::JsonPretty) => {
            let text = format!("{:#}", output.answer.json);
            writeln!(out, "{}", printable_json(&text))
        }
        Presentation::Whole(Format::Yaml) => out.write_all(yaml(&output.answer.json)?.as_bytes()),
        Presentation::Whole(Format::Selected(selector)) => {
            let selected = selector.select(&output.answer.json);
            if selected.is_empty() {
                return Err(CliError::NothingSelected {
                    selector: selector.to_string(),
                    answer: one_line(output.answer),
                });
            }
            selected
                .iter()
                .try_for_each(|value| writeln!(out, "{}", printable_json(&value.to_string())))
        }
    };
    written
        .and_then(|()| out.flush())
        .map_err(CliError::Terminal)
}

/// The body as the server sent it, or written anew if it has line breaks.
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

    fn written(json: &Value, text: &str, format: &str) -> Result<String, CliError> {
        let format = format.parse().expect("a format");
        presented(json, text, Presentation::Whole(&format))
    }

    fn presented(
        json: &Value,
        text: &str,
        presentation: Presentation<'_>,
    ) -> Result<String, CliError> {
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
        write(&mut out, &output, presentation)?;
        Ok(String::from_utf8(out).expect("UTF-8"))
    }

    #[test]
    fn json_is_the_servers_own_on_one_line() {
        let json = json!({"b": 1, "a": 2});
        for (text, wanted) in [
            (r#"{"b":1.0, "a":2}"#, "{\"b\":1.0, \"a\":2}\n"),
            ("{\n \"b\":1,\n \"a\":2}\n", "{\"a\":2,\"b\":1}\n"),
        ] {
            assert_eq!(written(&json, text, "json").expect("written"), wanted);
        }
    }

    #[test]
    fn other_formats_hold_the_same() {
        let json = json!({"a": {"list": ["x", 1, null]}, "text": "no", "empty": [], "number": "1"});
        let pretty = written(&json, "", "json-pretty").expect("written");
        assert!(
            pretty.lines().count() > 5 && pretty.ends_with("}\n"),
            "{pretty}"
        );
        assert_eq!(serde_json::from_str::<Value>(&pretty).expect("JSON"), json);
        let yaml = written(&json, "", "yaml").expect("written");
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
            assert_eq!(written(&json, "", format).expect("written"), wanted);
        }
        let error = written(&json, &json.to_string(), "jsonpath=$.sercet").expect_err("nothing");
        let report = error.report();
        assert!(
            report.contains("sercet") && report.contains(r#""secret":"s""#),
            "{report}"
        );
    }

    #[test]
    fn no_format_writes_control_characters() {
        let name = "\u{1b}[2J\u{7f}\u{85}\u{9b}31m";
        let json = json!({"name": name, "list": [name]});
        for format in [
            "table",
            "json",
            "json-pretty",
            "yaml",
            "jsonpath=$.name",
            "jsonpointer=/list",
        ] {
            let text = written(&json, &json.to_string(), format).expect("written");
            let is_bad = |c: char| c.is_control() && c != '\n';
            assert!(!text.contains(is_bad), "{format}: {text:?}");
            if format == "yaml" {
                assert_eq!(
                    serde_saphyr::from_str::<Value>(&text).expect("YAML"),
                    json,
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn quiet_is_the_essence_whatever_the_format() {
        for format in ["table", "json", "yaml", "jsonpath=x"] {
            let format = format.parse().expect("a format");
            let presentation = Presentation::chosen(&format, true);
            assert_eq!(
                presented(&json!({}), "{}", presentation).expect("written"),
                "essence\n"
            );
        }
    }
}
