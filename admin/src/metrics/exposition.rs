//! The text format of Prometheus, version 0.0.4.
//!
//! It guarantees that every sample stands below the `HELP` and `TYPE` of its family, and that no value of a label can
//! end its line or its quotes.

use std::fmt::Write as _;
use std::time::Duration;

use crate::metrics::histogram::Histogram;

/// The media type of the format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family of samples is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, except at a restart.
    Counter,
    /// Rises and falls.
    Gauge,
}

/// A page of metrics that is being written.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// The samples of one name.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    /// Begins a family. `name` must be a metric's name that this page does not have yet; `help` is one line without
    /// backslashes.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.begin(name, kind, help)
    }

    /// Begins a family of histograms of seconds; see [`Family::histogram`].
    pub(crate) fn histograms(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.begin(name, "histogram", help)
    }

    fn begin(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        let text = &mut self.text;
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family { text, name }
    }

    /// The page.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// Adds the sample of these labels, each a name and a value. No two samples of a family may have the same labels.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: u64) {
        self.line("", labels, &value.to_string());
    }

    /// Adds a sample in seconds.
    pub fn seconds(&mut self, labels: &[(&str, &str)], value: Duration) {
        self.line("", labels, &seconds(value));
    }

    /// Adds a histogram under these labels, none of which may be named `le`.
    pub(crate) fn histogram(&mut self, labels: &[(&str, &str)], histogram: &Histogram) {
        for (bound, count) in histogram.cumulative() {
            let bound = bound.map_or_else(|| "+Inf".to_owned(), seconds);
            let labels = [labels, &[("le", &bound)]].concat();
            self.line("_bucket", &labels, &count.to_string());
        }
        self.line("_sum", labels, &seconds(histogram.sum()));
        self.line("_count", labels, &histogram.count().to_string());
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

/// Decimal seconds without trailing zeros, to the microsecond.
fn seconds(duration: Duration) -> String {
    let text = format!("{}.{:06}", duration.as_secs(), duration.subsec_micros());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_below_their_family() {
        let mut page = Exposition::default();
        page.family("a_total", Kind::Counter, "Things.")
            .sample(&[], u64::MAX);
        let mut family = page.family("b", Kind::Gauge, "Others.");
        family.sample(&[("x", "1"), ("y", "")], 0);
        family.seconds(&[("x", "2")], Duration::from_millis(1_500));
        assert_eq!(
            page.into_text(),
            "# HELP a_total Things.\n# TYPE a_total counter\na_total 18446744073709551615\n\
             # HELP b Others.\n# TYPE b gauge\nb{x=\"1\",y=\"\"} 0\nb{x=\"2\"} 1.5\n"
        );
    }

    #[test]
    fn values_of_labels_stay_within_their_quotes() {
        let mut page = Exposition::default();
        page.family("a", Kind::Gauge, "Things.")
            .sample(&[("x", "\\ \" \n } é #")], 1);
        assert!(
            page.into_text()
                .ends_with("\na{x=\"\\\\ \\\" \\n } é #\"} 1\n")
        );
    }

    #[test]
    fn a_histogram_is_cumulative() {
        let mut histogram = Histogram::default();
        for millis in [1, 1, 30, 60_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let mut page = Exposition::default();
        page.histograms("h_seconds", "Times.")
            .histogram(&[("x", "1")], &histogram);
        let text = page.into_text();
        for line in [
            "# TYPE h_seconds histogram",
            "h_seconds_bucket{x=\"1\",le=\"0.001\"} 2",
            "h_seconds_bucket{x=\"1\",le=\"0.025\"} 2",
            "h_seconds_bucket{x=\"1\",le=\"0.05\"} 3",
            "h_seconds_bucket{x=\"1\",le=\"10\"} 3",
            "h_seconds_bucket{x=\"1\",le=\"+Inf\"} 4",
            "h_seconds_sum{x=\"1\"} 60.032",
            "h_seconds_count{x=\"1\"} 4",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
    }

    #[test]
    fn seconds_are_decimal() {
        for (micros, text) in [
            (0, "0"),
            (1, "0.000001"),
            (2_500, "0.0025"),
            (10_000_000, "10"),
            (100_100_000, "100.1"),
        ] {
            assert_eq!(seconds(Duration::from_micros(micros)), text);
        }
    }
}
