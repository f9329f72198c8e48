#![no_main]

lorb_fuzz::fuzz!("tensor_file");
