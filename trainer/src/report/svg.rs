//! How is a set of numbers drawn?
//!
//! Inline SVG whose colours are the page's own, so that one drawing suits a light and a dark page.

use std::fmt::Write as _;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 38.0;
/// Colours there are; more series begin again.
const COLOURS: usize = 6;
/// Points a line is thinned out to.
const POINTS: usize = 400;

/// How strongly a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stroke {
    /// What the figure is about.
    Full,
    /// One of many.
    Thin,
    /// Raw values behind their mean.
    Faint,
}

/// One line.
#[derive(Debug, Clone)]
pub struct Series {
    /// Name in the legend; empty has no entry.
    pub name: String,
    /// Points, x ascending; what is not finite (or not above 0 on a logarithmic axis) is left out.
    pub points: Vec<(f64, f64)>,
    /// Number of its colour.
    pub colour: usize,
    /// How strongly it is drawn.
    pub stroke: Stroke,
}

/// A figure of lines.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// How to read it, one sentence.
    pub caption: String,
    /// Under the x axis.
    pub x: String,
    /// Lines.
    pub series: Vec<Series>,
    /// Whether y is logarithmic.
    pub log: bool,
    /// x of thin vertical lines.
    pub marks: Vec<f64>,
    /// y that has to be within the axis.
    pub include: Vec<f64>,
}

/// One dot of a map.
#[derive(Debug, Clone)]
pub struct Dot {
    /// Place, each coordinate within -1 to 1.
    pub place: (f64, f64),
    /// Number of its colour.
    pub colour: usize,
    /// Radius.
    pub size: f64,
    /// Shown under the pointer.
    pub label: String,
}

/// Makes text safe inside HTML.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// A number in as few characters as tell it apart.
pub fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if !value.is_finite() => "–".to_owned(),
        _ if value == 0.0 => "0".to_owned(),
        _ if !(1e-3..1e5).contains(&size) => {
            let text = format!("{value:.1e}");
            text.replace(".0e", "e")
        }
        _ if size >= 100.0 => format!("{value:.0}"),
        _ => {
            let text = format!("{value:.*}", if size >= 10.0 { 1 } else { 3 });
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

/// Colours by the name of each series, in order.
pub fn legend<'n>(entries: impl Iterator<Item = (&'n str, usize)>) -> String {
    let entries: Vec<(&str, usize)> = entries.filter(|(name, _)| !name.is_empty()).collect();
    if entries.len() < 2 {
        return String::new();
    }
    let mut html = String::from("<div class=\"legend\">");
    for (name, colour) in entries {
        let class = colour % COLOURS;
        // Writing to a string cannot fail, here and below.
        let _ = write!(
            html,
            "<span><i class=\"b{class}\"></i>{}</span>",
            escape(name)
        );
    }
    html.push_str("</div>");
    html
}

/// An axis: what it covers and where it is labelled.
struct Axis {
    low: f64,
    high: f64,
    log: bool,
    ticks: Vec<f64>,
}

impl Axis {
    /// Covers `values` (finite); `None` if there are none.
    fn over(values: impl Iterator<Item = f64>, log: bool) -> Option<Self> {
        let range = values.fold(None, |range: Option<(f64, f64)>, v| {
            Some(range.map_or((v, v), |(low, high)| (low.min(v), high.max(v))))
        });
        let (low, high) = range?;
        Some(if log {
            Self::logarithmic(low, high)
        } else {
            Self::linear(low, high)
        })
    }

    fn linear(low: f64, high: f64) -> Self {
        let (low, high) = if high - low > 1e-9 * low.abs().max(high.abs()) && high > low {
            (low, high)
        } else {
            let room = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
            (low - room, high + room)
        };
        let step = nice((high - low) / 4.0);
        let first = (low / step).floor() as i64;
        let last = (high / step).ceil() as i64;
        Self {
            low: first as f64 * step,
            high: last as f64 * step,
            log: false,
            ticks: (first..=last).map(|at| at as f64 * step).collect(),
        }
    }

    fn logarithmic(low: f64, high: f64) -> Self {
        let first = low.log10().floor() as i32;
        let last = (high.log10().ceil() as i32).max(first + 1);
        let every = ((last - first) / 6 + 1).max(1) as usize;
        Self {
            low: f64::from(first),
            high: f64::from(last),
            log: true,
            ticks: (first..=last)
                .step_by(every)
                .map(|power| 10f64.powi(power))
                .collect(),
        }
    }

    /// Where `value` lies, 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        (value - self.low) / (self.high - self.low)
    }
}

/// 1, 2 or 5 times a power of ten, about `step`.
fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factor = step / power;
    power
        * [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .find(|nice| factor <= *nice)
            .unwrap_or(10.0)
}

impl Chart {
    /// The figure; `None` if no series has a point to draw.
    pub fn html(&self) -> Option<String> {
        let drawable =
            |(x, y): &(f64, f64)| x.is_finite() && y.is_finite() && (!self.log || *y > 0.0);
        let lines: Vec<Vec<(f64, f64)>> = self
            .series
            .iter()
            .map(|series| thinned(series.points.iter().copied().filter(drawable).collect()))
            .collect();
        let points = || lines.iter().flatten();
        let x = Axis::over(
            points().map(|(x, _)| *x).chain(self.marks.iter().copied()),
            false,
        )?;
        points().next()?;
        let y = Axis::over(
            points()
                .map(|(_, y)| *y)
                .chain(self.include.iter().copied()),
            self.log,
        )?;
        let mut svg = open_figure(&self.title, &self.caption);
        svg.push_str(&legend(
            self.series.iter().map(|s| (s.name.as_str(), s.colour)),
        ));
        let _ = write!(
            svg,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escape(&self.title)
        );
        self.frame(&mut svg, &x, &y);
        for (series, line) in self.series.iter().zip(&lines) {
            draw_line(&mut svg, series, line, &x, &y);
        }
        svg.push_str("</svg></figure>");
        Some(svg)
    }

    /// Grid, ticks, axis title and marks.
    fn frame(&self, svg: &mut String, x: &Axis, y: &Axis) {
        for tick in &y.ticks {
            let at = down(y, *tick);
            let _ = write!(
                svg,
                "<line class=\"rule\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                at + 4.0,
                number(*tick)
            );
        }
        for tick in &x.ticks {
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                across(x, *tick),
                HEIGHT - BOTTOM + 18.0,
                number(*tick)
            );
        }
        for mark in &self.marks {
            let at = across(x, *mark);
            let _ = write!(
                svg,
                "<line class=\"mark\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{}\"/>",
                HEIGHT - BOTTOM
            );
        }
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            HEIGHT - 4.0,
            escape(&self.x)
        );
    }
}

fn open_figure(title: &str, caption: &str) -> String {
    let mut html = format!("<figure><h3>{}</h3>", escape(title));
    if !caption.is_empty() {
        let _ = write!(html, "<figcaption>{}</figcaption>", escape(caption));
    }
    html
}

fn across(axis: &Axis, value: f64) -> f64 {
    LEFT + axis.share(value) * (WIDTH - LEFT - RIGHT)
}

fn down(axis: &Axis, value: f64) -> f64 {
    HEIGHT - BOTTOM - axis.share(value) * (HEIGHT - TOP - BOTTOM)
}

fn draw_line(svg: &mut String, series: &Series, line: &[(f64, f64)], x: &Axis, y: &Axis) {
    let colour = series.colour % COLOURS;
    let class = match series.stroke {
        Stroke::Full => "",
        Stroke::Thin => " thin",
        Stroke::Faint => " faint",
    };
    let place = |(px, py): &(f64, f64)| format!("{:.1},{:.1}", across(x, *px), down(y, *py));
    let places: Vec<String> = line.iter().map(place).collect();
    let _ = write!(
        svg,
        "<polyline class=\"curve{class} s{colour}\" points=\"{}\"/>",
        places.join(" ")
    );
    // Few points are measurements of their own, and a single one would be no line at all.
    if series.stroke == Stroke::Full && line.len() <= 40 {
        for (px, py) in line {
            let _ = write!(
                svg,
                "<circle class=\"ring f{colour}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"><title>{} {}: {}</title></circle>",
                across(x, *px),
                down(y, *py),
                escape(&series.name),
                number(*px),
                number(*py)
            );
        }
    }
}

/// At most [`POINTS`] points: means over runs of equal length.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    if points.len() <= POINTS {
        return points;
    }
    let run = points.len().div_ceil(POINTS);
    let mean = |run: &[(f64, f64)]| {
        let (x, y) = run
            .iter()
            .fold((0.0, 0.0), |(sx, sy), (x, y)| (sx + x, sy + y));
        (x / run.len() as f64, y / run.len() as f64)
    };
    points.chunks(run).map(mean).collect()
}

/// The mean of each value with those around it, so that a noisy line shows where it goes.
pub fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let half = (points.len() / 40).max(1);
    let mean = |at: usize| {
        let around = &points[at.saturating_sub(half)..(at + half + 1).min(points.len())];
        around.iter().map(|(_, y)| y).sum::<f64>() / around.len() as f64
    };
    points
        .iter()
        .enumerate()
        .map(|(at, (x, _))| (*x, mean(at)))
        .collect()
}

/// A square map of dots.
pub fn map(title: &str, caption: &str, kinds: &[(&str, usize)], dots: &[Dot]) -> Option<String> {
    const SIDE: f64 = 460.0;
    const MARGIN: f64 = 16.0;
    let at = |v: f64| MARGIN + (v + 1.0) / 2.0 * (SIDE - 2.0 * MARGIN);
    dots.first()?;
    let mut svg = open_figure(title, caption);
    svg.push_str(&legend(kinds.iter().copied()));
    let _ = write!(
        svg,
        "<svg viewBox=\"0 0 {SIDE} {SIDE}\" role=\"img\" aria-label=\"{}\">",
        escape(title)
    );
    for dot in dots {
        let _ = write!(
            svg,
            "<circle class=\"ring f{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{}\"><title>{}</title></circle>",
            dot.colour % COLOURS,
            at(dot.place.0),
            at(dot.place.1),
            dot.size,
            escape(&dot.label)
        );
    }
    svg.push_str("</svg></figure>");
    Some(svg)
}
