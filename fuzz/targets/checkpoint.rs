#![no_main]

lorb_fuzz::fuzz!("checkpoint");
