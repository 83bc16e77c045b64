//! Applies commands to the model and compares the engine's outcomes with the model's.

use talos_model::clock::UnixMillis;
use talos_model::{Author, Event, RotateKey, Rotation};

use super::state::{Expected, Held, State, shown};
use super::*;

impl State {
    /// Applies a command that `author` submitted at `now` and compares the outcome.
    pub(super) fn apply(
        &mut self,
        author: Option<Author>,
        command: Command,
        now: UnixMillis,
        outcome: Result<Outcome, CommandError>,
    ) {
        self.author = author;
        match command {
            Command::Issue(command) => self.apply_issue(command, now, outcome),
            Command::Import(command) => {
                let expected = self.import(command, now);
                let record = outcome.map(|outcome| match outcome {
                    Outcome::Imported { record } => record,
                    other => panic!("{other:?}"),
                });
                assert_same(&record, expected.map(|record| shown(&record)));
            }
            Command::ImportMany(commands) => {
                let results = match outcome {
                    Ok(Outcome::ImportedMany(results)) => results,
                    other => panic!("{other:?}"),
                };
                assert_eq!(results.len(), commands.len());
                for (command, result) in commands.into_iter().zip(results) {
                    assert_same(&result, self.import(command, now));
                }
            }
            Command::Update(command) => {
                let expected = self.update(command, now);
                let record = outcome.map(|outcome| match outcome {
                    Outcome::Updated { record } => record,
                    other => panic!("{other:?}"),
                });
                assert_same(&record, expected.map(|record| shown(&record)));
            }
            Command::Rotate(command) => self.apply_rotate(command, now, outcome),
            command @ (Command::CreateAdminToken(_)
            | Command::RotateAdminToken(_)
            | Command::RevokeAdminToken(_)) => self.apply_admin_token(command, now, outcome),
            Command::RevokeWhere(command) => panic!("compared by apply_revoke_where: {command:?}"),
            Command::Revoke(command) => {
                let expected = self.revoke(command, now);
                let record = outcome.map(|outcome| match outcome {
                    Outcome::Revoked { record } => record,
                    other => panic!("{other:?}"),
                });
                assert_same(&record, expected.map(|record| shown(&record)));
            }
            Command::Delete(command) => {
                let expected = self.delete(command.tenant, command.key_id, now);
                let record = outcome.map(|outcome| match outcome {
                    Outcome::Deleted { record } => record,
                    other => panic!("{other:?}"),
                });
                assert_same(&record, expected.map(|record| shown(&record)));
            }
        }
    }

    fn apply_issue(
        &mut self,
        command: IssueKey,
        now: UnixMillis,
        outcome: Result<Outcome, CommandError>,
    ) {
        let (record, secret) = match outcome {
            Ok(Outcome::Issued { record, secret }) => (Ok(record), secret),
            Ok(other) => panic!("{other:?}"),
            Err(error) => (Err(error), None),
        };
        let earlier = self.requested_before(&command, None);
        assert_eq!(
            secret.is_some(),
            record.is_ok() && earlier.is_none(),
            "the credential is shown once"
        );
        // The engine draws the id; everything else is known.
        let drawn = record.as_ref().ok().map(|record| record.key_id);
        let expected = match earlier {
            Some(earlier) => earlier,
            None => self.create(command, drawn, now, Event::IssuedKeyCreated),
        };
        if let (Some(secret), Ok(record)) = (secret, &record) {
            self.hold(record, &secret, now);
        }
        assert_same(&record, expected.map(|record| shown(&record)));
    }

    fn apply_rotate(
        &mut self,
        command: RotateKey,
        now: UnixMillis,
        outcome: Result<Outcome, CommandError>,
    ) {
        let rotation = outcome.map(|outcome| match outcome {
            Outcome::Rotated(rotation) => *rotation,
            other => panic!("{other:?}"),
        });
        let drawn = rotation
            .as_ref()
            .ok()
            .map(|rotation| rotation.record.key_id);
        let expected = self.rotate(command, drawn, now);
        if let Ok(Rotation { record, secret, .. }) = &rotation {
            self.hold(record, secret, now);
        }
        let records = rotation.map(|rotation| (rotation.old, rotation.record));
        let shown = expected.map(|(old, new)| (shown(&old), shown(&new)));
        assert_same(&records, shown);
    }

    fn hold(&mut self, record: &Record, secret: &Secret, now: UnixMillis) {
        self.held.push(Held {
            tenant: record.tenant,
            key_id: record.key_id,
            credential: secret.expose().to_owned(),
            issue_time: Some(now),
        });
    }
}

pub(super) fn assert_same<T: PartialEq + std::fmt::Debug>(
    found: &Result<T, CommandError>,
    expected: Expected<T>,
) {
    assert_eq!(*found, expected.map_err(CommandError::Rejected));
}
