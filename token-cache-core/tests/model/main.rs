//! Runs random programs of calls, answers and clock changes on the cache and on a reference implementation of its
//! contract. The two must agree at every step.
//!
//! `TOKEN_CACHE_MODEL_STEPS` sets the number of steps. A program that fails is shrunk and printed with its seed, and
//! `TOKEN_CACHE_MODEL_SEED` runs it again.

#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;
mod history;
mod program;
mod reference;
mod token;
mod walk;
mod warm;

use std::collections::hash_map::RandomState;
use std::env;
use std::fmt::{Debug, Display};
use std::hash::BuildHasher;
use std::panic;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

#[test]
fn the_cache_agrees_with_its_reference() {
    walk_programs(program::programs, |program| program.steps.len(), walk::run);
}

#[test]
fn p21_keep_warm_fetches_when_due_and_stops_when_idle() {
    walk_programs(warm::programs, |program| program.steps.len(), warm::run);
}

/// Runs programs until they have had enough steps.
fn walk_programs<P: Debug + Display, S: Strategy<Value = P>>(
    programs: impl Fn() -> S,
    steps_of: impl Fn(&P) -> usize,
    run: impl Fn(&P) -> Result<(), String>,
) {
    silence_expected_panics();
    let number = |name| env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let min_steps = number("TOKEN_CACHE_MODEL_STEPS").unwrap_or(STEPS);
    let first = number("TOKEN_CACHE_MODEL_SEED").unwrap_or_else(|| RandomState::new().hash_one(min_steps));

    let (mut count, mut steps, mut seed) = (0, 0, first);
    while steps < min_steps {
        let config = Config { failure_persistence: None, max_shrink_iters: 10_000, ..Config::default() };
        let bytes = (u128::from(mix(seed)) << 64 | u128::from(seed)).to_le_bytes();
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::XorShift, &bytes));
        let program = programs().new_tree(&mut runner).unwrap();
        steps += steps_of(&program.current()) as u64;
        match runner.run_one(program, |program| run(&program).map_err(TestCaseError::fail)) {
            Ok(_) => {}
            Err(TestError::Fail(reason, program)) => panic!("{reason}\nTOKEN_CACHE_MODEL_SEED={seed}\n{program}"),
            Err(error) => panic!("{error}\nTOKEN_CACHE_MODEL_SEED={seed}"),
        }
        count += 1;
        seed = mix(seed);
    }
    println!("{steps} steps in {count} programs, from TOKEN_CACHE_MODEL_SEED={first}");
}

/// The next seed (SplitMix64).
const fn mix(seed: u64) -> u64 {
    let seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ (seed >> 31)
}

/// Mock sources panic in many programs, and shrinking repeats a failure many times.
fn silence_expected_panics() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let message = info.payload().downcast_ref::<&str>().copied();
        let message = message.or_else(|| info.payload().downcast_ref::<String>().map(String::as_str));
        if ![Some("the test made this source panic"), Some(harness::ENDLESS_LOOP)].contains(&message) {
            hook(info);
        }
    }));
}

const STEPS: u64 = 10_000;
