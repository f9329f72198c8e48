#![no_main]

lorb_fuzz::fuzz!("vocab_merges");
