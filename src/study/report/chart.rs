//! The contents of a figure.

/// The contents of a figure.
#[derive(Debug, Clone, PartialEq)]
pub enum Chart {
    /// Series of points over an axis.
    Lines {
        /// Name of the horizontal axis.
        x: String,
        /// Name of the vertical axis.
        y: String,
        /// Whether the horizontal axis is logarithmic.
        logarithmic: bool,
        /// The series.
        series: Vec<Series>,
    },
    /// One row per system, with a point per kind in it.
    Rows {
        /// Name of the horizontal axis.
        x: String,
        /// Names of the points of a row, in order.
        kinds: Vec<String>,
        /// The rows.
        rows: Vec<Row>,
    },
}

/// A point with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Horizontal value; not used in a row.
    pub x: f64,
    /// Value.
    pub y: f64,
    /// Half the width of its interval, if there is one.
    pub half: Option<f64>,
}

/// Points of one system.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series {
    /// Label.
    pub label: String,
    /// The points, by x.
    pub points: Vec<Point>,
    /// Whether neighbouring points are connected.
    pub joined: bool,
    /// A fitted curve, drawn solid.
    pub curve: Vec<(f64, f64)>,
    /// Another, dashed.
    pub dashed: Vec<(f64, f64)>,
}

/// A system in a [`Chart::Rows`].
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its name.
    pub label: String,
    /// One optional point per kind.
    pub points: Vec<Option<Point>>,
}

impl Chart {
    /// Whether there is nothing to draw.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Lines { series, .. } => series.iter().all(|series| series.points.is_empty()),
            Self::Rows { rows, .. } => {
                rows.iter().all(|row| row.points.iter().all(Option::is_none))
            }
        }
    }
}
