//! The limits on what LoRB reads.
//!
//! Bases, adapters, lists and studies may come from anyone, so every reader bounds what a file can make it allocate or
//! compute. All limits are here. Each is far above what files of its kind need. A file beyond a limit is an error that
//! names the limit.
//!
//! | what | limits |
//! |---|---|
//! | bases and adapters | [`MAX_JSON_BYTES`], [`MAX_TOKENIZER_BYTES`], [`MAX_VOCABULARY_BYTES`], [`MAX_HEADER_BYTES`], [`MAX_CONFIG_SIZE`] |
//! | a line of lists | [`MAX_LINE_BYTES`], [`MAX_HYPOTHESES`], [`MAX_TEXT_BYTES`], [`MAX_TEXT_WORDS`], [`MAX_ID_BYTES`], [`MAX_UNKNOWN_KEYS`] |
//! | a stream of lists | [`MAX_BLANK_BYTES`], [`MAX_SKIPPED_LINE_BYTES`], [`MAX_GZIP_RATIO`], [`GZIP_FREE_BYTES`] |
//! | lists in memory | [`CHUNK_HYPOTHESES`], [`CHUNK_BYTES`], [`MAX_LISTS_BYTES`] |
//! | studies | [`MAX_STUDY_BYTES`], [`MAX_DICTIONARY_BYTES`], [`MAX_RESULT_LINE_BYTES`], [`MAX_RESULTS_BYTES`] |

/// Bytes of a JSON file of settings: `config.json`, `tokenizer_config.json`, `adapter_config.json`. Published ones have
/// a few kilobytes.
pub const MAX_JSON_BYTES: u64 = 1 << 20;

/// Bytes of `tokenizer.json`. Vocabularies of 250,000 pieces, the largest of published encoders, need 17 MB.
pub const MAX_TOKENIZER_BYTES: u64 = 64 << 20;

/// Bytes of `vocab.txt`. The vocabulary of the multilingual BERT, 120,000 pieces, needs 1 MB.
pub const MAX_VOCABULARY_BYTES: u64 = 16 << 20;

/// Bytes of a safetensors header. The parsed header needs several times as much memory; 1,000 tensors need 100 kB.
pub const MAX_HEADER_BYTES: u64 = 16 << 20;

/// Value of a size in `config.json`. It prevents overflow in products of sizes; the largest published BERT has 24
/// layers of 1024.
pub const MAX_CONFIG_SIZE: u64 = 1 << 24;

/// Bytes of a line of lists, after decompression. 200 hypotheses of 512 words need 600 kB, or 1.8 MB in a script of
/// three bytes per letter.
pub const MAX_LINE_BYTES: usize = 2 << 20;

/// Hypotheses in a list. Recognisers return 5 to 100.
pub const MAX_HYPOTHESES: usize = 200;

/// Bytes of a hypothesis or a reference. The model reads the first 510 word pieces, about 3 kB; an hour of speech has
/// about 50 kB.
pub const MAX_TEXT_BYTES: usize = 64 << 10;

/// Words of a hypothesis or a reference. The time for counting word errors can be proportional to the product of both.
/// An hour of speech has about 9,000 words.
pub const MAX_TEXT_WORDS: usize = 10_000;

/// Bytes of the id of an utterance, the longest path on most systems.
pub const MAX_ID_BYTES: usize = 4096;

/// Unknown keys of a list or of one of its hypotheses. Each is stored separately, so many small ones need several times
/// the memory of their line.
pub const MAX_UNKNOWN_KEYS: usize = 256;

/// Bytes of blank lines between two lists.
pub const MAX_BLANK_BYTES: u64 = 1 << 20;

/// Bytes of an invalid line that a reader skips. A longer one is not a line of text, and reading it may never end.
pub const MAX_SKIPPED_LINE_BYTES: u64 = 64 << 20;

/// Bytes that a gzip stream of lists may expand to for every byte read, beyond [`GZIP_FREE_BYTES`]. Lists compress to a
/// fifth up to a fiftieth; only repeated data reaches 100.
pub const MAX_GZIP_RATIO: u64 = 100;

/// Bytes that any gzip stream of lists may expand to, whatever its size.
pub const GZIP_FREE_BYTES: u64 = 64 << 20;

/// Hypotheses that are read and scored together: enough to fill batches of similar lengths, few enough to react to an
/// interruption soon.
pub const CHUNK_HYPOTHESES: usize = 1024;

/// Bytes in memory of lists that are read and scored together. 1024 hypotheses of 512 words need 4 MB.
pub const CHUNK_BYTES: usize = 8 << 20;

/// Bytes in memory of lists that a command needs all at once: training, tuning, studies, and ESPnet's folders. 280,000
/// utterances with 20 hypotheses of 35 words need 2 GB.
pub const MAX_LISTS_BYTES: u64 = 4 << 30;

/// Bytes of the configuration of a study.
pub const MAX_STUDY_BYTES: u64 = 1 << 20;

/// Bytes of a pronunciation dictionary. CMUdict has 4 MB.
pub const MAX_DICTIONARY_BYTES: u64 = 64 << 20;

/// Bytes of a line of a study's results. It has a few numbers for every test utterance of every domain.
pub const MAX_RESULT_LINE_BYTES: u64 = 64 << 20;

/// Bytes of a study's results.
pub const MAX_RESULTS_BYTES: u64 = 1 << 30;
