#![no_main]

lorb_fuzz::fuzz!("config_json");
