//! The credentials file: any bytes give accounts or a line that exists, and neither line ends nor remarks matter.
//!
//! Input: the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use server::credentials::parse;

fuzz_target!(|file: &[u8]| {
    let lines_count = file.split(|&byte| byte == b'\n').count();
    let plain = parse(file).map(|users| users.into_keys().collect::<Vec<_>>());
    match &plain {
        Ok(users) => assert!(users.len() <= lines_count),
        Err((line, _)) => assert!((1..=lines_count).contains(line)),
    }

    let remarked = [file, b"\n# a remark\n\n"].concat();
    assert_eq!(parse(&remarked).map(|users| users.into_keys().collect()), plain);

    if !file.contains(&b'\r') {
        let with_cr = file.split(|&byte| byte == b'\n').collect::<Vec<_>>().join(&b"\r\n"[..]);
        assert_eq!(parse(&with_cr).map(|users| users.into_keys().collect()), plain);
    }
});
