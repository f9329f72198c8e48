#![no_main]

lorb_fuzz::fuzz!("sentence_piece");
