#![no_main]

lorb_fuzz::fuzz!("torch_file");
