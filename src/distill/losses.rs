//! Which parts of a student are compared with its teacher, and how.

use std::fmt;
use std::str::FromStr;

use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};

/// Added to a logit to exclude it.
const EXCLUDED: f32 = -1e9;

/// Which parts are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Losses {
    /// The embeddings' output.
    pub embeddings: bool,
    /// The outputs of the layers but the last.
    pub hidden: bool,
    /// `[CLS]` of the last layer.
    pub cls: bool,
    /// How similar the words of a text are to each other, by the keys and by the values of every layer.
    pub relations: bool,
    /// How much the words of a text attend to each other in every layer.
    pub attention: bool,
}

impl Losses {
    /// The states: for a student as wide as its teacher.
    pub const STATES: Self =
        Self { embeddings: true, hidden: true, cls: true, relations: false, attention: false };

    /// The relations: for a student of any width.
    pub const RELATIONS: Self =
        Self { embeddings: false, hidden: false, cls: false, relations: true, attention: false };

    /// The names, in the order of the fields.
    pub const NAMES: [&'static str; 5] = ["embeddings", "hidden", "cls", "relations", "attention"];

    /// Whether states are compared, which must be equally wide.
    #[must_use]
    pub fn of_states(self) -> bool {
        self.embeddings || self.hidden || self.cls
    }

    /// The pairs of queries (0), keys (1) and values (2) whose products are compared.
    pub(super) fn products(self) -> Vec<(usize, usize)> {
        let relations: &[_] = if self.relations { &[(1, 1), (2, 2)] } else { &[] };
        let attention: &[_] = if self.attention { &[(0, 1)] } else { &[] };
        [relations, attention].concat()
    }
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { embeddings, hidden, cls, relations, attention } = *self;
        let used = Self::NAMES.into_iter().zip([embeddings, hidden, cls, relations, attention]);
        let names: Vec<&str> = used.filter(|(_, used)| *used).map(|(name, _)| name).collect();
        f.write_str(&names.join(","))
    }
}

impl FromStr for Losses {
    type Err = String;

    /// Names separated by commas.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut set = [false; Self::NAMES.len()];
        for name in text.split(',') {
            let found = Self::NAMES.iter().position(|known| *known == name.trim());
            let known = Self::NAMES.join(", ");
            set[found.ok_or_else(|| format!("{name:?} is not a loss; use {known}"))?] = true;
        }
        let [embeddings, hidden, cls, relations, attention] = set;
        Ok(Self { embeddings, hidden, cls, relations, attention })
    }
}

/// Takes the mean of the tokens of every word.
pub(super) struct Pooling {
    /// Word of each token, `[T]`.
    words: Tensor<1, Int>,
    /// One through the number of tokens of each word, `[W, 1]`.
    shares: Tensor<2>,
}

impl Pooling {
    /// From the word of each token.
    pub fn new(words: &[usize], device: &Device) -> Self {
        let count = words.last().map_or(0, |last| last + 1);
        let mut tokens = vec![0.0f32; count];
        words.iter().for_each(|word| tokens[*word] += 1.0);
        tokens.iter_mut().for_each(|tokens| *tokens = tokens.recip());
        let words: Vec<i32> = words.iter().map(|word| *word as i32).collect();
        Self {
            words: Tensor::from_ints(words.as_slice(), device),
            shares: Tensor::<1>::from_floats(tokens.as_slice(), device).reshape([count, 1]),
        }
    }
}

/// `[T, H]` to `[W, H]`; unchanged if tokens are compared.
pub(super) fn pooled(x: &Tensor<2>, pooling: Option<&Pooling>) -> Tensor<2> {
    let Some(Pooling { words, shares }) = pooling else { return x.clone() };
    let [count, _] = shares.dims();
    let [_, width] = x.dims();
    let sums = Tensor::zeros([count, width], &x.device());
    sums.select_assign(0, words.clone(), x.clone(), IndexingUpdateOp::Add) * shares.clone()
}

/// `mean((student - teacher)^2)`, `[1]`.
pub(super) fn squared_difference(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    let difference = student - teacher;
    (difference.clone() * difference).mean()
}

/// The places of the words of some texts in a table of equally long rows.
pub(super) struct Grid {
    /// Row of each place, `[S L]`; of a place without a word, any.
    rows: Tensor<1, Int>,
    /// Added to the logits, `[S, 1, 1, L]`.
    mask: Tensor<4>,
    /// One through the number of words of all texts at their places, 0 at the others, `[S, 1, L]`.
    weights: Tensor<3>,
    texts: usize,
    length: usize,
}

impl Grid {
    /// From the number of words of each text.
    pub fn new(lengths: &[usize], device: &Device) -> Self {
        let length = lengths.iter().copied().max().unwrap_or(0);
        let words: usize = lengths.iter().sum();
        let (mut rows, mut mask, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        let mut first = 0;
        for &own in lengths {
            for place in 0..length {
                let there = place < own;
                rows.push(if there { (first + place) as i32 } else { 0 });
                mask.push(if there { 0.0 } else { EXCLUDED });
                weights.push(if there { 1.0 / words as f32 } else { 0.0 });
            }
            first += own;
        }
        let texts = lengths.len();
        Self {
            rows: Tensor::from_ints(rows.as_slice(), device),
            mask: Tensor::from_data(TensorData::new(mask, [texts, 1, 1, length]), device),
            weights: Tensor::from_data(TensorData::new(weights, [texts, 1, length]), device),
            texts,
            length,
        }
    }

    /// Products of the words of each text by each head, `[S, heads, L, L]`, as logits: `x` and `y` are two of the three
    /// parts of `qkv [W, 3H]`.
    fn logits(&self, qkv: &Tensor<2>, (x, y): (usize, usize), heads: usize) -> Tensor<4> {
        let width = qkv.dims()[1] / 3;
        let wide = width / heads;
        let part = |at: usize| {
            let part = qkv.clone().narrow(1, at * width, width).select(0, self.rows.clone());
            part.reshape([self.texts, self.length, heads, wide]).swap_dims(1, 2)
        };
        let scale = 1.0 / (wide as f64).sqrt();
        part(x).matmul(part(y).transpose()).mul_scalar(scale) + self.mask.clone()
    }

    /// The divergence of the student's products from the teacher's, `[1]`, both from queries, keys and values, `[W, 3H]`:
    ///
    /// ```text
    /// mean over words and heads of KL(softmax(teacher) || softmax(student)),  logits = X Y' / sqrt(width of a head)
    /// ```
    ///
    /// X and Y are queries and keys for attention (Wang et al., "MiniLM", arXiv 2002.10957), twice keys or twice values
    /// for relations ("MiniLMv2", arXiv 2012.15828).
    pub fn divergence(
        &self,
        student: &Tensor<2>,
        teacher: &Tensor<2>,
        product: (usize, usize),
        heads: usize,
    ) -> Tensor<1> {
        let teacher = self.logits(teacher, product, heads);
        let student = log_softmax(self.logits(student, product, heads), 3);
        let difference = log_softmax(teacher.clone(), 3) - student;
        let by_word = (softmax(teacher, 3) * difference).sum_dim(3);
        let by_word = by_word.reshape([self.texts, heads, self.length]);
        (by_word * self.weights.clone()).sum().div_scalar(heads as f64)
    }
}
