#![no_main]

lorb_fuzz::fuzz!("dictionary");
