//! `talos keys imported batch-import`: any number of keys, in as many requests as they take.
//!
//! Guarantees: every item has exactly one outcome, in the order of the file; a report names the outcome of every item
//! that was sent before the command ended, however it ended, and a run that is given the report again sends only the
//! items that it does not name as done.

mod progress;
mod report;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use self::progress::Progress;
use self::report::Report;
use super::console::Console;
use crate::client::{Answer, Client};
use crate::error::CliError;
use crate::output::{Output, Table};

/// What the server takes in one request.
const BATCH_ITEMS: usize = 1000;
/// The text of the items of one request, in bytes; the server takes 8 MiB in all.
const BATCH_BYTES: usize = 7 << 20;
const PATH: &str = "/v2alpha1/admin/importedApiKeys:batchCreate";
const CODE: &str = "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_";

/// Which keys.
#[derive(Debug, Args)]
pub(crate) struct BatchImportArguments {
    /// A JSON array of objects with `raw_key`, `name`, `actor_id` and, if wanted, the other fields of a key; `-` reads
    /// standard input
    #[arg(long, value_name = "FILE")]
    file: PathBuf,

    /// Append the outcome of every item to this file, as JSON lines, and skip items that it says are done already
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// What became of one item.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Outcome {
    /// The item's place in the file, from 0.
    index: usize,
    #[serde(flatten)]
    end: End,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum End {
    /// The key is there now.
    Imported {
        /// Its id.
        key_id: String,
    },
    /// It was there before.
    Exists,
    /// It is not there.
    Failed {
        /// The server's code.
        error_code: String,
        /// The server's words.
        error_message: String,
    },
}

impl Outcome {
    /// Whether sending the item again would change nothing.
    fn is_done(&self) -> bool {
        !matches!(self.end, End::Failed { .. })
    }
}

/// What became of all items.
#[derive(Debug)]
pub(crate) struct Imported {
    answer: Answer,
    outcomes: Vec<Outcome>,
    /// Items that were not imported, by this run or an earlier one of the same report.
    pub(crate) failures: usize,
}

impl BatchImportArguments {
    /// Sends the items.
    pub(crate) fn run(
        &self,
        client: &Client,
        console: &mut Console<'_>,
    ) -> Result<Imported, CliError> {
        let text = self.read(console)?;
        let bad = |what: String| CliError::BadFile {
            path: self.file.display().to_string(),
            what,
        };
        let items: Vec<&RawValue> = serde_json::from_str(&text)
            .map_err(|error| bad(format!("not a JSON array of keys: {error}")))?;
        if items.is_empty() {
            return Err(bad("the array is empty".to_owned()));
        }
        let digest = Sha256::digest(text.as_bytes());
        let (mut report, done) = Report::open(self.report.as_deref(), &digest, items.len())?;
        let skipped = done.len();
        let mut progress = Progress::new(items.len(), skipped);
        let left: Vec<(usize, &RawValue)> = items
            .into_iter()
            .enumerate()
            .filter(|(index, _)| !done.contains(index))
            .collect();
        let mut outcomes = Vec::with_capacity(left.len());
        for batch in batches(&left) {
            let sent = send(client, batch)?;
            report.append(&sent)?;
            progress.advance(console, &sent);
            outcomes.extend(sent);
        }
        progress.finish(console);
        Ok(Imported::new(outcomes, skipped))
    }

    fn read(&self, console: &mut Console<'_>) -> Result<Zeroizing<String>, CliError> {
        let mut text = Zeroizing::new(String::new());
        if self.file == Path::new("-") {
            console
                .input
                .read_to_string(&mut text)
                .map_err(CliError::Terminal)?;
        } else {
            fs::File::open(&self.file)
                .and_then(|mut file| file.read_to_string(&mut text))
                .map_err(|source| CliError::File {
                    path: self.file.display().to_string(),
                    source,
                })?;
        }
        Ok(text)
    }
}

/// Cuts the items into requests that the server takes.
fn batches<'a, 'b>(
    items: &'b [(usize, &'a RawValue)],
) -> impl Iterator<Item = &'b [(usize, &'a RawValue)]> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fitting = rest.iter().take(BATCH_ITEMS).take_while(|(_, item)| {
            bytes += item.get().len() + 1;
            bytes <= BATCH_BYTES
        });
        // An item that is too large by itself goes alone: the server says what is wrong with it.
        let count = fitting.count().max(1).min(rest.len());
        let (batch, others) = rest.split_at(count);
        rest = others;
        (!batch.is_empty()).then_some(batch)
    })
}

/// Sends one request. When the server refuses it as a whole because every item fails, it says why of one only: then each
/// is sent alone.
fn send(client: &Client, batch: &[(usize, &RawValue)]) -> Result<Vec<Outcome>, CliError> {
    #[derive(Serialize)]
    struct Request<'a> {
        requests: Vec<&'a RawValue>,
    }
    let request = Request {
        requests: batch.iter().map(|(_, item)| *item).collect(),
    };
    let body = Zeroizing::new(
        serde_json::to_vec(&request).map_err(|error| CliError::Usage(error.to_string()))?,
    );
    match (client.post(PATH, &[], &body), batch) {
        (Ok(answer), _) => read_results(client, &answer, batch),
        (
            Err(CliError::Refused {
                message,
                reason,
                status: 400 | 402 | 409 | 413,
            }),
            [(index, _)],
        ) => Ok(vec![Outcome {
            index: *index,
            end: end_of(code_of(&reason).to_owned(), message),
        }]),
        (
            Err(CliError::Refused {
                status: 400 | 402 | 409,
                ..
            }),
            _,
        ) => {
            let mut outcomes = Vec::with_capacity(batch.len());
            for item in batch.chunks(1) {
                outcomes.extend(send(client, item)?);
            }
            Ok(outcomes)
        }
        (Err(error), _) => Err(error),
    }
}

fn read_results(
    client: &Client,
    answer: &Answer,
    batch: &[(usize, &RawValue)],
) -> Result<Vec<Outcome>, CliError> {
    let results = answer.json.get("results").and_then(Value::as_array);
    let results = results
        .filter(|results| results.len() == batch.len())
        .ok_or_else(|| client.foreign(format!("no result for each of {} items", batch.len())))?;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let outcome = |((index, _), result): (&(usize, &RawValue), &Value)| Outcome {
        index: *index,
        end: match result.pointer("/imported_api_key/key_id") {
            Some(key_id) => End::Imported {
                key_id: text(Some(key_id)),
            },
            None => end_of(
                text(result.get("error_code")),
                text(result.get("error_message")),
            ),
        },
    };
    Ok(batch.iter().zip(results).map(outcome).collect())
}

fn end_of(error_code: String, error_message: String) -> End {
    if error_code.strip_prefix(CODE) == Some("ALREADY_EXISTS") {
        return End::Exists;
    }
    End::Failed {
        error_code,
        error_message,
    }
}

/// The code of an item whose request was refused for this reason.
fn code_of(reason: &str) -> &'static str {
    match reason {
        "API_KEY_EXISTS" => "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_ALREADY_EXISTS",
        "FAILED_PRECONDITION" => "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_FAILED_PRECONDITION",
        "API_KEY_QUOTA_EXCEEDED" => "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_RESOURCE_EXHAUSTED",
        _ => "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_INVALID_ARGUMENT",
    }
}

impl Imported {
    fn new(outcomes: Vec<Outcome>, skipped: usize) -> Self {
        let imported = outcomes
            .iter()
            .filter(|outcome| matches!(outcome.end, End::Imported { .. }))
            .count();
        let failures = outcomes.len() - imported;
        let json = json!({
            "results": outcomes, "success_count": imported, "failure_count": failures, "skipped_count": skipped,
        });
        Self {
            answer: Answer {
                text: json.to_string(),
                json,
            },
            outcomes,
            failures,
        }
    }

    /// An item a line; the ids of the new keys when quiet.
    pub(crate) fn output(&self) -> Output<'_> {
        let results = self.answer.json.get("results").and_then(Value::as_array);
        let key_ids = self
            .outcomes
            .iter()
            .filter_map(|outcome| match &outcome.end {
                End::Imported { key_id } => Some(key_id.clone()),
                End::Exists | End::Failed { .. } => None,
            });
        Output {
            answer: &self.answer,
            table: Table::of_array(
                results.map(Vec::as_slice).unwrap_or_default(),
                &["index", "outcome", "key_id", "error_code", "error_message"],
            ),
            essence: key_ids.collect(),
        }
    }
}
