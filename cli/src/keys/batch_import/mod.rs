//! `talos keys imported batch-import`: imports any number of keys, in as many requests as
//! necessary.
//!
//! Guarantees:
//! - Every item has exactly one outcome, in the order of the file.
//! - The report contains the outcome of every item that was sent, however the command ended.
//! - A run with an existing report sends only the items that the report does not list as done.

mod items;
mod outcome;
mod report;

use std::fs;
use std::io::Read;
use std::mem;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use self::outcome::{End, Outcome};
use self::report::Report;
use crate::client::{Answer, Client};
use crate::console::Console;
use crate::error::CliError;
use crate::output::{Output, Table};
use crate::patience::Repeat;
use crate::progress::Bar;

/// The most items that the server accepts in one request.
const BATCH_ITEMS: usize = 1000;
/// The most bytes of items in one request. The server accepts a body of 8 MiB.
const BATCH_BYTES: usize = 7 << 20;
const PATH: &str = "/v2alpha1/admin/importedApiKeys:batchCreate";

/// Which keys.
#[derive(Debug, Args)]
pub(crate) struct BatchImportArguments {
    /// A JSON array, or JSON lines, of objects with `raw_key`, `name`, `actor_id` and optionally
    /// the other fields of a key; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    file: PathBuf,

    /// Append the outcome of every item to this file, as JSON lines; skip items that it lists as
    /// done
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// An element of the input array.
struct Item<'a> {
    /// The index in the array, from 0.
    index: usize,
    json: &'a RawValue,
}

impl Item<'_> {
    /// Whether the item has an id of its request.
    fn has_request_id(&self) -> bool {
        #[derive(Deserialize)]
        struct Identified {
            #[serde(alias = "requestId")]
            request_id: Option<String>,
        }
        // The server says what is wrong with an item that cannot be read.
        serde_json::from_str(self.json.get())
            .is_ok_and(|item: Identified| item.request_id.is_some_and(|id| !id.is_empty()))
    }
}

/// The outcomes of all items that were sent.
#[derive(Debug)]
pub(crate) struct Imported {
    answer: Answer,
    outcomes: Vec<Outcome>,
    /// The number of items that this run sent and that were not imported.
    pub(crate) failures: usize,
}

impl BatchImportArguments {
    /// Sends the items that the report does not list as done.
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
        let items = items::parse(&text).map_err(bad)?;
        let digest = Sha256::digest(text.as_bytes());
        let (mut report, done) = Report::open(self.report.as_deref(), &digest, items.len())?;
        let skipped = done.len();
        let mut progress = Bar::new(console, items.len(), skipped);
        let left: Vec<Item<'_>> = items
            .into_iter()
            .enumerate()
            .filter(|(index, _)| !done.contains(index))
            .map(|(index, json)| Item { index, json })
            .collect();
        let mut outcomes = Vec::with_capacity(left.len());
        for batch in batches(&left) {
            let sent = send(client, batch)?;
            report.append(&sent)?;
            progress.advance(
                sent.len(),
                sent.iter().filter(|item| !item.is_done()).count(),
            );
            outcomes.extend(sent);
        }
        drop(progress);
        Ok(Imported::new(outcomes, skipped))
    }

    fn read(&self, console: &mut Console<'_>) -> Result<Zeroizing<String>, CliError> {
        let mut bytes = Zeroizing::new(Vec::new());
        let path = || self.file.display().to_string();
        if self.file == Path::new("-") {
            console
                .input
                .read_to_end(&mut bytes)
                .map_err(CliError::Terminal)?;
        } else {
            fs::File::open(&self.file)
                .and_then(|mut file| file.read_to_end(&mut bytes))
                .map_err(|source| CliError::File {
                    path: path(),
                    source,
                })?;
        }
        items::text(mem::take(&mut *bytes)).map_err(|what| CliError::BadFile { path: path(), what })
    }
}

/// Divides the items into batches that the server accepts.
fn batches<'a, 'b>(items: &'b [Item<'a>]) -> impl Iterator<Item = &'b [Item<'a>]> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fitting = rest.iter().take(BATCH_ITEMS).take_while(|item| {
            bytes += item.json.get().len() + 1;
            bytes <= BATCH_BYTES
        });
        // An item that is too large is sent alone, so that the server says what is wrong with it.
        let count = fitting.count().max(1).min(rest.len());
        let (batch, others) = rest.split_at(count);
        rest = others;
        (!batch.is_empty()).then_some(batch)
    })
}

/// Sends one request. If every item fails, the server refuses the whole request and gives the
/// reason of only one item. Then this function sends each item alone.
fn send(client: &Client, batch: &[Item<'_>]) -> Result<Vec<Outcome>, CliError> {
    #[derive(Serialize)]
    struct Request<'a> {
        requests: Vec<&'a RawValue>,
    }
    let request = Request {
        requests: batch.iter().map(|item| item.json).collect(),
    };
    let body = Zeroizing::new(
        serde_json::to_vec(&request).map_err(|error| CliError::Usage(error.to_string()))?,
    );
    // A key that an attempt before has imported exists then, and counts as done.
    let sent = client.post_repeatedly(PATH, &[], &body, Repeat::Always);
    match (sent, batch) {
        (Ok(answer), _) => read_results(client, &answer, batch),
        (
            Err(CliError::Refused {
                message,
                reason,
                status: 400 | 402 | 409 | 413,
            }),
            [item],
        ) => Ok(vec![Outcome {
            index: item.index,
            end: End::refused_alone(&reason, message),
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
    batch: &[Item<'_>],
) -> Result<Vec<Outcome>, CliError> {
    let results = answer.json.get("results").and_then(Value::as_array);
    let results = results
        .filter(|results| results.len() == batch.len())
        .ok_or_else(|| {
            client.unexpected_answer(format!("no result for each of {} items", batch.len()))
        })?;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let outcome = |(item, result): (&Item<'_>, &Value)| Outcome {
        index: item.index,
        end: match result.pointer("/imported_api_key/key_id") {
            Some(key_id) => End::Imported {
                key_id: text(Some(key_id)),
            },
            None => End::refused(
                text(result.get("error_code")),
                text(result.get("error_message")),
            ),
        },
    };
    let outcomes = batch.iter().zip(results).map(outcome);
    let mut known = Vec::with_capacity(batch.len());
    for (outcome, item) in outcomes.zip(batch.chunks(1)) {
        if outcome.end == End::Exists && item.iter().any(Item::has_request_id) {
            // Either the key exists, or another key was imported under the request id. The reason
            // is told only of an item that is sent alone.
            known.extend(send(client, item)?);
        } else {
            known.push(outcome);
        }
    }
    Ok(known)
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

    /// One item a line. The essence is the ids of the new keys.
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
