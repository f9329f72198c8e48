//! The limits on what LoRB reads.
//!
//! Bases, adapters, lists and studies may come from anyone, so every reader bounds what a file can make it allocate or
//! compute. All limits are here. Each is far above what files of its kind need. A file beyond a limit is an error that
//! names the limit.
//!
//! | what | limits |
//! |---|---|
//! | bases and adapters | [`MAX_JSON_BYTES`], [`MAX_INDEX_BYTES`], [`MAX_SHARDS`], [`MAX_TOKENIZER_BYTES`], [`MAX_VOCABULARY_BYTES`], [`MAX_HEADER_BYTES`], [`MAX_CONFIG_SIZE`], [`MAX_BASE_PARAMETERS`], [`MAX_UNUSED_BYTES`], [`MAX_ADAPTER_BYTES`], [`CHECKPOINT_BYTES_PER_PARAMETER`], [`MAX_CHECKPOINT_EXTRA_BYTES`] |
//! | a safetensors header | [`MAX_TENSORS`], [`MAX_AXES`], [`MAX_METADATA_ENTRIES`], [`MAX_NAME_BYTES`] |
//! | `pytorch_model.bin` | [`MAX_ARCHIVE_ENTRIES`], [`MAX_ARCHIVE_DIRECTORY_BYTES`], [`MAX_PICKLE_BYTES`], [`MAX_PICKLE_STACK`], [`MAX_PICKLE_MEMO`], [`MAX_PICKLE_DEPTH`], [`MAX_VIEW_RATIO`] |
//! | tokenizers | [`MAX_PIECES`], [`MAX_PIECE_BYTES`], [`MAX_WORD_CHARS`], [`MAX_ADDED_TOKENS`], [`MAX_ADDED_TOKEN_BYTES`] |
//! | tokenizers other than BERT's own | [`MAX_TOKENIZER_PARTS`], [`MAX_PATTERN_BYTES`], [`MAX_CHARSMAP_BYTES`], [`MAX_GENERAL_TEXT_BYTES`], [`MAX_NORMALIZED_BYTES`] |
//! | a line of lists | [`MAX_LINE_BYTES`], [`MAX_HYPOTHESES`], [`MAX_TEXT_BYTES`], [`MAX_TEXT_WORDS`], [`MAX_ID_BYTES`], [`MAX_UNKNOWN_KEYS`], [`MAX_SCORE_PARTS`] |
//! | a stream of lists | [`MAX_BLANK_BYTES`], [`MAX_SKIPPED_LINE_BYTES`], [`MAX_GZIP_RATIO`], [`GZIP_FREE_BYTES`] |
//! | lists in memory | [`CHUNK_HYPOTHESES`], [`CHUNK_BYTES`], [`MAX_LISTS_BYTES`] |
//! | plain text | [`MAX_CORPUS_BYTES`], [`MAX_TEXT_BYTES`] for a line |
//! | downloads | [`MAX_DOWNLOAD_BYTES`] |
//! | messages | [`MAX_MESSAGE_CHARACTERS`] |
//! | studies | [`MAX_STUDY_BYTES`], [`MAX_STUDY_IDENTITY_BYTES`], [`MAX_CELLS`], [`MAX_UTTERANCE_COUNT`], [`MAX_RESULT_PARTS`], [`MAX_DICTIONARY_BYTES`], [`MAX_RESULT_LINE_BYTES`], [`MAX_RESULTS_BYTES`] |

/// Bytes of a JSON file of settings: `config.json`, `tokenizer_config.json`, `adapter_config.json`. Published ones have
/// a few kilobytes.
pub const MAX_JSON_BYTES: u64 = 1 << 20;

/// Entries of an archive of `torch.save`: one for each tensor, and a few more.
pub const MAX_ARCHIVE_ENTRIES: u64 = 1 << 15;

/// Bytes of the directory of such an archive. An entry has about 100.
pub const MAX_ARCHIVE_DIRECTORY_BYTES: u64 = 4 << 20;

/// Bytes of the pickle in such an archive. A tensor has about 150. Every byte can need up to 50 bytes of memory.
pub const MAX_PICKLE_BYTES: u64 = 2 << 20;

/// Values on the stack of a pickle. Python's writer has at most 2,000 there.
pub const MAX_PICKLE_STACK: usize = 1 << 14;

/// Values that a pickle stores for later use. A tensor needs about eight.
pub const MAX_PICKLE_MEMO: usize = 1 << 18;

/// Tuples within tuples in a pickle. Tensors need one.
pub const MAX_PICKLE_DEPTH: u8 = 8;

/// Bytes of a storage between the first and the last element of a tensor, as a multiple of the tensor's. A transposed tensor
/// has 1; a part of a fused query, key and value projection has up to 3.
pub const MAX_VIEW_RATIO: u64 = 4;

/// Bytes of the index of a base in several files. The largest published encoders have 400 tensors in 40 kB.
pub const MAX_INDEX_BYTES: u64 = 4 << 20;

/// Files of a base in several files.
pub const MAX_SHARDS: usize = 256;

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

/// Bytes of the plain text that a smaller base learns from. All of it is in memory, with up to 20 bytes for a byte of text.
pub const MAX_CORPUS_BYTES: u64 = 256 << 20;

/// Words of a hypothesis or a reference. The time for counting word errors can be proportional to the product of both.
/// An hour of speech has about 9,000 words.
pub const MAX_TEXT_WORDS: usize = 10_000;

/// Bytes of the id of an utterance, the longest path on most systems.
pub const MAX_ID_BYTES: usize = 4096;

/// Unknown keys of a list or of one of its hypotheses. Each is stored separately, so many small ones need several times
/// the memory of their line.
pub const MAX_UNKNOWN_KEYS: usize = 256;

/// Parts of the first-pass score of a hypothesis. Recognisers give two to four.
pub const MAX_SCORE_PARTS: usize = 16;

/// Bytes of blank lines between two lists.
pub const MAX_BLANK_BYTES: u64 = 1 << 20;

/// Bytes of an invalid line that a reader skips. A longer one is not a line of text, and reading it may never end.
pub const MAX_SKIPPED_LINE_BYTES: u64 = 64 << 20;

/// Bytes that a gzip stream of lists may expand to for every byte read, beyond [`GZIP_FREE_BYTES`]. Lists compress to a
/// fifth up to a fiftieth; only repeated data reaches 100.
pub const MAX_GZIP_RATIO: u64 = 100;

/// Bytes that any gzip stream of lists may expand to, whatever its size.
pub const GZIP_FREE_BYTES: u64 = 16 << 20;

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

/// Bytes of `study.json`, which contains the configuration as indented JSON.
pub const MAX_STUDY_IDENTITY_BYTES: u64 = 16 * MAX_STUDY_BYTES;

/// Bytes of a pronunciation dictionary. CMUdict has 4 MB.
pub const MAX_DICTIONARY_BYTES: u64 = 64 << 20;

/// Bytes of a line of a study's results. It has a few numbers for every test utterance of every domain.
pub const MAX_RESULT_LINE_BYTES: u64 = 64 << 20;

/// Bytes of a study's results.
pub const MAX_RESULTS_BYTES: u64 = 1 << 30;

/// Word pieces of a vocabulary. The largest of published encoders has 250,000.
pub const MAX_PIECES: usize = 1 << 19;

/// Bytes of a word piece. Those of published vocabularies have up to about 100.
pub const MAX_PIECE_BYTES: usize = 256;

/// Characters of a word that BERT splits into pieces; a longer one is unknown. A file may state another number, up to
/// [`MAX_WORD_CHARS`].
pub const MAX_BERT_WORD_CHARS: usize = 100;

/// Largest number of characters of a word that `tokenizer.json` may state. The time for a word grows with its square.
pub const MAX_WORD_CHARS: u64 = 256;

/// Tokens that `tokenizer.json` adds to the vocabulary. Files with many unused tokens have 1,000.
pub const MAX_ADDED_TOKENS: usize = 1 << 12;

/// Bytes of an added token.
pub const MAX_ADDED_TOKEN_BYTES: usize = 256;

/// Bytes of a part of `tokenizer.json` other than its model and its added tokens. SentencePiece's table of characters,
/// the largest, has 350 kB in base64.
pub const MAX_TOKENIZER_PART_BYTES: usize = 4 << 20;

/// Steps of the normalisation, and of the splitting into words. Files have up to five.
pub const MAX_TOKENIZER_PARTS: usize = 16;

/// Bytes of a text that a step of a tokenizer searches for or inserts. The longest replacement of SentencePiece's table
/// has 33.
pub const MAX_PATTERN_BYTES: usize = 64;

/// Bytes of SentencePiece's table of characters. It has 240 kB.
pub const MAX_CHARSMAP_BYTES: usize = 2 << 20;

/// Bytes that tokenizers other than BERT's own read of a text. 510 word pieces have about 3 kB. BERT's own needs no such
/// limit.
pub const MAX_GENERAL_TEXT_BYTES: usize = 16 << 10;

/// Bytes of a text that such a tokenizer has normalised. The `tokenizers` crate needs 17 bytes of memory for each.
pub const MAX_NORMALIZED_BYTES: usize = 64 << 10;

/// Parameters of a base. The largest published BERT with the largest vocabulary has 560 million.
pub const MAX_BASE_PARAMETERS: u64 = 1 << 30;

/// Bytes of tensors in `model.safetensors` that LoRB reads but does not use: other heads. A copy of the largest published
/// embedding has 1 GB.
pub const MAX_UNUSED_BYTES: u64 = 1 << 30;

/// Bytes of an adapter's weights. Those of full fine-tuning are as large as the base in f32.
pub const MAX_ADAPTER_BYTES: u64 = 4 * MAX_BASE_PARAMETERS + MAX_HEADER_BYTES;

/// Bytes of a checkpoint for each trainable parameter: its value, two moments, gradient, best value, and up to two
/// averages of the method, in f32.
pub const CHECKPOINT_BYTES_PER_PARAMETER: u64 = 4 * 7;

/// Further bytes of a checkpoint: its header, and four for every step.
pub const MAX_CHECKPOINT_EXTRA_BYTES: u64 = 64 << 20;

/// Cells of a study. A study of 100,000 runs of one second takes a day.
pub const MAX_CELLS: usize = 100_000;

/// Errors of one utterance in a study's results, and words of its reference.
pub const MAX_UTTERANCE_COUNT: u32 = 1 << 20;

/// Domains, evaluations, or perturbations of one run in a study's results.
pub const MAX_RESULT_PARTS: usize = 1 << 16;

/// Tensors of a safetensors file. The largest bases have 400, their adapters up to 800.
pub const MAX_TENSORS: usize = 1 << 15;

/// Axes of a tensor.
pub const MAX_AXES: usize = 8;

/// Entries of `__metadata__`. LoRB and Transformers write one or two.
pub const MAX_METADATA_ENTRIES: usize = 1 << 10;

/// Bytes of the name of a tensor or a metadata entry.
pub const MAX_NAME_BYTES: usize = 1 << 10;

/// Characters of a message. More than any message of LoRB has with a few paths in it; longer ones quote a file.
pub const MAX_MESSAGE_CHARACTERS: usize = 2000;

/// Bytes of `model.safetensors` that is downloaded: the largest base in f32, with other heads.
pub const MAX_DOWNLOAD_BYTES: u64 = 4 * MAX_BASE_PARAMETERS + MAX_UNUSED_BYTES + MAX_HEADER_BYTES;
