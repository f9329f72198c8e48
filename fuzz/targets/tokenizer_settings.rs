#![no_main]

lorb_fuzz::fuzz!("tokenizer_settings");
