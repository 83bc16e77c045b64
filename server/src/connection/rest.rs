//! Answers that come in parts.
//!
//! Guarantees: a part is asked for only after the one before was sent, so that a client that reads slowly slows down whoever makes
//! the parts, and nothing is kept for it here; each part has its own deadline; whoever makes them learns of the end of the
//! connection by their being dropped; what follows on the connection waits until the last part is sent.

use talos_api::control::{Ending, Part};

use super::{Closed, Connection, Done, Finished, Phase, Stream};
use crate::handover::{Came, Following, next_part};
use crate::parser::Persistence;

impl<S: Stream> Connection<S> {
    /// Sends what follows the head and the beginning of a body, which are in the output.
    pub(super) async fn send_rest(&mut self, finished: Finished) -> Result<Done, Closed> {
        let Finished { done, following } = finished;
        let Some(Following {
            rest: Some(mut rest),
            framing,
        }) = following
        else {
            return Ok(done);
        };
        loop {
            self.flush_in(Phase::Push).await?;
            match next_part(&self.core, &self.slot, &mut rest).await {
                Came::Part(Part::Bytes(part)) => framing.append(&part, &mut self.output),
                Came::Part(Part::End) => {
                    framing.append_end(&mut self.output);
                    return Ok(done);
                }
                Came::Drain if rest.ending == Ending::AfterAnyPart => {
                    framing.append_end(&mut self.output);
                    return Ok(closing(done));
                }
                // Without its last chunk the answer is seen not to be whole.
                Came::Part(Part::Broken) | Came::Drain | Came::Cut => return Err(Closed),
            }
        }
    }
}

fn closing(done: Done) -> Done {
    match done {
        Done::Answered { consumed, .. } => Done::Answered {
            consumed,
            persistence: Persistence::Close,
        },
        Done::Refused => done,
    }
}
