//! The findings of an inspection, as a table and as JSON.

use serde_json::{Map, Value};

use crate::client::Answer;
use crate::output::{Output, Table};

/// The field that says why every server refuses the credential.
const PROBLEM: &str = "problem";

/// The findings, in the order in which people read them.
#[derive(Debug, Default)]
pub(crate) struct Report {
    fields: Vec<(&'static str, Shown)>,
}

/// How a finding is shown in a table.
#[derive(Debug)]
enum Shown {
    /// On one line; an object on one line for each member.
    Together(Value),
    /// One line for each item.
    Each(Vec<Value>),
}

impl Report {
    /// Adds a finding.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((name, Shown::Together(value.into())));
        self
    }

    /// Adds a finding if there is one.
    pub(crate) fn with_some(self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds a list; the table shows each item on its own line.
    pub(crate) fn with_each(mut self, name: &'static str, items: Vec<Value>) -> Self {
        self.fields.push((name, Shown::Each(items)));
        self
    }

    /// Adds the reason why every server refuses the credential.
    pub(crate) fn with_problem(self, problem: impl Into<Value>) -> Self {
        self.with(PROBLEM, problem)
    }

    /// Whether every server refuses the credential.
    pub(crate) fn is_malformed(&self) -> bool {
        self.fields.iter().any(|(name, _)| *name == PROBLEM)
    }

    /// The findings as one JSON object.
    pub(crate) fn answer(&self) -> Answer {
        let members = self.fields.iter().map(|(name, shown)| {
            let value = match shown {
                Shown::Together(value) => value.clone(),
                Shown::Each(items) => items.clone().into(),
            };
            ((*name).to_owned(), value)
        });
        let json = Value::Object(members.collect());
        Answer {
            text: json.to_string(),
            json,
        }
    }

    /// The forms in which the findings can be written. The essence is the id of the key.
    pub(crate) fn output<'a>(&self, answer: &'a Answer) -> Output<'a> {
        let mut rows = Vec::new();
        for (name, shown) in &self.fields {
            match shown {
                Shown::Together(Value::Object(members)) => add_members(&mut rows, name, members),
                Shown::Together(value) => rows.push(((*name).to_owned(), line(value))),
                Shown::Each(items) => rows.extend(
                    items
                        .iter()
                        .enumerate()
                        .map(|(index, item)| (format!("{name}.{index}"), line(item))),
                ),
            }
        }
        let key_id = answer.json.get("key_id").and_then(Value::as_str);
        Output {
            answer,
            table: Table::Fields(rows),
            essence: key_id.map(ToOwned::to_owned).into_iter().collect(),
        }
    }
}

fn add_members(rows: &mut Vec<(String, String)>, parent: &str, members: &Map<String, Value>) {
    rows.extend(
        members
            .iter()
            .map(|(name, value)| (format!("{parent}.{name}"), line(value))),
    );
}

/// A text without quotes; everything else as JSON, so that lists and objects of a token stay as
/// they are.
fn line(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
