//! Time that the hypervisor has taken from a core: `steal` of `proc_stat(5)`.

use std::fs;
use std::time::Duration;

/// Reads how much time was taken from one core. It is zero outside of virtual machines.
#[derive(Debug)]
pub struct Steal {
    core: usize,
    before: Option<u64>,
}

impl Steal {
    /// Counts the time taken from `core` from now on.
    #[must_use]
    pub fn of(core: usize) -> Self {
        let before = read(core);
        Self { core, before }
    }

    /// The time taken since the last call. The resolution is 10 ms.
    pub fn since_last(&mut self) -> Duration {
        let now = read(self.core);
        let before = std::mem::replace(&mut self.before, now);
        let ticks = now
            .zip(before)
            .map_or(0, |(now, before)| now.saturating_sub(before));
        Duration::from_millis(ticks * (1000 / rustix::param::clock_ticks_per_second()))
    }
}

fn read(core: usize) -> Option<u64> {
    ticks(&fs::read_to_string("/proc/stat").ok()?, core)
}

fn ticks(stat: &str, core: usize) -> Option<u64> {
    let name = format!("cpu{core}");
    let mut lines = stat.lines().map(str::split_ascii_whitespace);
    let mut fields =
        lines.find_map(|mut fields| (fields.next() == Some(&name)).then_some(fields))?;
    fields.nth(7)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_core_has_its_line() {
        let stat = "cpu  1 2 3 4 5 6 7 30 9 10\ncpu1 1 2 3 4 5 6 7 10 9 10\ncpu10 1 2 3 4 5 6 7 20 0 0\nintr 5\n";
        assert_eq!(ticks(stat, 1), Some(10));
        assert_eq!(ticks(stat, 10), Some(20));
        assert_eq!(ticks(stat, 2), None);
        assert_eq!(ticks("cpu1 1 2", 1), None);
    }

    #[test]
    fn what_was_taken_counts_once() {
        let mut steal = Steal {
            core: 0,
            before: Some(0),
        };
        let since_start = steal.since_last();
        let again = steal.since_last();
        assert!(
            again <= since_start.max(Duration::from_secs(1)),
            "{again:?}"
        );
        assert_eq!(Steal::of(usize::MAX).since_last(), Duration::ZERO);
    }
}
