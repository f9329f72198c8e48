//! The tokens that a `tokenizer.json` puts around a text (`post_processor`).

use std::collections::HashMap;

use serde::Deserialize;

/// The ids before and after a text, and their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub start: (String, u32),
    pub end: (String, u32),
}

/// The kinds of post-processors that LoRB reads.
#[derive(Deserialize)]
#[serde(tag = "type")]
pub enum Template {
    #[serde(rename = "BertProcessing")]
    Bert { cls: (String, u32), sep: (String, u32) },
    #[serde(rename = "RobertaProcessing")]
    Roberta { cls: (String, u32), sep: (String, u32) },
    #[serde(rename = "TemplateProcessing")]
    Places { single: Vec<Place>, special_tokens: HashMap<String, Special> },
}

#[derive(Deserialize)]
pub enum Place {
    Sequence { id: Sequence },
    SpecialToken { id: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Sequence {
    A,
    B,
}

#[derive(Deserialize)]
pub struct Special {
    ids: Vec<u32>,
}

impl Template {
    /// One token before and one after the text; `None` if the file adds none.
    pub fn frame(self) -> Result<Option<Frame>, String> {
        let (single, special) = match self {
            Self::Bert { cls, sep } | Self::Roberta { cls, sep } => {
                return Ok(Some(Frame { start: cls, end: sep }));
            }
            Self::Places { single, special_tokens } => (single, special_tokens),
        };
        let (mut before, mut after, mut texts) = (Vec::new(), Vec::new(), 0);
        for place in single {
            match place {
                Place::Sequence { id: Sequence::A } => texts += 1,
                Place::Sequence { id: Sequence::B } => {
                    return Err("its template for one text uses sequence B".to_owned());
                }
                Place::SpecialToken { id: name } => {
                    let Some(token) = special.get(&name) else {
                        return Err(format!(
                            "its template uses {name:?}, which is not one of its special tokens"
                        ));
                    };
                    let side = if texts == 0 { &mut before } else { &mut after };
                    side.extend(token.ids.iter().map(|id| (name.clone(), *id)));
                }
            }
        }
        if texts != 1 {
            return Err(format!("its template contains the text {texts} times; expected once"));
        }
        match (before.len(), after.len()) {
            (0, 0) => Ok(None),
            (1, 1) => Ok(before.pop().zip(after.pop()).map(|(start, end)| Frame { start, end })),
            (before, after) => Err(format!(
                "its template puts {before} tokens before and {after} after a text; expected one \
                 each"
            )),
        }
    }
}
