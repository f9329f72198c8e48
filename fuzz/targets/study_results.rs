#![no_main]

lorb_fuzz::fuzz!("study_results");
