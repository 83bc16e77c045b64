//! Counts an answer: right, wrong, or none at all.

use crate::connection::InFlight;
use crate::measure::{Measurement, Verdict};
use crate::schedule::Schedule;
use crate::seconds::SecondMeter;

/// Counts an answer.
pub fn judge(
    measurement: &mut Measurement,
    seconds: &mut SecondMeter,
    schedule: &Schedule,
    request: &InFlight,
    (status, body): (u16, &[u8]),
    now_ns: u64,
) {
    let class = request.asked.class;
    if status != 200 {
        measurement.failed(class, 1);
        seconds.failed(1);
        measurement.complain(|| format!("status {status}: {}", String::from_utf8_lossy(body)));
        return;
    }
    let verdict = if request.asked.expected.allows(body) {
        Verdict::Right
    } else {
        measurement.complain(|| {
            let body = String::from_utf8_lossy(body);
            format!("a {} credential was answered: {body}", class.name())
        });
        seconds.failed(1);
        Verdict::Wrong
    };
    let late = matches!(schedule, Schedule::Closed { end_ns } if now_ns > *end_ns);
    if late && verdict == Verdict::Right {
        // An answer after the end is not part of a closed loop's rate.
        return;
    }
    measurement.answered(class, now_ns.saturating_sub(request.due_ns), verdict);
    measurement.slow.note(request.due_ns, now_ns);
    seconds.answered(now_ns, now_ns.saturating_sub(request.due_ns));
}
