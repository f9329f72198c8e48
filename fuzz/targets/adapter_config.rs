#![no_main]

lorb_fuzz::fuzz!("adapter_config");
