//! Sending a full copy.

use talos_model::{CopyCursor, CopyEnd, CopyPlace, CopyRow};

use super::{Feed, FeedAction, FeedEnd, State};
use crate::limits::{CHUNK_ROWS, ROW_KEY_BYTES, ROW_VALUE_BYTES};
use crate::message::{Chunk, Message, Plan, Welcome};
use crate::refusal::Refusal;
use crate::source::CopyOpening;

impl Feed {
    pub(super) fn on_copy_opened(&mut self, opening: &CopyOpening) -> Vec<FeedAction> {
        let State::Opening(asked) = self.state.clone() else {
            return vec![self.end(FeedEnd::Broken("a copy that was not asked for"))];
        };
        let (copy, point) = match opening {
            CopyOpening::Open(copy, point) => (*copy, *point),
            CopyOpening::Busy => return self.refuse(Refusal::Busy),
        };
        let kept = asked.filter(|asked| asked.name == copy && asked.position == point.position);
        let place = kept.unwrap_or(CopyPlace {
            name: copy,
            position: point.position,
            digest: point.digest.map(|digest| digest.0),
            cursor: CopyCursor::default(),
        });
        self.state = State::Copying(place.clone());
        vec![FeedAction::Send(Message::Welcome(Welcome {
            history: self.history.clone(),
            plan: Plan::Copy(place),
        }))]
    }

    pub(super) fn on_rows(
        &mut self,
        now_ms: u64,
        rows: Vec<CopyRow>,
        end: CopyEnd,
    ) -> Vec<FeedAction> {
        let State::Copying(place) = &mut self.state else {
            return vec![self.end(FeedEnd::Broken("rows that were not asked for"))];
        };
        let fits =
            |row: &CopyRow| row.key.len() <= ROW_KEY_BYTES && row.value.len() <= ROW_VALUE_BYTES;
        if rows.len() > CHUNK_ROWS || !rows.iter().all(fits) {
            return vec![self.end(FeedEnd::Broken("rows beyond the bounds"))];
        }
        let chunk = Chunk {
            copy: place.name,
            position: place.position,
            after: place.cursor.clone(),
            rows,
            end,
        };
        let bytes = chunk
            .rows
            .iter()
            .map(|row| row.key.len() + row.value.len())
            .sum();
        self.throttle.spend(now_ms, bytes);
        self.room = false;
        place.cursor = chunk.cursor();
        if end == CopyEnd::Last {
            let place = place.clone();
            self.state = State::Streaming(place.position);
            self.unconfirmed = Some(place);
        } else if chunk.rows.is_empty() {
            return vec![self.end(FeedEnd::Broken("a copy that does not go on"))];
        }
        vec![FeedAction::Send(Message::Chunk(chunk))]
    }
}
