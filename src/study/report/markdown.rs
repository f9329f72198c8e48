//! A document in Markdown.

use super::document::{Block, Document, Table};
use crate::printable::{printable, printable_lines};

impl Document {
    /// The document as Markdown; figures are files in `figures/`.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("# {}\n", escaped(&self.title));
        for block in &self.blocks {
            text.push('\n');
            match block {
                Block::Heading(heading) => text.push_str(&format!("## {}\n", escaped(heading))),
                Block::Text(paragraph) => text.push_str(&format!("{}\n", escaped(paragraph))),
                Block::Table(data) => {
                    text.push_str(&format!("{}\n\n{}", escaped(&data.caption), table(data)));
                }
                Block::Figure(figure) => {
                    let caption = escaped(&figure.caption);
                    text.push_str(&format!("![{caption}](figures/{}.svg)\n", figure.name));
                }
                Block::Code(code) => {
                    // Longer than any run of backticks inside.
                    let code = printable_lines(code);
                    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
                    let fence = "`".repeat(longest.max(2) + 1);
                    text.push_str(&format!("{fence}\n{}\n{fence}\n", code.trim_end()));
                }
            }
        }
        text
    }
}

/// A pipe table.
pub(super) fn table(table: &Table) -> String {
    let row = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule: Vec<&str> =
        (0..table.columns.len()).map(|at| if at == 0 { "---" } else { "---:" }).collect();
    let mut text = row(&table.columns);
    text.push_str(&format!("| {} |\n", rule.join(" | ")));
    table.rows.iter().for_each(|cells| text.push_str(&row(cells)));
    text
}

/// Escapes text for Markdown, on one line. HTML in it becomes entities: not every renderer reads `\<` as text.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let text = text.replace(['\n', '\r'], " ");
    for c in printable(&text).chars() {
        match c {
            '\\' | '|' | '*' | '_' | '`' | '[' | ']' | '#' | '~' | '$' => out.extend(['\\', c]),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            _ => out.push(c),
        }
    }
    out
}
