//! A request to the API: the target in the first line, headers in the next ones, and after an empty line the body.

use zhongkong::fuzzing::{Call, read};

use crate::{SECRET, TOKEN};

/// The longest problem.
const PROBLEM_MAX: usize = 1_000;

/// Reads `input` as a request, by a guard with bearer tokens and by one without.
pub fn run(input: &[u8]) {
    let (head, body) = match input.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&input[..at], &input[at + 2..]),
        None => (input, &[][..]),
    };
    let Ok(head) = std::str::from_utf8(head) else { return };
    let mut lines = head.lines();
    let target = lines.next().unwrap_or("/");
    let headers = lines.filter_map(|line| line.split_once(": ")).collect();
    let call = Call { target, headers, body };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else {
        return;
    };
    for bearer in [None, Some(SECRET)] {
        for problem in runtime.block_on(read(&call, bearer)) {
            assert!(problem.len() <= PROBLEM_MAX, "{} bytes: {problem}", problem.len());
            assert!(!problem.contains(TOKEN), "a token in {problem}");
            assert!(!problem.contains(SECRET), "a secret in {problem}");
        }
    }
}
