#![no_main]

lorb_fuzz::fuzz!("base_weights");
