//! Random programs of calls, answers and time, run on the cache and on a plain reference of its contract. They have to
//! agree at every step.
//!
//! `TOKEN_CACHE_MODEL_STEPS` is how many steps to walk. A disagreement is shrunk, and printed with the seed of its program:
//! with that as `TOKEN_CACHE_MODEL_SEED` a walk begins with it. (How far the cache spreads a backoff is drawn by the
//! operating system and not from the seed.)

#![allow(clippy::unwrap_used, reason = "tests")]

mod program;
mod reference;
mod walk;

use std::collections::hash_map::RandomState;
use std::env;
use std::hash::BuildHasher;
use std::panic;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

#[test]
fn the_cache_and_its_reference_agree_at_every_step() {
    silence_what_is_expected();
    let number = |name| env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let wanted = number("TOKEN_CACHE_MODEL_STEPS").unwrap_or(STEPS);
    let first = number("TOKEN_CACHE_MODEL_SEED").unwrap_or_else(|| RandomState::new().hash_one(wanted));

    let (mut programs, mut steps, mut seed) = (0, 0, first);
    while steps < wanted {
        steps += walk(seed);
        programs += 1;
        seed = mixed(seed);
    }
    println!("walked {steps} steps in {programs} programs, from TOKEN_CACHE_MODEL_SEED={first}");
}

/// Walks the program of a seed, and returns how many steps it had.
fn walk(seed: u64) -> u64 {
    let config = Config { failure_persistence: None, max_shrink_iters: 10_000, ..Config::default() };
    let bytes = (u128::from(mixed(seed)) << 64 | u128::from(seed)).to_le_bytes();
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::XorShift, &bytes));
    let program = program::programs().new_tree(&mut runner).unwrap();
    let steps = program.current().turns.len() as u64;
    match runner.run_one(program, |program| walk::run(&program).map_err(TestCaseError::fail)) {
        Ok(_) => steps,
        Err(TestError::Fail(why, program)) => panic!("{why}\nTOKEN_CACHE_MODEL_SEED={seed}\n{program}"),
        Err(error) => panic!("{error}\nTOKEN_CACHE_MODEL_SEED={seed}"),
    }
}

/// Another seed that has nothing in common with this one (SplitMix64).
const fn mixed(seed: u64) -> u64 {
    let seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ (seed >> 31)
}

/// The sources panic by the thousand, and so may what is shrunk: nobody wants to read that.
fn silence_what_is_expected() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let message = info.payload().downcast_ref::<&str>().copied();
        let message = message.or_else(|| info.payload().downcast_ref::<String>().map(String::as_str));
        if ![Some("the test made this source panic"), Some(walk::ENDLESS)].contains(&message) {
            hook(info);
        }
    }));
}

const STEPS: u64 = 20_000;
