//! Model files before any engine: a judgement within seconds, the same each time.
//!
//! Input: the file.

use std::collections::BTreeMap;

use aimass_server::check::{Surroundings, check};

/// Bytes that one value may have.
const BUDGET: u64 = 64 << 20;

/// Checks it twice.
pub fn body(data: &[u8]) {
    let files = BTreeMap::from([("weights.bin".to_owned(), 4096)]);
    let surroundings = Surroundings {
        files: &files,
        budget_bytes: BUDGET,
    };
    let judged = check(data, &surroundings);
    match &judged {
        Ok(signature) => {
            let size = data.len();
            let tensors = signature.inputs().len() + signature.outputs().len();
            assert!(tensors <= size, "{tensors} tensors in {size} bytes");
        }
        Err(refusal) => {
            let text = refusal.to_string();
            assert!(!text.is_empty() && text.len() < 4096, "{}", text.len());
        }
    }
    let again = check(data, &surroundings);
    assert_eq!(format!("{judged:?}"), format!("{again:?}"));
}
