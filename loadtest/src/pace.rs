//! The send times of an open loop, and who sends next.
//!
//! Guarantees: send times depend on the seed and the rate alone, never on answers; a request that is due goes to a free
//! connection at once, else to the first one that becomes free; due requests are taken in order, so that the time
//! in this queue is part of the latency.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::measure::{Latencies, no_latencies};
use crate::mix::Random;

/// When requests are due: a Poisson process, as independent callers make it, up to an end.
#[derive(Debug)]
struct Schedule {
    mean_ns: f64,
    next_ns: f64,
    end_ns: f64,
    random: Random,
}

impl Schedule {
    fn new(rate: f64, duration: Duration, random: Random) -> Self {
        let end_ns = duration.as_secs_f64() * 1e9;
        let mut schedule = Self {
            mean_ns: 1e9 / rate,
            next_ns: 0.0,
            end_ns,
            random,
        };
        schedule.advance();
        schedule
    }

    /// When the next request is due, since the start; `None` = there is none any more.
    fn next(&self) -> Option<Duration> {
        (self.next_ns < self.end_ns).then(|| Duration::from_secs_f64(self.next_ns / 1e9))
    }

    /// Counts what is left, and ends it.
    fn drain(&mut self) -> usize {
        let mut left = 0;
        while self.next().is_some() {
            self.advance();
            left += 1;
        }
        left
    }

    fn advance(&mut self) {
        // The inverse of the exponential distribution.
        self.next_ns -= self.mean_ns * self.random.unit().ln();
    }
}

/// Lets a task that never sleeps take turns with all others.
///
/// The runtime puts a task that wakes itself at the front of its queue, where it would run for ever alone. So a second
/// task wakes it, and it wakes that: both go to the back.
#[derive(Debug, Default)]
struct Turns {
    waiting: RefCell<Option<Waker>>,
    partner: RefCell<Option<Waker>>,
    over: Cell<bool>,
}

impl Turns {
    fn start() -> Rc<Self> {
        let turns = Rc::new(Self::default());
        let partner = Rc::clone(&turns);
        monoio::spawn(poll_fn(move |context| {
            if partner.over.get() {
                return Poll::Ready(());
            }
            *partner.partner.borrow_mut() = Some(context.waker().clone());
            if let Some(waiting) = partner.waiting.take() {
                waiting.wake();
            }
            Poll::Pending
        }));
        turns
    }

    /// Wakes `waiting` after all tasks that are ready now.
    fn next(&self, waiting: &Waker) {
        *self.waiting.borrow_mut() = Some(waiting.clone());
        // Before its first turn the partner is in the queue anyway.
        if let Some(partner) = self.partner.take() {
            partner.wake();
        }
    }

    fn end(&self) {
        self.over.set(true);
        if let Some(partner) = self.partner.take() {
            partner.wake();
        }
    }
}

/// A connection's place where it waits for a request.
#[derive(Debug, Default)]
struct Seat {
    due: Cell<Option<Duration>>,
    waker: RefCell<Option<Waker>>,
}

/// Shared by the connections of one load thread and its pacemaker.
#[derive(Debug)]
pub struct Pace {
    start: Instant,
    schedule: RefCell<Schedule>,
    seats: Vec<Seat>,
    free: RefCell<VecDeque<usize>>,
    /// Answers so far: tells the pacemaker whether anything happened between two of its turns.
    answers: Cell<u64>,
    last_answer: Cell<Duration>,
    lateness: RefCell<Latencies>,
}

/// What a pacemaker saw.
#[derive(Debug)]
pub struct PaceReport {
    /// How late requests went to free connections.
    pub lateness: Latencies,
    /// Time of the thread in which something happened.
    pub busy: Duration,
    /// Time that the thread had.
    pub available: Duration,
    /// Requests without an answer when the time to wait for it was over, sent or not.
    pub unanswered: usize,
    /// The last answer, since the start.
    pub last_answer: Duration,
}

impl Pace {
    /// A schedule of `rate` requests per second for `duration` from `start` on, for the connections numbered below
    /// `connections`.
    #[must_use]
    pub fn new(
        start: Instant,
        rate: f64,
        duration: Duration,
        connections: usize,
        random: Random,
    ) -> Self {
        Self {
            start,
            schedule: RefCell::new(Schedule::new(rate, duration, random)),
            seats: (0..connections).map(|_| Seat::default()).collect(),
            free: RefCell::new(VecDeque::with_capacity(connections)),
            answers: Cell::new(0),
            last_answer: Cell::new(Duration::ZERO),
            lateness: RefCell::new(no_latencies()),
        }
    }

    /// The clock of this schedule.
    #[must_use]
    pub fn now(&self) -> Duration {
        Instant::now().saturating_duration_since(self.start)
    }

    /// Says that a request was answered at `now`.
    pub fn answered(&self, now: Duration) {
        self.answers.set(self.answers.get() + 1);
        self.last_answer.set(now);
    }

    /// Waits until there is a request for the connection numbered `seat`; returns when it was due.
    pub async fn next(&self, seat: usize) -> Duration {
        let mut waiting = false;
        poll_fn(|context| self.poll_next(seat, &mut waiting, context)).await
    }

    fn poll_next(
        &self,
        seat: usize,
        waiting: &mut bool,
        context: &mut Context<'_>,
    ) -> Poll<Duration> {
        let Some(place) = self.seats.get(seat) else {
            return Poll::Pending;
        };
        if let Some(due) = place.due.take() {
            return Poll::Ready(due);
        }
        if !*waiting {
            // Behind schedule: the oldest due request goes out before this connection is free for later ones.
            let mut schedule = self.schedule.borrow_mut();
            if let Some(due) = schedule.next().filter(|due| *due <= self.now()) {
                schedule.advance();
                return Poll::Ready(due);
            }
            *waiting = true;
            self.free.borrow_mut().push_back(seat);
        }
        let mut waker = place.waker.borrow_mut();
        match waker.as_mut() {
            Some(waker) => waker.clone_from(context.waker()),
            None => *waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Hands due requests to free connections until the schedule is through and all answers are here, or `give_up`
    /// after its end, or `interrupted` says so. It never sleeps, because timers of a millisecond would be its error;
    /// time in which nothing happened counts as idle.
    pub async fn keep(&self, give_up: Duration, interrupted: impl Fn() -> bool) -> PaceReport {
        let mut idle = Duration::ZERO;
        let mut last_turn = self.now();
        let first_turn = last_turn;
        let mut last_answers = self.answers.get();
        let turns = Turns::start();
        poll_fn(|context| {
            let now = self.now();
            let handed = self.hand_out(now);
            if handed == 0 && self.answers.get() == last_answers {
                idle += now.saturating_sub(last_turn);
            }
            last_answers = self.answers.get();
            last_turn = now;
            let all_sent = self.schedule.borrow().next().is_none();
            let all_free = self.free.borrow().len() == self.seats.len();
            if interrupted() || (all_sent && all_free) || now > self.end() + give_up {
                turns.end();
                return Poll::Ready(());
            }
            turns.next(context.waker());
            Poll::Pending
        })
        .await;
        let available = last_turn.saturating_sub(first_turn);
        PaceReport {
            lateness: self.lateness.replace(no_latencies()),
            busy: available.saturating_sub(idle),
            available,
            unanswered: self.seats.len() - self.free.borrow().len()
                + self.schedule.borrow_mut().drain(),
            last_answer: self.last_answer.get(),
        }
    }

    fn end(&self) -> Duration {
        Duration::from_secs_f64(self.schedule.borrow().end_ns / 1e9)
    }

    fn hand_out(&self, now: Duration) -> usize {
        let mut handed = 0;
        let (mut schedule, mut free) = (self.schedule.borrow_mut(), self.free.borrow_mut());
        while let Some(due) = schedule.next().filter(|due| *due <= now) {
            let Some(place) = free.pop_front().and_then(|seat| self.seats.get(seat)) else {
                break;
            };
            schedule.advance();
            place.due.set(Some(due));
            let late = u64::try_from(now.saturating_sub(due).as_nanos()).unwrap_or(u64::MAX);
            self.lateness.borrow_mut().saturating_record(late);
            if let Some(waker) = place.waker.borrow().as_ref() {
                waker.wake_by_ref();
            }
            handed += 1;
        }
        handed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_has_its_rate_and_its_end() {
        let mut schedule = Schedule::new(10_000.0, Duration::from_secs(10), Random::new(1, 0));
        let (mut count, mut last) = (0_u32, Duration::ZERO);
        while let Some(due) = schedule.next() {
            assert!(due >= last && due < Duration::from_secs(10));
            (count, last) = (count + 1, due);
            schedule.advance();
        }
        assert!(count.abs_diff(100_000) < 1_500, "{count}");
    }

    #[test]
    fn due_requests_are_taken_in_order_by_whoever_is_free() {
        let start = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        let pace = Pace::new(start, 2.0, Duration::from_secs(50), 2, Random::new(1, 0));
        let context = &mut Context::from_waker(Waker::noop());
        let (mut first, mut second) = (false, false);
        let Poll::Ready(one) = pace.poll_next(0, &mut first, context) else {
            panic!("a request is due")
        };
        let Poll::Ready(two) = pace.poll_next(1, &mut second, context) else {
            panic!("a request is due")
        };
        assert!(one < two && !first && !second);
    }

    #[test]
    fn a_free_connection_gets_the_next_request() {
        let pace = Pace::new(
            Instant::now(),
            1e-3,
            Duration::from_secs(1_000_000),
            1,
            Random::new(1, 0),
        );
        let context = &mut Context::from_waker(Waker::noop());
        let mut waiting = false;
        assert!(pace.poll_next(0, &mut waiting, context).is_pending() && waiting);
        let due = pace.schedule.borrow().next().unwrap();
        assert_eq!(pace.hand_out(due), 1);
        assert_eq!(pace.poll_next(0, &mut waiting, context), Poll::Ready(due));
        assert_eq!(
            pace.hand_out(due + Duration::from_secs(100_000)),
            0,
            "nobody is free"
        );
    }
}
