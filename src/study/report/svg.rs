//! Charts as SVG. Series differ in colour (Okabe and Ito's palette for colour-blind readers) and in the shape
//! of their marks, and are labelled directly. Text and axes have the colour of the surrounding text, so that
//! a figure fits dark and light pages.

use super::chart::{Chart, Point, Row, Series};
use super::scale::Scale;
use crate::printable::html_text;

/// Without black and yellow, which are invisible on a dark or a light page.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const SHAPES: usize = 7;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 64.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 52.0;
/// Minimum and maximum space for labels of series and rows.
const NAMES: (f64, f64) = (170.0, 400.0);
/// Approximate width of a letter.
const LETTER: f64 = 7.2;
const ROW: f64 = 30.0;
/// Minimum distance of two labels.
const LINE: f64 = 16.0;

impl Chart {
    /// For embedding in HTML, without a namespace.
    #[must_use]
    pub fn inline(&self, title: &str) -> String {
        self.draw("", title, "")
    }

    /// A standalone file.
    #[must_use]
    pub fn file(&self, title: &str) -> String {
        let style = "<style>svg{color:#1b1b1b;background:#fff}\
                     @media(prefers-color-scheme:dark){svg{color:#e9e9e9;background:#161616}}</style>\n";
        self.draw(" xmlns=\"http://www.w3.org/2000/svg\"", title, style)
    }

    fn draw(&self, language: &str, title: &str, style: &str) -> String {
        let (height, body) = match self {
            Self::Lines { x, y, logarithmic, series } => {
                (HEIGHT, lines(x, y, *logarithmic, series))
            }
            Self::Rows { x, kinds, rows } => rows_of(x, kinds, rows),
        };
        let title = html_text(title);
        format!(
            "<svg{language} viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
             font-family=\"system-ui, sans-serif\" font-size=\"13\">\n<title>{title}</title>\n{style}{body}</svg>\n"
        )
    }
}

fn lines(x: &str, y: &str, logarithmic: bool, series: &[Series]) -> String {
    let (right, bottom) = (WIDTH - room(series.iter().map(|one| &one.label)), HEIGHT - BOTTOM);
    let points = || series.iter().flat_map(|series| &series.points);
    let horizontal = Scale::over(points().map(|p| p.x), logarithmic, LEFT, right);
    let ends = points().flat_map(|p| [p.y - p.half.unwrap_or(0.0), p.y + p.half.unwrap_or(0.0)]);
    let vertical = Scale::over(ends, false, bottom, TOP);
    let mut out = frame(&horizontal, x, right, bottom);
    for (value, name) in vertical.marks() {
        let at = vertical.at(value);
        out.push_str(&rule(LEFT, at, right, at, 0.15));
        out.push_str(&text(LEFT - 8.0, at + 4.0, "end", &name));
    }
    let middle = 0.5 * (TOP + bottom);
    out.push_str(&format!(
        "<text transform=\"translate(16 {middle:.1}) rotate(-90)\" text-anchor=\"middle\" fill=\"currentColor\">{}</text>\n",
        html_text(y)
    ));
    let mut names = Vec::new();
    for (at, one) in series.iter().enumerate() {
        let colour = colour(at);
        let path = |curve: &[(f64, f64)], dash: &str| {
            let inside: Vec<String> = curve
                .iter()
                .map(|&(x, y)| (horizontal.at(x), vertical.at(y)))
                .filter(|(_, y)| (TOP..=bottom).contains(y))
                .map(|(x, y)| format!("{x:.1},{y:.1}"))
                .collect();
            format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>\n",
                inside.join(" ")
            )
        };
        if one.joined {
            let joined: Vec<(f64, f64)> = one.points.iter().map(|p| (p.x, p.y)).collect();
            out.push_str(&path(&joined, ""));
        }
        if !one.curve.is_empty() {
            out.push_str(&path(&one.curve, ""));
        }
        if !one.dashed.is_empty() {
            out.push_str(&path(&one.dashed, " stroke-dasharray=\"6 5\""));
        }
        for point in &one.points {
            let (x, y) = (horizontal.at(point.x), vertical.at(point.y));
            if let Some(half) = point.half {
                let (low, high) = (vertical.at(point.y - half), vertical.at(point.y + half));
                out.push_str(&whisker((x, low), (x, high), colour));
            }
            out.push_str(&mark(at, x, y, colour));
        }
        if let Some(last) = one.points.last() {
            names.push((vertical.at(last.y), at));
        }
    }
    // Labels are at the ends of their series, moved apart if they overlap.
    names.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut least = TOP + 4.0;
    let mut placed = Vec::new();
    for (wish, at) in names {
        let place = wish.max(least);
        least = place + LINE;
        placed.push((place, at));
    }
    let over = (least - LINE - bottom).max(0.0);
    for (place, at) in placed {
        let place = (place - over).max(TOP);
        out.push_str(&mark(at, right + 14.0, place, colour(at)));
        out.push_str(&text(right + 26.0, place + 4.0, "start", &series[at].label));
    }
    out
}

/// Space for the longest of these labels, with a mark.
fn room<'a>(names: impl Iterator<Item = &'a String>) -> f64 {
    let longest = names.map(|name| name.chars().count()).max().unwrap_or(0);
    (36.0 + LETTER * longest as f64).clamp(NAMES.0, NAMES.1)
}

fn rows_of(x: &str, kinds: &[String], rows: &[Row]) -> (f64, String) {
    let legend = 24.0;
    let bottom = TOP + legend + ROW * rows.len() as f64;
    let (left, right) = (room(rows.iter().map(|row| &row.label)), WIDTH - 20.0);
    let points = || rows.iter().flat_map(|row| row.points.iter().flatten());
    let ends = points().flat_map(|p| [p.y - p.half.unwrap_or(0.0), p.y + p.half.unwrap_or(0.0)]);
    let scale = Scale::over(ends, false, left, right);
    let mut out = frame(&scale, x, right, bottom);
    let mut at_x = left;
    for (at, kind) in kinds.iter().enumerate() {
        out.push_str(&mark(at, at_x + 6.0, TOP + 4.0, colour(at)));
        out.push_str(&text(at_x + 18.0, TOP + 8.0, "start", kind));
        at_x += 40.0 + LETTER * kind.chars().count() as f64;
    }
    for (number, row) in rows.iter().enumerate() {
        let y = TOP + legend + ROW * (number as f64 + 0.5);
        out.push_str(&rule(left, y, right, y, 0.15));
        out.push_str(&text(left - 10.0, y + 4.0, "end", &row.label));
        for (at, point) in row.points.iter().enumerate() {
            let Some(Point { y: value, half, .. }) = point else { continue };
            // Offset kinds slightly, so that equal values are both visible.
            let y = y + 5.0 * (at as f64 - 0.5 * (kinds.len() as f64 - 1.0));
            if let Some(half) = half {
                let (low, high) = (scale.at(value - half), scale.at(value + half));
                out.push_str(&whisker((low, y), (high, y), colour(at)));
            }
            out.push_str(&mark(at, scale.at(*value), y, colour(at)));
        }
    }
    (bottom + BOTTOM, out)
}

/// The horizontal axis with its ticks and label.
fn frame(scale: &Scale, name: &str, right: f64, bottom: f64) -> String {
    let left = scale.at_start();
    let mut out = rule(left, bottom, right, bottom, 0.8);
    for (value, name) in scale.marks() {
        let at = scale.at(value);
        out.push_str(&rule(at, bottom, at, bottom + 5.0, 0.8));
        out.push_str(&text(at, bottom + 20.0, "middle", &name));
    }
    out.push_str(&text(0.5 * (left + right), bottom + 42.0, "middle", name));
    out
}

fn colour(at: usize) -> &'static str {
    COLOURS[at % COLOURS.len()]
}

fn rule(x1: f64, y1: f64, x2: f64, y2: f64, opacity: f64) -> String {
    format!(
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"currentColor\" stroke-opacity=\"{opacity}\"/>\n"
    )
}

fn whisker((x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str) -> String {
    format!(
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" stroke-width=\"1.5\"/>\n"
    )
}

fn text(x: f64, y: f64, anchor: &str, text: &str) -> String {
    let text = html_text(text);
    format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"currentColor\">{text}</text>\n"
    )
}

/// The mark of a series by its index. The numbers of shapes and colours are coprime, so that 42 series are
/// all different.
fn mark(number: usize, x: f64, y: f64, colour: &str) -> String {
    let polygon = |corners: &[(f64, f64)]| {
        let corners: Vec<String> =
            corners.iter().map(|(dx, dy)| format!("{:.1},{:.1}", x + dx, y + dy)).collect();
        format!("<polygon points=\"{}\" fill=\"{colour}\"/>\n", corners.join(" "))
    };
    let strokes = |path: &str| {
        format!(
            "<path transform=\"translate({x:.1} {y:.1})\" d=\"{path}\" stroke=\"{colour}\" stroke-width=\"2.5\" fill=\"none\"/>\n"
        )
    };
    match number % SHAPES {
        0 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\" fill=\"{colour}\"/>\n"),
        1 => polygon(&[(-4.2, -4.2), (4.2, -4.2), (4.2, 4.2), (-4.2, 4.2)]),
        2 => polygon(&[(0.0, -5.5), (5.2, 4.0), (-5.2, 4.0)]),
        3 => polygon(&[(0.0, -6.0), (6.0, 0.0), (0.0, 6.0), (-6.0, 0.0)]),
        4 => polygon(&[(0.0, 5.5), (5.2, -4.0), (-5.2, -4.0)]),
        5 => strokes("M-5 0H5M0 -5V5"),
        _ => strokes("M-4 -4L4 4M4 -4L-4 4"),
    }
}
