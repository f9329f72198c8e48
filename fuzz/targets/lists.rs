#![no_main]

lorb_fuzz::fuzz!("lists");
