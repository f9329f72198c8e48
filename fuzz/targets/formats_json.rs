#![no_main]

lorb_fuzz::fuzz!("formats_json");
