//! The Prometheus text format, version 0.0.4.
//!
//! Two invariants: every sample stands below the `HELP` and `TYPE` lines of its family, and no
//! label value can end its quotes or its line.

use std::fmt::Write as _;
use std::time::Duration;

use crate::histogram::Histogram;

/// The media type of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A metrics page under construction.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// The samples of one counter or gauge.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

/// The samples of one histogram.
#[derive(Debug)]
pub struct HistogramFamily<'a>(Family<'a>);

impl Exposition {
    /// Begins a counter: a value that only rises, except at a restart. `name` must be a metric name
    /// that is not on the page yet and ends in `_total`. `help` must be one line without
    /// backslashes.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.begin(name, "counter", help)
    }

    /// Begins a gauge: a value that rises and falls. `name` and `help` as for a counter, but
    /// without `_total`.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.begin(name, "gauge", help)
    }

    /// Begins a histogram of seconds. `name` and `help` as for a counter, but `name` ends in
    /// `_seconds`.
    pub fn histogram(&mut self, name: &'static str, help: &str) -> HistogramFamily<'_> {
        HistogramFamily(self.begin(name, "histogram", help))
    }

    fn begin(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        let text = &mut self.text;
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family { text, name }
    }

    /// The page, to be sent as [`CONTENT_TYPE`].
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// Adds a sample. `labels` are pairs of name and value; no two samples of a family may have the
    /// same labels.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: u64) {
        self.line("", labels, &value.to_string());
    }

    /// Adds a sample that may be negative. `labels` as for [`Family::sample`].
    pub fn signed(&mut self, labels: &[(&str, &str)], value: i64) {
        self.line("", labels, &value.to_string());
    }

    /// Adds a sample in seconds. `labels` as for [`Family::sample`].
    pub fn seconds(&mut self, labels: &[(&str, &str)], value: Duration) {
        self.line("", labels, &seconds(value));
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: &str) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let mut before = '{';
        for (name, value) in labels {
            self.text.push(before);
            self.text.push_str(name);
            self.text.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
            before = ',';
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        self.text.push(' ');
        self.text.push_str(value);
        self.text.push('\n');
    }
}

impl HistogramFamily<'_> {
    /// Adds the buckets, the sum and the count of `histogram`. `labels` as for [`Family::sample`],
    /// none of them named `le`.
    pub fn sample<const N: usize>(&mut self, labels: &[(&str, &str)], histogram: &Histogram<N>) {
        let mut count = 0;
        for (bound, cumulative) in histogram.cumulative() {
            let bound = bound.map_or_else(|| "+Inf".to_owned(), seconds);
            let labels = [labels, &[("le", &bound)]].concat();
            self.0.line("_bucket", &labels, &cumulative.to_string());
            count = cumulative;
        }
        self.0.line("_sum", labels, &seconds(histogram.sum()));
        // Equal to the last bucket, also when another thread observes in between.
        self.0.line("_count", labels, &count.to_string());
    }
}

/// Decimal seconds to the nanosecond, without an exponent and without trailing zeros. A bound is
/// part of a series' identity, so its spelling must never change.
fn seconds(duration: Duration) -> String {
    let text = format!("{}.{:09}", duration.as_secs(), duration.subsec_nanos());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_below_their_family() {
        let mut page = Exposition::default();
        page.counter("a_total", "Things.").sample(&[], u64::MAX);
        let mut family = page.gauge("b", "Others.");
        family.sample(&[("x", "1"), ("y", "")], 0);
        family.seconds(&[("x", "2")], Duration::from_millis(1_500));
        family.signed(&[("x", "3")], -7);
        assert_eq!(
            page.into_text(),
            "# HELP a_total Things.\n# TYPE a_total counter\na_total 18446744073709551615\n\
             # HELP b Others.\n# TYPE b gauge\nb{x=\"1\",y=\"\"} 0\nb{x=\"2\"} 1.5\n\
             b{x=\"3\"} -7\n"
        );
    }

    #[test]
    fn label_values_stay_within_their_quotes() {
        let mut page = Exposition::default();
        page.gauge("a", "Things.")
            .sample(&[("x", "\\ \" \n } é #")], 1);
        assert!(
            page.into_text()
                .ends_with("\na{x=\"\\\\ \\\" \\n } é #\"} 1\n")
        );
    }

    #[test]
    fn a_histogram_is_cumulative() {
        const BOUNDS: [Duration; 3] = [
            Duration::from_millis(1),
            Duration::from_millis(50),
            Duration::from_secs(10),
        ];
        let histogram = Histogram::new(&BOUNDS);
        for millis in [1, 1, 30, 60_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let mut page = Exposition::default();
        let mut family = page.histogram("h_seconds", "Times.");
        family.sample(&[("x", "1")], &histogram);
        family.sample(&[], &Histogram::new(&[]));
        assert_eq!(
            page.into_text(),
            "# HELP h_seconds Times.\n# TYPE h_seconds histogram\n\
             h_seconds_bucket{x=\"1\",le=\"0.001\"} 2\n\
             h_seconds_bucket{x=\"1\",le=\"0.05\"} 3\n\
             h_seconds_bucket{x=\"1\",le=\"10\"} 3\n\
             h_seconds_bucket{x=\"1\",le=\"+Inf\"} 4\n\
             h_seconds_sum{x=\"1\"} 60.032\n\
             h_seconds_count{x=\"1\"} 4\n\
             h_seconds_bucket{le=\"+Inf\"} 0\n\
             h_seconds_sum 0\n\
             h_seconds_count 0\n"
        );
    }

    #[test]
    fn seconds_are_decimal() {
        for (nanos, text) in [
            (0, "0"),
            (1, "0.000000001"),
            (1_000, "0.000001"),
            (50_000, "0.00005"),
            (2_500_000, "0.0025"),
            (10_000_000_000, "10"),
            (100_100_000_000, "100.1"),
        ] {
            assert_eq!(seconds(Duration::from_nanos(nanos)), text);
        }
    }
}
