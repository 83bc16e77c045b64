//! Counts each response as right, wrong, or failed.

use crate::connection::InFlight;
use crate::measure::{Measurement, Verdict};
use crate::schedule::Schedule;
use crate::seconds::SecondMeter;

/// A complete response.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
    /// When it was complete, in nanoseconds since the start.
    pub at_ns: u64,
}

/// Where responses are counted.
#[derive(Debug)]
pub struct Judge<'a> {
    /// Over the whole loop.
    pub measurement: &'a mut Measurement,
    /// By second.
    pub seconds: &'a mut SecondMeter,
    /// Tells when the loop ends.
    pub schedule: &'a Schedule,
}

impl Judge<'_> {
    /// Counts the response to a request.
    pub fn count(&mut self, request: &InFlight, response: &Response<'_>) {
        let class = request.asked.class;
        let (status, body) = (response.status, response.body);
        if status != 200 {
            self.measurement.failed(class, 1);
            self.seconds.failed(1);
            self.measurement
                .complain(|| format!("status {status}: {}", String::from_utf8_lossy(body)));
            return;
        }
        let verdict = if request.asked.expected.allows(body) {
            Verdict::Right
        } else {
            self.measurement.complain(|| {
                let body = String::from_utf8_lossy(body);
                format!("a {} credential was answered: {body}", class.name())
            });
            self.seconds.failed(1);
            Verdict::Wrong
        };
        let now_ns = response.at_ns;
        let is_late = matches!(self.schedule, Schedule::Closed { end_ns } if now_ns > *end_ns);
        if is_late && verdict == Verdict::Right {
            // An answer after the end is not part of a closed loop's rate.
            return;
        }
        let latency_ns = now_ns.saturating_sub(request.due_ns);
        self.measurement.answered(class, latency_ns, verdict);
        self.measurement.slow.note(request.due_ns, now_ns);
        self.seconds.answered(now_ns, latency_ns);
    }
}
