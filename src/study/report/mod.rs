//! The report of a study: one document, as HTML, Markdown and SVG.
//!
//! | file | what |
//! |---|---|
//! | `document` | headings, paragraphs, tables and figures |
//! | `html`, `markdown` | the document as text |
//! | `chart`, `scale`, `svg` | figures, their axes, and how they are drawn |
//! | `view` | the runs of a study, grouped over seeds |
//! | `numbers` | formatting of numbers |
//! | `sections` | the contents, one file per section |

mod chart;
mod document;
mod html;
mod markdown;
mod numbers;
mod scale;
mod sections;
mod svg;
mod view;

#[cfg(test)]
mod tests;

pub use chart::{Chart, Point, Row, Series};
pub use document::{Block, Document, Figure, Table};

use super::config::StudyConfig;
use super::plan::Plan;
use super::record::Record;
use view::View;

/// The report of a plan's results so far. Sections without results are omitted.
#[must_use]
pub fn document(config: &StudyConfig, plan: &Plan, records: &[Record]) -> Document {
    let view = View::new(config, plan, records);
    let mut document = Document::new(&config.name);
    sections::head(&view, &mut document);
    sections::methods(&view, &mut document);
    sections::cost(&view, &mut document);
    sections::data(&view, &mut document);
    sections::bases(&view, &mut document);
    sections::stability(&view, &mut document);
    sections::correlation(&view, &mut document);
    sections::gain(&view, &mut document);
    sections::robustness(&view, &mut document);
    sections::failed(&view, &mut document);
    sections::how(&view, &mut document);
    sections::configuration(&view, &mut document);
    document
}
