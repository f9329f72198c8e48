//! Headings, paragraphs, tables and figures.

use super::chart::Chart;

/// A part of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// A heading of the second level.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// A table.
    Table(Table),
    /// A figure.
    Figure(Figure),
    /// Preformatted text, such as a configuration.
    Code(String),
}

/// A table. The first column is text, the others are numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Caption.
    pub caption: String,
    /// Column headers.
    pub columns: Vec<String>,
    /// Rows, with one cell per column.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new(caption: impl Into<String>, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        Self { caption: caption.into(), columns, rows: Vec::new() }
    }
}

/// A figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Name of its file, without extension.
    pub name: String,
    /// Caption.
    pub caption: String,
    /// The chart.
    pub chart: Chart,
}

/// A report.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    pub(super) title: String,
    pub(super) blocks: Vec<Block>,
}

impl Document {
    /// An empty document.
    #[must_use]
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), blocks: Vec::new() }
    }

    /// Adds a heading.
    pub fn heading(&mut self, text: &str) {
        self.blocks.push(Block::Heading(text.to_owned()));
    }

    /// Adds a paragraph.
    pub fn text(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Text(text.into()));
    }

    /// Adds a table, unless it has no rows.
    pub fn table(&mut self, table: Table) {
        if !table.rows.is_empty() {
            self.blocks.push(Block::Table(table));
        }
    }

    /// Adds a figure, unless it is empty.
    pub fn figure(&mut self, name: &str, caption: impl Into<String>, chart: Chart) {
        if !chart.is_empty() {
            let (name, caption) = (name.to_owned(), caption.into());
            self.blocks.push(Block::Figure(Figure { name, caption, chart }));
        }
    }

    /// Adds preformatted text.
    pub fn code(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Code(text.into()));
    }

    /// Every figure as a file: name and SVG.
    #[must_use]
    pub fn figures(&self) -> Vec<(String, String)> {
        let figure = |block: &Block| match block {
            Block::Figure(figure) => {
                Some((format!("{}.svg", figure.name), figure.chart.file(&figure.caption)))
            }
            _ => None,
        };
        self.blocks.iter().filter_map(figure).collect()
    }

    /// The first table in Markdown: the comparison of methods, if there is one.
    #[must_use]
    pub fn summary(&self) -> String {
        let first = self.blocks.iter().find_map(|block| match block {
            Block::Table(table) => Some(super::markdown::table(table)),
            _ => None,
        });
        first.unwrap_or_default()
    }
}
