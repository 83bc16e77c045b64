//! Line plots as inline SVG, black on white, told apart by dashes as well as by colour, so that a print of them can be read.

use std::fmt::Write;

use crate::page::escaped;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 34.0;
/// The legend and the name of the vertical axis stand here.
const TOP: f64 = 24.0;
const BOTTOM: f64 = 44.0;
/// Colour and dashes of the lines; no plot has more.
const STYLES: [(&str, &str); 4] = [
    ("#000000", "none"),
    ("#b00020", "7 4"),
    ("#0050a0", "2 3"),
    ("#2e7d32", "9 3 2 3"),
];

/// How values become places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    Linear,
    Logarithmic,
}

/// One axis: its range and where its numbers stand.
#[derive(Clone, Debug)]
pub struct Axis {
    label: &'static str,
    scale: Scale,
    low: f64,
    high: f64,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis from 0 to somewhat more than the largest of the values.
    pub fn linear(
        label: &'static str,
        values: impl IntoIterator<Item = f64>,
        name: impl Fn(f64) -> String,
    ) -> Self {
        let most = values.into_iter().fold(0.0, f64::max);
        let most = if most > 0.0 { most } else { 1.0 };
        let step = round_step(most / 5.0);
        let high = (most / step).ceil() * step;
        let mut ticks = Vec::new();
        let mut at = 0.0;
        while at <= high * 1.0001 {
            ticks.push((at, name(at)));
            at += step;
        }
        Self {
            label,
            scale: Scale::Linear,
            low: 0.0,
            high,
            ticks,
        }
    }

    /// An axis over the powers of ten around the values; those that are not above 0 are ignored.
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
        let mut ticks = Vec::new();
        let mut power = low;
        while power <= high + 0.5 {
            ticks.push((power, name(10_f64.powf(power))));
            power += 1.0;
        }
        Self {
            label,
            scale: Scale::Logarithmic,
            low,
            high,
            ticks,
        }
    }

    /// An axis of quantiles given as -log10(1 - q): 90 %, 99 %, 99.9 % at equal distances.
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
        Self {
            label,
            scale: Scale::Linear,
            low: 0.0,
            high,
            ticks: (0_u32..)
                .map(f64::from)
                .zip(names.map(ToOwned::to_owned))
                .take_while(|(at, _)| *at <= high)
                .collect(),
        }
    }

    /// The part of the axis in front of a value, 0 to 1.
    fn part(&self, value: f64) -> f64 {
        let place = match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.max(f64::MIN_POSITIVE).log10(),
        };
        ((place - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    fn part_of_tick(&self, tick: f64) -> f64 {
        ((tick - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// The next of 1, 2, 5, 10, 20, … that is not smaller.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let found = steps.into_iter().find(|step| *step >= least * 0.9999);
    found.unwrap_or(power * 10.0)
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// A plot.
#[derive(Clone, Debug)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// The lines.
    pub lines: Vec<Line>,
    /// A limit, drawn across.
    pub limit: Option<(f64, String)>,
}

impl Plot {
    /// The plot as an HTML figure.
    #[must_use]
    pub fn figure(&self) -> String {
        let mut out = String::new();
        let title = escaped(&self.title);
        out.push_str(&format!(
            "<figure><figcaption>{title}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
        ));
        self.grid(&mut out);
        if let Some((value, name)) = &self.limit {
            let y = self.y_of(*value);
            out.push_str(&format!(
                "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#000\" stroke-dasharray=\"1 4\"/>",
                WIDTH - RIGHT
            ));
            text(&mut out, (LEFT + 6.0, y - 4.0), "start", name);
        }
        for (line, (colour, dashes)) in styled(&self.lines) {
            let points: Vec<_> = line
                .points
                .iter()
                .map(|(x, y)| format!("{:.1},{:.1}", self.x_of(*x), self.y_of(*y)))
                .collect();
            out.push_str(&format!(
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" stroke-dasharray=\"{dashes}\" points=\"{}\"/>",
                points.join(" ")
            ));
            // A line of one point would not be seen.
            if let [(x, y)] = line.points.as_slice() {
                out.push_str(&format!(
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
                    self.x_of(*x),
                    self.y_of(*y)
                ));
            }
        }
        self.legend(&mut out);
        out.push_str("</svg></figure>\n");
        out
    }

    fn x_of(&self, value: f64) -> f64 {
        LEFT + self.x.part(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y_of(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.part(value) * (HEIGHT - TOP - BOTTOM)
    }

    fn grid(&self, out: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (tick, name) in &self.x.ticks {
            let x = LEFT + self.x.part_of_tick(*tick) * (right - LEFT);
            out.push_str(&format!(
                "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#ddd\"/>"
            ));
            text(out, (x, bottom + 15.0), "middle", name);
        }
        for (tick, name) in &self.y.ticks {
            let y = bottom - self.y.part_of_tick(*tick) * (bottom - TOP);
            out.push_str(&format!(
                "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>"
            ));
            text(out, (LEFT - 6.0, y + 4.0), "end", name);
        }
        out.push_str(&format!(
            "<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"#000\"/>"
        ));
        let middle = f64::midpoint(LEFT, right);
        text(out, (middle, HEIGHT - 10.0), "middle", self.x.label);
        text(out, (LEFT - 6.0, TOP - 10.0), "start", self.y.label);
    }

    fn legend(&self, out: &mut String) {
        if self.lines.len() < 2 {
            return;
        }
        let y = TOP - 14.0;
        let mut right = WIDTH - RIGHT;
        for (line, (colour, dashes)) in styled(&self.lines).rev() {
            let from = right - 34.0;
            out.push_str(&format!(
                "<line x1=\"{from}\" y1=\"{y}\" x2=\"{right}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"1.6\" stroke-dasharray=\"{dashes}\"/>"
            ));
            text(out, (from - 6.0, y + 4.0), "end", &line.name);
            right = from - 20.0 - 7.0 * line.name.chars().count() as f64;
        }
    }
}

/// Each line with its colour and dashes.
fn styled(
    lines: &[Line],
) -> impl DoubleEndedIterator<Item = (&Line, &'static (&'static str, &'static str))> {
    lines.iter().zip(STYLES.iter())
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, words: &str) {
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
        escaped(words)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, name)| name.as_str()).collect()
    }

    #[test]
    fn axes_reach_over_their_values_in_round_steps() {
        let number = |value: f64| format!("{value:.0}");
        let linear = Axis::linear("x", [3.0, 170.0], number);
        assert_eq!(names(&linear), ["0", "50", "100", "150", "200"]);
        assert!((linear.part(100.0) - 0.5).abs() < 1e-9);
        let logarithmic = Axis::logarithmic("y", [0.0, 30.0, 2000.0], number);
        assert_eq!(names(&logarithmic), ["10", "100", "1000", "10000"]);
        assert!((logarithmic.part(1000.0) - 2.0 / 3.0).abs() < 1e-9);
        let quantiles = Axis::of_quantiles("q", [0.0, 2.3]);
        assert_eq!(names(&quantiles), ["0 %", "90 %", "99 %", "99.9 %"]);
        for empty in [
            Axis::linear("x", [], number),
            Axis::logarithmic("x", [], number),
        ] {
            assert!(empty.high > empty.low && empty.part(f64::NAN.max(0.0)).is_finite());
        }
    }

    #[test]
    fn points_lie_within_the_frame() {
        let points = vec![(0.0, 10.0), (5.0, 1e9), (10.0, 0.0)];
        let plot = Plot {
            title: "a <b>".to_owned(),
            x: Axis::linear("x", [10.0], |value| value.to_string()),
            y: Axis::logarithmic("y", [10.0, 1000.0], |value| value.to_string()),
            lines: vec![Line {
                name: "n".to_owned(),
                points,
            }],
            limit: Some((100.0, "limit".to_owned())),
        };
        let figure = plot.figure();
        assert!(figure.contains("a &lt;b&gt;"));
        let drawn = figure.split("points=\"").nth(1).unwrap();
        for point in drawn.split('"').next().unwrap().split(' ') {
            let (x, y) = point.split_once(',').unwrap();
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!((LEFT..=WIDTH - RIGHT).contains(&x), "{point}");
            assert!((TOP..=HEIGHT - BOTTOM).contains(&y), "{point}");
        }
    }
}
