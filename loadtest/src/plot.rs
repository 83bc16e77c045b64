//! Line plots as inline SVG: black on white, and told apart by dashes as well as by colour, so that
//! a print can be read.

use maud::{Markup, PreEscaped, Render, html};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::axis::Axis;

/// `plotters` rounds to whole units, so a plot is drawn at twice its size on the page.
const SIZE: (u32, u32) = (1440, 560);
/// The legend stands above the plot.
const TOP: u32 = 56;
/// Half of the last label of the horizontal axis.
const RIGHT: u32 = 60;
const X_LABELS: u32 = 80;
const Y_LABELS: u32 = 156;
/// `plotters` divides sizes of text by 1.24 when it writes SVG: 27.3 becomes 22.
const TEXT: (&str, f64) = ("system-ui, sans-serif", 27.3);
const STROKE: u32 = 3;
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
/// Length of a line's sample in the legend.
const SAMPLE: i32 = 68;
const LIMIT_DASH: Dash = Dash { length: 2, gap: 8 };

/// Lengths of the dashes of a line and of the gaps between them.
#[derive(Clone, Copy, Debug)]
struct Dash {
    length: u32,
    gap: u32,
}

#[derive(Clone, Copy, Debug)]
struct LineStyle {
    colour: RGBColor,
    /// `None` = solid.
    dash: Option<Dash>,
}

/// The styles of the lines in order. No plot has more lines.
const STYLES: [LineStyle; 4] = [
    LineStyle {
        colour: BLACK,
        dash: None,
    },
    LineStyle {
        colour: RGBColor(0xb0, 0x00, 0x20),
        dash: Some(Dash { length: 14, gap: 8 }),
    },
    LineStyle {
        colour: RGBColor(0x00, 0x50, 0xa0),
        dash: Some(Dash { length: 4, gap: 6 }),
    },
    LineStyle {
        colour: RGBColor(0x2e, 0x7d, 0x32),
        dash: Some(Dash { length: 30, gap: 8 }),
    },
];

/// A point of a line, in units of the axes.
pub type Point = (f64, f64);

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<Point>,
}

/// A limit, drawn across the plot.
#[derive(Clone, Debug)]
pub struct Limit {
    /// On the vertical axis.
    pub value: f64,
    /// The words beside it.
    pub name: String,
}

/// A plot.
#[derive(Clone, Debug)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The lines, at most four.
    pub lines: Vec<Line>,
    /// A limit of the vertical axis.
    pub limit: Option<Limit>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Axis, Axis>>;
type DrawingError = DrawingAreaErrorKind<std::io::Error>;

impl Render for Plot {
    /// The plot as an HTML figure.
    fn render(&self) -> Markup {
        html! {
            figure {
                figcaption { (self.title) }
                @match self.svg() {
                    Ok(svg) => div role="img" aria-label=(self.title) { (PreEscaped(svg)) },
                    Err(error) => p.wrong { "This plot could not be drawn: " (error) },
                }
            }
        }
    }
}

impl Plot {
    fn svg(&self) -> Result<String, DrawingError> {
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            let mut chart = ChartBuilder::on(&area)
                .margin_top(TOP)
                .margin_right(RIGHT)
                .x_label_area_size(X_LABELS)
                .y_label_area_size(Y_LABELS)
                .build_cartesian_2d(self.x.clone(), self.y.clone())?;
            chart
                .configure_mesh()
                .bold_line_style(GRID.stroke_width(2))
                .light_line_style(TRANSPARENT)
                .axis_style(BLACK.stroke_width(2))
                .label_style(TEXT)
                .x_desc(self.x.label)
                .y_desc(self.y.label)
                .draw()?;
            if let Some(limit) = &self.limit {
                self.draw_limit(&mut chart, limit)?;
            }
            for (line, style) in self.lines.iter().zip(STYLES) {
                draw_line(&mut chart, &line.points, style)?;
            }
            if self.lines.len() > 1 {
                self.draw_legend(&area)?;
            }
            area.present()?;
        }
        Ok(svg)
    }

    fn draw_limit(&self, chart: &mut Chart<'_>, limit: &Limit) -> Result<(), DrawingError> {
        let (left, right) = (self.x.range().start, self.x.range().end);
        let style = LineStyle {
            colour: BLACK,
            dash: Some(LIMIT_DASH),
        };
        let points = [(left, limit.value), (right, limit.value)];
        draw_line(chart, &points, style)?;
        let text = Text::new(
            limit.name.clone(),
            (12, -8),
            anchored(HPos::Left, VPos::Bottom),
        );
        let label = EmptyElement::at((left, limit.value)) + text;
        chart.plotting_area().draw(&label)
    }

    /// Draws a sample of each line and its name above the plot, from right to left.
    fn draw_legend(&self, area: &Area<'_>) -> Result<(), DrawingError> {
        let middle = pixels(TOP) / 2;
        let mut right = pixels(SIZE.0 - RIGHT);
        for (line, style) in self.lines.iter().zip(STYLES).rev() {
            let text = anchored(HPos::Right, VPos::Center);
            let width = area.estimate_text_size(&line.name, &text)?.0;
            let left = right - SAMPLE;
            draw_sample(area, [(left, middle), (right, middle)], style)?;
            area.draw(&Text::new(line.name.as_str(), (left - 12, middle), text))?;
            right = left - 60 - pixels(width);
        }
        Ok(())
    }
}

fn draw_line(
    chart: &mut Chart<'_>,
    points: &[Point],
    style: LineStyle,
) -> Result<(), DrawingError> {
    let stroke = style.colour.stroke_width(STROKE);
    let points = points.iter().copied();
    if points.len() == 1 {
        // A line of one point would be invisible.
        let dots = points.map(|point| Circle::new(point, 6, style.colour.filled()));
        chart.draw_series(dots)?;
    } else if let Some(Dash { length, gap }) = style.dash {
        chart.draw_series(DashedLineSeries::new(points, length, gap, stroke))?;
    } else {
        chart.draw_series(LineSeries::new(points, stroke))?;
    }
    Ok(())
}

fn draw_sample(
    area: &Area<'_>,
    ends: [(i32, i32); 2],
    style: LineStyle,
) -> Result<(), DrawingError> {
    let stroke = style.colour.stroke_width(STROKE);
    match style.dash {
        Some(Dash { length, gap }) => area.draw(&DashedPathElement::new(ends, length, gap, stroke)),
        None => area.draw(&PathElement::new(ends, stroke)),
    }
}

fn anchored(horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    TextStyle::from(TEXT).pos(Pos::new(horizontal, vertical))
}

fn pixels(length: u32) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            limit: Some(Limit {
                value: 100.0,
                name: "limit".to_owned(),
            }),
        };
        let figure = plot.render().into_string();
        assert!(figure.contains("a &lt;b&gt;") && figure.contains("limit"));
        // The line is drawn last.
        let drawn = figure.rsplit("points=\"").next().unwrap();
        let drawn: Vec<_> = drawn
            .split('"')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        assert_eq!(drawn.len(), 3);
        for point in drawn {
            let (x, y) = point.split_once(',').unwrap();
            let (x, y): (u32, u32) = (x.parse().unwrap(), y.parse().unwrap());
            assert!((Y_LABELS..=SIZE.0 - RIGHT).contains(&x), "{point}");
            assert!((TOP..=SIZE.1 - X_LABELS).contains(&y), "{point}");
        }
    }
}
