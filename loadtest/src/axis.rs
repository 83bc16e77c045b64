//! The axes of plots: which values they cover, where their labels stand, how values become pixels.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// The steps of a linear axis are at least so wide that it has no more of them.
const LINEAR_TICKS_MAX: u32 = 5;
/// The powers of ten on a logarithmic axis. A nanosecond and a day are 14 apart.
const DECADES_MAX: u32 = 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    Linear,
    Logarithmic,
}

/// A labelled value on an axis.
#[derive(Clone, Debug)]
struct Tick {
    value: f64,
    name: String,
}

/// One axis of a plot. `plotters` draws it through the [`Ranged`] trait.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What the axis shows.
    pub label: &'static str,
    scale: Scale,
    low: f64,
    high: f64,
    ticks: Vec<Tick>,
}

impl Axis {
    /// An axis from 0 to the first round number that is not below any of the values.
    pub fn linear(
        label: &'static str,
        values: impl IntoIterator<Item = f64>,
        name: impl Fn(f64) -> String,
    ) -> Self {
        let most = values.into_iter().fold(0.0, f64::max);
        let most = if most > 0.0 { most } else { 1.0 };
        let step = round_step(most / f64::from(LINEAR_TICKS_MAX));
        let high = (most / step).ceil() * step;
        let ticks = (0..=LINEAR_TICKS_MAX)
            .map(|number| f64::from(number) * step)
            .take_while(|value| *value <= high * 1.0001)
            .map(|value| Tick {
                value,
                name: name(value),
            })
            .collect();
        Self {
            label,
            scale: Scale::Linear,
            low: 0.0,
            high,
            ticks,
        }
    }

    /// An axis over the powers of ten around the values. Values that are not above 0 are ignored.
    pub fn logarithmic(
        label: &'static str,
        values: impl IntoIterator<Item = f64>,
        name: impl Fn(f64) -> String,
    ) -> Self {
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for value in values.into_iter().filter(|value| *value > 0.0) {
            (least, most) = (least.min(value), most.max(value));
        }
        if most <= 0.0 {
            (least, most) = (1.0, 10.0);
        }
        let low = least.log10().floor();
        let high = most.log10().ceil().max(low + 1.0);
        let ticks = (0..=DECADES_MAX)
            .map(|number| low + f64::from(number))
            .take_while(|power| *power <= high + 0.5)
            .map(|power| {
                let value = 10_f64.powf(power);
                Tick {
                    value,
                    name: name(value),
                }
            })
            .collect();
        Self {
            label,
            scale: Scale::Logarithmic,
            low: 10_f64.powf(low),
            high: 10_f64.powf(high),
            ticks,
        }
    }

    /// An axis of quantiles q given as -log10(1 - q): 90 %, 99 % and 99.9 % are at equal distances.
    pub fn of_quantiles(label: &'static str, nines: impl IntoIterator<Item = f64>) -> Self {
        let high = nines.into_iter().fold(1.0, f64::max).ceil();
        let names = [
            "0 %",
            "90 %",
            "99 %",
            "99.9 %",
            "99.99 %",
            "99.999 %",
            "99.9999 %",
        ];
        let ticks = (0..=DECADES_MAX)
            .map(f64::from)
            .zip(names)
            .take_while(|(value, _)| *value <= high)
            .map(|(value, name)| Tick {
                value,
                name: name.to_owned(),
            })
            .collect();
        Self {
            label,
            scale: Scale::Linear,
            low: 0.0,
            high,
            ticks,
        }
    }

    /// How far along the axis a value is, from 0 to 1. Values outside are at the nearer end.
    fn position(&self, value: f64) -> f64 {
        let place = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.max(f64::MIN_POSITIVE).log10(),
        };
        let (low, high) = (place(self.low), place(self.high));
        ((place(value) - low) / (high - low)).clamp(0.0, 1.0)
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the position is within 0 to 1, so the pixel is within the limits"
    )]
    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let length = f64::from(to - from);
        from + (self.position(*value) * length).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.iter().map(|tick| tick.value).collect()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        let same = |tick: &&Tick| (tick.value - value).abs() <= value.abs() * 1e-9;
        let tick = self.ticks.iter().find(same);
        tick.map_or_else(String::new, |tick| tick.name.clone())
    }
}

/// The first of 1, 2, 5, 10, 20, … that is not smaller than `least`.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let found = steps.into_iter().find(|step| *step >= least * 0.9999);
    found.unwrap_or(power * 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The labels as a plot shows them.
    fn names(axis: &Axis) -> Vec<String> {
        let values = axis.key_points(10);
        values.iter().map(|value| axis.format_ext(value)).collect()
    }

    #[test]
    fn axes_reach_over_their_values_in_round_steps() {
        let number = |value: f64| format!("{value:.0}");
        let linear = Axis::linear("x", [3.0, 170.0], number);
        assert_eq!(names(&linear), ["0", "50", "100", "150", "200"]);
        assert!((linear.position(100.0) - 0.5).abs() < 1e-9);
        let logarithmic = Axis::logarithmic("y", [0.0, 30.0, 2000.0], number);
        assert_eq!(names(&logarithmic), ["10", "100", "1000", "10000"]);
        assert!((logarithmic.position(1000.0) - 2.0 / 3.0).abs() < 1e-9);
        let quantiles = Axis::of_quantiles("q", [0.0, 2.3]);
        assert_eq!(names(&quantiles), ["0 %", "90 %", "99 %", "99.9 %"]);
        for empty in [
            Axis::linear("x", [], number),
            Axis::logarithmic("x", [], number),
        ] {
            assert!(empty.high > empty.low && empty.position(f64::NAN.max(0.0)).is_finite());
        }
    }

    #[test]
    fn pixels_stay_within_their_limits() {
        let axis = Axis::linear("x", [10.0], |value| value.to_string());
        for (value, pixel) in [(0.0, 200), (5.0, 150), (10.0, 100), (-1.0, 200), (1e9, 100)] {
            assert_eq!(axis.map(&value, (200, 100)), pixel, "{value}");
        }
    }
}
