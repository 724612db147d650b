//! How many random cases are compared.

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

const VARIABLE: &str = "AORTA_FLOW_CASES";

/// As many as the environment says, or a few.
pub fn count(few: usize) -> usize {
    let asked = std::env::var(VARIABLE).ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(few)
}

/// The few are the same each time, so that a test fails for a change only; others are new ones.
pub fn runner() -> TestRunner {
    match std::env::var_os(VARIABLE) {
        Some(_) => TestRunner::default(),
        None => TestRunner::new_with_rng(
            Config::default(),
            TestRng::deterministic_rng(RngAlgorithm::ChaCha),
        ),
    }
}
