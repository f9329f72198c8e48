//! A document as one self-contained HTML file.

use super::document::{Block, Document, Table};
use crate::printable::html_text;

/// Follows the reader's dark or light preference; light on paper. Wide tables scroll on a screen.
const STYLE: &str = "\
:root{color-scheme:light dark;--text:#1b1b1b;--back:#fff;--line:#bbb;--soft:#f3f3f3}\
@media(prefers-color-scheme:dark){:root{--text:#e9e9e9;--back:#161616;--line:#555;--soft:#222}}\
@media print{:root{--text:#000;--back:#fff;--line:#999;--soft:#f3f3f3}\
.wide{overflow:visible!important}table{font-size:9pt}figure,tr{break-inside:avoid}\
h2,caption{break-after:avoid}nav{display:none}}\
body{font:16px/1.5 system-ui,sans-serif;color:var(--text);background:var(--back);\
max-width:62rem;margin:2rem auto;padding:0 1rem}\
h1{line-height:1.2}h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}\
.wide{overflow-x:auto}table{border-collapse:collapse;margin:1rem 0;font-size:.9rem;\
font-variant-numeric:tabular-nums}caption{text-align:left;padding:.3rem 0;font-weight:600}\
th,td{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}\
td{white-space:nowrap}th:first-child,td:first-child{text-align:left}thead th{border-bottom-width:2px}\
figure{margin:1.5rem 0}figcaption{font-size:.9rem}svg{max-width:100%;height:auto}\
pre{background:var(--soft);padding:1rem;overflow-x:auto;font-size:.85rem;white-space:pre-wrap}\
nav ul{columns:2;padding-left:1.2rem}a{color:inherit}";

impl Document {
    /// The document as one file.
    #[must_use]
    pub fn html(&self) -> String {
        let title = html_text(&self.title);
        let mut body = format!("<h1>{title}</h1>\n{}", self.contents());
        let mut headings = 0;
        for block in &self.blocks {
            match block {
                Block::Heading(text) => {
                    headings += 1;
                    body.push_str(&format!("<h2 id=\"part{headings}\">{}</h2>\n", html_text(text)));
                }
                Block::Text(text) => body.push_str(&format!("<p>{}</p>\n", html_text(text))),
                Block::Table(data) => body.push_str(&table(data)),
                Block::Figure(figure) => {
                    let (caption, svg) =
                        (html_text(&figure.caption), figure.chart.inline(&figure.caption));
                    body.push_str(&format!(
                        "<figure>\n{svg}<figcaption>{caption}</figcaption>\n</figure>\n"
                    ));
                }
                Block::Code(text) => body.push_str(&format!("<pre>{}</pre>\n", html_text(text))),
            }
        }
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
        )
    }

    fn contents(&self) -> String {
        let headings = self.blocks.iter().filter_map(|block| match block {
            Block::Heading(text) => Some(text),
            _ => None,
        });
        let items: String = headings
            .enumerate()
            .map(|(at, text)| {
                format!("<li><a href=\"#part{}\">{}</a></li>\n", at + 1, html_text(text))
            })
            .collect();
        if items.is_empty() { items } else { format!("<nav><ul>\n{items}</ul></nav>\n") }
    }
}

fn table(table: &Table) -> String {
    let head: String = table
        .columns
        .iter()
        .map(|text| format!("<th scope=\"col\">{}</th>", html_text(text)))
        .collect();
    let row = |cells: &Vec<String>| -> String {
        let cells: String = cells
            .iter()
            .enumerate()
            .map(|(at, text)| match at {
                0 => format!("<th scope=\"row\">{}</th>", html_text(text)),
                _ => format!("<td>{}</td>", html_text(text)),
            })
            .collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = table.rows.iter().map(row).collect();
    let caption = html_text(&table.caption);
    format!(
        "<div class=\"wide\"><table>\n<caption>{caption}</caption>\n<thead><tr>{head}</tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table></div>\n"
    )
}
